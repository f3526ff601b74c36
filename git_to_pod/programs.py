"""Other programs: git, kubectl and the rest run here, through sh, and end with this process.

sh costs about 3 ms more than subprocess for each program (medians of 60 runs of `git --version`: 4 to 7 ms against 3).
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import sh

ANY_STATUS = list(range(-signal.NSIG, 256))  # negative: ended by this signal
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded here: after a fork it could deadlock
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Output:
    """What a program left: its exit status, negative if a signal ended it, and its output."""

    status: int
    stdout: bytes
    stderr: str


class ProgramTimedOut(TimeoutError):
    """A program did not finish within its time limit, and was killed."""


def run(
    program: str,
    *arguments: str,
    timeout_s: float,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Output:
    """Run a program to its end, without input. The default environment is `without_credentials()`.

    Raises ProgramTimedOut, and OSError if the program cannot be started.
    """
    process = start(program, *arguments, folder=folder, environment=environment)
    timed_out = threading.Event()

    def kill() -> None:
        timed_out.set()
        kill_group(process)

    # sh's own timeout looks only every 0.1 s whether the program has ended, and ends the program without its children.
    timer = threading.Timer(timeout_s, kill)
    timer.daemon = True
    timer.start()
    try:
        process.wait()
    except BaseException:
        kill_group(process)
        raise
    finally:
        timer.cancel()
    if timed_out.is_set():
        raise ProgramTimedOut(f"did not finish within {timeout_s:g} s")
    return Output(process.exit_code, process.stdout, process.stderr.decode(errors="replace"))


def start(
    program: str,
    *arguments: str,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> sh.RunningCommand:
    """Start a program in a process group of its own: its children end with it. Raises OSError.

    `on_line` gets each line of its output and of its errors.
    """
    try:
        command = sh.Command(program)
    except sh.CommandNotFound:
        raise FileNotFoundError(f"{program} is not on PATH") from None
    with Path(os.devnull).open() as nothing:
        try:
            process: sh.RunningCommand = command(
                *arguments,
                _bg=True,
                _bg_exc=False,  # statuses are for the caller: an exception of sh would show the arguments
                _cwd=str(folder) if folder else None,
                _env=dict(without_credentials() if environment is None else environment),
                _err_to_out=on_line is not None,
                _in=nothing,
                _new_group=True,
                _new_session=False,
                _ok_code=ANY_STATUS,
                _out=on_line,
                _preexec_fn=end_with_parent(),
                _return_cmd=True,
                _tty_out=False,
            )
        except sh.ForkException:  # its text is a traceback
            reason = f"check that it is executable and that {folder or '.'} exists"
            raise OSError(f"{program} cannot be started; {reason}") from None
    return process


def kill_group(process: sh.RunningCommand | subprocess.Popen[bytes]) -> None:
    """Kill a program and its children at once."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # also if the program has ended and only its children hold the output


def end_with_parent() -> Callable[[], None]:
    """A preexec_fn. On Linux, the kernel then sends SIGTERM when the thread that started the process ends."""
    parent = os.getpid()

    def arrange() -> None:
        if _LIBC:
            _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # it ended before the call
                os.kill(os.getpid(), signal.SIGTERM)

    return arrange


def without_credentials() -> dict[str, str]:
    """This process's environment, without the run's own variables: some hold passwords and keys."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_TO_POD_")}
