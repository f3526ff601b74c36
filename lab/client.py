"""Start, find and stop a lab from other programs."""

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from multiprocessing.connection import Client
from pathlib import Path
from typing import IO

from lab import versions
from lab.errors import LabError
from lab.paths import LOCK, LOGS, PROJECT, RUN, STATE
from lab.state import Lab

STOP_TIMEOUT_S = 40


def find() -> Lab:
    """Return the running lab. Raise LabError if there is none."""
    try:
        state = json.loads(STATE.read_text())
    except FileNotFoundError as error:
        raise LabError("no lab is running: start it with scripts/lab up") from error
    if not _locked():
        raise LabError("the lab ended without cleaning up: run scripts/lab down")
    return Lab(**{field.name: state[field.name] for field in fields(Lab)})


def up(
    images: Path | None,
    report: Callable[[str], None],
    owned: bool,
    extras: bool = False,
    kubernetes: str = versions.DEFAULT,
) -> subprocess.Popen[str]:
    """Start a lab and return its supervisor once the lab is up.

    `extras` adds Gitea and KWOK, which the second notebook uses. An owned lab stops when this process ends.
    `kubernetes` is the node's minor.
    """
    versions.check(kubernetes)
    options = [f"--kubernetes={kubernetes}", *(["--owned"] if owned else []), *(["--extras"] if extras else [])]
    if images:
        options.append(f"--images={images.resolve()}")
    with _new_error_log() as errors:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "lab.supervisor", *options], cwd=PROJECT, text=True, start_new_session=True,
            stdin=subprocess.PIPE if owned else subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
    assert supervisor.stdout is not None
    line = ""
    try:
        with supervisor.stdout as output:
            for line in output:
                if not line.startswith("error: "):
                    report(line.rstrip())
    except BaseException:
        _end(supervisor)
        raise
    if line.startswith("error: ") or not STATE.exists():  # after an error, the state file may belong to another lab
        supervisor.wait()
        raise LabError(line.removeprefix("error: ").strip() if line.startswith("error: ") else _last_error())
    return supervisor


@contextlib.contextmanager
def running(images: Path | None = None, report: Callable[[str], None] = print, extras: bool = False) -> Iterator[Lab]:
    """Run a lab during the block: `with running() as lab: ...`."""
    supervisor = up(images, report, owned=True, extras=extras)
    try:
        yield find()
    finally:
        killed = supervisor.poll() is not None
        _end(supervisor)
        if killed:
            down()  # a killed supervisor does not clean up


def down() -> bool:
    """Stop the running lab, or clean up after one that was killed. Return whether one was running."""
    if _locked():
        supervisor = LOCK.read_text()
        command("down")
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while _locked() or _runs(supervisor):
            if time.monotonic() > deadline:
                raise LabError(f"the lab (process {supervisor}) did not end within {STOP_TIMEOUT_S} s")
            time.sleep(0.05)
        return True
    from lab.supervisor import clear_leftovers  # this imports the modules of the build

    clear_leftovers()
    return False


def command(verb: str, component: str = "") -> None:
    """Tell the supervisor to `stop`, `start` or `restart` a component, or to bring the lab `down`."""
    try:
        with Client(str(RUN / "control")) as connection:
            connection.send((verb, component))
            error_message = connection.recv()
    except (FileNotFoundError, ConnectionError) as error:
        if verb == "down":  # a lab that is still starting does not listen yet
            os.kill(int(LOCK.read_text()), 15)
            return
        raise LabError("no lab is running: start it with scripts/lab up, clean up with scripts/lab down") from error
    if error_message:
        raise LabError(error_message)


def _runs(pid: str) -> bool:
    """Whether a process is alive. A zombie is not: its command line is empty."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except FileNotFoundError:
        return False


def _locked() -> bool:
    """Whether a supervisor is alive. It holds the lock until it ends."""
    if not LOCK.exists():
        return False
    with LOCK.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _end(supervisor: subprocess.Popen[str]) -> None:
    supervisor.terminate()
    try:
        supervisor.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise LabError(f"the lab (process {supervisor.pid}) did not end within {STOP_TIMEOUT_S} s") from error


def _new_error_log() -> IO[str]:
    """The file for the supervisor's standard error, opened and empty."""
    path = _error_log()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    return path.open("w")


def _error_log() -> Path:
    return LOCK.with_name("supervisor.log")


def _last_error() -> str:
    lines = _error_log().read_text().strip().splitlines()
    return f"the lab did not start: {lines[-1] if lines else 'the supervisor printed no error'}; logs are in {LOGS}"
