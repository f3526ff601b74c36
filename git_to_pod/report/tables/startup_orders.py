"""The table and the chart of the orders in which a pod can start."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from git_to_pod.experiments.startup_orders import Order, StartupResult
from git_to_pod.report.charts.dot_plot import dots, median_of, span
from git_to_pod.report.charts.svg import Chart
from git_to_pod.report.html import html_table


def startup_finding(rows: Sequence[StartupResult]) -> str:
    """The title, computed."""
    by_key = {row.key: row for row in rows}
    if not rows:
        return "No way to wait was measured."
    deployed, baseline = by_key[Order.DEPLOYED], by_key[Order.BASELINE]
    if not math.isfinite(deployed.restart_s.median):
        return f"Rollout restart as deployed: {median_of(deployed.restart_s.median)}."
    quickest = min((row for row in rows if row is not baseline), key=lambda row: row.restart_s.median)
    words = f"A rollout restart as deployed takes a median of {deployed.restart_s.median:.2f} s"
    if math.isfinite(deployed.ratio):
        words += f", {deployed.ratio:.2f} × the {baseline.restart_s.median:.2f} s of the same nginx without git-sync"
    if quickest is deployed:
        return f"{words}. No other way with git-sync has a lower median."
    lowest = f"{quickest.restart_s.median:.2f} s"
    return f"{words}. Of the ways with git-sync, “{quickest.name}” has the lowest median: {lowest}."


def startup_chart(rows: Sequence[StartupResult]) -> Chart:
    """Every restart of each way."""
    note = "Each dot is one restart. The vertical bar is the median, the horizontal bar its 95% CI."
    lines = [(row.name, row.samples_s) for row in rows]
    deployed = next((row.name for row in rows if row.key is Order.DEPLOYED), "")
    return dots(
        lines, "seconds from the changed template to the end of the rollout", startup_finding(rows), note, deployed
    )


def startup_table(rows: Sequence[StartupResult]) -> Markup:
    """The table, as HTML."""
    table = [
        {
            "way": row.name,
            "how": row.how,
            "median": median_of(row.restart_s.median),
            "95% CI": span(row.restart_s.low, row.restart_s.high),
            "× nginx without git-sync": f"{row.ratio:.2f}" if math.isfinite(row.ratio) else "–",
            "n": str(row.restart_s.n),
            "timeouts": str(row.restart_s.timeouts),
        }
        for row in rows
    ]
    return html_table(table, "Ways to wait for the content, with the time of a rollout restart")
