"""What the deployment expects of Reloader, which runs as in manifests/reloader.yaml with that Role and no other.

The Deployments have no pods: a restart is a changed pod template, which the generation counts.
"""

import hashlib
import itertools
from functools import partial
from typing import Any

import pytest
import yaml

from tests.contract.conftest import image_of
from tests.contract.kubectl import MANIFESTS, NAMESPACE, Kubectl, manifest

STAMP = "second STAKATER_GIT_COMMIT_CONFIGMAP"
READER = {"name": "commit", "valueFrom": {"configMapKeyRef": {"name": "git-commit", "key": "commit"}}}
rounds = itertools.count()


def deployment(name: str, environment: list[dict[str, Any]], watches: str = "") -> dict[str, Any]:
    containers = [{"name": "first", "image": "x"}, {"name": "second", "image": "x", "env": environment}]
    annotations = {"configmap.reloader.stakater.com/reload": watches} if watches else {}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers}},
        },
    }


def config_map(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


@pytest.fixture(scope="module", autouse=True)
def reloader(kubectl: Kubectl) -> None:
    documents = list(yaml.safe_load_all((MANIFESTS / "reloader.yaml").read_text()))
    for document in documents:
        for subject in document.get("subjects", []):
            subject["namespace"] = NAMESPACE
    kubectl.apply(
        config_map("git-commit"),
        config_map("marker"),
        deployment("watched", [READER], watches="other, git-.*"),
        deployment("unwatched", [READER]),
        deployment("marker", [], watches="marker"),
        *documents,
    )
    scale(kubectl, 1)
    settle(kubectl)


def scale(kubectl: Kubectl, replicas: int) -> None:
    kubectl.run("scale", "deployment/reloader", f"--replicas={replicas}")
    if replicas:
        kubectl.run("rollout", "status", "deployment/reloader", "--timeout=60s")
    else:
        kubectl.wait("Reloader is gone", lambda: not kubectl.get("pods", selector="app=reloader")["items"])


def put(kubectl: Kubectl, name: str, value: str) -> str:
    """Set a ConfigMap's data and return its hash as a stamp has it: SHA-1 of key=value."""
    kubectl.run("patch", "configmap", name, f'--patch={{"data": {{"commit": "{value}"}}}}')
    return hashlib.sha1(f"commit={value}".encode()).hexdigest()


def stamped(kubectl: Kubectl, name: str, wanted: dict[str, str]) -> bool:
    """Whether these are the stamps of a Deployment: the hash by container and variable."""
    containers = kubectl.get("deployment", name)["spec"]["template"]["spec"]["containers"]
    return wanted == {
        f"{container['name']} {variable['name']}": variable.get("value", "")
        for container in containers
        for variable in container.get("env", [])
        if variable["name"].startswith("STAKATER_")
    }


def restarts(kubectl: Kubectl, name: str = "watched") -> int:
    return int(kubectl.get("deployment", name)["metadata"]["generation"]) - 1


def events(kubectl: Kubectl) -> set[tuple[str, str]]:
    return {(event["reason"], event["involvedObject"]["name"]) for event in kubectl.get("events")["items"]}


def settle(kubectl: Kubectl) -> None:
    """Return when Reloader is through with all that came before. It takes changes in turn, but at its start in any
    order: the second marker comes after that."""
    for _ in range(2):
        mark = put(kubectl, "marker", str(next(rounds)))
        kubectl.wait("the marker", partial(stamped, kubectl, "marker", {"first STAKATER_MARKER_CONFIGMAP": mark}))


def test_the_program_is_the_expected_one(kubectl: Kubectl, sources: dict[str, str]) -> None:
    said = kubectl.logs("deployment/reloader").splitlines()[0]
    assert ("STAND-IN" in said) == (sources[image_of("reloader.yaml")] == "stand-in"), said


def test_an_unknown_flag_is_refused(kubectl: Kubectl) -> None:
    refused = kubectl.exec("deployment/reloader", "/manager", "--no-such-flag", check=False)
    assert refused.returncode == 1
    assert "no-such-flag" in refused.stderr


def test_changed_data_stamps_the_container_that_reads_it_once(kubectl: Kubectl) -> None:
    before = restarts(kubectl)
    stamp = put(kubectl, "git-commit", "a")
    kubectl.wait("stamped", lambda: stamped(kubectl, "watched", {STAMP: stamp}))
    settle(kubectl)
    assert restarts(kubectl) == before + 1
    kubectl.wait("its event", lambda: ("Reloaded", "watched") in events(kubectl))


def test_metadata_and_the_same_data_restart_nothing(kubectl: Kubectl) -> None:
    before = restarts(kubectl)
    kubectl.run("annotate", "configmap", "git-commit", "git-to-pod/published=now")
    put(kubectl, "git-commit", "a")
    settle(kubectl)
    kubectl.run("delete", "configmap", "git-commit")
    kubectl.apply(config_map("git-commit") | {"data": {"commit": "a"}})
    settle(kubectl)
    assert restarts(kubectl) == before


def test_what_changes_while_it_is_down_is_caught_up_once(kubectl: Kubectl) -> None:
    before = restarts(kubectl)
    scale(kubectl, 0)
    put(kubectl, "git-commit", "lost")
    stamp = put(kubectl, "git-commit", "b")
    scale(kubectl, 1)
    kubectl.wait("caught up", lambda: stamped(kubectl, "watched", {STAMP: stamp}))
    settle(kubectl)
    assert restarts(kubectl) == before + 1


def test_its_own_restart_restarts_nothing(kubectl: Kubectl) -> None:
    before = restarts(kubectl)
    scale(kubectl, 0)
    scale(kubectl, 1)
    settle(kubectl)
    assert restarts(kubectl) == before


def test_a_deployment_without_the_annotation_is_left_alone(kubectl: Kubectl) -> None:
    assert restarts(kubectl, "unwatched") == 0


def test_it_answers_its_probe_and_counts_its_restarts(kubectl: Kubectl) -> None:
    (pod,) = kubectl.get("pods", selector="app=reloader")["items"]
    proxy = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}:9090/proxy"
    assert kubectl.run("get", f"--raw={proxy}/live").stdout == "alive"
    assert 'reloader_reload_executed_total{success="true"}' in kubectl.run("get", f"--raw={proxy}/metrics").stdout


def test_the_role_of_the_manifest_is_enough_and_has_no_secrets(kubectl: Kubectl) -> None:
    assert "forbidden" not in kubectl.logs("deployment/reloader").lower()
    account = manifest("reloader.yaml", "ServiceAccount")["metadata"]
    user = f"--as=system:serviceaccount:{NAMESPACE}:{account['name']}"
    assert kubectl.run("auth", "can-i", "get", "secrets", user, check=False).stdout.strip() == "no"
