"""However a run on a user's own cluster ends, nothing of it stays there or on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from git_to_pod.app.namespace import KEPT, MARK, STARTED, STARTED_BY, UNTIL
from git_to_pod.cluster.paths import api_path
from git_to_pod.cluster.waiting import wait_for
from git_to_pod.settings import Parameters, resolve
from git_to_pod.watchdog import LOG, RUN_LABEL
from tests.e2e.test_deployment import branch
from tests.own_cluster import OwnCluster
from tests.processes import started_with

NAMESPACE = "git-to-pod-clean-up"
AT_ONCE = 4
NODE, SIMULATED = "simulated", "git-to-pod/simulated"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


Scenario = Callable[[OwnCluster], None]
Kill = Callable[[OwnCluster, subprocess.Popen[bytes]], None]


def terminate(_: OwnCluster, process: subprocess.Popen[bytes]) -> None:
    process.terminate()


def kill(_: OwnCluster, process: subprocess.Popen[bytes]) -> None:
    process.kill()


def terminate_group(_: OwnCluster, process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)


def kill_kernel(own: OwnCluster, _: subprocess.Popen[bytes]) -> None:
    os.kill(own.process("ipykernel_launcher"), signal.SIGKILL)


def assert_no_copy_of_the_secret(own: OwnCluster) -> None:
    """In an annotation, where `kubectl apply` would leave one."""
    secret = own.cluster.get(api_path("Secret", own.namespace, "git-credentials"))
    assert "annotations" not in secret["metadata"]
    assert {entry["manager"] for entry in secret["metadata"]["managedFields"]} == {"git-to-pod-evaluation"}


def killed_papermill(how: Kill) -> Scenario:
    def scenario(own: OwnCluster) -> None:
        with own.in_trials(own.papermill()) as process:
            assert list(own.temporary.glob("git-to-pod-*"))  # the folder with the credentials
            assert_no_copy_of_the_secret(own)
            how(own, process)
            process.wait(30)
            own.wait_until_clean()
        assert f"removing {own.namespace}" in (own.report / LOG).read_text()

    return scenario


def killed_evaluation(how: Kill) -> Scenario:
    """With a git host of the run's own."""

    def scenario(own: OwnCluster) -> None:
        with own.in_trials(own.evaluate("--commits", "2", "--output", str(own.report))) as process:
            assert own.namespaces() == {own.namespace, f"{own.namespace}-git"}
            how(own, process)
            process.wait(60)
            own.wait_until_clean()

    return scenario


def refused_second_run(own: OwnCluster) -> None:
    """In the namespace of the first, which goes on."""
    with own.in_trials(own.papermill()) as first:
        second = own.run(own.with_repository("--output", str(own.folder / "second")))
        assert second.returncode == 2, second.stderr
        assert f"error: --namespace {own.namespace}: the run that " in second.stderr
        assert "--replace" in second.stderr
        assert first.wait(200) == 0, own.output()
    own.wait_until_clean()
    assert not (own.report / LOG).exists()  # the watchdog had nothing to do


def cleaned_up_without_watchdog(own: OwnCluster) -> None:
    with own.in_trials(own.papermill()) as process:
        os.kill(own.process("git_to_pod.cli.watchdog_process"), signal.SIGKILL)
        process.kill()
        process.wait()
        found = own.cluster.get(api_path("Namespace", name=own.namespace))["metadata"]
        assert found["labels"]["git-to-pod/run"]
        assert {"purpose", "started-by", "started", "until"} <= {
            name.removeprefix("git-to-pod/") for name in found["annotations"]
        }
        done = own.run(own.evaluate("--clean-up"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"removed namespace {own.namespace} (started by ")
    assert not own.namespaces()
    again = own.run(own.evaluate("--clean-up"))
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("nothing to remove on https://")


def namespace_that_does_not_terminate(own: OwnCluster) -> None:
    """It is reported beside the answer, and the watchdog removes it later."""
    path = f"/api/v1/namespaces/{own.namespace}/configmaps"
    with own.in_trials(own.with_repository("--commits", "1", "--output", str(own.report))) as process:
        held = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "finalizers": ["test.test/held"]}}
        own.cluster.call("POST", path, held)
        try:
            status = process.wait(200)
        finally:
            own.cluster.patch(f"{path}/held", {"metadata": {"finalizers": None}})
    assert status == 0, own.output()
    assert f"warning: namespace {own.namespace} is left: " in own.output()
    assert "test.test/held" in own.output()
    own.wait_until_clean()


def no_secret_in_the_arguments_of_a_process(own: OwnCluster) -> None:
    folders = [Path(own.lab[name]) for name in ("git_credentials", "push_credentials")]
    secrets = [(folder / "password").read_text().strip() for folder in folders]
    seen: dict[int, str] = {}
    process = own.start(own.with_repository("--commits", "1", "--output", str(own.report)))
    try:
        while process.poll() is None and not (own.cluster.find(f"/api/v1/namespaces/{own.namespace}/pods/load")):
            seen |= started_with(own.mark)
            time.sleep(0.05)
        process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.wait()
    assert any("kubectl" in line for line in seen.values())
    assert any(line.split(" ")[0].endswith("git") for line in seen.values())  # a line is empty once its process ended
    assert not [line for line in seen.values() for secret in secrets if secret in line]
    own.wait_until_clean()


