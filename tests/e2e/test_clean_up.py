"""However a run on a user's own cluster ends, nothing of it stays there or on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from git_to_pod.cluster.api import Cluster
from git_to_pod.cluster.paths import api_path
from git_to_pod.cluster.waiting import wait_for
from git_to_pod.watchdog import LOG
from tests.one_run import ROOT
from tests.processes import started_with

NAMESPACE = "git-to-pod-clean-up"
OWN = (NAMESPACE, f"{NAMESPACE}-git")


class OwnCluster:
    """The lab as a cluster of the user's own, and the processes and files that a test starts there."""

    def __init__(self, lab: dict[str, Any], folder: Path) -> None:
        self.cluster = Cluster(lab["context"], Path(lab["kubeconfig"]))
        self.lab = lab
        self.folder = folder
        self.mark = f"CLEAN_UP_TEST={folder}"  # every process that a test starts inherits it
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.report = folder / "report"

    @property
    def environment(self) -> dict[str, str]:
        name, _, value = self.mark.partition("=")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_TO_POD")}
        return kept | {name: value, "TMPDIR": str(self.temporary), "PYTHONPATH": str(ROOT)}

    def evaluate(self, *options: str) -> list[str]:
        where = ["--context", self.lab["context"], "--kubeconfig", self.lab["kubeconfig"], "--namespace", NAMESPACE]
        return [sys.executable, "-m", "git_to_pod.cli.evaluate", *where, *options]

    def papermill(self) -> list[str]:
        """papermill alone, as in CI."""
        notebook = [str(ROOT / "notebooks" / "evaluation.ipynb"), str(self.folder / "out.ipynb")]
        named = ("context", "kubeconfig", "repository", "push_url", "push_credentials")
        parameters = {name: self.lab[name] for name in named} | {"credentials": self.lab["git_credentials"]}
        parameters |= {"namespace": NAMESPACE, "commits": "2", "output": str(self.report)}
        options = [word for name, value in parameters.items() for word in ("-p", name, value)]
        return [sys.executable, "-m", "papermill", *notebook, "--no-progress-bar", *options]

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=200
        )

    @contextmanager
    def in_trials(self, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
        """The running command, once its trials have begun."""
        with (self.folder / "output").open("wb") as out:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=out, stderr=out, start_new_session=True
            )
        try:
            pod = api_path("Pod", NAMESPACE, "load")

            def begun() -> bool:
                assert process.poll() is None, (self.folder / "output").read_text()[-2000:]
                return bool((self.cluster.find(pod) or {}).get("status", {}).get("phase") == "Running")

            wait_for("the trials", begun, 100, pause_s=0.2)
            yield process
        finally:
            process.kill()
            process.wait()

    def process(self, words: str) -> int:
        """The process with these words in its command line."""
        (pid,) = [pid for pid, line in started_with(self.mark).items() if words in line]
        return pid

    def namespaces(self) -> set[str]:
        return {name for name in OWN if self.cluster.find(api_path("Namespace", name=name))}

    def left(self) -> str:
        """What of the run is left, or nothing."""
        files = [str(path) for path in self.temporary.glob("git-to-pod-*")]
        processes = [line[:100] for line in started_with(self.mark).values()]
        return "; ".join([*self.namespaces(), *files, *processes])

    def wait_until_clean(self) -> None:
        wait_for("nothing left", lambda: not self.left(), 60, self.left, pause_s=0.5)


@pytest.fixture
def own(lab: dict[str, Any], tmp_path: Path) -> Iterator[OwnCluster]:
    own = OwnCluster(lab, tmp_path)
    yield own
    own.run(own.evaluate("--clean-up"))
    for pid in started_with(own.mark):
        os.kill(pid, signal.SIGKILL)


Kill = Callable[[OwnCluster, subprocess.Popen[bytes]], None]
KILLS: dict[str, Kill] = {
    "SIGTERM to papermill": lambda _, process: process.terminate(),
    "SIGKILL of papermill": lambda _, process: process.kill(),
    "SIGKILL of the kernel": lambda own, _: os.kill(own.process("ipykernel_launcher"), signal.SIGKILL),
    "SIGTERM to the process group": lambda _, process: os.killpg(process.pid, signal.SIGTERM),
}


