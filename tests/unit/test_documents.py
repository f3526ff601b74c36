"""The figures in README.md and SOLUTION.md are those of reports/upstream/. Sentences are free to be edited."""

from __future__ import annotations

import json
import re
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from git_to_pod.experiments.recommendation import CRITERIA, TOTAL, VISIBLE, candidate_rows, failed, recommended, score
from git_to_pod.experiments.startup_orders import Order
from lab.versions import KUBERNETES

ROOT = Path(__file__).parent.parent.parent
SUMMARY: dict[str, Any] = json.loads((ROOT / "reports" / "upstream" / "summary.json").read_text())
LATENCY: dict[str, Any] = SUMMARY["latency_s"]
ROWS = candidate_rows(SUMMARY)
BY_KEY = {row["key"]: row for row in ROWS}
SCORES = {row["key"]: score(row, ROWS) for row in ROWS}
WITH_RELOADER = ("deployed", "annotations", "pause")
AT_BEST = f"{SCORES['deployed']} as deployed and {max(SCORES[key] for key in WITH_RELOADER)} at best"
POINTS = f"{score(recommended(ROWS)[0], ROWS)} of {TOTAL} points"
VERSIONS = [json.loads((ROOT / "reports" / f"kubernetes-{minor}" / "summary.json").read_text()) for minor in KUBERNETES]


def latency(name: str, field: str = "median") -> str:
    return f"{LATENCY[name][field]:.2f}"


def until_restarted(row: dict[str, Any]) -> str:
    """Seconds from the poll; for a candidate that restarts nothing, until every replica serves the commit."""
    if not row["samples_s"]:
        return f"{row['polled_to_served_s']['median']:.2f} s until served"
    return f"{statistics.median(row['samples_s']):.2f} s"  # as on the page: the median in summary.json is rounded


def line_of_candidate(row: dict[str, Any]) -> str:
    """The line of a candidate, after its name."""
    cells = [
        until_restarted(row),
        f"{row['changed_before_restart']}/{row['pushes']}",
        f"{sum(row['objects'].values())}, {row['rights_pairs']}",
        f"{1000 * row['cpu_cores']:.0f} m, {row['memory_bytes'] / 2**20:.0f} MiB",
        "ruled out" if failed(row) else str(score(row, ROWS)),
    ]
    return f"| {' | '.join(cells)} |"


def recovered(rows: list[dict[str, Any]]) -> str:
    return f"{sum(row['held'] for row in rows)} of {len(rows)}"


def line_of(summary: dict[str, Any]) -> str:
    """The line of a version of Kubernetes."""
    restarts = {row["key"]: row["restart_s"]["median"] for row in summary["restart"]}
    orders = (Order.DEPLOYED, Order.APP_HOOK, Order.BASELINE)
    medians = [summary["latency_s"]["push_to_restarted"]["median"], *(restarts[order] for order in orders)]
    return f"| {summary['kubernetes']['version'].removeprefix('v')} | {' | '.join(f'{s:.2f} s' for s in medians)} |"


def by_fields(key: str) -> int:
    """A candidate's score if the fields in which the commit is visible counted, not the kinds of object."""
    fields = [replace(c, value=lambda r: -len(r["commit_seen_in"])) if c.name == VISIBLE else c for c in CRITERIA]
    return score(BY_KEY[key], ROWS, fields)


def stale_starts(key: str) -> str:
    rows = [row for row in SUMMARY["outages"] if row["key"] == key]
    return f"{sum(row['stale'] for row in rows)} of {sum(row['outages'] for row in rows)}"


BY_FIELDS = sorted(map(by_fields, WITH_RELOADER))
PUSH = latency("push_to_restarted")
INTERVAL = f"{latency('push_to_restarted', 'low')}–{latency('push_to_restarted', 'high')} s"  # noqa: RUF001
FIGURES = {
    "README.md": [
        f"{PUSH} s",
        INTERVAL,
        f"n = {LATENCY['push_to_restarted']['n']}",
        f"{SUMMARY['requests']['sent']:,}",
        POINTS,
        f"Reloader {AT_BEST}, Flux {SCORES['flux']}",
    ],
    "SOLUTION.md": [
        f"{PUSH} s",
        INTERVAL,
        f"n = {LATENCY['push_to_restarted']['n']}",
        f"{SUMMARY['requests']['sent']:,} requests",
        *(f"{latency(name)} s" for name in ("push_to_polled", "polled_to_published", "published_to_requested")),
        *(f"{latency(name)} s" for name in ("requested_to_restarted", "rollout_restart", "baseline_rollout_restart")),
        recovered(SUMMARY["faults"]),
        POINTS,
        f"{AT_BEST} with Reloader, and {SCORES['flux']} with Flux",
        f"Flux would have {by_fields('flux')}, Reloader {BY_FIELDS[0]} to {BY_FIELDS[-1]}, "
        f"the hook {by_fields('patching')}",
        stale_starts("deployed"),
        stale_starts("patching"),
        f"{len(SUMMARY['providers'])} checks",
        until_restarted(BY_KEY["annotations"]),
        *(line_of_candidate(row) for row in ROWS if row["key"] != "annotations"),
        *map(line_of, VERSIONS),
    ],
}


@pytest.mark.parametrize(
    ("document", "figure"), [(document, figure) for document, figures in FIGURES.items() for figure in figures]
)
def test_a_measured_figure_is_the_recorded_one(document: str, figure: str) -> None:
    text = " ".join((ROOT / document).read_text().split())
    assert re.search(rf"(?<![\d.]){re.escape(figure)}(?!\d)", text), f"{document} does not have {figure}"


@pytest.mark.parametrize("summary", [SUMMARY, *VERSIONS], ids=lambda found: found["kubernetes"]["version"])
def test_the_recorded_runs_are_about_the_products(summary: dict[str, Any]) -> None:
    assert summary["holds"] is True
    assert summary["stand_ins"] == []
    sources = {image["ref"]: image["source"] for image in summary["images"]}
    assert sources["registry.k8s.io/git-sync/git-sync:v4.7.1"] == "archive"
    assert sources["ghcr.io/stakater/reloader:v1.4.21"] == "archive"


@pytest.mark.parametrize(("document", "most"), [("README.md", 1500), ("SOLUTION.md", 1800)])
def test_a_document_is_short(document: str, most: int) -> None:
    """Words outside of code blocks."""
    prose = re.sub(r"^ *```.*?^ *```", "", (ROOT / document).read_text(), flags=re.MULTILINE | re.DOTALL)
    assert sum(bool(re.search(r"\w", word)) for word in prose.split()) <= most
