"""The behaviour of Reloader that the deployment relies on. It runs as in manifests/reloader.yaml, with only that Role.

The Deployments have no pods. Each reload changes a pod template, so the Deployment's generation counts reloads.
"""

import hashlib
import itertools
from functools import partial
from typing import Any

import pytest
import yaml

from tests.contract.conftest import image_of
from tests.contract.kubectl import MANIFESTS, NAMESPACE, Kubectl, manifest

STAMP = "STAKATER_GIT_COMMIT_CONFIGMAP"
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


def app() -> dict[str, Any]:
    """The Deployment of the manifest, whose native sidecar reads git-commit, without pods."""
    app = manifest("app-deployment.yaml")
    app["spec"]["replicas"] = 0
    return app


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
        app(),
        *documents,
    )
    scale(kubectl, 1)
    settle(kubectl)


def scale(kubectl: Kubectl, replicas: int) -> None:
    kubectl.run("scale", "deployment/reloader", f"--replicas={replicas}")
    if replicas:
        kubectl.run("rollout", "status", "deployment/reloader", "--timeout=60s")
    else:
        kubectl.wait("Reloader's pod is gone", lambda: not kubectl.get("pods", selector="app=reloader")["items"])


def put(kubectl: Kubectl, name: str, value: str) -> str:
    """Set a ConfigMap's data. Return the hash that a stamp contains: the SHA-1 of key=value."""
    kubectl.run("patch", "configmap", name, f'--patch={{"data": {{"commit": "{value}"}}}}')
    return hashlib.sha1(f"commit={value}".encode()).hexdigest()


def stamped(kubectl: Kubectl, name: str, wanted: dict[str, str]) -> bool:
    """Whether a Deployment has these stamps and no others. The keys are container and variable, the values hashes."""
    spec = kubectl.get("deployment", name)["spec"]["template"]["spec"]
    return wanted == {
        f"{container['name']} {variable['name']}": variable.get("value", "")
        for container in [*spec.get("initContainers", []), *spec["containers"]]
        for variable in container.get("env", [])
        if variable["name"].startswith("STAKATER_")
    }


def restarts(kubectl: Kubectl, name: str = "watched") -> int:
    return int(kubectl.get("deployment", name)["metadata"]["generation"]) - 1


def events(kubectl: Kubectl) -> set[tuple[str, str]]:
    return {(event["reason"], event["involvedObject"]["name"]) for event in kubectl.get("events")["items"]}


def settle(kubectl: Kubectl) -> None:
    """Return once Reloader has handled all earlier changes.

    It handles changes in order, but those that it finds at its start in any order. The second marker comes after those.
    """
    for _ in range(2):
        mark = put(kubectl, "marker", str(next(rounds)))
        kubectl.wait(
            "the marker's stamp", partial(stamped, kubectl, "marker", {"first STAKATER_MARKER_CONFIGMAP": mark})
        )


def test_the_program_is_the_expected_one(kubectl: Kubectl, sources: dict[str, str]) -> None:
    message = kubectl.logs("deployment/reloader").splitlines()[0]
    assert ("STAND-IN" in message) == (sources[image_of("reloader.yaml")] == "stand-in"), message


def test_an_unknown_flag_is_rejected(kubectl: Kubectl) -> None:
    refused = kubectl.exec("deployment/reloader", "/manager", "--no-such-flag", check=False)
    assert refused.returncode == 1
    assert "no-such-flag" in refused.stderr


def test_changed_data_stamps_the_container_that_reads_it_once(kubectl: Kubectl) -> None:
    before = restarts(kubectl)
    stamp = put(kubectl, "git-commit", "a")
    kubectl.wait("the stamp", lambda: stamped(kubectl, "watched", {f"second {STAMP}": stamp}))
    settle(kubectl)
    assert restarts(kubectl) == before + 1
    kubectl.wait("the event", lambda: ("Reloaded", "watched") in events(kubectl))


def test_where_only_a_native_sidecar_reads_the_config_map_the_first_container_is_stamped(kubectl: Kubectl) -> None:
    spec = app()["spec"]["template"]["spec"]
    assert "git-commit" in str(spec["initContainers"])
    assert "git-commit" not in str(spec["containers"])
    stamp = put(kubectl, "git-commit", "sidecar")
    first = spec["containers"][0]["name"]
    kubectl.wait("the stamp", lambda: stamped(kubectl, "app", {f"{first} {STAMP}": stamp}))
    settle(kubectl)


def test_metadata_and_the_same_data_restart_nothing(kubectl: Kubectl) -> None:
    put(kubectl, "git-commit", "same")
    settle(kubectl)
    before = restarts(kubectl)
    kubectl.run("annotate", "configmap", "git-commit", "git-to-pod/published=now")
    put(kubectl, "git-commit", "same")
    settle(kubectl)
    kubectl.run("delete", "configmap", "git-commit")
    kubectl.apply(config_map("git-commit") | {"data": {"commit": "same"}})
    settle(kubectl)
    assert restarts(kubectl) == before


def test_it_catches_up_once_on_changes_made_while_it_was_down(kubectl: Kubectl) -> None:
    before = restarts(kubectl)
    scale(kubectl, 0)
    put(kubectl, "git-commit", "lost")
    stamp = put(kubectl, "git-commit", "b")
    scale(kubectl, 1)
    kubectl.wait("the stamp", lambda: stamped(kubectl, "watched", {f"second {STAMP}": stamp}))
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


def test_its_http_endpoints(kubectl: Kubectl) -> None:
    (pod,) = kubectl.get("pods", selector="app=reloader")["items"]
    proxy = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}:9090/proxy"
    assert kubectl.run("get", f"--raw={proxy}/live").stdout == "alive"
    assert 'reloader_reload_executed_total{success="true"}' in kubectl.run("get", f"--raw={proxy}/metrics").stdout


def test_the_role_of_the_manifest_is_sufficient_and_grants_no_access_to_secrets(kubectl: Kubectl) -> None:
    assert "forbidden" not in kubectl.logs("deployment/reloader").lower()
    account = manifest("reloader.yaml", "ServiceAccount")["metadata"]
    user = f"--as=system:serviceaccount:{NAMESPACE}:{account['name']}"
    assert kubectl.run("auth", "can-i", "get", "secrets", user, check=False).stdout.strip() == "no"
