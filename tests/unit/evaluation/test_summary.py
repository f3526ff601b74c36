"""What a run found becomes the summary, the answer, and the exit of the notebook."""

from __future__ import annotations

import csv
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from git_to_pod.cluster.waiting import TimedOut
from git_to_pod.evaluation.claims import Check, EvaluationFailed
from git_to_pod.evaluation.summary import Evaluation, finite
from git_to_pod.evaluation.targets import Target
from git_to_pod.report.charts import trial_charts
from git_to_pod.report.export import contents, read
from git_to_pod.report.first_page import answer_html, recommendation, verdict
from git_to_pod.report.html import show
from git_to_pod.timing.trial import BASELINE, PUSH, RESTART, Outcome, Trial
from git_to_pod.timing.trials import plan
from git_to_pod.timing.trials_table import latencies, table
from tests.one_run import ROOT
from tests.samples import SETTINGS, a_run, timed_out

LATENCIES = {
    "push_to_polled",
    "polled_to_published",
    "polled_to_requested",
    "published_to_requested",
    "requested_to_restarted",
    "push_to_restarted",
    "push_to_served",
    "rollout_restart",
    "baseline_rollout_restart",
    "mixed_commits",
}


def test_the_summary_has_the_documented_keys(tmp_path: Path) -> None:
    evaluation = a_run(tmp_path)
    evaluation.write()
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert set(summary) == {
        "answer",
        "holds",
        "schema",
        "project",
        "not_tried",
        "not_shown",
        "started",
        "notes",
        "stand_ins",
        "kubernetes",
        "images",
        "parameters",
        "requirements",
        "constraints",
        "latency_s",
        "trials",
        "targets",
        "requests",
        "cost",
        "timings_s",
    }
    assert set(summary["requirements"]) == {"R1", "R2", "R3", "R4"}
    assert set(summary["requirements"]["R1"]) == {"pass", "evidence"}
    assert set(summary["latency_s"]) == LATENCIES
    assert set(summary["latency_s"]["push_to_restarted"]) == {"median", "low", "high", "min", "max", "n", "timeouts"}
    assert summary["requests"]["sent"] > 1000
    assert summary["trials"] == {"ok": 60, "timed_out": 0, "failed": 0}
    assert {target["met"] for target in summary["targets"]} == {True}


def test_responses_csv_has_a_row_for_each_response(tmp_path: Path) -> None:
    evaluation = a_run(tmp_path)
    found = pd.read_csv(tmp_path / "responses.csv")
    assert len(found) == len(evaluation.responses) > 0
    assert list(found.columns) == ["run", "seconds", "status", "commit", "error"]
    assert found["seconds"].is_monotonic_increasing


def test_the_tables_of_two_runs_can_be_joined(tmp_path: Path) -> None:
    runs = [a_run(tmp_path / name, commits=2).trials_table for name in ("first", "second")]
    joined = pd.concat(runs, ignore_index=True)
    assert {"run", "started", "poll_interval_s"} <= {*joined.columns}
    assert joined.groupby("kind").size().to_dict() == dict.fromkeys((PUSH, RESTART, BASELINE), 4)
    assert joined["poll_interval_s"].eq(1.0).all()


def test_trials_csv_has_a_row_for_each_trial(tmp_path: Path) -> None:
    a_run(tmp_path).write()
    with (tmp_path / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["number"]) for row in rows] == list(range(1, 61))
    assert {row["outcome"] for row in rows} == {"ok"}


def test_a_run_in_which_all_holds_says_yes(tmp_path: Path) -> None:
    evaluation = a_run(tmp_path)
    evaluation.verify()
    assert evaluation.answer.startswith(
        "Yes. All four requirements are met within the constraints. With a poll interval"
    )
    assert "95% CI" in evaluation.answer
    assert "none of" in evaluation.answer
    assert "The design is feasible" in recommendation(evaluation)


