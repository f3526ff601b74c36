"""What is counted of each way."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from git_to_pod.app.load import Response
from git_to_pod.app.namespace import BESIDE
from git_to_pod.cluster.recorder import Recorder
from git_to_pod.cluster.waiting import TimedOut
from git_to_pod.experiments.alternatives import candidate as candidate_module
from git_to_pod.experiments.alternatives import flux
from git_to_pod.experiments.alternatives.approaches import APPROACHES, FLUX, PATCHING
from git_to_pod.experiments.alternatives.candidate import BIG_BYTES, Approach
from git_to_pod.experiments.alternatives.comparison import (
    limit_of,
    observe_behaviour,
    push_in_blocks,
    seen_by_clients,
)
from git_to_pod.experiments.effort import FULL
from git_to_pod.progress import Progress
from git_to_pod.report.tables import candidates_table
from git_to_pod.timing.trial import PUSH, Outcome, Trial
from tests.made_up import made_up_names
from tests.samples import SETTINGS

NOTHING = cast(Any, None)


def test_flux_is_asked_for_its_limit_until_it_has_complained(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([None, None, 1 << 20])
    monkeypatch.setattr(flux, "limit", lambda *_: next(answers))
    assert limit_of(NOTHING, cast(Any, SimpleNamespace(approach=FLUX, settings=SETTINGS))) == 1 << 20


def test_a_way_that_says_no_limit_has_that_of_the_file_that_it_did_not_take() -> None:
    assert limit_of(NOTHING, cast(Any, SimpleNamespace(approach=PATCHING, settings=SETTINGS))) == BIG_BYTES


class Pushed:
    """A candidate that writes down when it has a block, in `order`, and what it does in it, in `steps`."""

    def __init__(self, approach: Approach, order: list[str]) -> None:
        self.approach, self.order, self.steps = approach, order, list[str]()
        self.done: list[Trial] = []
        self.repeated: list[Trial] = []
        self.settings = SETTINGS
        self.trials = SimpleNamespace(done=[], push=self.push)
        self.recorder = SimpleNamespace(get=lambda *_: {"kind": "Deployment"})

    def wake(self) -> None:
        self.order.append(self.approach.key)
        self.steps.append("wake")

    def warm_up(self) -> None:
        self.steps.append("warm up")

    def push(self, _: object) -> Trial:
        self.steps.append("push")
        return Trial(1, PUSH)

    def start_load(self, _: object) -> None: ...

    def rest(self) -> None: ...


def test_each_round_has_every_candidate_once_and_the_first_twice() -> None:
    order: list[str] = []
    candidates = [Pushed(approach, order) for approach in APPROACHES[:4]]
    push_in_blocks(cast(Any, candidates), Progress())
    blocks = len(candidates) + 1
    rounds = [order[begin : begin + blocks] for begin in range(0, len(order), blocks)]
    keys = [candidate.approach.key for candidate in candidates]
    assert [sorted(each) for each in rounds] == [sorted([keys[0], *keys])] * FULL.rounds
    assert len({tuple(each) for each in rounds}) > 1
    assert {len(each.done) for each in candidates} == {len(candidates[0].repeated)} == {FULL.rounds * FULL.pushes}


def test_a_block_begins_with_a_push_that_does_not_count() -> None:
    candidate = Pushed(APPROACHES[0], [])
    push_in_blocks(cast(Any, [candidate]), Progress())
    assert candidate.steps == ["wake", "warm up", *["push"] * FULL.pushes] * (2 * FULL.rounds)


def test_a_push_that_does_not_count_leaves_no_row() -> None:
    candidate, done = candidate_module.Candidate.__new__(candidate_module.Candidate), [Trial(1, PUSH)]
    candidate.trials = cast(Any, SimpleNamespace(done=done, push=lambda: done.append(Trial(2, PUSH))))
    candidate.warm_up()
    assert [trial.number for trial in candidate.trials.done] == [1]


class NeverCatchesUp:
    """A candidate that serves the last of a burst with two replicas, and does not with six."""

    approach, replicas = PATCHING, 0

    def scale(self, _name: str, replicas: int) -> None:
        self.replicas = replicas

    def set_replicas(self, _name: str, replicas: int) -> None:
        self.replicas = replicas

    def burst(self, _pushes: int, _gap_s: float) -> tuple[int, int]:
        if self.replicas > 2:
            raise TimedOut("not served within 60 s")
        return 4, 1


def test_what_was_measured_of_a_candidate_outlives_its_failure() -> None:
    candidate = NeverCatchesUp()
    found = observe_behaviour(NOTHING, cast(Any, candidate), Progress())
    assert candidate.replicas == 0  # it is out of the way
    assert (found.rollouts, found.regressions) == ({"2": 4}, {"2": 1})
    assert (found.recovers, found.undo, found.failed) == (None, None, "not served within 60 s")


def test_a_failed_candidates_table_has_its_pushes_and_says_what_is_not_measured(tmp_path: Path) -> None:
    (row, *_) = made_up_names(tmp_path)["ways"]
    failed = replace(row, rollouts_per_burst={"2": 4}, undo_restores_content=None)
    failed = replace(failed, recovers_missed_change=None)
    table = candidates_table([replace(failed, failed="not served within 60 s")], [])
    assert "1.7" in table
    assert f"Not measured to the end: {row.name} (not served within 60 s)." in table
    own, _, _ = table.partition("Differences of the medians")
    assert own.count(">not measured</td>") == 3  # the missed change, the undo and the largest content


@pytest.mark.parametrize(("outcome", "early"), [(Outcome.OK, 1), (Outcome.TIMED_OUT, 1), (Outcome.FAILED, 0)])
def test_a_push_whose_instants_are_out_of_order_shows_no_early_change(outcome: Outcome, early: int) -> None:
    push = Trial(1, PUSH, commit="a", instants={"pushed": 1.0, "requested": 1.5}, pods={"app-1": 3.0}, outcome=outcome)
    responses = [Response(0.9, 200, "before", ""), Response(2.0, 200, "a", "")]
    candidate = SimpleNamespace(done=[push], repeated=[], responses=responses, approach=PATCHING)
    assert seen_by_clients(cast(Any, candidate)) == ([0.0], early)


class AfterUndo:
    """A candidate after `kubectl rollout undo`: the pods and their content at each look, the last one for ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *looks: tuple[str, bytes]) -> None:
        self.looks = list(looks)
        self.candidate = candidate_module.Candidate.__new__(candidate_module.Candidate)
        self.candidate.settings, self.candidate.recorder = SETTINGS, Recorder()
        self.candidate.repository = cast(Any, SimpleNamespace(contents={"before": b"before", "undone": b"undone"}))
        monkeypatch.setattr(self.candidate, "is_settled", self.next_look)
        monkeypatch.setattr(self.candidate, "pod_names", lambda: {self.looks[0][0]})
        monkeypatch.setattr(self.candidate, "answers", lambda: {"pod": ("", self.looks[0][1])})
        monkeypatch.setattr(candidate_module, "OTHER_CONTENT_S", 0.3)
        monkeypatch.setattr(candidate_module, "UNDO_S", 1.5)

    def next_look(self) -> bool:
        if len(self.looks) > 1:
            self.looks.pop(0)
        return True

    def restores(self) -> bool:
        return self.candidate.new_pods_serve("before", {"old"})


OLD, NEW = ("old", b"undone"), ("new", b"before")


def test_an_undo_whose_new_pods_serve_the_content_of_before_restores_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert AfterUndo(monkeypatch, OLD, OLD, NEW).restores()


def test_an_undo_may_take_a_moment_to_restore_the_content(monkeypatch: pytest.MonkeyPatch) -> None:
    assert AfterUndo(monkeypatch, OLD, OLD, ("new", b"undone"), NEW).restores()


def test_an_undo_whose_new_pods_serve_other_content_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    assert not AfterUndo(monkeypatch, OLD, ("new", b"undone")).restores()
    assert time.monotonic() - began < 1  # and this is found out before the limit


def test_an_undo_without_a_rollout_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not AfterUndo(monkeypatch, OLD).restores()


def test_the_namespace_of_each_candidate_is_removed_after_the_run() -> None:
    """The watchdog is told of them before they exist."""
    assert {approach.key for approach in APPROACHES} == {*BESIDE} - {"faults"}