def kept_namespace_of_another_run(own: OwnCluster) -> None:
    """It goes only with --replace."""
    labels = {MARK: "true", RUN_LABEL: "0000abcd"}
    notes = {KEPT: "true", STARTED_BY: "ann@laptop", STARTED: "2026-11-25T10:00:00Z"}
    kept = {"metadata": {"name": own.namespace, "labels": labels, "annotations": notes}}
    uid = own.cluster.call("POST", "/api/v1/namespaces", kept)["metadata"]["uid"]
    path, command = f"/api/v1/namespaces/{own.namespace}", own.with_repository("--output", str(own.report))
    refused = own.run(command)
    assert refused.returncode == 2, refused.stderr
    assert "the run that ann@laptop started at 2026-11-25T10:00:00Z keeps it (--keep)" in refused.stderr
    assert own.cluster.get(path)["metadata"]["uid"] == uid
    process = own.start([*command, "--replace"])
    try:
        new = lambda: (own.cluster.find(path) or {"metadata": {"uid": uid}})["metadata"]["uid"] != uid  # noqa: E731
        wait_for("a namespace of the new run", new, 120, own.output, pause_s=0.2)
        process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.wait()
    own.wait_until_clean()


SCENARIOS: dict[str, Scenario] = {
    "namespace that does not terminate": namespace_that_does_not_terminate,  # the longest
    "SIGTERM to papermill": killed_papermill(terminate),
    "SIGKILL of papermill": killed_papermill(kill),
    "SIGKILL of papermill's kernel": killed_papermill(kill_kernel),
    "SIGTERM to papermill's process group": killed_papermill(terminate_group),
    "SIGTERM to scripts/evaluate": killed_evaluation(terminate),
    "SIGKILL of scripts/evaluate": killed_evaluation(kill),
    "SIGKILL of its kernel": killed_evaluation(kill_kernel),
    "refused second run": refused_second_run,
    "no secret in the arguments of a process": no_secret_in_the_arguments_of_a_process,
    "cleaned up without watchdog": cleaned_up_without_watchdog,
    "kept namespace of another run": kept_namespace_of_another_run,
}


@pytest.fixture(scope="module")
def endings(
    request: pytest.FixtureRequest, lab: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Future[None]]:
    """The chosen scenarios, a few at a time, because each mostly waits. Each has a namespace of its own."""
    functions = [item for item in request.session.items if isinstance(item, pytest.Function)]
    chosen = [str(item.callspec.params["scenario"]) for item in functions if "endings" in item.fixturenames]

    def play(name: str, folder: Path, namespace: str) -> None:
        settings = resolve(Parameters(namespace=namespace, ref=f"e2e/{namespace}", output=str(folder / "report")))
        with branch(settings):  # their pushes must not mix
            own = OwnCluster(lab, folder, namespace, settings.ref)
            try:
                SCENARIOS[name](own)
            finally:
                own.kill_all()
                with suppress(subprocess.TimeoutExpired):
                    own.run(own.evaluate("--clean-up"))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        started = {
            name: pool.submit(play, name, tmp_path_factory.mktemp("run"), f"{NAMESPACE}-{number}")
            for number, name in enumerate(chosen)
        }
        try:
            wait(started.values())
        except BaseException:  # Ctrl-C: those that run are played to their end, and no other begins
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return started


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_nothing_stays_on_the_cluster_or_on_this_machine(endings: dict[str, Future[None]], scenario: str) -> None:
    endings[scenario].result()


@pytest.fixture
def own(lab: dict[str, Any], tmp_path: Path) -> Iterator[OwnCluster]:
    own = OwnCluster(lab, tmp_path, NAMESPACE)
    yield own
    own.kill_all()
    own.run(own.evaluate("--clean-up"))


def test_clean_up_leaves_a_namespace_that_a_run_may_still_use(own: OwnCluster) -> None:
    labels = {MARK: "true", RUN_LABEL: "0000abcd"}
    notes = {STARTED_BY: "ann@laptop", STARTED: "2026-11-25T10:00:00Z", UNTIL: "2999-01-01T00:00:00Z"}
    metadata = {"name": NAMESPACE, "labels": labels, "annotations": notes}
    own.cluster.call("POST", "/api/v1/namespaces", {"metadata": metadata})
    left = own.run(own.clean_up_all())
    assert left.returncode == 0, left.stderr
    assert (
        f"left namespace {NAMESPACE}: the run that ann@laptop started at 2026-11-25T10:00:00Z may use it" in left.stdout
    )
    assert own.namespaces() == {NAMESPACE}
    named = own.run(own.evaluate("--clean-up"))
    assert named.returncode == 0, named.stderr
    assert not own.namespaces()


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
    done = own.run(own.clean_up_all())
    assert done.returncode == 0, done.stderr
    wait_for("the end of the kind", lambda: own.cluster.find(own_kind) is None, 30, pause_s=0.2)
    assert own.cluster.find(f"/api/v1/nodes/{NODE}") is None
    assert not own.namespaces()
    assert {
        f"removed customresourcedefinition leftovers.{group}",
        f"removed node {NODE}",
        f"removed namespace {NAMESPACE}",
    } <= {*done.stdout.splitlines()}
