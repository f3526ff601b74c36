"""The table of the content's sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from git_to_pod.experiments.content_sizes import MB, SizeResult
from git_to_pod.report.charts.dot_plot import median_of, span
from git_to_pod.report.html import html_table
from git_to_pod.wording import counted


def sizes_finding(rows: Sequence[SizeResult]) -> str:
    """The title, computed: the largest content that reached all pods, and what did not."""
    served = [row for row in rows if math.isfinite(row.pushed_to_restarted_s.median)]
    if not rows:
        return "No content size was measured."
    late = [in_words(row) for row in rows if row not in served]
    missed = f" Not on all replicas in time: {', '.join(late)}." if late else ""
    if not served:
        return missed.strip()
    most = max(served, key=lambda row: row.megabytes)
    restarts = sum(row.git_sync_restarts for row in rows)
    killed = f"git-sync's containers restarted {counted(restarts, 'time')}" if restarts else "git-sync never restarted"
    took = median_of(most.pushed_to_restarted_s.median)
    return (
        f"A commit of {in_words(most)} is on all replicas after a median of {took}; "
        f"the git host sends it {most.sent_bytes / MB / most.megabytes:.1f} times; {killed}.{missed}"
    )


def in_words(row: SizeResult) -> str:
    return f"{row.megabytes} MB in {counted(row.files, 'file')}"


def sizes_table(rows: Sequence[SizeResult]) -> Markup:
    """The table, with its finding as the title."""
    table = [
        {
            "new content": f"{row.megabytes} MB",
            "files": f"{row.files:,}",
            "push → restarted, median": median_of(row.pushed_to_restarted_s.median),
            "range": span(row.pushed_to_restarted_s.min, row.pushed_to_restarted_s.max),
            "n": str(row.pushed_to_restarted_s.n),
            "sent by the git host": f"{row.sent_bytes / MB:,.0f} MB",
            "restarts of git-sync": str(row.git_sync_restarts),
        }
        for row in rows
    ]
    return html_table(table, sizes_finding(rows))
