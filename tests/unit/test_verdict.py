"""The verdict follows from the rows, and from nothing else."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from git_to_pod.evidence import Evidence
from git_to_pod.model import Line
from git_to_pod.progress import Progress
from git_to_pod.rival import steps_back
from git_to_pod.verdict import CRITERIA, DEPLOYED, LATENCY, faults_of, reach, recommendation, recommended, table
from tests.samples import SETTINGS

FAN_OUT = Line(1.0, 0.1, 0.09, 0.11, 0.99, 4)


def way(name: str, **changed: object) -> dict[str, Any]:
    row = {
        "name": name,
        "push_to_restarted_s": {"median": 1.5},
        "samples_s": [1.4, 1.5, 1.6],
        "rollouts_per_burst": {"2": 6, "6": 5},
        "recovers_missed_change": True,
        "content_limit_bytes": None,
        "objects": {"Deployment": 3},
        "rights_pairs": 10,
        "cpu_cores": 0.03,
        "memory_bytes": 50 << 20,
        "commit_seen_in": ["ConfigMap data.commit"],
        "went_backwards": {"2": 0, "6": 0},
        "files_changed_before_restart": "0 of 8",
        "requests": {"sent": 1000, "failed": 0},
    }
    return row | changed


def evidence(tmp_path: Path, *rows: dict[str, Any]) -> Evidence:
    found = Evidence(replace(SETTINGS, output=tmp_path, lab=None), Progress())
    found.rows["alternatives"] = list(rows)
    return found


def test_the_way_deployed_is_recommended_where_it_has_no_fault_even_if_another_is_quicker() -> None:
    quicker = way("quicker", push_to_restarted_s={"median": 1.0})
    assert recommended([quicker, way(DEPLOYED)]) == way(DEPLOYED)


def test_another_is_recommended_where_the_way_deployed_has_a_fault() -> None:
    slow, quick = way("slow", push_to_restarted_s={"median": 9.0}), way("quick")
    assert recommended([way(DEPLOYED, recovers_missed_change=False), slow, quick]) == quick


@pytest.mark.parametrize(
    "changed",
    [
        {"recovers_missed_change": False},
        {"went_backwards": {"2": 0, "6": 1}},
        {"files_changed_before_restart": "8 of 8"},
        {"requests": {"sent": 10, "failed": 1}},
        {"content_limit_bytes": 1048576},
        {"push_to_restarted_s": {"median": math.inf}},
    ],
)
def test_each_of_these_is_a_fault(tmp_path: Path, changed: dict[str, object]) -> None:
    row = way(DEPLOYED, **changed)
    assert len(faults_of(row)) == 1
    assert recommended([row]) is None
    assert recommendation(evidence(tmp_path, row), FAN_OUT)[0].startswith("Nothing is recommended yet")


def test_the_recommendation_has_five_sentences_with_the_figures(tmp_path: Path) -> None:
    flux = way("Flux", memory_bytes=150 << 20, content_limit_bytes=1 << 20)
    sentences = recommendation(evidence(tmp_path, way(DEPLOYED), flux), FAN_OUT)
    assert len(sentences) == 5
    assert "1.50 s, 0 of 1,000 requests" in sentences[0]
    assert "590 Deployments" in sentences[1]
    assert "“Flux” costs less from about 3 namespaces" in sentences[3]
    assert "but takes no content over 1,048,576 bytes" in sentences[3]
    assert "12 pushes 0.7 s apart made up to 6" in sentences[4]


def test_a_fault_that_did_not_hold_is_named(tmp_path: Path) -> None:
    found = evidence(tmp_path, way(DEPLOYED))
    found.rows["faults"] = [{"name": "clone corrupted", "held": False}, {"name": "git host down", "held": True}]
    assert "clone corrupted" in recommendation(found, FAN_OUT)[4]
    assert "git host down" not in recommendation(found, FAN_OUT)[4]


def test_with_stand_ins_nothing_is_recommended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Evidence, "stand_ins", ["example.test/git-sync:1"])
    (sentence,) = recommendation(evidence(tmp_path, way(DEPLOYED)), FAN_OUT)
    assert "recommend nothing" in sentence


def test_the_best_of_each_line_is_marked() -> None:
    rows = {row["criterion"]: row for row in table([way("a"), way("b", rights_pairs=3)])}
    assert set(rows) == set(CRITERIA)
    line = rows["rights, pairs of verb and resource"]
    assert (line["a"], line["b"]) == ("10", "3 ✓")


def test_medians_that_are_not_shown_to_differ_are_all_marked() -> None:
    samples = {"quick": [1.0, 1.1, 2.0], "alike": [1.1, 1.2, 2.1], "slow": [5.0, 5.1, 5.2]}
    ways = [way(name, samples_s=s, push_to_restarted_s={"median": s[1]}) for name, s in samples.items()]
    line = next(row for row in table(ways) if row["criterion"] == LATENCY)
    assert [line[name].endswith("✓") for name in samples] == [True, True, False]


def test_what_an_experiment_found_is_kept_beside_the_first_summary(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text('{"answer": "yes", "timings_s": {"trials": 1}}')
    found = evidence(tmp_path)
    found.add("faults", [{"name": "git host down", "held": True}], "1 of 1 held")
    assert found.summary["answer"] == "yes"
    assert found.summary["faults"] == [{"name": "git host down", "held": True}]
    assert found.summary["timings_s"]["trials"] == 1


def test_the_reach_is_where_the_last_waits_a_minute() -> None:
    assert reach(FAN_OUT) == 590
    assert reach(Line(0, 0, 0, 0, 1, 4)) == 0


def test_steps_back_are_counted_and_skips_are_not() -> None:
    assert steps_back([1, 2, 5, 6]) == 0
    assert steps_back([1, 3, 2, 4, 1]) == 2
