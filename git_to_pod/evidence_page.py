"""The head of the second page: the recommendation, what each experiment came to, one picture."""

# ruff: noqa: RUF001  # signs as a reader expects them in print

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from git_to_pod import restart, verdict
from git_to_pod.dots import dots
from git_to_pod.evidence import EXPERIMENTS, Evidence, Row, section
from git_to_pod.report import Answer, measured_on, stand_ins_banner, tile
from git_to_pod.theme import Chart

Rows = Sequence[Row]


class Recommendation(Answer):
    """The first thing on the page: the recommendation, filled when the last cell has run."""

    def fill(self, evidence: Any) -> None:  # noqa: ANN401  # Findings in the first notebook, Evidence here
        self.show(recommendation_html(evidence))


def recommendation_html(evidence: Evidence) -> str:
    """What a manager reads."""
    first, *others = evidence.extra.get("recommendation", ["There is no recommendation."])
    if evidence.error:
        first, others = f"The run broke off. {evidence.error}", []
    listed = f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in others)}</ul>" if others else ""
    rows = evidence.rows.get("alternatives", [])
    picture = ways(rows).small() if rows else ""
    tiles = "".join(tile_of(name, evidence.rows.get(name, [])) for name in EXPERIMENTS)
    kubernetes, in_lab = evidence.summary.get("kubernetes", {}), bool(evidence.settings.lab)
    return (
        f'{stand_ins_banner(evidence.stand_ins)}<p class="headline">{escape(first)}</p>'
        f'<ul class="verdicts">{tiles}</ul><div class="key">{listed}<div>{picture}</div></div>'
        f"{measured_on(kubernetes, evidence.images, in_lab)}"
    )


def tile_of(name: str, rows: Rows) -> str:
    """What an experiment came to, and a link to its section."""
    what, words = TILES[name]
    holds, verdict = words(rows) if rows else (None, "not tried")
    return tile(section(name), holds, verdict, what)


def held(rows: Rows) -> tuple[bool, str]:
    count = sum(row["held"] for row in rows)
    return count == len(rows), f"{count} of {len(rows)} held"


def alternatives(rows: Rows) -> tuple[bool, str]:
    sound = sum(not verdict.faults_of(row) for row in rows)
    return sound > 0, f"{sound} of {len(rows)}"


def restarts(rows: Rows) -> tuple[bool, str]:
    ratio = next(row["ratio"] for row in rows if row["name"] == restart.DEPLOYED)
    return ratio <= 1.5, f"{ratio:.2f} × as long"


def scale(rows: Rows) -> tuple[bool, str]:
    longest = max(row["last_patched_s"] for row in rows if row["experiment"] == "fan-out")
    return longest <= verdict.PATIENCE_S, f"{longest:.1f} s"


# For each experiment: of what, and from its rows whether that is good, and in a few words how it came out.
TILES: dict[str, tuple[str, Callable[[Rows], tuple[bool, str]]]] = {
    "faults": ("faults that were made to happen", held),
    "providers": ("tries with git hosts and ways to log in", held),
    "alternatives": ("ways to do it, without a fault", alternatives),
    "restart": ("a restart with git-sync as without", restarts),
    "scale": ("until hundreds of applications are told", scale),
}


def ways(rows: Rows) -> Chart:
    """How long each of them takes."""
    lines = [(row["name"], row["samples_s"]) for row in rows]
    return dots(lines, "seconds from the push until all pods are restarted", chosen=verdict.DEPLOYED)
