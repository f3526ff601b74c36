"""Clusters with rules of their own: a quota, a taint, a pull secret, an admission policy. The lab as such a cluster."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from git_to_pod.app.namespace import MARK
from git_to_pod.cluster.api import Cluster
from git_to_pod.cluster.waiting import wait_for
from tests.one_run import ROOT
from tests.own_cluster import OwnCluster

NAMESPACE = "git-to-pod-rules"
TEAM = "team"
POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
PRIORITIES = "/apis/scheduling.k8s.io/v1/priorityclasses"
PARTS = ("git_to_pod", "lab", "manifests", "alternatives", "notebooks", "own-cluster", "sample-app")
LIMITS = {"limits": {"cpu": "1"}}
QUOTA = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "limits"},
    "spec": {"hard": {"limits.cpu": "30", "limits.memory": "8Gi"}},
}


@pytest.fixture
def own(lab: dict[str, Any], tmp_path: Path) -> Iterator[OwnCluster]:
    own = OwnCluster(lab, tmp_path, NAMESPACE)
    yield own
    own.run(own.evaluate("--clean-up"))


@contextmanager
def policy(cluster: Cluster) -> Iterator[None]:
    """The API server refuses a pod without the label `team` in every namespace of a run."""
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    expression = f"has(object.metadata.labels) && '{TEAM}' in object.metadata.labels"
    selector = {"matchExpressions": [{"key": MARK, "operator": "Exists"}]}
    rule = {
        "matchConstraints": {"resourceRules": [pods]},
        "validations": [{"expression": expression, "message": "a pod needs the label team"}],
    }
    binding = {"policyName": TEAM, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": selector}}
    probe = f"{NAMESPACE}-probe"
    pod = {"metadata": {"name": "probe"}, "spec": {"containers": [{"name": "probe", "image": "probe.test/probe"}]}}
    cluster.call("POST", "/api/v1/namespaces", {"metadata": {"name": probe, "labels": {MARK: "true"}}})
    cluster.call("POST", POLICIES, {"metadata": {"name": TEAM}, "spec": rule})
    cluster.call("POST", BINDINGS, {"metadata": {"name": TEAM}, "spec": binding})

    def is_in_force() -> bool:
        answer = cluster.request("POST", f"/api/v1/namespaces/{probe}/pods", pod, {"dryRun": "All"})
        return answer.status == 422 and b"a pod needs the label team" in answer.data

    try:
        wait_for("the policy", is_in_force, 30, pause_s=0.2)
        yield
    finally:
        cluster.delete(f"{BINDINGS}/{TEAM}")
        cluster.delete(f"{POLICIES}/{TEAM}")
        cluster.delete(f"/api/v1/namespaces/{probe}")
        wait_for("the probe's namespace removed", lambda: not cluster.find(f"/api/v1/namespaces/{probe}"), 60)


@contextmanager
def tainted(cluster: Cluster) -> Iterator[None]:
    """The lab's node takes only pods that tolerate it, and a priority class exists."""
    (node,) = [item["metadata"]["name"] for item in cluster.items("/api/v1/nodes")]
    taint = {"key": TEAM, "value": "content", "effect": "NoSchedule"}
    cluster.call("POST", PRIORITIES, {"metadata": {"name": TEAM}, "value": 1000})
    cluster.patch(f"/api/v1/nodes/{node}", {"spec": {"taints": [taint]}, "metadata": {"labels": {TEAM: "content"}}})
    try:
        yield
    finally:
        cluster.patch(f"/api/v1/nodes/{node}", {"spec": {"taints": None}, "metadata": {"labels": {TEAM: None}}})
        cluster.delete(f"{PRIORITIES}/{TEAM}")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the project whose manifests/ a user has changed for the cluster."""
    folder = tmp_path / "checkout"
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    path = folder / "manifests" / "kustomization.yaml"
    kustomization = yaml.safe_load(path.read_text())
    spec = {
        "imagePullSecrets": [{"name": "mirror"}],
        "nodeSelector": {TEAM: "content"},
        "priorityClassName": TEAM,
        "tolerations": [{"key": TEAM, "value": "content", "effect": "NoSchedule"}],
    }
    head = {"apiVersion": "apps/v1", "kind": "Deployment"}
    template = {"metadata": {"labels": {TEAM: "content"}}, "spec": spec}
    every = head | {"metadata": {"name": "every"}, "spec": {"template": template}}
    kustomization["patches"] = [{"target": {"kind": "Deployment"}, "patch": yaml.safe_dump(every)}]
    limited = {
        "app": {
            "initContainers": [{"name": "git-sync", "resources": LIMITS}],
            "containers": [{"name": "nginx", "resources": LIMITS}],
        },
        "git-poller": {"containers": [{"name": "git-sync", "resources": LIMITS}]},
        "reloader": {"containers": [{"name": "reloader", "resources": LIMITS}]},
    }
    for name, containers in limited.items():
        patch = head | {"metadata": {"name": name}, "spec": {"template": {"spec": containers}}}
        kustomization["patches"].append({"patch": yaml.safe_dump(patch)})
    kustomization["secretGenerator"] = [
        {"name": "mirror", "type": "kubernetes.io/dockerconfigjson", "literals": ['.dockerconfigjson={"auths":{}}']}
    ]
    kustomization["resources"].append("quota.yaml")
    (folder / "manifests" / "quota.yaml").write_text(yaml.safe_dump(QUOTA))
    path.write_text(yaml.safe_dump(kustomization))
    return folder


def test_the_runs_own_pods_are_admitted_and_scheduled_like_the_manifests(own: OwnCluster, checkout: Path) -> None:
    """The git host, the app, its baseline and the load, with a quota for limits, a taint, and a policy for labels."""
    own.variables = {"PYTHONPATH": str(checkout)}
    with policy(own.cluster), tainted(own.cluster):
        done = own.run(own.evaluate("--commits", "1", "--output", str(own.report)))
    assert done.returncode == 0, done.stderr[-2000:]
    summary = json.loads((own.report / "summary.json").read_text())
    assert summary["holds"] is True
    assert summary["requests"]["sent"] > 0
    assert summary["requests"]["failed"] == 0
    own.wait_until_clean()


@pytest.mark.parametrize("what", ["deployment/git-host", "deployment/app"])
def test_pods_that_a_policy_refuses_are_named_with_its_message(own: OwnCluster, what: str) -> None:
    options = ("--commits", "1", "--timeout", "8", "--output", str(own.report))
    with policy(own.cluster):
        done = own.run(own.with_repository(*options) if what == "deployment/app" else own.evaluate(*options))
    assert done.returncode == 1
    (line,) = {line for line in done.stderr.splitlines() if f"{what} 0 of" in line}
    assert "ValidatingAdmissionPolicy 'team' with binding 'team' denied request: a pod needs the label team" in line
    own.wait_until_clean()
