"""The lab as a cluster of a user's own, with a run's processes and files, which a test looks for afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from git_to_pod.cluster.api import Cluster
from git_to_pod.cluster.waiting import wait_for
from tests.one_run import ROOT
from tests.processes import started_with


class OwnCluster:
    """The lab as a cluster of the user's own, and the processes and files that a test starts there."""

    def __init__(self, lab: dict[str, Any], folder: Path, namespace: str, ref: str = "main") -> None:
        self.cluster = Cluster(lab["context"], Path(lab["kubeconfig"]))
        self.lab = lab
        self.namespace = namespace
        self.ref = ref  # of the lab's repository
        self.variables: dict[str, str] = {}  # of its processes, beside those of this one
        self.folder = folder
        self.mark = f"CLEAN_UP_TEST={folder}"  # every process that a test starts inherits it
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.report = folder / "report"

    @property
    def environment(self) -> dict[str, str]:
        name, _, value = self.mark.partition("=")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_TO_POD")}
        return kept | {name: value, "TMPDIR": str(self.temporary), "PYTHONPATH": str(ROOT)} | self.variables

    def evaluate(self, *options: str) -> list[str]:
        where = ["--context", self.lab["context"], "--kubeconfig", self.lab["kubeconfig"]]
        return [sys.executable, "-m", "git_to_pod.cli.evaluate", *where, "--namespace", self.namespace, *options]

    def clean_up_all(self) -> list[str]:
        where = ["--context", self.lab["context"], "--kubeconfig", self.lab["kubeconfig"]]
        return [sys.executable, "-m", "git_to_pod.cli.evaluate", *where, "--clean-up"]

    def with_repository(self, *options: str) -> list[str]:
        """`evaluate` with the lab's repository, so that no git host is deployed."""
        accounts = ["--credentials", self.lab["git_credentials"], "--push-credentials", self.lab["push_credentials"]]
        where = ["--repository", self.lab["repository"], "--push-url", self.lab["push_url"], "--ref", self.ref]
        return self.evaluate(*where, *accounts, *options)

    def papermill(self) -> list[str]:
        """papermill alone, as in CI."""
        notebook = [str(ROOT / "notebooks" / "evaluation.ipynb"), str(self.folder / "out.ipynb")]
        named = ("context", "kubeconfig", "repository", "push_url", "push_credentials")
        parameters = {name: self.lab[name] for name in named} | {"credentials": self.lab["git_credentials"]}
        parameters |= {"namespace": self.namespace, "ref": self.ref, "commits": "2", "output": str(self.report)}
        options = [word for name, value in parameters.items() for word in ("-p", name, value)]
        return [sys.executable, "-m", "papermill", *notebook, "--no-progress-bar", *options]

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=200
        )

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        """The running command, in a session of its own. Its output goes to a file."""
        with (self.folder / "output").open("wb") as out:
            return subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=out, stderr=out, start_new_session=True
            )

    @contextmanager
    def in_trials(self, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
        """The running command, once its trials have begun."""
        process = self.start(command)
        try:
            pod = f"/api/v1/namespaces/{self.namespace}/pods/load"

            def begun() -> bool:
                assert process.poll() is None, self.output()
                return bool((self.cluster.find(pod) or {}).get("status", {}).get("phase") == "Running")

            wait_for("the trials", begun, 200, self.output, pause_s=0.2)
            yield process
        finally:
            process.kill()
            process.wait()

    def output(self) -> str:
        """The end of what the command that was started last has printed."""
        return (self.folder / "output").read_text()[-4000:]

    def kill_all(self) -> None:
        """Of the processes that were started here: those of a test that has failed."""
        for pid in started_with(self.mark):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def processes(self, words: str) -> list[int]:
        """The processes with these words in their command line."""
        return [pid for pid, line in started_with(self.mark).items() if words in line]

    def process(self, words: str) -> int:
        (pid,) = self.processes(words)
        return pid

    def namespaces(self) -> set[str]:
        return {
            name
            for name in (self.namespace, f"{self.namespace}-git")
            if self.cluster.find(f"/api/v1/namespaces/{name}")
        }

    def left(self) -> str:
        """What of the run is left, or nothing."""
        files = [str(path) for path in self.temporary.glob("git-to-pod-*")]
        processes = [line[:100] for line in started_with(self.mark).values()]
        return "; ".join([*self.namespaces(), *files, *processes])

    def wait_until_clean(self) -> None:
        wait_for("nothing left", lambda: not self.left(), 60, self.left, pause_s=0.5)
