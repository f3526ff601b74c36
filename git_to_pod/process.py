"""Programs that this one starts."""

from __future__ import annotations

import ctypes
import signal
import sys


def end_with_parent() -> None:
    """Linux: SIGTERM when the thread that started this process ends, whatever it ends of."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
