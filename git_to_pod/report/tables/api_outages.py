"""The table of the API server's outages."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from git_to_pod.experiments.api_outages import LIMIT_S, OutageResult
from git_to_pod.report.charts.dot_plot import median_of, span
from git_to_pod.report.html import html_table
from git_to_pod.timing.medians import share_interval
from git_to_pod.wording import counted, sentence_case


def outages_finding(rows: Sequence[OutageResult]) -> str:
    """The title, computed: after how many outages pods started with the previous commit."""
    if not rows:
        return "Outages of the API server were not measured."
    found = dict[str, list[OutageResult]]()
    for row in rows:
        found.setdefault(row.name, []).append(row)
    shares = [f"{in_words(stale_of(each), outages_of(each))} with “{name}”" for name, each in found.items()]
    late = sum(row.recovered_s.timeouts for row in rows)
    missed = f" Not recovered within {LIMIT_S:g} s: {late} of {outages_of(rows)}." if late else ""
    return f"New pods started with the previous commit after {'; and after '.join(shares)}.{missed}"


def stale_of(rows: Sequence[OutageResult]) -> int:
    return sum(row.stale for row in rows)


def outages_of(rows: Sequence[OutageResult]) -> int:
    return sum(row.outages for row in rows)


def in_words(stale: int, outages: int) -> str:
    low, high = share_interval(stale, outages)
    return f"{stale} of {counted(outages, 'outage')} (95% CI {low:.0%}–{high:.0%})"


def outages_table(rows: Sequence[OutageResult]) -> Markup:
    """The table, with its finding as the title."""
    table = [
        {
            "candidate": sentence_case(row.name),
            "API server away, median": median_of(row.away_s.median),
            "pods with the previous commit": in_words(row.stale, row.outages),
            "until all serve the new one, median": median_of(row.recovered_s.median),
            "range": span(row.recovered_s.min, row.recovered_s.max),
            "n": str(row.recovered_s.n),
        }
        for row in rows
    ]
    return html_table(table, outages_finding(rows))
