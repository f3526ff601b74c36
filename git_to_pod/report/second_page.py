"""The head of the second page: the recommendation, a tile for each experiment, and a chart."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from markupsafe import Markup

from git_to_pod.experiments import recommendation
from git_to_pod.experiments.alternatives.approaches import DEPLOYED
from git_to_pod.experiments.effort import EXPERIMENTS
from git_to_pod.experiments.recommendation import median, seconds
from git_to_pod.experiments.results import ExperimentResults, ResultRow, section
from git_to_pod.experiments.startup_orders import Order
from git_to_pod.report.charts.dot_plot import dots
from git_to_pod.report.charts.svg import Chart
from git_to_pod.report.first_page import Answer, measured_on, stand_ins_banner, tile
from git_to_pod.report.html import render
from git_to_pod.wording import counted, duration, names, sentence_case

Rows = Sequence[ResultRow]
Words = tuple[bool | None, str]  # True: good, False: a reason to worry, None: neither; and what the tile says


class Recommendation(Answer):
    """The first thing on the page: the recommendation, filled when the last cell has run."""

    def fill(self, results: Any) -> None:  # noqa: ANN401  # Evaluation in the first notebook, ExperimentResults here
        self.show(recommendation_html(results))


def recommendation_html(results: ExperimentResults) -> Markup:
    """What a manager reads."""
    first, *others = results.extra.get("recommendation", ["There is no recommendation."])
    if results.error:
        first, others = f"The run was aborted. {results.error}", []
    rows = results.rows.get("alternatives", [])
    kubernetes, in_lab = results.summary.get("kubernetes", {}), bool(results.settings.lab)
    return render(
        "second_answer",
        banner=stand_ins_banner(results.stand_ins),
        headline=first,
        tiles=render("tiles", tiles=[tile_of(name, results.rows.get(name, [])) for name in EXPERIMENTS]),
        sentences=others,
        chart=Markup(candidates(rows).small() if rows else ""),
        measured_on=measured_on(
            kubernetes, results.ran, in_lab, str(results.summary.get("started", "")), in_parts(results.parts)
        ),
    )


def in_parts(parts: dict[str, dict[str, Any]]) -> str:
    """A sentence for each run, if the experiments were measured in several."""
    runs: dict[tuple[str, str], list[str]] = {}
    for name, part in parts.items():
        day = f"{datetime.fromisoformat(part['started']):%-d %B %Y}"
        runs.setdefault((day, part["project"]), []).append(EXPERIMENTS[name].title)
    if len(runs) < 2:
        return ""
    return " ".join(
        f"{sentence_case(names(titles))}: {day}, version {version}." for (day, version), titles in runs.items()
    )


def tile_of(name: str, rows: Rows) -> dict[str, str]:
    """An experiment's result, with a link to its section."""
    what, words = TILES[name]
    good, verdict = words(rows) if rows else (None, "not tried")
    return tile(section(name), good, verdict, what)


def faults(rows: Rows) -> Words:
    """A fault that needs another push is a limit. A failed request is a reason to worry."""
    recovered = sum(row["held"] for row in rows)
    harm = any(row["requests"]["failed"] for row in rows)
    good = False if harm else True if recovered == len(rows) else None
    return good, f"{recovered} of {len(rows)} recovered"


def git_hosts(rows: Rows) -> Words:
    passed = sum(row["held"] for row in rows)
    return passed == len(rows), f"{passed} of {len(rows)} passed"


def alternatives(rows: Rows) -> Words:
    sound = sum(not recommendation.failed(row) for row in rows)
    return sound > 0, f"{sound} of {len(rows)}"


def starts(rows: Rows) -> Words:
    return None, f"{sum(row['starts'] is True for row in rows)} of {len(rows)}"


def restarts(rows: Rows) -> Words:
    ratio = next((row["ratio"] for row in rows if row["key"] == Order.DEPLOYED), None)
    return None, f"{ratio:.2f} ×" if ratio is not None and math.isfinite(ratio) else "not measured"


def scale(rows: Rows) -> Words:
    fans = [row for row in rows if row["experiment"] == "fan-out"]
    if not fans:
        return None, "not measured"
    most = max(fans, key=lambda row: float(row["deployments"]))
    return None, f"{most['deployments']} in {duration(most['last_patched_s'])}"


def intervals(rows: Rows) -> Words:
    first, last = (median(choose(rows, key=period)["pushed_to_restarted_s"]) for choose in (min, max))
    return None, f"{seconds(first)} to {seconds(last)}"


def period(row: ResultRow) -> float:
    return float(row["period_s"])


def sizes(rows: Rows) -> Words:
    served = [row for row in rows if math.isfinite(median(row["pushed_to_restarted_s"]))]
    return (None, f"{max(row['megabytes'] for row in served)} MB") if served else (False, "none")


def outages(rows: Rows) -> Words:
    """Of the deployed design. A stale start is a limit, and a timeout a reason to worry."""
    deployed = [row for row in rows if row["key"] == DEPLOYED.key]
    stale = sum(row["stale"] for row in deployed)
    late = sum(row["recovered_s"]["timeouts"] for row in deployed)
    words = f"{stale} of {sum(row['outages'] for row in deployed)}"
    return (False, f"{words}, {counted(late, 'timeout')}") if late else (None if stale else True, words)


def gitops(rows: Rows) -> Words:
    good = sum(row["stamp_stays"] and row["served"] and row["rollouts"] == row["pushes"] for row in rows)
    return (True if good == len(rows) else None), f"{good} of {len(rows)}"


# For each experiment: what the tile is about, and its words.
TILES: dict[str, tuple[str, Callable[[Rows], Words]]] = {
    "faults": ("injected faults", faults),
    "providers": ("checks of git hosts and credentials", git_hosts),
    "alternatives": ("candidates meet every required criterion", alternatives),
    "starts": ("candidates start a new pod while the git host is down", starts),
    "restart": ("rollout time of nginx without git-sync", restarts),
    "scale": ("Deployments patched by Reloader", scale),
    "intervals": ("from the shortest to the longest poll interval, push → restarted", intervals),
    "sizes": ("largest content on all replicas", sizes),
    "outages": ("outages of the API server left pods with the previous commit", outages),
    "gitops": ("strategies of Reloader work if Flux owns the Deployment", gitops),
}


def candidates(rows: Rows) -> Chart:
    """How long each candidate takes. One that restarts nothing is named beside the chart."""
    without = [row for row in rows if not row["samples_s"] and math.isfinite(median(row["polled_to_served_s"]))]
    title = "From the poll that sees a commit until all pods are restarted"
    note = "Each dot is one push. The vertical bar is the median, the horizontal bar its 95% CI."
    if without:
        served = [f"“{row['name']}” (served after {seconds(median(row['polled_to_served_s']))})" for row in without]
        note += f" Not drawn, because nothing restarts: {names(served)}."
    lines = [(row["name"], [s for s in row["samples_s"] if s is not None]) for row in rows if row not in without]
    return dots(lines, "seconds", title, note)