@pytest.mark.parametrize("kind", ["requirements", "constraints"])
def test_one_that_does_not_hold_fails_the_run(tmp_path: Path, kind: str) -> None:
    evaluation = a_run(tmp_path)
    name = {"requirements": "R3", "constraints": "private"}[kind]
    getattr(evaluation, kind)[name] = Check(False, "seen")
    assert evaluation.answer == f"No. Not met: {name}."
    with pytest.raises(EvaluationFailed):
        evaluation.verify()
    assert "feasible" not in recommendation(evaluation)


def test_one_that_was_never_looked_at_does_not_hold(tmp_path: Path) -> None:
    evaluation = a_run(tmp_path)
    del evaluation.requirements["R4"]
    assert evaluation.failing == ["R4"]


def test_a_constraint_that_cannot_be_tried_is_reported_not_asserted(tmp_path: Path) -> None:
    evaluation = a_run(tmp_path)
    evaluation.constraints["no_way_out"] = Check(None, "not tried", tried=False)
    evaluation.verify()
    assert evaluation.summary()["constraints"]["no_way_out"]["pass"] is None
    assert evaluation.summary()["not_tried"] == ["no_way_out"]
    assert "met within the constraints, except not tried: no_way_out. With a poll" in evaluation.answer
    page = answer_html(evaluation)
    assert "5 of 6" in page
    assert "except not tried: “Air-gapped" in page


def test_a_constraint_that_was_tried_and_not_decided_is_not_shown(tmp_path: Path) -> None:
    evaluation = a_run(tmp_path)
    evaluation.constraints["no_way_out"] = Check(None, "This run uses another cluster.", tried=False)
    shown = evaluation.constrain("private", Check(None, "The git host did not answer."))
    assert '<span class="badge">not shown</span>' in show(shown).text
    assert (evaluation.summary()["not_tried"], evaluation.summary()["not_shown"]) == (["no_way_out"], ["private"])
    assert "constraints, except not tried: no_way_out; not shown: private. With a poll" in evaluation.answer
    assert "not shown: “The repository is private”" in answer_html(evaluation)


def test_a_page_says_that_someone_else_pushed_to_the_branch(tmp_path: Path) -> None:
    evaluation = a_run(tmp_path)
    evaluation.measured(evaluation.trials, evaluation.responses, overtaken=0)
    assert evaluation.notes == []
    evaluation.measured(evaluation.trials, evaluation.responses, overtaken=2)
    (note,) = json.loads((tmp_path / "summary.json").read_text())["notes"]
    assert note.startswith("Someone else pushed to the branch main 2 times during the run, which")
    assert note in answer_html(evaluation)


@pytest.mark.parametrize(
    ("value", "limit", "met"),
    [
        (1.0, 1.0, True),
        (1.1, 1.0, False),
        (math.inf, 1.0, False),
        (1.0, math.inf, None),
        (math.inf, math.inf, None),
        (math.nan, 1.0, None),
        (1.0, math.nan, None),
    ],
)
def test_a_target_is_met_only_by_a_figure_within_a_limit(value: float, limit: float, met: bool | None) -> None:
    assert Target("restart", "a restart", "at most the limit", value, limit).met is met


def test_a_run_with_stand_ins_says_so_first_and_recommends_nothing(tmp_path: Path) -> None:
    evaluation = a_run(tmp_path, stand_in=True)
    assert evaluation.answer.startswith("Made with stand-ins")
    assert answer_html(evaluation).startswith('<p class="banner"><strong>Made with stand-ins, no conclusion')
    assert "Nothing from this run" in recommendation(evaluation)
    assert "feasible" not in verdict(evaluation).text


def test_a_commit_that_was_never_published_fails_r2_and_r3(tmp_path: Path) -> None:
    evaluation = a_run(tmp_path, commits=6)
    lost = next(trial for trial in evaluation.trials if trial.kind == PUSH)
    trials = [timed_out(trial, "polled") if trial is lost else trial for trial in evaluation.trials]
    evaluation.requirements |= {name: Check(True, "") for name in ("R2", "R3")}
    evaluation.measured(trials, evaluation.responses)
    assert evaluation.failing == ["R2", "R3"]
    assert "5 of 6 pushed commits were published" in evaluation.requirements["R2"].evidence
    assert evaluation.estimates["push_to_restarted"].timeouts == 1


