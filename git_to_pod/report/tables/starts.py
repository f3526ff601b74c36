"""The table of the candidates' new pods while the git host is down."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from git_to_pod.experiments.alternatives.starts import DOWN_S, StartResult
from git_to_pod.report.html import html_table
from git_to_pod.wording import quoted, sentence_case


def starts_finding(rows: Sequence[StartResult]) -> str:
    """The title, computed: whose new pods become Ready, and whose wait."""
    if not rows:
        return "New pods while the git host is down were not measured."
    ready, waiting = ([row.name for row in rows if row.starts is starts] for starts in (True, False))
    words = [f"becomes Ready with {quoted(ready)}"] if ready else []
    words += [f"waits for it with {quoted(waiting)}"] if waiting else []
    return f"While the git host is down, a new pod {'; it '.join(words)}."


def starts_table(rows: Sequence[StartResult]) -> Markup:
    """The table, with its finding as the title."""
    table = [
        {
            "candidate": sentence_case(row.name),
            "new pod Ready while the git host is down": after(row.ready_s, f"no, within {DOWN_S:g} s"),
            "all pods Ready after its return": after(row.recovered_s, "timed out") if not row.starts else "–",
        }
        for row in rows
    ]
    return html_table(table, starts_finding(rows))


def after(seconds: float, otherwise: str) -> str:
    return f"after {seconds:.1f} s" if math.isfinite(seconds) else otherwise
