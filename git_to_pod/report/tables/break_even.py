"""The size at which each candidate is cheaper than the deployed design."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from git_to_pod.experiments.alternatives.break_even import sizes
from git_to_pod.experiments.results import ResultRow
from git_to_pod.report.html import html_table


def break_even_table(rows: Sequence[ResultRow]) -> Markup:
    """The table, as HTML."""
    return html_table(sizes(rows), "When another candidate is cheaper than the deployed design")
