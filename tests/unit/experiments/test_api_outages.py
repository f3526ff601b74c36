"""An outage of the API server, with candidates that are played."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from git_to_pod.cluster.api import Unreachable
from git_to_pod.cluster.waiting import TimedOut
from git_to_pod.experiments import api_outages
from git_to_pod.report import tables
from lab import client

AWAY = Unreachable("https://127.0.0.1", OSError("refused"))


@dataclass(eq=False)
class Played:
    """A candidate whose pods are replaced when the API server is back. `answers`: what `serves` finds, in turn."""

    answers: Iterator[bool | Exception]
    pushes: list[str] = field(default_factory=list)
    waited_for: list[str] = field(default_factory=list)
    pod: int = 0

    def push(self, text: str) -> str:
        self.pushes.append(text)
        return text

    def pod_names(self) -> set[str]:
        self.pod += 1  # other pods whenever somebody looks
        return {f"app-{self.pod}"}

    def is_settled(self) -> bool:
        return True

    def serves(self, _commit: str) -> bool:
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def wait_served(self, commit: str) -> None:
        self.waited_for.append(commit)


class WithoutGitHost(Played):
    def push(self, text: str) -> str:
        raise TimedOut("no git host")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands to the lab. A pause takes no time, but the clock goes on by a second at each look."""
    commands, clock = list[str](), iter(range(10**6))
    monkeypatch.setattr(client, "command", lambda verb, _name: commands.append(verb))
    monkeypatch.setattr(api_outages, "pause", lambda _s: None)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    return commands


def outage(*candidates: Any) -> list[float | None]:  # noqa: ANN401
    return [recovered_s for _, recovered_s in api_outages.outage(candidates, 2)]


def test_the_recovery_counts_from_the_end_of_the_outage(said: list[str]) -> None:
    quick, slow = Played(iter([True])), Played(iter([AWAY, False, True]))
    assert outage(quick, slow) == [1.0, 3.0]
    assert said == ["stop", "start"]
    assert not quick.waited_for + slow.waited_for


def test_pods_that_keep_serving_the_previous_commit_are_stale_and_the_next_push_brings_them_back(
    said: list[str],
) -> None:
    stale = Played(iter([False] * 20))
    assert outage(stale, Played(iter([True]))) == [None, 1.0]
    assert stale.waited_for == ["again"]


def test_a_candidate_that_never_rolls_out_has_a_timeout_and_is_not_stale(said: list[str]) -> None:
    lost = Played(iter([AWAY] * 1000))
    assert outage(lost) == [math.inf]
    assert lost.waited_for == ["again"]


def test_the_api_server_is_started_again_if_a_push_fails(said: list[str]) -> None:
    with pytest.raises(TimedOut):
        outage(WithoutGitHost(iter([])))
    assert said == ["stop", "start"]


def test_the_finding_has_the_share_of_stale_outages_with_its_interval() -> None:
    rows = [
        api_outages.row_of("deployed", "one poller", 5, [4.0] * 10),
        api_outages.row_of("deployed", "one poller", 20, [60.0] * 9 + [None]),
        api_outages.row_of("patching", "a hook", 20, [50.0, math.inf]),
    ]
    assert [(row.outages, row.stale, row.recovered_s.n, row.recovered_s.timeouts) for row in rows] == [
        (10, 0, 10, 0), (10, 1, 9, 0), (2, 0, 2, 1),
    ]  # fmt: skip
    assert tables.outages_finding(rows) == (
        "New pods started with the previous commit after 1 of 20 outages (95% CI 1%–24%) with “one poller”; "  # noqa: RUF001
        "and after 0 of 2 outages (95% CI 0%–66%) with “a hook”."  # noqa: RUF001
    )
    assert tables.outages_finding([]) == "Outages of the API server were not measured."
    assert tables.outages_table([]) == ""