def test_a_set_of_trials_that_an_interrupt_ends_is_kept(tmp_path: Path) -> None:
    run, evaluation = a_run(tmp_path / "run", commits=1), Evaluation(replace(SETTINGS, output=tmp_path))
    trials, load = SimpleNamespace(done=[]), SimpleNamespace(responses=run.responses, error="")
    repository = SimpleNamespace(overtaken=0)

    def interrupted() -> None:
        trials.done = run.trials
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), evaluation.measuring(trials, load, repository):  # type: ignore[arg-type]
        interrupted()
    assert len(evaluation.trials_table) == 3
    assert len((tmp_path / "responses.csv").read_text().splitlines()) == len(run.responses) + 1


def test_a_trial_that_is_added_afterwards_is_in_the_figures(tmp_path: Path) -> None:
    evaluation = a_run(tmp_path, commits=1)
    trials = list(evaluation.trials)
    evaluation.measured(trials, evaluation.responses)
    assert evaluation.estimates["push_to_restarted"].n == 1
    trials.append(replace(next(trial for trial in trials if trial.kind == PUSH), number=4))
    assert evaluation.estimates["push_to_restarted"].n == 2
    assert evaluation.estimates is evaluation.estimates  # computed once


def test_a_load_that_does_not_start_makes_no_trials_of_the_first_change(tmp_path: Path) -> None:
    run, evaluation = a_run(tmp_path / "run", commits=1), Evaluation(replace(SETTINGS, output=tmp_path))
    evaluation.requirements["R2"] = Check(True, "The first change was published.")
    trials, load = SimpleNamespace(done=run.trials[:1]), SimpleNamespace(responses=[], error="")
    repository = SimpleNamespace(overtaken=0)
    with pytest.raises(TimedOut), evaluation.measuring(trials, load, repository):  # type: ignore[arg-type]
        raise TimedOut("pod/load running")
    assert evaluation.trials_table.empty
    assert evaluation.requirements["R2"].holds is True


def test_a_complete_set_after_an_interrupted_one_decides(tmp_path: Path) -> None:
    evaluation = a_run(tmp_path, commits=6)
    evaluation.measured(evaluation.trials[:3], evaluation.responses)
    assert "R3" in evaluation.failing
    evaluation.measured(a_run(tmp_path, commits=6).trials, evaluation.responses)
    assert evaluation.failing == []


