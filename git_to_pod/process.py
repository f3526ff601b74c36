"""Child processes: they end with this process."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys


def end_with_parent() -> None:
    """On Linux, have the kernel send SIGTERM when the thread that started this process ends, for whatever reason."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def end(process: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM, so that papermill and JupyterLab end their kernels; after ten seconds SIGKILL to the group."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
