"""The table of the candidates' new pods while the git host is down."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from git_to_pod.experiments.alternatives.starts import StartResult
from git_to_pod.experiments.effort import effort
from git_to_pod.report.html import html_table, paragraphs
from git_to_pod.wording import quoted


def starts_finding(rows: Sequence[StartResult]) -> str:
    """The title, computed: whose new pods become Ready."""
    if not rows:
        return "New pods while the git host is down were not measured."
    ready = [row.name for row in rows if row.starts]
    whose = "no candidate" if not ready else "every candidate" if len(ready) == len(rows) else quoted(ready)
    return f"While the git host is down, a new pod becomes Ready with {whose} ({len(ready)} of {len(rows)})."


def starts_table(rows: Sequence[StartResult]) -> Markup:
    """The table, with its finding as the title."""
    table = [
        {
            "candidate": row.name,
            "new pod Ready while the git host is down": after(row.ready_s, f"no, within {effort().down_s:g} s"),
            "all pods Ready after its return": "–" if row.starts else after(row.recovered_s, "timed out"),
        }
        for row in rows
    ]
    failed = [f"Not measured: {row.name} ({row.failed})." for row in rows if row.failed]
    return html_table(table, starts_finding(rows)) + paragraphs(*failed)


def after(seconds: float, at_infinity: str) -> str:
    return "not measured" if math.isnan(seconds) else at_infinity if math.isinf(seconds) else f"after {seconds:.1f} s"
