"""The end of papermill or JupyterLab: their kernels end too."""

from __future__ import annotations

import subprocess
from contextlib import suppress

import psutil

from git_to_pod.programs import kill_group
from git_to_pod.watchdog import RUN, run_id

END_S = 10.0
KERNEL = "ipykernel_launcher"  # the module that every IPython kernel runs
KERNEL_END_S = 2.0  # a kernel ends within a second of its parent


def end(process: subprocess.Popen[bytes]) -> None:
    """End papermill or JupyterLab, if it runs, and this run's kernels, which have sessions of their own.

    SIGTERM, with which they end their kernels; after ten seconds SIGKILL to the group. A kernel that is left is killed,
    also if somebody has stopped it. Nothing else is: JupyterLab may have started the user's browser.
    """
    kernels = kernels_of_this_run()
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            kill_group(process)
            process.wait(END_S)
    _, left = psutil.wait_procs(kernels, KERNEL_END_S)
    for kernel in left:
        with suppress(psutil.NoSuchProcess):
            kernel.kill()
    psutil.wait_procs(left, KERNEL_END_S)


def kernels_of_this_run() -> list[psutil.Process]:
    """The IPython kernels with this run's id in their environment, whether or not their parent lives."""
    found = []
    for each in psutil.process_iter():
        with suppress(psutil.Error):  # it has ended, or is another user's
            if KERNEL in each.cmdline() and each.environ().get(RUN) == run_id():
                found.append(each)
    return found
