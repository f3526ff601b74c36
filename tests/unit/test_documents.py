"""What README.md and SOLUTION.md say was measured is what reports/upstream/ holds."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SUMMARY = json.loads((ROOT / "reports" / "upstream" / "summary.json").read_text())


def test_the_recorded_run_is_about_the_products() -> None:
    assert SUMMARY["holds"] is True
    assert SUMMARY["stand_ins"] == []
    sources = {image["ref"]: image["source"] for image in SUMMARY["images"]}
    assert sources["registry.k8s.io/git-sync/git-sync:v4.7.1"] == "archive"
    assert sources["ghcr.io/stakater/reloader:v1.4.21"] == "archive"


@pytest.mark.parametrize("document", ["README.md", "SOLUTION.md"])
def test_the_answer_is_the_recorded_one(document: str) -> None:
    assert SUMMARY["answer"] in " ".join((ROOT / document).read_text().split())


@pytest.mark.parametrize("name", SUMMARY["latency_s"])
def test_the_table_has_the_recorded_figures(name: str) -> None:
    figure = SUMMARY["latency_s"][name]
    row = f"| `{name}` | {figure['median']:.2f} | {figure['low']:.2f} to {figure['high']:.2f} | {figure['n']} |"
    assert row in (ROOT / "SOLUTION.md").read_text()


@pytest.mark.parametrize("target", SUMMARY["targets"], ids=lambda target: target["name"])
def test_a_target_is_said_to_be_met_or_missed(target: dict[str, object]) -> None:
    verdict = "met" if target["met"] else "**missed**"
    row = f"| {target['text']} | {target['value']:.2f} | {target['limit']:.2f} | {verdict} |"
    assert row in (ROOT / "SOLUTION.md").read_text()


@pytest.mark.parametrize("sentence", [*SUMMARY.get("recommendation", []), *SUMMARY.get("findings", {}).values()])
def test_what_the_experiments_came_to_is_quoted(sentence: str) -> None:
    assert " ".join(sentence.split()) in " ".join((ROOT / "SOLUTION.md").read_text().split())
