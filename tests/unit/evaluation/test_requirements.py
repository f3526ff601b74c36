"""What someone else's push, or the end of the namespace, does to the checks of R1 to R4."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from git_to_pod.app.app import App, NamespaceGone
from git_to_pod.evaluation.claims import Check
from git_to_pod.evaluation.requirements import first_change, undisturbed
from git_to_pod.timing.trial import PUSH, Outcome, Trial
from tests.samples import SETTINGS

GOOD = Trial(1, PUSH)
LATE = replace(GOOD, outcome=Outcome.TIMED_OUT)


def app(others_push: bool = False) -> Any:  # noqa: ANN401
    return SimpleNamespace(take_over=lambda: others_push)


def trials(*outcomes: Trial) -> Any:  # noqa: ANN401
    left = list(outcomes)
    return SimpleNamespace(push=lambda: left.pop(0), left=left)


@pytest.mark.parametrize(
    ("outcomes", "others_push", "result", "pushes"),
    [
        ([GOOD, GOOD], True, GOOD, 1),
        ([LATE, GOOD], True, GOOD, 2),
        ([LATE, GOOD], False, LATE, 1),
        ([LATE, LATE], True, LATE, 2),
    ],
)
def test_the_first_change_is_repeated_only_after_someone_elses_push(
    outcomes: list[Trial], others_push: bool, result: Trial, pushes: int
) -> None:
    planned = trials(*outcomes)
    assert first_change(app(others_push), planned) is result
    assert len(outcomes) - len(planned.left) == pushes


@pytest.mark.parametrize("others_push", [False, True])
def test_a_check_that_fails_is_repeated_only_after_someone_elses_push(others_push: bool) -> None:
    answers = [Check(False, "first"), Check(True, "second")]
    check = undisturbed(app(others_push), lambda _: answers.pop(0))
    assert check.evidence == ("second" if others_push else "first")


@pytest.mark.parametrize("namespace", [None, {"metadata": {"deletionTimestamp": "2026-11-25T10:00:00Z"}}])
def test_a_namespace_that_someone_deleted_is_named(namespace: dict[str, Any] | None) -> None:
    cluster: Any = SimpleNamespace(find=lambda _: namespace)
    running = App(cluster, SETTINGS, repository=None)  # type: ignore[arg-type]
    with pytest.raises(NamespaceGone, match=f"namespace {SETTINGS.namespace} is gone: someone has deleted it"):
        first_change(running, trials(LATE))


def test_without_someone_elses_push_nothing_is_waited_for() -> None:
    cluster: Any = SimpleNamespace(find=lambda _: {"metadata": {}})
    repository: Any = SimpleNamespace(take_over=lambda: False)
    assert not App(cluster, SETTINGS, repository).take_over()
