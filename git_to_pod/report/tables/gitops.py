"""The table of Reloader with a Deployment that Flux owns."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from git_to_pod.experiments.gitops import OwnedResult
from git_to_pod.report.charts.dot_plot import median_of
from git_to_pod.report.html import html_table, paragraphs
from git_to_pod.wording import counted, names


def gitops_finding(rows: Sequence[OwnedResult]) -> str:
    """The title, computed."""
    if not rows:
        return "Reloader with a Deployment that Flux owns was not measured."
    kept = [row for row in rows if row.stamp_stays and row.served and row.rollouts == row.pushes]
    if len(kept) == len(rows):
        return (
            "Flux does not revert Reloader's patch: each push made one rollout, with the "
            f"{'strategies' if len(rows) > 1 else 'strategy'} {names([row.strategy for row in rows])}."
        )
    return " ".join(sentence(row) for row in rows)


def sentence(row: OwnedResult) -> str:
    stamp = "stays" if row.stamp_stays else "is reverted"
    made = f"{counted(row.pushes, 'push', 'pushes')} made {counted(row.rollouts, 'rollout')}"
    return f"With the strategy {row.strategy}, Reloader's patch {stamp}, and {made}."


def gitops_table(rows: Sequence[OwnedResult]) -> Markup:
    """The table, with its finding as the title."""
    if not rows:
        return paragraphs("Not tried. It needs the images of Flux and upstream Reloader, in --images DIR.")
    table = [
        {
            "Reloader's strategy": row.strategy,
            "pushes": str(row.pushes),
            "rollouts": str(row.rollouts),
            "Reloader's patch stays": "✓" if row.stamp_stays else "no",
            "last commit on all replicas": "✓" if row.served else "no",
            "Flux reverts a change by kubectl after": median_of(row.corrected_s),
        }
        for row in rows
    ]
    return html_table(table, gitops_finding(rows))
