"""The criteria with their weights, and each candidate against them."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from git_to_pod.experiments.effort import EXPERIMENTS
from git_to_pod.experiments.recommendation import CRITERIA, REQUIRED, as_good, attainable, candidate_rows, failed, score
from git_to_pod.experiments.results import ExperimentResults, ResultRow, section
from git_to_pod.report.html import html_table, render
from git_to_pod.wording import quoted


def weights() -> list[dict[str, str]]:
    """The criteria. No figure of a run changes them."""
    required = [{"criterion": name, "weight": "required", "reason": ""} for name in REQUIRED]
    weighted = [{"criterion": c.name, "weight": str(c.weight), "reason": c.reason} for c in CRITERIA]
    return required + weighted


def candidates_by_criterion(rows: Sequence[ResultRow]) -> list[dict[str, str]]:
    """A line for each criterion with every candidate's figure, ✓ if no other is better; the last line is the score."""
    found = [
        {"criterion": name, "weight": "required", **{row["name"]: "✓" if met(row) else "no" for row in rows}}
        for name, met in REQUIRED.items()
    ]
    for criterion in CRITERIA:
        cells = {r["name"]: criterion.cell(r) + (" ✓" if as_good(criterion, r, rows) else "") for r in rows}
        found.append({"criterion": criterion.name, "weight": str(criterion.weight), **cells})
    scores = {r["name"]: "ruled out" if failed(r) else str(score(r, rows)) for r in rows}
    return [*found, {"criterion": "score", "weight": str(attainable(rows)), **scores}]


def for_whom(rows: Sequence[ResultRow]) -> list[dict[str, str]]:
    """For each criterion, the candidates that are not ruled out and that no other one is better than."""
    sound = [row for row in rows if not failed(row)]
    best = {each.name: [row["name"] for row in sound if as_good(each, row, rows)] for each in CRITERIA if sound}
    return [
        {"what matters most to you": name, "no other candidate is better than": quoted(found) or "not measured"}
        for name, found in best.items()
    ]


def weights_table() -> Markup:
    """The criteria and their weights, without figures."""
    return html_table(weights(), "Criteria and weights")


def recommendation_section(results: ExperimentResults) -> Markup:
    """Findings and recommendation, apart."""
    rows = candidate_rows(results.rows)
    title = "Each candidate against the criteria. ✓ means that a required criterion is met, or that no other candidate "
    title += "is better. The score is the sum of the weights with a ✓"
    return render(
        "recommendation",
        table=html_table(candidates_by_criterion(rows), title),
        for_whom=html_table(for_whom(rows), "Which of these is for you"),
        sources=[(section(name), experiment.title) for name, experiment in EXPERIMENTS.items()],
        sentences=results.extra.get("recommendation", []),
    )
