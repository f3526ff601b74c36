"""Child processes that end with their parent."""

import ctypes
import os
import signal
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # loaded here, because loading it after a fork could deadlock


def die_with_parent() -> Callable[[], None]:
    """A preexec_fn: the kernel kills the child when the thread that started it ends, even by SIGKILL."""
    parent = os.getpid()

    def arrange() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the call
            os.kill(os.getpid(), signal.SIGKILL)

    return arrange
