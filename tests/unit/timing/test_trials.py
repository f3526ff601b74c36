"""What a trial makes of the instants that it saw."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest

from git_to_pod.app import baseline
from git_to_pod.app.load import Response
from git_to_pod.cluster.api import ApiError, Unreachable
from git_to_pod.cluster.recorder import Event, Recorder
from git_to_pod.git.access_log import AccessLog
from git_to_pod.git.errors import GitError
from git_to_pod.timing.trial import PUSH, RESTART, Observation, Outcome, Planned, Trial, arrival
from git_to_pod.timing.trials import Trials
from git_to_pod.timing.trials_table import mixed_commits_s
from tests.samples import SETTINGS

NOTHING = cast(Any, None)


@pytest.mark.parametrize(
    ("pushed", "published", "counts_from"),
    [(10.0, 10.4, 10.0), (11.0, 10.4, 10.4)],
    ids=["the push had ended", "the host had shown the commit before it ended the push"],
)
def test_time_runs_from_the_push_or_from_what_was_seen_before_it_ended(
    pushed: float, published: float, counts_from: float
) -> None:
    assert arrival({"pushed": pushed, "published": published}, AccessLog(None)) == {"pushed": counts_from}


@pytest.mark.parametrize("seen", ["published", "requested", "served"])
def test_a_poll_is_not_later_than_what_it_brought(seen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is published, this is the restart's request; where nothing restarts, the pods' answers."""
    log, asked = AccessLog(None), list[tuple[float, float]]()

    def polled(pushed: float, seen: float) -> float:
        asked.append((pushed, seen))
        return 11.0

    monkeypatch.setattr(log, "polled", polled)
    assert arrival({"pushed": 11.0, seen: 10.4}, log) == {"pushed": 10.4, "polled": 10.4}
    assert asked == [(11.0, 10.4)]


def test_what_visitors_see_only_after_the_next_push_counts_all_the_same() -> None:
    first = Trial(1, PUSH, commit="a", instants={"pushed": 1.0, "requested": 1.2})
    second = Trial(2, PUSH, commit="b", instants={"pushed": 2.0, "requested": 2.6})
    seen = {0.9: "before", 2.1: "before", 2.2: "a", 2.3: "before", 2.5: "a", 3.5: "b"}
    responses = [Response(instant, 200, commit, "") for instant, commit in seen.items()]
    assert mixed_commits_s([first, second], responses) == [pytest.approx(0.1), 0]


class FailingCluster:
    """Answers each patch with the next of these errors, then for ever with success. `away`: it answers nothing else."""

    def __init__(self, *errors: Exception, away: bool = False) -> None:
        self.errors, self.away = list(errors), away

    def get(self, _path: str) -> dict[str, object]:
        if self.away:
            raise self.errors[0]
        return {}

    def patch(self, _path: str, _body: object) -> dict[str, object]:
        if self.errors:
            raise self.errors.pop(0)
        return {}


class Quiet:
    """A Progress that shows nothing."""

    def bar(self, *_: object) -> None: ...
    def awaits(self, _: str) -> None: ...


def recorder_with(*deployments: str) -> Recorder:
    recorder = Recorder()
    for name in deployments:
        item = {
            "metadata": {"name": name, "generation": 1},
            "spec": {"replicas": 2, "template": {}},
            "status": {"observedGeneration": 1},
        }
        recorder.see(Event(1.0, "Deployment", "ADDED", item))
    return recorder


def trials_with(cluster: object, folder: Path, repository: object = None) -> Trials:
    settings = replace(SETTINGS, output=folder, timeout_s=0.05, commits=3)
    recorder = recorder_with("app", baseline.APP)
    return Trials(cast(Any, cluster), recorder, cast(Any, repository), settings, cast(Any, Quiet()))


