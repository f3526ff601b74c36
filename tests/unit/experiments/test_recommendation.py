"""The recommendation follows from the rows, and from nothing else."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from git_to_pod.experiments.alternatives.candidate import regressions
from git_to_pod.experiments.faults.catalogue import LARGE_FILE
from git_to_pod.experiments.recommendation import (
    CRITERIA,
    LATENCY,
    REQUIRED,
    TOTAL,
    attainable,
    deciding,
    failed,
    places,
    reach,
    recommendation,
    recommended,
    score,
)
from git_to_pod.experiments.results import ExperimentResults
from git_to_pod.experiments.scale.linear_fit import LinearFit
from git_to_pod.progress import Progress
from git_to_pod.report.tables.recommendation import candidates_by_criterion, for_whom, weights
from tests.samples import SETTINGS

FAN_OUT = LinearFit(1.0, 0.1, 0.09, 0.11, 0.99, 4)
KEYS = ("deployed", "polling", "patching", "flux")
WORSE: dict[str, Any] = {  # on every criterion than candidate(), and no required one missed
    "polled_to_restarted_s": {"median": 9.0},
    "samples_s": [8.9, 9.0, 9.1],
    "rollouts_per_burst": {"2": 9, "6": 9},
    "starts_without_git_host": False,
    "undo_restores_content": False,
    "content_limit_bytes": 1 << 20,
    "objects": {"Deployment": 9},
    "rights_pairs": 99,
    "git_pod_changes_workloads": True,
    "names_each_workload": True,
    "cpu_cores": 0.5,
    "memory_bytes": 500 << 20,
    "commit_seen_in": [],
}


def candidate(key: str, **changed: object) -> dict[str, Any]:
    row = {
        "key": key,
        "name": f"candidate {key}",
        "polled_to_restarted_s": {"median": 1.5},
        "requested_to_restarted_s": {"median": 1.4},
        "samples_s": [1.4, 1.5, 1.6],
        "rollouts_per_burst": {"2": 6, "6": 5},
        "recovers_missed_change": True,
        "starts_without_git_host": True,
        "undo_restores_content": True,
        "content_limit_bytes": None,
        "objects": {"Deployment": 3},
        "rights_pairs": 10,
        "git_pod_changes_workloads": False,
        "names_each_workload": False,
        "cpu_cores": 0.03,
        "memory_bytes": 50 << 20,
        "commit_seen_in": ["ConfigMap data.commit"],
        "regressions": {"2": 0, "6": 0},
        "changed_before_restart": 0,
        "pushes": 18,
        "requests": {"sent": 1000, "failed": 0},
    }
    return row | changed


def results(tmp_path: Path, *rows: dict[str, Any]) -> ExperimentResults:
    found = ExperimentResults(replace(SETTINGS, output=tmp_path, lab=None), Progress())
    found.rows["alternatives"] = list(rows)
    found.rows["starts"] = [{"key": row["key"], "starts": row["starts_without_git_host"]} for row in rows]
    return found


@pytest.mark.parametrize("best", KEYS)
def test_whichever_candidate_is_better_on_all_criteria_is_recommended(tmp_path: Path, best: str) -> None:
    rows = [candidate(key) if key == best else candidate(key, **WORSE) for key in KEYS]
    assert [row["key"] for row in recommended(rows)] == [best]
    assert score(rows[KEYS.index(best)], rows) == TOTAL
    assert f"“candidate {best}” scores highest" in " ".join(recommendation(results(tmp_path, *rows), FAN_OUT))


@pytest.mark.parametrize("swapped", [True, False])
def test_the_order_of_the_rows_and_their_names_do_not_matter(swapped: bool) -> None:
    rows = [candidate("deployed", **WORSE), candidate("patching")]
    assert [row["key"] for row in recommended(rows[::-1] if swapped else rows)] == ["patching"]


def test_candidates_that_score_the_same_are_all_recommended(tmp_path: Path) -> None:
    rows = [candidate("deployed"), candidate("patching")]
    assert recommended(rows) == rows
    assert "“candidate deployed” and “candidate patching” score highest" in " ".join(
        recommendation(results(tmp_path, *rows))
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"recovers_missed_change": False},
        {"regressions": {"2": 0, "6": 1}},
        {"changed_before_restart": 8},
        {"requests": {"sent": 10, "failed": 1}},
        {"polled_to_restarted_s": {"median": math.inf}},
        {"polled_to_restarted_s": {"median": None, "timeouts": 9}},
        {"failed": "not served within 60 s", "undo_restores_content": None, "rollouts_per_burst": {}},
    ],
)
@pytest.mark.parametrize("key", ["deployed", "patching"])
def test_a_candidate_that_misses_a_required_criterion_is_ruled_out(
    tmp_path: Path, key: str, changed: dict[str, object]
) -> None:
    row, other = candidate(key, **changed), candidate("flux", **WORSE)
    assert len(failed(row)) == 1
    assert recommended([row, other]) == [other]
    sentences = " ".join(recommendation(results(tmp_path, row, other), FAN_OUT))
    assert f"Ruled out: “candidate {key}”" in sentences
    assert recommended([row]) == []
    assert "none is recommended" in " ".join(recommendation(results(tmp_path, row), FAN_OUT))


def test_there_are_at_most_eight_sentences_and_their_figures_are_the_rows(tmp_path: Path) -> None:
    rows = [
        candidate("deployed", undo_restores_content=False, objects={"Deployment": 9}, rights_pairs=12),
        candidate("patching", git_pod_changes_workloads=True, objects={"Deployment": 4}, rights_pairs=2),
        candidate("flux", memory_bytes=150 << 20, content_limit_bytes=1 << 20, rights_pairs=90),
    ]
    found = results(tmp_path, *rows)
    found.rows["faults"] = [
        {"key": LARGE_FILE, "name": "one file of 320 MB", "held": True, "recovery_s": 49.3},
        {"name": "git-commit deleted", "held": False, "recovery_s": math.inf},
    ]
    (tmp_path / "summary.json").write_text(
        '{"holds": true, "answer": "Yes.", "latency_s": {"push_to_restarted": {"median": 2.27, "n": 20}},'
        ' "requests": {"sent": 2688, "failed": 0}, "parameters": {"period": "1s"}}'
    )
    sentences = recommendation(found, FAN_OUT)
    assert len(sentences) == 8
    text = " ".join(sentences)
    assert "With a poll interval of 1 s" in text
    assert "a median of 2.27 s (n = 20). None of 2,688 requests failed." in text
    assert "one file of 320 MB is on all replicas 49 s after the push" in text
    assert "patches about 600 Deployments within a minute" in text
    assert "For a single Deployment, it scores less than the hook that patches the pod template: the hook needs" in text
    assert "5 fewer objects and 10 fewer rights" in text
    assert "Flux needs content under 1 MiB" in text
    assert "need less memory from about 3 namespaces on" in text
    assert "made up to 6 rollouts" in text
    assert "repair by hand what did not recover by itself: “git-commit deleted”." in text
    assert not re.search(r"\bnan\b|\binf\b|None(?! of)", text)


def test_the_weights_that_decide_are_named() -> None:
    rows = [candidate("deployed", rights_pairs=12, objects={"all": 9}), candidate("patching", names_each_workload=True)]
    assert len(recommended(rows)) == 2, "two points each"
    assert "objects" in deciding(rows)
    assert deciding([candidate("deployed"), candidate("patching", **WORSE)]) == []


@pytest.mark.parametrize(
    ("deployed", "patching", "words"),
    [({}, WORSE, "it scores more than"), (WORSE, {}, "it scores less than"), ({}, {}, "it scores the same as")],
)
def test_reloader_is_compared_with_the_hook_by_the_scores(
    tmp_path: Path, deployed: dict[str, Any], patching: dict[str, Any], words: str
) -> None:
    rows = [candidate("deployed", **deployed), candidate("patching", **patching)]
    assert f"{words} the hook that patches the pod template" in " ".join(recommendation(results(tmp_path, *rows)))


def test_the_best_candidate_for_small_content_is_named_if_it_is_another_one(tmp_path: Path) -> None:
    limited = candidate("flux", content_limit_bytes=1 << 20)
    rows = [candidate("patching", undo_restores_content=False), limited]
    text = " ".join(recommendation(results(tmp_path, *rows)))
    assert "so that the criterion “largest content” does not matter, “candidate flux” scores highest" in text
    assert "does not matter" not in " ".join(recommendation(results(tmp_path, candidate("patching", **WORSE), limited)))


def test_a_place_in_which_the_commit_is_visible_counts_once() -> None:
    seen = ["Deployment spec.a", "Deployment spec.b", "every response: X-Git-Commit"]
    assert places(candidate("patching", commit_seen_in=seen)) == ["Deployment", "response"]


@pytest.mark.parametrize("key", KEYS)
def test_a_missing_candidate_is_said_to_be_missing(tmp_path: Path, key: str) -> None:
    rows = [candidate(other) for other in KEYS if other != key]
    text = " ".join(recommendation(results(tmp_path, *rows), None))
    expected = {
        "deployed": "Reloader was not measured",
        "flux": "Flux was not measured",
        "patching": "was not measured",
    }
    assert expected.get(key, "") in text
    assert candidates_by_criterion(rows)[-1]["criterion"] == "score"


def test_no_rows_recommend_nothing(tmp_path: Path) -> None:
    assert recommendation(results(tmp_path), FAN_OUT) == ["Nothing is recommended: no candidate was measured."]
    assert recommended([]) == []


def test_figures_that_were_not_measured_score_nothing(tmp_path: Path) -> None:
    nothing: dict[str, Any] = {
        "cpu_cores": None,
        "memory_bytes": 0,
        "polled_to_restarted_s": {"median": None},
        "samples_s": [],
    }
    rows = [candidate("deployed", **nothing), candidate("flux", **nothing)]
    assert score(rows[0], rows) == attainable(rows) == TOTAL - 4
    assert attainable([*rows, candidate("patching")]) == TOTAL
    text = " ".join(recommendation(results(tmp_path, *rows), FAN_OUT))
    assert not re.search(r"\bnan\b|\binf\b|None", text)


def test_with_stand_ins_nothing_is_recommended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExperimentResults, "stand_ins", ["example.test/git-sync:1"])
    (sentence,) = recommendation(results(tmp_path, candidate("deployed")), FAN_OUT)
    assert "recommends nothing" in sentence


def test_every_criterion_and_its_weight_stand_before_the_figures() -> None:
    rows = weights()
    assert [row["criterion"] for row in rows] == [*REQUIRED, *(criterion.name for criterion in CRITERIA)]
    assert sum(int(row["weight"]) for row in rows if row["weight"] != "required") == TOTAL


def test_the_best_of_each_line_is_marked() -> None:
    rows = {row["criterion"]: row for row in candidates_by_criterion([candidate("a"), candidate("b", rights_pairs=3)])}
    line = rows["rights, pairs of verb and resource"]
    assert (line["candidate a"], line["candidate b"]) == ("10", "3 ✓")
    assert rows["score"]["candidate b"] == str(TOTAL)


def test_medians_that_are_not_shown_to_differ_are_all_marked() -> None:
    samples = {"quick": [1.0, 1.1, 2.0], "alike": [1.1, 1.2, 2.1], "slow": [5.0, 5.1, 5.2]}
    rows = [candidate(name, samples_s=s, polled_to_restarted_s={"median": s[1]}) for name, s in samples.items()]
    line = next(row for row in candidates_by_criterion(rows) if row["criterion"] == LATENCY)
    assert [line[f"candidate {name}"].endswith("✓") for name in samples] == [True, True, False]


def test_an_experiments_rows_are_added_to_the_first_summary(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text('{"answer": "yes", "timings_s": {"trials": 1}}')
    found = results(tmp_path)
    found.add("faults", [{"name": "git host down", "held": True}], "1 of 1 recovered")
    assert found.summary["answer"] == "yes"
    assert found.summary["faults"] == [{"name": "git host down", "held": True}]
    assert found.summary["timings_s"]["trials"] == 1


def test_the_reach_is_where_the_last_waits_a_minute_rounded_to_one_digit() -> None:
    assert reach(FAN_OUT) == 600
    assert reach(LinearFit(0, 0.1954, 0, 0, 1, 4)) == 300
    assert reach(LinearFit(0, 0, 0, 0, 1, 4)) == 0


def test_regressions_are_counted_and_skips_are_not() -> None:
    assert regressions([1, 2, 5, 6]) == 0
    assert regressions([1, 3, 2, 4, 1]) == 2


def test_each_criterion_names_the_candidates_that_no_other_is_better_than() -> None:
    rows = [candidate("a", rights_pairs=30), candidate("b", memory_bytes=500 << 20), candidate("out", rights_pairs=0)]
    rows[2]["changed_before_restart"] = 1
    by_criterion = {row["what matters most to you"]: list(row.values())[1] for row in for_whom(rows)}
    assert by_criterion["memory, idle"] == "“candidate a”"
    assert by_criterion["rights, pairs of verb and resource"] == "“candidate b”"
    assert "candidate out" not in str(by_criterion)
    assert for_whom([]) == []
