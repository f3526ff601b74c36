"""lab.child: a child never outlives its parent, whenever and however the parent ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.child import die_with_parent
from tests.processes import has_ended

ROOT = Path(__file__).parent.parent.parent.parent
PARENT = """
import subprocess
from lab.child import die_with_parent
child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, preexec_fn=die_with_parent())
print(child.pid, flush=True)
child.wait()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_child_ends_with_its_parent(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not has_ended(child)
        parent.send_signal(number)
    deadline = time.monotonic() + 5
    while not has_ended(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_child_whose_parent_ended_before_the_kernel_watched_it_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 0)  # no process has this parent
    arrange = die_with_parent()
    monkeypatch.undo()
    assert subprocess.run(["true"], preexec_fn=arrange, check=False).returncode == -signal.SIGKILL
