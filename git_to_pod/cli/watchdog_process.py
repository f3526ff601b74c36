"""The watchdog's own process: it waits for the end of a run's process, then removes what the run left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from git_to_pod.cluster.paths import api_path
from git_to_pod.watchdog import PREFIX, RUN, RUN_LABEL

if TYPE_CHECKING:
    from git_to_pod.cluster.api import Cluster, Object

SETTLE_S = 10.0  # a kubectl that the run started may outlive it and create the namespace again
PAUSE_S = 1.0
CLUSTER_SCOPED = (api_path("CustomResourceDefinition"), api_path("Node"))


def open_cluster(context: str, kubeconfig: str) -> Cluster:
    from git_to_pod.cluster.api import Cluster  # only here: until then the process needs little memory

    return Cluster(context, Path(kubeconfig) if kubeconfig else None)


def restore_lab() -> None:
    """Start what the run's faults have stopped in the running lab, first of all its API server."""
    from git_to_pod.experiments.faults.undo_after_kill import restore
    from git_to_pod.settings import running_lab

    if lab := running_lab():
        restore(lab)


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
            self.namespaces = {}  # its folders should be gone too; one in which a child still wrote may not be

    def remove(self) -> bool:
        """Remove everything, and retry until the time limit. False if something remains."""
        self.remove_paths()
        if not self.namespaces:
            return True
        self.log(f"the process of run {self.run} has ended; removing {', '.join(self.namespaces)}")
        if any(line.get("lab") for line in self.namespaces.values()):
            with suppress(Exception):  # the lab may have ended with the run
                restore_lab()
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
        self.log("gave up; scripts/evaluate --clean-up --context NAME [--kubeconfig FILE] removes what remains")
        return False

    def remove_paths(self) -> None:
        for path in self.paths:
            shutil.rmtree(path, ignore_errors=True)

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
            except Exception as error:  # noqa: BLE001  # any failure may pass: API server, network, login program
                found.append(f"namespace {name}: {' '.join(str(error).split())}")
        return found

    def is_of_this_run(self, item: Object) -> bool:
        return bool(item["metadata"].get("labels", {}).get(RUN_LABEL) == self.run)

    def pending_namespace(self, cluster: Cluster, name: str) -> list[str]:
        path = api_path("Namespace", name=name)
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
    os.environ[RUN] = run  # this process needs no watchdog
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
