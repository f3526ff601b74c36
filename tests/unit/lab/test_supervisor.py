"""lab.supervisor: what it prints and where, and what ends it. Its lab is a fake that starts nothing."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent.parent
FAKE_LAB = """
import os, socket, sys, time
from lab import supervisor
from lab.errors import LabError
from lab.supervisor import Supervisor

supervisor.CONTROL = supervisor.CACHE / "control"
Supervisor.start = lambda self: print("lab up", flush=True)
Supervisor.stop = lambda self: print("cleaned up", file=sys.stderr, flush=True)
"""
RUN = "\nsys.exit(supervisor.main())"


@contextmanager
def started(cache: Path, *options: str, fake: str = "") -> Iterator[subprocess.Popen[str]]:
    env = os.environ | {"XDG_CACHE_HOME": str(cache)}
    with subprocess.Popen(
        [sys.executable, "-c", FAKE_LAB + fake + RUN, *options], cwd=ROOT, env=env,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as supervisor:  # fmt: skip
        try:
            yield supervisor
        finally:
            supervisor.kill()


def test_an_error_of_a_running_lab_is_in_its_log(tmp_path: Path) -> None:
    fails = """
def fail(self, owned):
    with socket.socket():  # the first file that is opened after the start
        raise LabError("namespace node ended unexpectedly")
Supervisor.wait = fail
"""
    with started(tmp_path, fake=fails) as supervisor:
        output, log = supervisor.communicate(timeout=20)
    assert output == "lab up\n"
    assert log == "error: namespace node ended unexpectedly\ncleaned up\n"
    assert supervisor.returncode == 1


def test_an_error_during_the_start_is_the_last_line_of_its_output(tmp_path: Path) -> None:
    fails = """
def fail(self):
    raise LabError("0.1 GB are free")
Supervisor.start = fail
"""
    with started(tmp_path, fake=fails) as supervisor:
        assert supervisor.communicate(timeout=20) == ("error: 0.1 GB are free\n", "cleaned up\n")
    assert supervisor.returncode == 1


def test_a_second_supervisor_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "git-to-pod" / "lab" / "lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with started(tmp_path) as supervisor:
            output, log = supervisor.communicate(timeout=20)
    assert output.startswith("error: a lab is running already")
    assert log == "", "it must not clean up after another lab"
    assert supervisor.returncode == 1


def test_a_second_signal_does_not_interrupt_the_clean_up(tmp_path: Path) -> None:
    slow = """
def stop(self):
    print("cleaning up", file=sys.stderr, flush=True)
    time.sleep(0.5)
    print("cleaned up", file=sys.stderr, flush=True)
Supervisor.stop = stop
"""
    with started(tmp_path, fake=slow) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stderr is not None
        assert supervisor.stdout.read() == "lab up\n"
        time.sleep(0.5)  # Python handles a signal late if it arrives just as the main thread begins to wait
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.stderr.readline() == "cleaning up\n"
        supervisor.send_signal(signal.SIGINT)
        assert supervisor.stderr.read() == "cleaned up\n"
        assert supervisor.wait(10) == 0


@pytest.mark.parametrize("owned", [True, False])
def test_only_an_owned_lab_ends_with_its_owner(tmp_path: Path, owned: bool) -> None:
    with started(tmp_path, *(["--owned"] if owned else [])) as supervisor:
        assert supervisor.stdin is not None
        assert supervisor.stdout is not None
        assert supervisor.stdout.read() == "lab up\n"
        supervisor.stdin.close()
        if owned:
            assert supervisor.wait(10) == 0
        else:
            time.sleep(1)
            assert supervisor.poll() is None
