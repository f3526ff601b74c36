"""An outage of the API server, with candidates that are played."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from git_to_pod.cluster.api import Unreachable
from git_to_pod.cluster.waiting import TimedOut
from git_to_pod.experiments import api_outages
from git_to_pod.experiments.api_outages import Outcome
from git_to_pod.report import tables
from git_to_pod.report.second_page import outages as tile
from lab import client

CLUSTER = cast(Any, SimpleNamespace(wait_ready=lambda: None))
AWAY = Unreachable("https://127.0.0.1", OSError("refused"))
OLD, NEW, OTHER = b"before", b"at", b"an error page"


class Played:
    """A candidate that rolls out at once. `served` is what its pods serve at each look."""

    def __init__(self, *served: bytes | Exception) -> None:
        self.served = iter(served)
        self.head = "commit of before"
        self.repository = SimpleNamespace(contents={self.head: OLD})
        self.template: dict[str, str] = {}
        self.pod = 0

    def push(self, _text: str) -> str:
        self.head = "commit of at"
        self.repository.contents[self.head] = NEW
        self.template = {"commit": self.head}
        return self.head

    def pod_names(self) -> set[str]:
        self.pod += 1  # other pods whenever somebody looks
        return {f"app-{self.pod}"}

    def is_settled(self) -> bool:
        return True

    def answers(self) -> dict[str, tuple[str, bytes]]:
        body = next(self.served)
        if isinstance(body, Exception):
            raise body
        return {"app": ("", body)}


class NotRolledOut(Played):
    """The pods are replaced, but not for this commit: another rollout was under way."""

    def push(self, text: str) -> str:
        commit = super().push(text)
        self.template = {}
        return commit


class WithoutGitHost(Played):
    def push(self, _text: str) -> str:
        raise TimedOut("no git host")


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The commands to the lab. A pause takes no time, but the clock goes on by a second at each look."""
    found, clock = list[str](), iter(range(10**6))
    with monkeypatch.context() as patched:
        patched.setattr(client, "command", lambda verb, _name: found.append(verb))
        patched.setattr(api_outages, "pause", lambda _s: None)
        patched.setattr(time, "monotonic", lambda: float(next(clock)))
        yield found


def outage(*candidates: Played) -> list[Outcome]:
    _, outcomes = api_outages.outage(CLUSTER, cast(Any, candidates), 2)
    return outcomes


def test_the_recovery_counts_since_the_api_server_is_ready(commands: list[str]) -> None:
    quick, slow = outage(Played(NEW), Played(AWAY, OLD, NEW))
    assert (quick.recovered_s, slow.recovered_s, quick.stale, slow.stale) == (1.0, 3.0, False, False)
    assert quick.away_s == slow.away_s > 0
    assert commands == ["stop", "start"]


def test_pods_that_keep_serving_the_previous_commit_are_stale(commands: list[str]) -> None:
    stale, other = outage(Played(*[OLD] * 20), Played(NEW))
    assert stale.stale
    assert math.isnan(stale.recovered_s)
    assert other.recovered_s == 1.0


@pytest.mark.parametrize(
    "played", [Played(*[AWAY] * 1000), NotRolledOut(*[OLD] * 1000), Played(*[OTHER] * 1000)],
    ids=["no answer", "no rollout for this commit", "other content"],
)  # fmt: skip
def test_anything_else_is_a_timeout_and_not_stale(commands: list[str], played: Played) -> None:
    (outcome,) = outage(played)
    assert math.isinf(outcome.recovered_s)
    assert not outcome.stale


def test_the_api_server_is_started_again_if_a_push_fails(commands: list[str]) -> None:
    with pytest.raises(TimedOut):
        outage(WithoutGitHost())
    assert commands == ["stop", "start"]


def test_the_finding_has_the_share_of_stale_outages_with_its_interval_and_the_timeouts() -> None:
    fine, stale, late = Outcome(8, False, 4.0), Outcome(8, True, math.nan), Outcome(8, False, math.inf)
    rows = [
        api_outages.row_of("deployed", "one poller", 5, [fine] * 10),
        api_outages.row_of("deployed", "one poller", 20, [fine] * 9 + [stale]),
        api_outages.row_of("patching", "a hook", 20, [fine, late]),
    ]
    assert [(row.outages, row.stale, row.recovered_s.n, row.recovered_s.timeouts) for row in rows] == [
        (10, 0, 10, 0), (10, 1, 9, 0), (2, 0, 2, 1),
    ]  # fmt: skip
    assert tables.outages_finding(rows) == (
        "New pods started with the previous commit after 1 of 20 outages (95% CI 1%–24%) with “one poller”; "  # noqa: RUF001
        "and after 0 of 2 outages (95% CI 0%–66%) with “a hook”. Not recovered within 180 s: 1 of 22."  # noqa: RUF001
    )
    assert tables.outages_finding([]) == "Outages of the API server were not measured."
    assert tables.outages_table([]) == ""


def test_the_tile_of_outages_is_good_only_without_stale_starts_and_timeouts() -> None:
    def row(stale: int, timeouts: int) -> dict[str, Any]:
        return {"key": "deployed", "stale": stale, "outages": 9, "recovered_s": {"timeouts": timeouts}}

    assert tile([row(0, 0)]) == (True, "0 of 9")
    assert tile([row(0, 0), row(1, 0)]) == (None, "1 of 18")
    assert tile([row(0, 2)]) == (False, "0 of 9, 2 timeouts")
