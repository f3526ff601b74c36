"""Points and models of cost and scale."""

# ruff: noqa: RUF001  # signs as a reader expects them in print

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from git_to_pod import theme
from git_to_pod.model import Line
from git_to_pod.scale import TARGET, Scale
from git_to_pod.theme import Chart

Points = Sequence[tuple[float, float]]


def with_model(ax: Axes, points: Points, line: Line, colour: str, label: str) -> None:
    """The points, the line through them, and the slope's interval around it."""
    furthest = max(x for x, _ in points)
    ends = [0.0, furthest]
    low, high = ([line.at(x)[side] for x in ends] for side in (1, 2))
    ax.fill_between(ends, low, high, color=colour, alpha=0.18, lw=0)
    ax.plot(ends, [line.at(x)[0] for x in ends], color=colour, lw=1.5)
    ax.scatter([x for x, _ in points], [y for _, y in points], s=26, color=colour, lw=0, label=label)


def polls(scale: Scale) -> Chart:
    """CPU against polls a second, on both sides."""
    models = scale.models
    node, host = models["node_cpu_per_poll"], models["host_cpu_per_poll"]

    def draw(canvas: Canvas, narrow: bool) -> None:
        ax = canvas.subplots()
        with_model(ax, [(p.polls_per_s, p.node_cpu) for p in scale.small], node, theme.CHAIN_1, "node: git-sync")
        with_model(ax, [(p.polls_per_s, p.host_cpu) for p in scale.small], host, theme.RESTART_1, "git host")
        ax.set(xlim=(0, None), ylim=(0, None), xlabel="polls a second", ylabel="cores")
        canvas.legend(loc="outside lower left", ncols=1 if narrow else 2, frameon=False)

    at = TARGET / 10
    value, low, high = node.at(at)
    title = (
        f"Each poll takes {1000 * node.slope:.0f} ms of CPU on the node and {1000 * host.slope:.0f} ms on the git host"
    )
    note = (
        f"n = {node.n} settings of pods and period, repository of one file. Line: least squares; band: the slope's 95% "
        f"interval. Carried on to {TARGET:,} pods polling every 10 s: {value:.1f} cores on the nodes "
        f"({low:.1f}–{high:.1f})."
    )
    return Chart(title, note, f"{title}. {note}", draw, height=300, narrow_height=340)


def fan_out(scale: Scale) -> Chart:
    """How long until the last Deployment is told, and how long until many replicas are restarted."""
    models = scale.models
    fans, restarts = models["fan_out_s_per_deployment"], models["restart_s_per_pod"]

    def draw(canvas: Canvas, narrow: bool) -> None:
        left, right = canvas.subplots(2, 1) if narrow else canvas.subplots(1, 2)
        with_model(left, [(f.deployments, f.last_patched_s) for f in scale.fans], fans, theme.CHAIN_1, "told")
        sizes, ends = [f.deployments for f in scale.fans], [f.last_restarted_s for f in scale.fans]
        left.scatter(sizes, ends, s=26, fc="none", ec=theme.CHAIN_1, label="restarted")
        left.legend(frameon=False, loc="upper left")
        left.set(xlim=(0, None), ylim=(0, None), xlabel="Deployments that follow one commit", ylabel="s to the last")
        with_model(right, [(r.pods, r.restart_s) for r in scale.restarts], restarts, theme.RESTART_1, "")
        right.set(xlim=(0, None), ylim=(0, None), xlabel="replicas of one app", ylabel="s to restart all")

    title = f"Each further Deployment is told {1000 * fans.slope:.0f} ms later; each further replica on this machine "
    title += f"adds {1000 * restarts.slope:.0f} ms to a restart"
    note = f"n = {fans.n} sizes and {restarts.n} restarts; on the left: {scale.fans[0].simulated}. "
    note += "Band: the slope's 95% interval."
    return Chart(title, note, f"{title}. {note}", draw, height=280, narrow_height=480)
