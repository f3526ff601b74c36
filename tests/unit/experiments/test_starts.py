"""A new pod while the git host is down, without a lab: the candidate and the lab are fakes."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest

from git_to_pod.cluster.waiting import TimedOut
from git_to_pod.experiments.alternatives import flux, starts
from git_to_pod.experiments.alternatives.approaches import DEPLOYED, FLUX, PATCHING
from git_to_pod.experiments.alternatives.candidate import Approach
from git_to_pod.experiments.alternatives.starts import StartResult, try_start
from git_to_pod.experiments.effort import SMALLEST
from git_to_pod.experiments.recommendation import candidate_rows
from git_to_pod.experiments.results import ResultRow
from git_to_pod.progress import Progress
from git_to_pod.report import tables
from git_to_pod.report.second_page import starts as tile
from lab import LabError, client
from tests.samples import SETTINGS, pod


class Fake:
    """The pods a and b. The successor of a deleted pod is Ready at once, or only while the git host is up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, needs_git_host: bool) -> None:
        self.needs_git_host, self.up, self.names, self.commands = needs_git_host, True, ["a", "b"], list[str]()
        self.candidate = SimpleNamespace(
            approach=PATCHING, settings=SETTINGS, cluster=self, pods=self.pods, pod_names=lambda: {*self.names}
        )
        monkeypatch.setattr(client, "command", self.command)
        monkeypatch.setattr(starts, "effort", lambda: replace(SMALLEST, down_s=0.3))

    def command(self, name: str, component: str) -> None:
        assert component == starts.GIT_SERVER
        self.commands.append(name)
        self.up = name == "start"

    def delete(self, path: str) -> None:
        self.names[self.names.index(path.rpartition("/")[2])] = "new"

    def pods(self) -> list[dict[str, Any]]:
        ready = self.up or not self.needs_git_host
        return [pod(0, name, ready=name != "new" or ready).object for name in self.names]

    def tried(self) -> StartResult:
        return try_start(cast(Any, self.candidate))


def test_a_pod_that_waits_for_the_git_host_recovers_after_its_return(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(monkeypatch, needs_git_host=True)
    found = fake.tried()
    assert (found.starts, found.ready_s) == (False, math.inf)
    assert found.recovered_s < 1
    assert fake.names == ["new", "b"]


def test_a_pod_that_needs_no_git_host_is_ready_while_it_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Fake(monkeypatch, needs_git_host=False).tried()
    assert found.starts
    assert found.ready_s < 0.3


def test_the_git_host_comes_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(monkeypatch, needs_git_host=True)

    def lost(_path: str) -> None:
        raise LabError("the lab has ended")

    monkeypatch.setattr(fake, "delete", lost)
    with pytest.raises(LabError):
        fake.tried()
    assert fake.commands == ["stop", "start"]


class Deployed:
    """A candidate that is never tried: its deployment fails if its approach is to fail."""

    closed: ClassVar[list[str]] = []

    def __init__(self, approach: Approach, *_: object) -> None:
        self.approach = approach

    def deploy(self) -> None:
        if self.approach in (PATCHING, FLUX):
            raise TimedOut("not served within 60 s")

    def close(self) -> None:
        self.closed.append(self.approach.key)


@pytest.mark.parametrize("approaches", [(PATCHING, DEPLOYED, FLUX), (PATCHING, FLUX)])
def test_a_failure_costs_one_candidate_its_figures_and_all_of_them_the_run(
    approaches: tuple[Approach, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Deployed, "closed", [])
    monkeypatch.setattr(starts, "Candidate", Deployed)
    monkeypatch.setattr(starts, "available", lambda *_: [*approaches])
    monkeypatch.setattr(flux, "definitions", lambda _: nullcontext())
    monkeypatch.setattr(
        starts, "try_start", lambda each: StartResult(each.approach.key, "", math.inf, 1.0, starts=False)
    )
    settings = replace(SETTINGS, lab=cast(Any, "a lab"))
    with nullcontext() if DEPLOYED in approaches else pytest.raises(TimedOut, match="no candidate was measured"):
        found = starts.run_starts(cast(Any, None), settings, Progress())
        assert [row.starts for row in found] == [None, False, None]
        assert "Not measured: Flux (not served within 60 s)." in tables.starts_table(found)
        assert "(0 of 3)" in tables.starts_finding(found)
    assert Deployed.closed == [approach.key for approach in approaches]


WAITS = StartResult("patching", PATCHING.name, math.inf, 4.2, starts=False)
STARTS = StartResult("flux", FLUX.name, 1.2, 0.1, starts=True)


def test_the_table_says_whose_pods_start_and_whose_wait() -> None:
    finding = tables.starts_finding([WAITS, STARTS])
    assert finding == "While the git host is down, a new pod becomes Ready with “Flux” (1 of 2)."
    assert "with no candidate (0 of 1)" in tables.starts_finding([WAITS])
    assert "with every candidate (1 of 1)" in tables.starts_finding([STARTS])
    assert tables.starts_finding([]) == "New pods while the git host is down were not measured."
    table = tables.starts_table([WAITS, STARTS, StartResult("a", "a", math.inf, math.inf, starts=False)])
    for text in ("no, within 20 s", "after 4.2 s", "after 1.2 s", "timed out"):
        assert f">{text}<" in table


def test_the_tile_counts_the_candidates() -> None:
    assert tile([{"starts": True}, {"starts": False}]) == (None, "1 of 2")


def test_the_recommendation_takes_the_answer_from_this_experiment() -> None:
    rows: dict[str, list[ResultRow]] = {"alternatives": [{"key": "flux"}, {"key": "patching"}, {"key": "deployed"}]}
    assert [row["starts_without_git_host"] for row in candidate_rows(rows)] == [None, None, None]
    rows["starts"] = [{"key": "flux", "starts": True}, {"key": "patching", "starts": False}]
    assert [row["starts_without_git_host"] for row in candidate_rows(rows)] == [True, False, None]
