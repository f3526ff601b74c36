"""Charts of cost and scale: the measured points and the lines fitted to them."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from git_to_pod.experiments.scale.linear_fit import LinearFit
from git_to_pod.experiments.scale.polling import INTERVAL_S, TARGET, Scale
from git_to_pod.report.charts import svg
from git_to_pod.report.charts.svg import Chart
from git_to_pod.report.tables.scale import cost_of_a_poll, cpu, rounded
from git_to_pod.wording import counted

Points = Sequence[tuple[float, float]]
HOW_TO_READ = "Line: least squares. Band: 95% interval of the slope."


def with_model(ax: Axes, points: Points, line: LinearFit, colour: str, label: str) -> None:
    """The points, the fitted line, and a band for the interval of its slope."""
    ends = [0.0, max((x for x, _ in points), default=0.0)]
    low, high = ([line.at(x)[side] for x in ends] for side in (1, 2))
    ax.fill_between(ends, low, high, color=colour, alpha=0.18, lw=0)
    ax.plot(ends, [line.at(x)[0] for x in ends], color=colour, lw=1.5)
    ax.scatter([x for x, _ in points], [y for _, y in points], s=26, color=colour, lw=0, label=label)


def polls(scale: Scale) -> Chart:
    """CPU on the node and on the git host against polls per second."""
    models = scale.models
    node, host = models["node_cpu_per_poll"], models["host_cpu_per_poll"]

    def draw(figure: Figure, narrow: bool) -> None:
        ax = figure.subplots()
        with_model(ax, [(p.polls_per_s, p.node_cpu) for p in scale.small], node, svg.CHAIN_1, "node: git-sync")
        with_model(ax, [(p.polls_per_s, p.host_cpu) for p in scale.small], host, svg.RESTART_1, "git host")
        ax.set(xlim=(0, None), ylim=(0, None), xlabel="polls per second", ylabel="CPU, cores")
        figure.legend(loc="outside lower left", ncols=1 if narrow else 2, frameon=False)

    value, low, high = node.at(TARGET / INTERVAL_S)
    title = cost_of_a_poll(node, host)
    note = f"n = {node.n} combinations of pods and poll interval. The repository has one file. {HOW_TO_READ}"
    if node.n:
        note += f" Extrapolated to {TARGET:,} pods that poll every {INTERVAL_S} s, the nodes would use {cpu(value)} "
        note += f"(95% interval {rounded(low)} to {rounded(high)} cores)."
    return Chart(title, note, f"{title}. {note}", draw, height=300, narrow_height=340)


def fan_out(scale: Scale) -> Chart:
    """Left: the time until all Deployments are patched. Right: the time of a rollout with many replicas."""
    models = scale.models
    fans, restarts = models["fan_out_s_per_deployment"], models["restart_s_per_pod"]

    def draw(figure: Figure, narrow: bool) -> None:
        left, right = figure.subplots(2, 1) if narrow else figure.subplots(1, 2)
        with_model(left, [(f.deployments, f.last_patched_s) for f in scale.fans], fans, svg.CHAIN_1, "patched")
        sizes, ends = [f.deployments for f in scale.fans], [f.last_restarted_s for f in scale.fans]
        left.scatter(sizes, ends, s=26, fc="none", ec=svg.CHAIN_1, label="rollout complete")
        left.legend(frameon=False, loc="upper left")
        left.set(
            xlim=(0, None), ylim=(0, None), xlabel="Deployments that follow one commit", ylabel="seconds until the last"
        )
        with_model(right, [(r.pods, r.restart_s) for r in scale.finished], restarts, svg.RESTART_1, "")
        right.set(xlim=(0, None), ylim=(0, None), xlabel="replicas of one app", ylabel="seconds of a rollout")

    further = [f"each further Deployment is patched {1000 * fans.slope:.0f} ms later"] if fans.n else []
    if restarts.n:
        further.append(f"each further replica on this machine adds {1000 * restarts.slope:.0f} ms to a rollout")
    title = "; ".join(further or ["nothing was measured"])
    title = title[0].upper() + title[1:]
    changes = f"{counted(fans.n, 'change')} of the ConfigMap"
    note = f"Left: {changes}; each Deployment has {scale.fans[0].simulated}. " if scale.fans else ""
    late = len(scale.restarts) - len(scale.finished)
    note += f"Right: {counted(restarts.n, 'rollout')}{f'; {late} more timed out' if late else ''}. {HOW_TO_READ}"
    return Chart(title, note, f"{title}. {note}", draw, height=280, narrow_height=480)
