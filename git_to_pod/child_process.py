"""Child processes: they end with this process, and get its credentials only if they need them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded here: after a fork it could deadlock
PR_SET_PDEATHSIG = 1


def end_with_parent() -> Callable[[], None]:
    """A preexec_fn. On Linux, the kernel then sends SIGTERM when the thread that started the process ends."""
    parent = os.getpid()

    def arrange() -> None:
        if _LIBC:
            _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # it ended before the call
                os.kill(os.getpid(), signal.SIGTERM)

    return arrange


def environment() -> dict[str, str]:
    """This process's environment, without the run's own variables: some hold passwords and keys."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_TO_POD_")}


def end(process: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM, so that papermill and JupyterLab end their kernels; after ten seconds SIGKILL to the group."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
