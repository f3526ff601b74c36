"""The tables of the scale: what a poll costs, and the extrapolation."""

from __future__ import annotations

import math

from markupsafe import Markup

from git_to_pod.experiments.scale.linear_fit import LinearFit
from git_to_pod.experiments.scale.polling import INTERVAL_S, TARGET, Scale
from git_to_pod.report.html import html_table
from git_to_pod.wording import millicores


def polls_finding(scale: Scale) -> str:
    """What a poll costs, and what the polls of many pods and of one poller would cost."""
    node, host = scale.models["node_cpu_per_poll"], scale.models["host_cpu_per_poll"]
    if not node.n:
        return f"{cost_of_a_poll(node, host)}."
    many, one = TARGET / INTERVAL_S, 1 / INTERVAL_S
    return (
        f"{cost_of_a_poll(node, host)}. "
        f"{TARGET:,} pods that poll every {INTERVAL_S} s would use {cpu(node.at(many)[0])} on the nodes and "
        f"{cpu(host.at(many)[0])} on the git host. "
        f"A single poller with this poll interval would use {cpu(node.at(one)[0])} on its node and "
        f"{cpu(host.at(one)[0])} on the git host."
    )


def cost_of_a_poll(node: LinearFit, host: LinearFit) -> str:
    """A sentence without its full stop, for a chart's title."""
    if not node.n:
        return "The cost of a poll was not measured"
    return f"A poll costs {cpu_time(node.slope)} of CPU time on the node and {cpu_time(host.slope)} on the git host"


def rounded(value: float, digits: int = 2) -> str:
    """Rounded to significant digits, two for an extrapolation."""
    return f"{float(f'{value:.{digits}g}'):,.12g}" if math.isfinite(value) else "unknown"


def cpu(cores: float) -> str:
    """An extrapolated CPU usage, in words."""
    if not math.isfinite(cores):
        return "an unknown amount of CPU"
    if cores < 0.0005:
        return "less than 1 millicore"
    amount, unit = (rounded(cores), "core") if cores >= 1 else (f"{float(f'{1000 * cores:.2g}'):.0f}", "millicore")
    return f"about {amount} {unit}{'' if amount == '1' else 's'}"


def cpu_time(seconds: float) -> str:
    return f"{1000 * seconds:.{0 if seconds >= 0.001 else 1}f} ms"


def polls_tables(scale: Scale) -> Markup:
    """Two tables: the measurements and the extrapolation."""
    polls = [
        {
            "pods": str(p.pods),
            "poll interval": f"{p.period_s:g} s",
            "files": f"{p.files:,}",
            "polls per second": f"{p.polls_per_s:.2f}",
            "CPU on the git host": millicores(p.host_cpu),
            "CPU on the node": millicores(p.node_cpu),
            "traffic": f"{p.bytes_per_s / 1000:.1f} kB/s",
        }
        for p in scale.polls
    ]
    caption = f"Linear extrapolation to {TARGET:,} pods or Deployments; m: millicores"
    return html_table(polls, polls_finding(scale)) + html_table(extrapolation(scale), caption)


def extrapolation(scale: Scale) -> list[dict[str, str]]:
    """For each fitted line, its value beyond the measured range, the interval, and the slope."""
    models, n, pods = scale.models, f"{TARGET:,}", f"if {TARGET:,} pods poll every {INTERVAL_S} s"
    polls = TARGET / INTERVAL_S
    # For each line: the quantity, the x at which to read it, the value's factor and unit, the unit of the slope.
    asked: dict[str, tuple[str, float, float, str, str]] = {
        "host_cpu_per_poll": (f"CPU on the git host {pods}", polls, 1000, "m", "ms per poll"),
        "node_cpu_per_poll": (f"CPU on the nodes {pods}", polls, 1000, "m", "ms per poll"),
        "bytes_per_poll": (f"traffic {pods}", polls, 0.001, "kB/s", "kB per poll"),
        "restart_s_per_pod": (f"rollout of {n} replicas, if one node could run them", TARGET, 1, "s", "s per replica"),
        "fan_out_s_per_deployment": (f"time until {n} Deployments are patched", TARGET, 1, "s", "s per Deployment"),
        "api_writes_per_deployment": (f"API writes, if {n} Deployments follow", TARGET, 1, "", "per Deployment"),
    }
    rows = []
    for name, (text, x, factor, unit, slope_unit) in asked.items():
        line = models[name]
        value, low, high = (rounded(factor * found) for found in line.at(x))
        rows.append(
            {
                "": text,
                "value": f"about {value} {unit}".strip() if line.n else "not measured",
                "95% interval": f"{low} to {high} {unit}".strip()
                if math.isfinite(line.slope_low)
                else "too few points",
                "slope": f"{rounded(factor * line.slope, 3)} {slope_unit}" if line.n else "not measured",
                "R²": f"{line.r_squared:.2f}" if line.n else "",
                "points": str(line.n),
            }
        )
    return rows
