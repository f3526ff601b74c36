"""The end of a program: nothing that it started is left."""

import subprocess
import sys

import psutil
import pytest

from git_to_pod import programs

# A program like papermill: its child has a session of its own, as a kernel has, and somebody has stopped it.
PARENT = """
import os, signal, subprocess, sys
child = subprocess.Popen(["sleep", "300"], start_new_session=True)
os.kill(child.pid, signal.SIGSTOP)
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(child.pid, flush=True)
signal.pause()
"""


@pytest.mark.parametrize("behaviour", ["ordinary", "stubborn"])
def test_a_stopped_child_in_a_session_of_its_own_ends_with_its_parent(
    behaviour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "END_S", 1.0)
    monkeypatch.setattr(programs, "KERNEL_END_S", 0.2)
    parent = subprocess.Popen([sys.executable, "-c", PARENT, behaviour], stdout=subprocess.PIPE, start_new_session=True)
    assert parent.stdout
    child = psutil.Process(int(parent.stdout.readline()))
    assert child.status() == psutil.STATUS_STOPPED
    programs.end(parent)
    parent.stdout.close()
    assert parent.returncode
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_program_that_has_ended_is_left_alone() -> None:
    process = subprocess.Popen(["true"])
    process.wait(5)
    programs.end(process)
    assert process.returncode == 0