def test_rows_of_the_second_notebook_stay_if_they_say_when_they_were_measured(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    for parts, kept in (({"parts": {"faults": {"started": "2026-11-25T10:00:00+00:00"}}}, True), ({}, False)):
        evaluation = a_run(tmp_path)
        path.write_text(json.dumps({"answer": "an earlier one", "faults": [{"key": "a"}]} | parts))
        evaluation.begin()
        evaluation.write()
        found = json.loads(path.read_text())
        assert ("faults" in found, "parts" in found) == (kept, kept)
        assert found["answer"] == evaluation.answer


def test_a_summary_that_is_written_later_leaves_the_rows_that_were_measured(tmp_path: Path) -> None:
    (tmp_path / "trials.csv").write_text("number\n1\n")
    evaluation = Evaluation(replace(SETTINGS, output=tmp_path), error="KeyboardInterrupt")
    evaluation.write()
    assert (tmp_path / "trials.csv").read_text() == "number\n1\n"


def test_a_failed_request_misses_its_target_and_is_named(tmp_path: Path) -> None:
    evaluation = a_run(tmp_path)
    from git_to_pod.app.load import parse

    refused = parse(1005.0, "7|000||Failed to connect to app port 80")
    assert refused
    evaluation.measured(evaluation.trials, [*evaluation.responses, refused])
    summary = evaluation.summary()
    assert summary["requests"]["failed"] == 1
    assert summary["requests"]["failures"] == ["curl 7: Failed to connect to app port 80"]
    assert [target["met"] for target in summary["targets"] if target["name"] == "failed_requests"] == [False]
    assert "Look first at what missed its target: failed requests" in recommendation(evaluation)


def test_a_run_that_broke_off_says_no_and_why() -> None:
    evaluation = Evaluation(SETTINGS, error="TimedOut: manifests/ deployed: not after 60 s")
    assert evaluation.answer.startswith("No. The run was aborted: TimedOut")
    assert not evaluation.holds
    assert "No. The run was aborted" in answer_html(evaluation)


def test_each_verdict_of_a_run_that_broke_off_leads_to_a_section() -> None:
    sections = contents(read(ROOT / "notebooks" / "evaluation.ipynb"))
    links = re.findall('href="#([^"]*)"', answer_html(Evaluation(SETTINGS, error="TimedOut")))
    assert len(links) == 5
    assert set(links) <= {title.replace(" ", "-") for title in sections}


def test_json_has_no_infinity() -> None:
    assert finite({"a": [math.inf, math.nan, 1.23456]}) == {"a": [None, None, 1.2346]}


def test_the_order_is_seeded_and_offsets_are_within_one_period() -> None:
    assert plan(20, 1, 0.5) == plan(20, 1, 0.5) != plan(20, 2, 0.5)
    assert sorted(planned.kind for planned in plan(3, 1, 1.0)) == sorted([PUSH, RESTART, BASELINE] * 3)
    offsets = {
        kind: [planned.offset_s for planned in plan(20, 1, 0.5) if planned.kind == kind]
        for kind in (PUSH, RESTART, BASELINE)
    }
    assert [round(max(found) + 0.05, 1) for found in offsets.values()] == [0.5, 1.0, 1.0]


def test_a_timeout_is_infinite_and_what_was_not_measured_is_not() -> None:
    instants, unmeasured = {"pushed": 10.0, "published": 10.5}, frozenset({"polled"})
    lost = table([Trial(1, PUSH, instants=instants, outcome=Outcome.TIMED_OUT, unmeasured=unmeasured)], 1.0)
    samples = latencies(lost)
    assert list(samples["push_to_restarted"]) == [math.inf]
    assert math.isnan(samples["push_to_polled"][0])
    assert math.isnan(samples["polled_to_requested"][0])
    assert list(lost["published_s"]) == [0.5]
    assert list(lost["restarted_s"]) == [math.inf]


def test_a_trial_that_timed_out_before_both_phases_counts_as_infinite() -> None:
    lost = table([Trial(1, PUSH, instants={"pushed": 10.0}, outcome=Outcome.TIMED_OUT)], 1.0)
    assert list(latencies(lost)["requested_to_restarted"]) == [math.inf]


def test_a_failed_trial_gives_no_figure() -> None:
    failed = Trial(1, PUSH, instants={"pushed": 10.0, "restarted": 12.0}, outcome=Outcome.FAILED)
    assert math.isnan(latencies(table([failed], 1.0))["push_to_restarted"][0])


def test_baselines_have_no_phases_of_a_push() -> None:
    restart = table([Trial(1, BASELINE, instants={"requested": 5.0, "ready": 5.5, "restarted": 5.75})], 1.0)
    assert list(latencies(restart)["baseline_rollout_restart"]) == [0.75]
    assert math.isnan(restart["polled_s"][0])
    assert list(restart["requested_s"]) == [0.0]


def test_pictures_of_a_run_without_figures_are_still_drawn(tmp_path: Path) -> None:
    evaluation = a_run(tmp_path, commits=1)
    trials = [
        replace(timed_out(trial, "polled"), instants={"requested": trial.instants["requested"]})
        if trial.kind != PUSH
        else timed_out(trial, "polled")
        for trial in evaluation.trials
    ]
    evaluation.measured(trials, [])
    for picture in (
        trial_charts.ecdf,
        trial_charts.timeline,
        trial_charts.run_order,
        trial_charts.who_serves_what,
        trial_charts.strip,
    ):
        assert "<svg" in picture(evaluation)._repr_html_()
    assert "At least half of the pushes timed out" in trial_charts.ecdf(evaluation).title
