"""Faults undo themselves, also those of a run that was killed, and one that raises is a row like the others."""

from __future__ import annotations

import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import urllib3

from git_to_pod.experiments.alternatives.starts import GIT_SERVER
from git_to_pod.experiments.faults import experiment, undo_after_kill
from git_to_pod.experiments.faults.bench import Bench
from git_to_pod.experiments.faults.experiment import Fault, try_fault
from lab import LabError, client


class FakeBench:
    """A deployment that recovers at once, and notes what is done to it."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.load = SimpleNamespace(responses=[])
        self.recorder = SimpleNamespace(events=[])
        self.repository = SimpleNamespace(pushed=[])
        self.template: dict[str, Any] = {}
        self.head = "new"

    def push(self, _: str) -> None:
        self.done.append("push")

    def wait_normal(self, _: float) -> float:
        self.done.append("wait until it is normal")
        return math.inf if "broken" in self.done else 0.0

    def catch_up(self) -> None:
        self.done.append("catch up")

    def published(self) -> str:
        return "old"

    def served(self) -> dict[str, str]:
        return {}

    served_if_reachable = served


def tried(fault: Fault) -> tuple[FakeBench, experiment.FaultResult]:
    bench = FakeBench()
    return bench, try_fault(cast(Bench, bench), fault)


def failing(_: Bench) -> None:
    raise LabError("kube-apiserver: it did not stop")


def undo(bench: Bench) -> None:
    cast(FakeBench, bench).done.append("undo")


@pytest.mark.parametrize("part", ["inject", "push"])
@pytest.mark.parametrize("lasts_s", [0.0, None])
def test_a_fault_that_raises_is_undone_and_its_row_says_why(part: str, lasts_s: float | None) -> None:
    bench, row = tried(Fault("fails", "it fails", **{part: failing}, undo=undo, lasts_s=lasts_s))  # type: ignore[arg-type]
    assert bench.done.count("undo") == 1
    assert not row.held
    assert "LabError: kube-apiserver: it did not stop" in row.note
    assert bench.done[-1] == "wait until it is normal"  # before the next fault


def test_a_fault_that_passes_is_undone_once() -> None:
    bench, row = tried(Fault("passes", "it passes", undo=undo, lasts_s=0.0))
    assert row.held
    assert bench.done == ["push", "undo", "wait until it is normal", "catch up"]


def test_what_a_killed_run_left_in_a_standing_lab_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("reader", "writer"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "username").write_text(name)
        (tmp_path / name / "password").write_text(f"password-of-the-{name}\n")
    passwords = tmp_path / "passwords"
    passwords.write_text("someone:{SSHA}x\nreader:{PLAIN}changed\n")  # the reader's is changed, the writer's is gone
    started: list[tuple[str, ...]] = []
    requested: list[tuple[str, str]] = []
    monkeypatch.setattr(client, "command", lambda *words: started.append(words))
    monkeypatch.setattr(urllib3, "request", lambda method, url, **_: requested.append((method, url)))
    folders = {"git_credentials": str(tmp_path / "reader"), "push_credentials": str(tmp_path / "writer")}
    undo_after_kill.restore(
        cast(Any, SimpleNamespace(**folders, proxy_api="http://proxy", git_passwords=str(passwords)))
    )
    assert {component for verb, component in started if verb == "start"} == set(undo_after_kill.STOPPED)
    assert requested == [("POST", "http://proxy/reset")]
    assert passwords.read_text().splitlines() == [
        "someone:{SSHA}x", "reader:{PLAIN}password-of-the-reader", "writer:{PLAIN}password-of-the-writer",
    ]  # fmt: skip


def test_every_component_that_an_experiment_stops_is_started_again() -> None:
    source = Path(experiment.__file__).with_name("catalogue.py").read_text()
    stopped = re.findall(r'component\("stop", "(.+?)"\)', source)
    assert {*stopped, GIT_SERVER} == {*undo_after_kill.STOPPED}