@pytest.mark.parametrize("kill", KILLS.values(), ids=KILLS.keys())
def test_a_killed_papermill_leaves_nothing(own: OwnCluster, kill: Kill) -> None:
    with own.in_trials(own.papermill()) as process:
        assert list(own.temporary.glob("git-to-pod-*"))  # the folder with the credentials
        kill(own, process)
        process.wait(30)
        own.wait_until_clean()
    assert f"removing {NAMESPACE}" in (own.report / LOG).read_text()


KILLS_OF_THE_COMMAND: dict[str, Kill] = {
    "SIGKILL of scripts/evaluate": lambda _, process: process.kill(),
    "SIGKILL of the kernel": lambda own, _: os.kill(own.process("ipykernel_launcher"), signal.SIGKILL),
}


@pytest.mark.parametrize("kill", KILLS_OF_THE_COMMAND.values(), ids=KILLS_OF_THE_COMMAND.keys())
def test_a_killed_evaluation_leaves_nothing_not_even_its_git_host(own: OwnCluster, kill: Kill) -> None:
    command = own.evaluate("--commits", "2", "--output", str(own.report))
    with own.in_trials(command) as process:
        assert own.namespaces() == set(OWN)
        kill(own, process)
        process.wait(60)
        own.wait_until_clean()


def test_a_second_run_in_the_same_namespace_is_refused_and_the_first_goes_on(own: OwnCluster) -> None:
    with own.in_trials(own.papermill()) as first:
        accounts = ("--credentials", own.lab["git_credentials"], "--push-credentials", own.lab["push_credentials"])
        where = ("--repository", own.lab["repository"], "--push-url", own.lab["push_url"])
        second = own.run(own.evaluate(*where, *accounts, "--output", str(own.folder / "second")))
        assert second.returncode == 2, second.stderr
        assert f"error: --namespace {NAMESPACE}: the run that " in second.stderr
        assert "--replace" in second.stderr
        assert first.wait(100) == 0, (own.folder / "output").read_text()[-2000:]
    own.wait_until_clean()
    assert not (own.report / LOG).exists()  # the watchdog had nothing to do


def test_clean_up_removes_what_a_run_left_whose_watchdog_was_killed(own: OwnCluster) -> None:
    with own.in_trials(own.papermill()) as process:
        os.kill(own.process("git_to_pod.cli.remove_leftovers"), signal.SIGKILL)
        process.kill()
        process.wait()
        found = own.cluster.get(api_path("Namespace", name=NAMESPACE))["metadata"]
        assert found["labels"]["git-to-pod/run"]
        assert {"purpose", "started-by", "started", "until"} <= {
            name.removeprefix("git-to-pod/") for name in found["annotations"]
        }
        done = own.run(own.evaluate("--clean-up"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"removed namespace {NAMESPACE} (started by ")
    assert not own.namespaces()
    again = own.run(own.evaluate("--clean-up"))
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("nothing to remove on https://")


def test_a_namespace_that_does_not_terminate_is_reported_beside_the_answer(own: OwnCluster) -> None:
    accounts = ("--credentials", own.lab["git_credentials"], "--push-credentials", own.lab["push_credentials"])
    where = ("--repository", own.lab["repository"], "--push-url", own.lab["push_url"])
    command = own.evaluate(*where, *accounts, "--commits", "1", "--output", str(own.report))
    path = api_path("ConfigMap", NAMESPACE)
    with own.in_trials(command) as process:
        held = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "finalizers": ["test.test/held"]}}
        own.cluster.call("POST", path, held)
        try:
            status = process.wait(150)
            message = (own.folder / "output").read_text()
        finally:
            own.cluster.patch(f"{path}/held", {"metadata": {"finalizers": None}})
    assert status == 0, message[-2000:]
    assert f"warning: namespace {NAMESPACE} is left: " in message
    assert "test.test/held" in message
    own.wait_until_clean()  # by the watchdog


def test_the_secret_has_no_copy_in_an_annotation(own: OwnCluster) -> None:
    with own.in_trials(own.papermill()) as process:
        secret = own.cluster.get(api_path("Secret", NAMESPACE, "git-credentials"))
        assert "annotations" not in secret["metadata"]
        assert {entry["manager"] for entry in secret["metadata"]["managedFields"]} == {"git-to-pod-evaluation"}
        process.terminate()
        process.wait(30)
        own.wait_until_clean()
