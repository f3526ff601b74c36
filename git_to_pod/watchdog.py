"""Starts the process that removes what a run created if the run's process is killed before it could.

That process, cli/watchdog_process.py, has a session of its own. It reads a pipe whose write end only the run's process
holds, so the pipe ends when the run does. Until then the run says what to remove, one JSON object per line.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from git_to_pod.programs import without_credentials

if TYPE_CHECKING:
    from git_to_pod.cluster.api import Cluster

ROOT = Path(__file__).parent.parent
RUN_LABEL = "git-to-pod/run"  # label with the run's id on its namespaces and on its cluster-scoped objects
# The run's id, set by scripts/evaluate and scripts/notebook for the notebook's kernel. Their watchdog serves it too.
RUN = "GIT_TO_POD_RUN"
PREFIX = "git-to-pod-"  # of every temporary folder
LOG = "watchdog.log"  # in the run's output folder, if the watchdog had to remove anything
LIMIT_S = 300.0  # the API server may be away for a while
LAB_LIMIT_S = 60.0  # a lab that has ended does not come back
END_S = 5.0


@cache
def run_id() -> str:
    """The id of this process's run."""
    return os.environ.get(RUN) or secrets.token_hex(4)


class Watchdog:
    """The watchdog of this process. It starts with the first object that it guards."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.process: subprocess.Popen[bytes] | None = None
        self.lock = threading.Lock()

    def start(self) -> None:
        """Start the process, and tell it everything again if it replaces one that was killed."""
        outside = Path(tempfile.gettempdir())
        if outside.name.startswith(PREFIX):  # a temporary folder of the run itself
            outside = outside.parent
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "git_to_pod.cli.watchdog_process", run_id(), str(outside)],
            env=without_credentials() | {"PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # signals to the run's process group do not reach it
        )
        self.write(self.lines)

    def send(self, **line: Any) -> None:  # noqa: ANN401  # JSON
        """Send one line. Does nothing in a kernel whose run already has a watchdog."""
        with self.lock:
            if RUN in os.environ or line in self.lines[-1:]:
                return
            self.lines.append(line)
            try:
                if self.process is None:
                    self.start()
                else:
                    self.write([line])
            except BrokenPipeError:  # someone killed it
                self.start()

    def write(self, lines: Iterable[dict[str, Any]]) -> None:
        assert self.process
        assert self.process.stdin
        self.process.stdin.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        self.process.stdin.flush()

    def namespaces(self) -> list[str]:
        """The namespaces that it guards."""
        found: list[str] = []
        for line in self.lines:
            if "namespace" in line:
                found.append(line["namespace"])
            elif line.get("forget") in found:
                found.remove(line["forget"])
        return found

    def end(self) -> None:
        """End the process. If a namespace is left, it removes that first, and this does not wait for it."""
        with self.lock:
            if self.process and self.process.stdin:
                is_done = not self.namespaces()
                with suppress(BrokenPipeError):
                    if is_done:
                        self.write([{"done": True}])
                    self.process.stdin.close()
                if is_done:
                    with suppress(subprocess.TimeoutExpired):
                        self.process.wait(END_S)
            self.process, self.lines = None, []


_watchdog = Watchdog()


def guard_namespace(cluster: Cluster, namespace: str, *, lab: bool = False) -> None:
    """Have the namespace removed if this process ends. Call this before you create it."""
    kubeconfig = str(cluster.kubeconfig.absolute()) if cluster.kubeconfig else ""
    limit_s = LAB_LIMIT_S if lab else LIMIT_S
    _watchdog.send(namespace=namespace, context=cluster.context, kubeconfig=kubeconfig, limit_s=limit_s, lab=lab)


def guard_path(path: Path) -> None:
    """Have a temporary folder removed when this process ends."""
    _watchdog.send(path=str(path.absolute()))


def make_folder() -> Path:
    """Make a temporary folder for this user only. If this process is killed, however early, it is removed."""
    folder = Path(tempfile.gettempdir()).absolute() / f"{PREFIX}{secrets.token_hex(8)}"
    guard_path(folder)  # before it exists: a process can be killed between any two steps
    folder.mkdir(mode=0o700)
    return folder


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder of make_folder(), removed at the end of the block."""
    folder = make_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def guarded() -> list[str]:
    """The namespaces that this process has not removed yet."""
    return _watchdog.namespaces()


def forget(namespace: str) -> None:
    """The namespace is gone, or was never created."""
    if namespace in guarded():
        _watchdog.send(forget=namespace)


def forget_namespaces() -> None:
    """The cluster is gone, and all namespaces with it."""
    for namespace in guarded():
        _watchdog.send(forget=namespace)


def log_to(folder: Path) -> None:
    """The output folder of the run."""
    _watchdog.send(log=str(folder.absolute() / LOG))


def end() -> None:
    """End this process's watchdog, after the run has cleaned up."""
    _watchdog.end()
