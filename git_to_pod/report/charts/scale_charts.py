"""Charts of cost and scale: the measured points and the lines fitted to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from git_to_pod.experiments.scale.fan_out import Fan
from git_to_pod.experiments.scale.linear_fit import fit
from git_to_pod.experiments.scale.polling import INTERVAL_S, TARGET, Poll, Restart, Scale
from git_to_pod.report.charts import svg
from git_to_pod.report.charts.svg import Chart, axes_on, figure_of, is_narrow, legend, new_axes
from git_to_pod.report.tables.scale import cost_of_a_poll, cpu, rounded
from git_to_pod.wording import counted, sentence_case

HOW_TO_READ = "Line: least squares. Band: 95% interval of the slope."


def polls(scale: Scale) -> Chart:
    """CPU on the node and on the git host against polls per second."""
    models = scale.models
    node, host = models["node_cpu_per_poll"], models["host_cpu_per_poll"]
    value, low, high = node.at(TARGET / INTERVAL_S)
    title = cost_of_a_poll(node, host)
    note = f"n = {node.n} combinations of pods and poll interval. The repository has one file. {HOW_TO_READ}"
    if node.n:
        note += f" Extrapolated to {TARGET:,} pods that poll every {INTERVAL_S} s, the nodes would use {cpu(value)} "
        note += f"(95% interval {rounded(low)} to {rounded(high)} cores)."
    table = pd.DataFrame(scale.polls, columns=names_of(Poll))
    draw = lambda figure: draw_polls(table, figure.subplots())  # noqa: E731
    return Chart(title, note, f"{title}. {note}", draw, height=300, narrow_height=340)


def draw_polls(measured: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """CPU in cores against polls per second, from the columns of scale.csv: files, polls_per_s, node_cpu, host_cpu."""
    ax = axes_on(ax)
    small = measured[measured["files"] == 1]
    with_line(ax, small[["polls_per_s", "node_cpu"]], svg.CHAIN_1, "node: git-sync")
    with_line(ax, small[["polls_per_s", "host_cpu"]], svg.RESTART_1, "git host")
    ax.set(xlim=(0, None), ylim=(0, None), xlabel="polls per second", ylabel="CPU, cores")
    return legend(ax, columns=2)


def with_line(ax: Axes, columns: pd.DataFrame, colour: str, label: str) -> None:
    """The points of two columns, the line fitted to them, and a band for the interval of its slope."""
    points = list(columns.itertuples(index=False, name=None))
    line, ends = fit(points), [0.0, max((x for x, _ in points), default=0.0)]
    low, high = ([line.at(x)[side] for x in ends] for side in (1, 2))
    ax.fill_between(ends, low, high, color=colour, alpha=0.18, lw=0)
    ax.plot(ends, [line.at(x)[0] for x in ends], color=colour, lw=1.5)
    ax.scatter([x for x, _ in points], [y for _, y in points], s=26, color=colour, lw=0, label=label)


def fan_out(scale: Scale) -> Chart:
    """Left: the time until all Deployments are patched. Right: the time of a rollout with many replicas."""
    models = scale.models
    fans, restarts = models["fan_out_s_per_deployment"], models["restart_s_per_pod"]
    further = [f"each further Deployment is patched {1000 * fans.slope:.0f} ms later"] if fans.n else []
    if restarts.n:
        further.append(f"each further replica on this machine adds {1000 * restarts.slope:.0f} ms to a rollout")
    title = sentence_case("; ".join(further or ["nothing was measured"]))
    changes = f"{counted(fans.n, 'change')} of the ConfigMap"
    note = f"Left: {changes}; each Deployment has {scale.fans[0].simulated}. " if scale.fans else ""
    late = len(scale.restarts) - len(scale.finished)
    note += f"Right: {counted(restarts.n, 'rollout')}{f'; {late} more timed out' if late else ''}. {HOW_TO_READ}"
    tables = (pd.DataFrame(scale.fans, columns=names_of(Fan)), pd.DataFrame(scale.restarts, columns=names_of(Restart)))

    def draw(figure: Figure) -> Figure:
        rows, columns = (2, 1) if is_narrow(figure) else (1, 2)
        return draw_fan_out(*tables, figure.subplots(rows, columns))

    return Chart(title, note, f"{title}. {note}", draw, height=280, narrow_height=480)


def draw_fan_out(fans: pd.DataFrame, restarts: pd.DataFrame, axes: Sequence[Axes] | None = None) -> Figure:
    """Seconds against Deployments, and seconds against replicas, from the columns of scale.csv.

    `fans` has deployments, last_patched_s and last_restarted_s; `restarts` has pods and restart_s.
    """
    left, right = new_axes(280, 1, 2) if axes is None else axes
    with_line(left, fans[["deployments", "last_patched_s"]], svg.CHAIN_1, "patched")
    sizes, ends = fans["deployments"], fans["last_restarted_s"]
    left.scatter(sizes, ends, s=26, fc="none", ec=svg.CHAIN_1, label="rollout complete")
    left.legend(frameon=False, loc="upper left")
    left.set(
        xlim=(0, None), ylim=(0, None), xlabel="Deployments that follow one commit", ylabel="seconds until the last"
    )
    finished = restarts[restarts["restart_s"] < math.inf]
    with_line(right, finished[["pods", "restart_s"]], svg.RESTART_1, "")
    right.set(xlim=(0, None), ylim=(0, None), xlabel="replicas of one app", ylabel="seconds of a rollout")
    return figure_of(left)


def names_of(row: type) -> list[str]:
    """The columns of a table of these rows, which may be empty."""
    return [field.name for field in fields(row)]
