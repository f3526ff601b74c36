"""The end of a program: nothing that it started is left."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest

from git_to_pod.cli import children
from git_to_pod.cluster.waiting import wait_for
from git_to_pod.watchdog import RUN, run_id

# A program like papermill: its child has a session of its own, as a kernel has.
PARENT = """
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()", sys.argv[2]], start_new_session=True)
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(child.pid, flush=True)
signal.pause()
"""


Start = Callable[[str, str], tuple[subprocess.Popen[bytes], psutil.Process]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts the program with its behaviour and a name for its child. Returns both."""
    monkeypatch.setattr(children, "END_S", 1.0)
    monkeypatch.setattr(children, "KERNEL_END_S", 0.2)
    kernels: list[psutil.Process] = []

    def started(behaviour: str, child: str) -> tuple[subprocess.Popen[bytes], psutil.Process]:
        command = [sys.executable, "-c", PARENT, behaviour, child]
        environment = os.environ | {RUN: run_id()}
        parent = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, start_new_session=True)
        assert parent.stdout
        with parent.stdout as out:
            kernels.append(psutil.Process(int(out.readline())))
        return parent, kernels[-1]

    yield started
    for child in kernels:
        if child.is_running():
            child.kill()


@pytest.mark.parametrize("behaviour", ["ordinary", "stubborn", "killed"])
def test_a_stopped_kernel_in_a_session_of_its_own_ends_with_its_parent(behaviour: str, start: Start) -> None:
    parent, kernel = start(behaviour, children.KERNEL)
    kernel.suspend()
    wait_for("the kernel stopped", lambda: kernel.status() == psutil.STATUS_STOPPED, 5, kernel.status, pause_s=0.01)
    assert kernel.status() == psutil.STATUS_STOPPED
    if behaviour == "killed":  # by somebody else
        parent.kill()
        parent.wait()
    children.end(parent)
    assert parent.returncode
    assert not kernel.is_running() or kernel.status() == psutil.STATUS_ZOMBIE


def test_a_browser_that_jupyterlab_has_started_goes_on(start: Start) -> None:
    parent, browser = start("ordinary", "browser")
    children.end(parent)
    assert parent.returncode
    assert browser.is_running()
    assert browser.status() != psutil.STATUS_ZOMBIE


def test_a_program_that_has_ended_is_left_alone() -> None:
    process = subprocess.Popen(["true"])
    process.wait(5)
    children.end(process)
    assert process.returncode == 0
