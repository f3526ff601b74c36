"""The table of the fan-out: Deployments that follow one commit."""

from __future__ import annotations

from markupsafe import Markup

from git_to_pod.experiments.scale.fan_out import Fan
from git_to_pod.report.html import html_table
from git_to_pod.wording import duration


def fan_out_finding(fans: list[Fan]) -> str:
    """How long Reloader and the rollouts take with the largest number of Deployments."""
    if not fans:
        return "The fan-out was not measured."
    last = max(fans, key=lambda fan: fan.deployments)
    patched, complete = duration(last.last_patched_s), duration(last.last_restarted_s)
    if last.deployments == 1:
        return f"Reloader patches 1 Deployment in {patched}. Its rollout is complete after {complete}."
    return (
        f"Reloader patches {last.deployments:,} Deployments in {patched}. "
        f"Their rollouts are complete after {complete}. Each Deployment has {last.simulated}."
    )


def fan_out_table(fans: list[Fan]) -> Markup:
    """The table, as HTML."""
    rows = [
        {
            "Deployments": str(f.deployments),
            "last Deployment patched after": f"{f.last_patched_s:.2f} s",
            "last rollout complete after": f"{f.last_restarted_s:.2f} s",
            "API writes": f"{f.api_writes:,}",
            "Reloader, CPU time": f"{f.reloader_cpu_s:.2f} s",
            "Reloader, peak memory": f"{f.reloader_memory_bytes / 2**20:.0f} MiB",
        }
        for f in fans
    ]
    return html_table(rows, fan_out_finding(fans))
