"""The head of the second page: the recommendation, what each experiment came to, one picture."""

# ruff: noqa: RUF001  # signs as a reader expects them in print

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from git_to_pod.dots import dots
from git_to_pod.evidence import EXPERIMENTS, Evidence, Row
from git_to_pod.report import Answer, measured_on, stand_ins_banner, tile
from git_to_pod.restart import DEPLOYED
from git_to_pod.theme import Chart
from git_to_pod.verdict import PATIENCE_S, faults_of

Rows = Sequence[Row]


class Recommendation(Answer):
    """The first thing on the page: the recommendation, filled when the last cell has run."""

    def fill(self, evidence: Any) -> None:  # noqa: ANN401  # Findings in the first notebook, Evidence here
        self.show(recommendation_html(evidence))


def recommendation_html(evidence: Evidence) -> str:
    """What a manager reads, on one screen."""
    first, *others = evidence.extra.get("recommendation", ["There is no recommendation."])
    if evidence.error:
        first, others = f"The run broke off. {evidence.error}", []
    listed = "".join(f"<li>{escape(sentence)}</li>" for sentence in others)
    tiles = "".join(tile_of(name, evidence.rows.get(name, [])) for name in EXPERIMENTS)
    rows = evidence.rows.get("alternatives", [])
    return "".join(
        [
            stand_ins_banner(evidence.stand_ins),
            f'<p class="headline">{escape(first)}</p><ul class="verdicts">{tiles}</ul>',
            f'<ul class="decide" aria-label="Recommendation">{listed}</ul>' if listed else "",
            f"<div>{ways(rows).pictures()}</div>" if rows else "",
            measured_on(evidence.summary.get("kubernetes", {}), evidence.images, bool(evidence.settings.lab)),
        ]
    )


def tile_of(name: str, rows: Rows) -> str:
    """What an experiment came to, and a link to its section."""
    anchor = EXPERIMENTS[name].capitalize().replace(" ", "-")
    what, words = TILES[name]
    return tile(anchor, *words(rows), what) if rows else tile(anchor, None, "not tried", what)


def faults(rows: Rows) -> tuple[bool, str]:
    held = sum(row["held"] for row in rows)
    return held == len(rows), f"{held} of {len(rows)} held"


def alternatives(rows: Rows) -> tuple[bool, str]:
    sound = sum(not faults_of(row) for row in rows)
    return sound > 0, f"{sound} of {len(rows)} sound"


def restarts(rows: Rows) -> tuple[bool, str]:
    ratio = next(row["ratio"] for row in rows if row["name"] == DEPLOYED)
    return ratio <= 1.5, f"{ratio:.2f} × plain"


def scale(rows: Rows) -> tuple[bool, str]:
    longest = max(row["last_patched_s"] for row in rows if row["experiment"] == "fan-out")
    return longest <= PATIENCE_S, f"{longest:.1f} s"


# For each experiment: of what, and from its rows whether that is good, and in a few words how it came out.
TILES: dict[str, tuple[str, Callable[[Rows], tuple[bool | None, str]]]] = {
    "faults": ("faults made to happen", faults),
    "providers": ("git hosts and ways to log in", lambda rows: (None, f"{len(rows)} tried")),
    "alternatives": ("ways to do the same", alternatives),
    "restart": ("restart with git-sync in it", restarts),
    "scale": ("until hundreds of applications are told", scale),
}


def ways(rows: Rows) -> Chart:
    """How long each of them takes."""
    lines = [(row["name"], row["samples_s"]) for row in rows]
    title = f"From a push until all pods are restarted: {len(rows)} ways, each push a dot"
    return dots(lines, "seconds from the push until all pods are restarted", title)