@pytest.mark.parametrize(
    "error",
    [ApiError("PATCH", "/apis/apps", 503, b"unavailable"), Unreachable("https://127.0.0.1", OSError("reset by peer"))],
    ids=["503", "reset"],
)
def test_an_api_error_marks_its_trial_and_the_row_is_written_at_once(tmp_path: Path, error: Exception) -> None:
    trials = trials_with(FailingCluster(error), tmp_path)
    failed = trials.restart(Planned(1, RESTART))
    assert failed.outcome is Outcome.FAILED
    with (tmp_path / "trials.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["outcome"], row["reason"]) == ("failed", failed.reason)
    assert str(error) in failed.reason
    assert math.isnan(failed.latency_s("requested", "restarted"))


def test_a_deployment_that_somebody_deleted_marks_its_trial(tmp_path: Path) -> None:
    trials = trials_with(FailingCluster(), tmp_path)
    trials.recorder = recorder_with()
    assert "deployment/app is gone: somebody deleted it" in trials.restart(Planned(1, RESTART)).reason


def test_a_push_that_git_refuses_marks_its_trial(tmp_path: Path) -> None:
    class Refusing:
        def commit(self, _text: str) -> str:
            raise GitError("fatal: the disk is full")

    trial = trials_with(FailingCluster(), tmp_path, Refusing()).push()
    assert trial.in_words == "failed: git push: fatal: the disk is full"


def test_three_failures_in_a_row_end_the_series_with_what_there_is(tmp_path: Path) -> None:
    trials = trials_with(FailingCluster(*[ApiError("PATCH", "/", 503, b"") for _ in range(9)]), tmp_path)
    trials.push = trials.restart  # type: ignore[method-assign,assignment]
    assert len(trials.run()) == 3
    assert len((tmp_path / "trials.csv").read_text().splitlines()) == 4


def test_failures_without_a_cluster_are_not_the_designs_and_their_rows_stay(tmp_path: Path) -> None:
    away = Unreachable("https://127.0.0.1", OSError("refused"))
    trials = trials_with(FailingCluster(*[away] * 9, away=True), tmp_path)
    trials.push = trials.restart  # type: ignore[method-assign,assignment]
    with pytest.raises(Unreachable):
        trials.run()
    assert len((tmp_path / "trials.csv").read_text().splitlines()) == 4


def test_one_lost_connection_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[object] = [Unreachable("https://127.0.0.1", OSError("reset")), ("old", b""), ("new", b"")]

    def served_commit(*_: object) -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("git_to_pod.timing.trials.served_commit", served_commit)
    trials = trials_with(FailingCluster(), tmp_path)
    trials.settings = replace(trials.settings, timeout_s=5)
    assert trials.served("new", ["app-1"]) > 0
    assert not answers


def test_a_good_trial_whose_poll_is_not_in_the_log_is_not_a_timeout() -> None:
    trial = Trial(1, PUSH, instants={"pushed": 1.0, "published": 1.5, "restarted": 3.0})
    assert math.isnan(trial.latency_s("pushed", "polled"))
    assert trial.latency_s("pushed", "restarted") == 2.0


def test_a_next_commit_that_clients_get_before_its_restart_is_not_an_old_one() -> None:
    pushes = [
        Trial(1, PUSH, commit="a", instants={"pushed": 1.0, "requested": 2.0}),
        Trial(2, PUSH, commit="b", instants={"pushed": 11.0, "requested": 13.0}),
    ]
    told = [(1.5, "before"), (1.6, "a"), (1.7, "before"), (11.5, "b"), (11.6, "b"), (12.0, "a"), (13.5, "b")]
    responses = [Response(instant, 200, commit, "") for instant, commit in told]
    assert mixed_commits_s(pushes, responses) == pytest.approx([0.1, 0.5])


def test_no_push_at_all_has_no_mixed_commits() -> None:
    assert mixed_commits_s([], []) == []
    (none,) = mixed_commits_s([Trial(1, PUSH, outcome=Outcome.FAILED)], [Response(1.0, 200, "a", "")])
    assert math.isnan(none)


def test_a_row_that_is_added_keeps_what_clients_got_during_the_others(tmp_path: Path) -> None:
    trials = trials_with(FailingCluster(), tmp_path)
    trials.responses = [Response(1.2, 200, "a", ""), Response(1.3, 200, "before", "")]
    for number, commit in enumerate(("a", "b"), 1):
        seen = Observation(Planned(number, PUSH), commit, instants={"pushed": float(number), "requested": number + 0.5})
        trials.keep(seen)
    mixed = pd.read_csv(tmp_path / "trials.csv")["mixed_commits_s"]
    assert mixed[0] == pytest.approx(0.1)
    assert math.isnan(mixed[1])
