"""Removes what a run created if its process ends without cleaning up, even by SIGKILL.

The watchdog is a process in a session of its own. It reads a pipe whose write end only the run's process holds, so the
pipe ends when that process does. Until then the run's process says what to remove, one JSON object per line.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from git_to_pod.child_process import environment

if TYPE_CHECKING:
    from git_to_pod.cluster.api import Cluster, Object

ROOT = Path(__file__).parent.parent
RUN_LABEL = "git-to-pod/run"  # label with the run's id on its namespaces and on its cluster-scoped objects
# The run's id, set by scripts/evaluate and scripts/notebook for the notebook's kernel. Their watchdog serves it too.
RUN = "GIT_TO_POD_RUN"
PREFIX = "git-to-pod-"  # of every temporary folder
LOG = "watchdog.log"  # in the run's output folder, if the watchdog had to remove anything
LIMIT_S = 300.0  # the API server may be away for a while
LAB_LIMIT_S = 60.0  # a lab that has ended does not come back
SETTLE_S = 10.0  # a kubectl that the run started may outlive it and create the namespace again
PAUSE_S = 1.0
END_S = 5.0
CLUSTER_SCOPED = ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "/api/v1/nodes")


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
            [sys.executable, "-P", "-m", "git_to_pod.watchdog", run_id(), str(outside)],
            env=environment() | {"PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # signals to the run's process group do not reach it
        )
        self.write(self.lines)

    def tell(self, **line: Any) -> None:  # noqa: ANN401  # JSON
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
        left = Leftovers(run_id())
        for line in self.lines:
            left.take(line)
        return list(left.namespaces)

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


_own = Watchdog()


def guard_namespace(cluster: Cluster, namespace: str, *, lab: bool = False) -> None:
    """Have the namespace removed if this process ends. Call this before you create it."""
    guard_client(cluster)
    kubeconfig = str(cluster.kubeconfig.absolute()) if cluster.kubeconfig else ""
    limit_s = LAB_LIMIT_S if lab else LIMIT_S
    _own.tell(namespace=namespace, context=cluster.context, kubeconfig=kubeconfig, limit_s=limit_s)


def guard_client(cluster: Cluster) -> None:
    """The Kubernetes client writes certificates and keys of a kubeconfig to temporary files."""
    with suppress(AttributeError):
        options = cluster.api.configuration
        for file in (options.ssl_ca_cert, options.cert_file, options.key_file):
            if file and Path(file).parent == Path(tempfile.gettempdir()):
                guard_path(Path(file))


def guard_path(path: Path) -> None:
    """Have a temporary folder or file removed if this process ends."""
    _own.tell(path=str(path.absolute()))


def guarded() -> list[str]:
    """The namespaces that this process has not removed yet."""
    return _own.namespaces()


def forget(namespace: str) -> None:
    """The namespace is gone, or was never created."""
    if namespace in guarded():
        _own.tell(forget=namespace)


def forget_namespaces() -> None:
    """The cluster is gone, and all namespaces with it."""
    for namespace in guarded():
        _own.tell(forget=namespace)


def log_to(folder: Path) -> None:
    """The output folder of the run."""
    _own.tell(log=str(folder.absolute() / LOG))


def end() -> None:
    """End this process's watchdog, after the run has cleaned up."""
    _own.end()


# From here on: the watchdog's own process


def open_cluster(context: str, kubeconfig: str) -> Cluster:
    from git_to_pod.cluster.api import Cluster  # only here: until then the process needs little memory

    return Cluster(context, Path(kubeconfig) if kubeconfig else None)


