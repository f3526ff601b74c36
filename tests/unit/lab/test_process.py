"""lab.process: a component runs exactly once, however quickly it is stopped and started."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from lab import process
from lab.errors import LabError
from lab.process import Component, Process
from tests.processes import children

PAUSE_S = 0.1


class FakeNamespace:
    """Starts programs on this machine, as the child of a shell that stands for nsenter."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str, out: IO[Any]) -> subprocess.Popen[bytes]:
        command = ["sh", "-c", '"$@" & wait', "sh", *arguments]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        self.started.append(child)
        return child

    def running(self) -> int:
        return sum(child.poll() is None for child in self.started)

    def program(self) -> int:
        """The process id of the program that was started last."""
        child = self.started[-1].pid
        until(lambda: len(children(child)) == 1)
        return children(child)[0]


def until(condition: Callable[[], bool], timeout_s: float = 5) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def space(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNamespace]:
    monkeypatch.setattr(process, "RESTART_AFTER_S", PAUSE_S)
    space = FakeNamespace()
    yield space
    for child in space.started:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def component(space: FakeNamespace, logs: Path, *arguments: str) -> Process:
    return Process(space, Component("sleeper", list(arguments or ("sleep", "60"))), logs)  # type: ignore[arg-type]


def test_stop_start_stop_start_in_quick_succession_leaves_exactly_one_process(
    space: FakeNamespace, tmp_path: Path
) -> None:
    sleeper = component(space, tmp_path)
    sleeper.stop()
    sleeper.start()
    sleeper.stop()
    sleeper.start()
    time.sleep(5 * PAUSE_S)  # a watcher of an earlier start would launch by now
    assert (space.running(), len(space.started)) == (1, 3)
    sleeper.stop()
    assert space.running() == 0
    time.sleep(3 * PAUSE_S)
    assert space.running() == 0


def test_a_second_start_does_nothing(space: FakeNamespace, tmp_path: Path) -> None:
    sleeper = component(space, tmp_path)
    sleeper.start()
    assert len(space.started) == 1


def test_a_program_that_exits_is_started_again(space: FakeNamespace, tmp_path: Path) -> None:
    sleeper = component(space, tmp_path)
    os.kill(space.program(), signal.SIGKILL)
    until(lambda: len(space.started) == 2)
    assert space.running() == 1
    sleeper.stop()
    assert space.running() == 0


def test_a_program_that_exits_just_before_the_stop_is_not_started_again(space: FakeNamespace, tmp_path: Path) -> None:
    sleeper = component(space, tmp_path)
    os.kill(space.program(), signal.SIGKILL)
    space.started[0].wait()
    sleeper.stop()
    time.sleep(3 * PAUSE_S)
    assert len(space.started) == 1


def test_a_program_that_ignores_sigterm_is_killed(space: FakeNamespace, tmp_path: Path) -> None:
    stubborn = component(space, tmp_path, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
    until(lambda: (tmp_path / "sleeper.log").read_text() == "ready\n")
    stubborn.stop(timeout_s=0.2)
    assert space.running() == 0


def test_a_program_that_is_not_ready_is_reported_with_the_end_of_its_log(space: FakeNamespace, tmp_path: Path) -> None:
    failing = Component("sleeper", ["sh", "-c", "echo no such file; exit 1"], lambda: "no answer")
    started = Process(space, failing, tmp_path)  # type: ignore[arg-type]
    with pytest.raises(LabError, match="sleeper is not ready: no answer. Its log ends: no such file"):
        started.wait_ready()
    started.stop()


def test_a_second_stop_does_nothing(space: FakeNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sleeper = component(space, tmp_path)
    sleeper.stop()
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("by now, another process can have this id"))
    sleeper.stop()
    monkeypatch.undo()
    sleeper.start()
    assert space.running() == 1


def test_a_component_that_is_ready_later_is_waited_for(space: FakeNamespace, tmp_path: Path) -> None:
    errors = iter(["no answer", "starting", ""])
    later = Component("sleeper", ["sleep", "60"], lambda: next(errors))
    Process(space, later, tmp_path).wait_ready()  # type: ignore[arg-type]
    assert list(errors) == []


def test_a_component_that_is_never_ready_is_reported_after_its_time(space: FakeNamespace, tmp_path: Path) -> None:
    never = Component("sleeper", ["sleep", "60"], lambda: "no answer", timeout_s=0.1)
    with pytest.raises(LabError, match="sleeper is not ready: no answer. Its log ends: nothing"):
        Process(space, never, tmp_path).wait_ready()  # type: ignore[arg-type]
