"""However a run on a user's own cluster ends, nothing of it stays there or on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from git_to_pod.app.namespace import KEPT, MARK, STARTED, STARTED_BY
from git_to_pod.cluster.paths import api_path
from git_to_pod.cluster.waiting import wait_for
from git_to_pod.watchdog import LOG, RUN_LABEL
from tests.own_cluster import OwnCluster
from tests.processes import started_with

NAMESPACE = "git-to-pod-clean-up"
OWN = (NAMESPACE, f"{NAMESPACE}-git")
NODE, SIMULATED = "simulated", "git-to-pod/simulated"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture
def own(lab: dict[str, Any], tmp_path: Path) -> Iterator[OwnCluster]:
    own = OwnCluster(lab, tmp_path, NAMESPACE)
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
        second = own.run(own.with_repository("--output", str(own.folder / "second")))
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
    command = own.with_repository("--commits", "1", "--output", str(own.report))
    path = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
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


def test_clean_up_removes_kinds_and_the_simulated_node_too(own: OwnCluster) -> None:
    """The second notebook's, with an object whose finalizer nobody removes."""
    names = {"plural": "leftovers", "singular": "leftover", "kind": "Leftover"}
    group, mark = "clean-up.test", {MARK: "true", RUN_LABEL: "0000abcd"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    kind = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"leftovers.{group}", "labels": mark},
        "spec": {"group": group, "names": names, "scope": "Namespaced", "versions": [version]},
    }
    held = {
        "apiVersion": f"{group}/v1",
        "kind": "Leftover",
        "metadata": {"name": "held", "finalizers": ["a.test/held"]},
    }
    objects, own_kind = f"/apis/{group}/v1/namespaces/{NAMESPACE}/leftovers", f"{DEFINITIONS}/leftovers.{group}"
    own.cluster.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE, "labels": mark}})
    own.cluster.call("POST", "/api/v1/nodes", {"metadata": {"name": NODE, "labels": {SIMULATED: "true"}}})
    own.cluster.call("POST", DEFINITIONS, kind)
    wait_for("the new kind", lambda: own.cluster.request("GET", objects).status == 200, 30, pause_s=0.2)
    own.cluster.call("POST", objects, held)
    lab = ("--context", own.lab["context"], "--kubeconfig", own.lab["kubeconfig"])
    done = own.run([sys.executable, "-m", "git_to_pod.cli.evaluate", *lab, "--clean-up"])
    assert done.returncode == 0, done.stderr
    wait_for("the end of the kind", lambda: own.cluster.find(own_kind) is None, 30, pause_s=0.2)
    assert own.cluster.find(f"/api/v1/nodes/{NODE}") is None
    assert not own.namespaces()
    assert {
        f"removed customresourcedefinition leftovers.{group}",
        f"removed node {NODE}",
        f"removed namespace {NAMESPACE}",
    } <= {*done.stdout.splitlines()}


def test_a_kept_namespace_of_another_run_goes_only_with_replace(own: OwnCluster) -> None:
    labels = {MARK: "true", RUN_LABEL: "0000abcd"}
    notes = {KEPT: "true", STARTED_BY: "ann@laptop", STARTED: "2026-11-25T10:00:00Z"}
    kept = {"metadata": {"name": NAMESPACE, "labels": labels, "annotations": notes}}
    uid = own.cluster.call("POST", "/api/v1/namespaces", kept)["metadata"]["uid"]
    path, command = f"/api/v1/namespaces/{NAMESPACE}", own.with_repository("--output", str(own.report))
    refused = own.run(command)
    assert refused.returncode == 2, refused.stderr
    assert "the run that ann@laptop started at 2026-11-25T10:00:00Z kept it (--keep)" in refused.stderr
    assert own.cluster.get(path)["metadata"]["uid"] == uid
    process = own.start([*command, "--replace"])
    try:
        new = lambda: (own.cluster.find(path) or {"metadata": {"uid": uid}})["metadata"]["uid"] != uid  # noqa: E731
        wait_for(
            "a namespace of the new run", new, 60, lambda: (own.folder / "output").read_text()[-2000:], pause_s=0.2
        )
        process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.wait()
    own.wait_until_clean()


def test_no_process_of_a_run_has_a_secret_in_its_arguments(own: OwnCluster) -> None:
    folders = [Path(own.lab[name]) for name in ("git_credentials", "push_credentials")]
    secrets = [(folder / "password").read_text().strip() for folder in folders]
    seen: dict[int, str] = {}
    process = own.start(own.with_repository("--commits", "1", "--output", str(own.report)))
    try:
        while process.poll() is None and not (own.cluster.find(f"/api/v1/namespaces/{NAMESPACE}/pods/load")):
            seen |= started_with(own.mark)
            time.sleep(0.05)
        process.terminate()
        process.wait(60)
    finally:
        process.kill()
        process.wait()
    assert any("kubectl" in line for line in seen.values())
    assert any(line.split()[0].endswith("git") for line in seen.values())
    assert not [line for line in seen.values() for secret in secrets if secret in line]
    own.wait_until_clean()