class Leftovers:
    """What the run has created and not yet removed."""

    def __init__(self, run: str, connect: Callable[[str, str], Cluster] = open_cluster) -> None:
        self.run = run
        self.connect = connect
        self.paths: list[Path] = []
        self.namespaces: dict[str, dict[str, Any]] = {}
        self.log_file: Path | None = None
        self.last_logged = ""

    def take(self, line: dict[str, Any]) -> None:
        """Read one line from the run's process."""
        if "path" in line:
            self.paths.append(Path(line["path"]))
        elif "namespace" in line:
            self.namespaces[line["namespace"]] = line
        elif "forget" in line:
            self.namespaces.pop(line["forget"], None)
        elif "log" in line:
            self.log_file = Path(line["log"])
        elif "done" in line:
            self.paths, self.namespaces = [], {}

    def remove(self) -> bool:
        """Remove everything, and retry until the time limit. False if something remains."""
        self.remove_paths()
        if not self.namespaces:
            return True
        self.log(f"the process of run {self.run} has ended; removing {', '.join(self.namespaces)}")
        deadline = time.monotonic() + max(line["limit_s"] for line in self.namespaces.values())
        gone_since: float | None = None
        while (now := time.monotonic()) < deadline:
            waits = self.pending()
            if waits:
                gone_since = None
                self.log("; ".join(waits))
            elif gone_since is None:
                gone_since = now
                self.log("everything is removed")
            elif now - gone_since > SETTLE_S:
                self.remove_paths()  # the run's child processes have ended by now
                return True
            time.sleep(PAUSE_S)
        self.log("gave up; scripts/evaluate --clean-up --context NAME removes what remains")
        return False

    def remove_paths(self) -> None:
        for path in self.paths:
            shutil.rmtree(path, ignore_errors=True)
            with suppress(OSError):
                path.unlink()

    def pending(self) -> list[str]:
        """Request the deletion of everything that exists, and say what still does or cannot be removed."""
        found = []
        clusters: dict[tuple[str, str], Cluster] = {}
        for name, line in self.namespaces.items():
            where = (line["context"], line["kubeconfig"])
            try:
                if where not in clusters:
                    clusters[where] = self.connect(*where)
                    found += self.pending_cluster_scoped(clusters[where])
                found += self.pending_namespace(clusters[where], name)
            except Exception as error:  # every kind of failure may pass: the API server, the network, a login program
                found.append(f"namespace {name}: {' '.join(str(error).split())}")
        return found

    def is_of_this_run(self, item: Object) -> bool:
        return bool(item["metadata"].get("labels", {}).get(RUN_LABEL) == self.run)

    def pending_namespace(self, cluster: Cluster, name: str) -> list[str]:
        path = f"/api/v1/namespaces/{name}"
        found = cluster.find(path)
        if found is None or not self.is_of_this_run(found):
            return []
        cluster.delete(path)
        cluster.delete(f"{path}/pods", gracePeriodSeconds="1")  # the pods need no grace period any more
        return [f"namespace {name}: terminating"]

    def pending_cluster_scoped(self, cluster: Cluster) -> list[str]:
        """The second notebook's kinds and its simulated node. A user may lack the rights, and then has none of them."""
        from git_to_pod.cluster.api import ApiError
        from git_to_pod.experiments.alternatives.flux import release

        found = []
        for path in CLUSTER_SCOPED:
            try:
                items = cluster.items(path, labelSelector=f"{RUN_LABEL}={self.run}")
            except ApiError as error:
                if error.status in (401, 403, 404):
                    continue
                raise
            for item in items:
                name = item["metadata"]["name"]
                if path == CLUSTER_SCOPED[0]:
                    release(cluster, item["spec"]["names"]["plural"], item["spec"]["group"])
                cluster.delete(f"{path}/{name}")
                found.append(f"{path.rpartition('/')[2]} {name}: deletion requested")
        return found

    def log(self, text: str) -> None:
        """Append a line to the log, unless it repeats the last one."""
        if self.log_file and text != self.last_logged:
            self.last_logged = text
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            with suppress(OSError):
                self.log_file.parent.mkdir(parents=True, exist_ok=True)
                with self.log_file.open("a") as file:
                    file.write(f"{stamp} {text}\n")


def main(run: str, temporary: str) -> int:
    """Wait for the end of the run's process, then remove what it has left. Returns 0, or 1 if something remains."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends when the run does
    left = Leftovers(run)
    for line in sys.stdin.buffer:
        with suppress(ValueError):  # the process may have ended within a line
            left.take(json.loads(line))
    if not left.namespaces:
        left.remove_paths()
        return 0
    # The Kubernetes client's temporary files, in a folder that the run's end does not remove
    where = temporary if Path(temporary).is_dir() else None
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=where) as folder:
        tempfile.tempdir = folder
        try:
            return 0 if left.remove() else 1
        except BaseException:
            left.log(traceback.format_exc())
            raise


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
