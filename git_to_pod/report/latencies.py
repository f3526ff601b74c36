"""The table of the latencies, also of a run that was killed."""

from __future__ import annotations

import math
from collections.abc import Mapping

from markupsafe import Markup

from git_to_pod.report.html import html_table
from git_to_pod.timing.medians import Estimate

EXPLAINED = {
    "push_to_polled": "push → git-sync's next poll",
    "polled_to_published": "poll → commit published in git-commit",
    "published_to_requested": "published → Reloader patches the Deployment",
    "polled_to_requested": "poll → Deployment patched: the overhead of both tools",
    "requested_to_restarted": "Deployment patched → all replicas restarted",
    "push_to_restarted": "push → all replicas restarted",
    "push_to_served": "push → every pod serves the new commit",
    "rollout_restart": "baseline: kubectl rollout restart of the same Deployment",
    "baseline_rollout_restart": "baseline: kubectl rollout restart of the same nginx without git-sync",
    "mixed_commits": "time in which clients get both the old and the new commit",
}


def latencies_table(estimates: Mapping[str, Estimate], caption: str) -> Markup:
    """A row for each latency of summary.json."""
    rows = []
    for name, found in estimates.items():
        interval = "–" if math.isnan(found.low) else f"{in_seconds(found.low)}–{in_seconds(found.high)}"
        rows.append(
            {
                "from → to": EXPLAINED[name],
                "median": in_seconds(found.median) if found.n else "not measured",
                "95% CI": interval,
                "min": in_seconds(found.min),
                "max": in_seconds(found.max),
                "n": str(found.n),
                "timeouts": str(found.timeouts),
            }
        )
    return html_table(rows, caption)


def in_seconds(value: float) -> str:
    """A cell without its unit."""
    return f"{value:.2f}" if math.isfinite(value) else "timeout" if math.isinf(value) else "–"
