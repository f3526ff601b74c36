"""Two repositories in one pod, as SOLUTION.md says. A second branch of the lab's repository plays the second."""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from git_to_pod.app.overlay import MANIFESTS
from git_to_pod.cluster.api import KubectlError
from git_to_pod.cluster.waiting import wait_for
from git_to_pod.git.repository import FILE, Repository, open_repository
from tests.e2e.test_deployment import Deployed, branch, deployment

NAMESPACE = "git-to-pod-two"
RENAMED = re.compile(r"\b(git-source|git-poller|git-credentials|git-commit|publish-commit)\b")


def second(text: str) -> str:
    """The text with the second repository's names."""
    return RENAMED.sub(r"\1-2", text)


@pytest.fixture(scope="module")
def deployed(lab: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with deployment(NAMESPACE, "e2e/first", tmp_path_factory.mktemp("report")) as running:
        yield running


@pytest.fixture(scope="module")
def other(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """The second repository, in the pods of the same Deployment."""
    settings = replace(deployed.settings, ref="e2e/second")
    with branch(settings), closing(open_repository(settings)) as repository:
        apply_copies(deployed, settings.ref, tmp_path_factory.mktemp("second"))
        follow(deployed)
        yield repository


def apply_copies(deployed: Deployed, ref: str, folder: Path) -> None:
    """Copies of git-source, of the poller with its hook and its rights, and of the Secret."""
    source = deployed.cluster.get(deployed.path("ConfigMap", "git-source"))["data"]
    data = {key: second(value) for key, value in source.items()} | {"GITSYNC_REPO": source["GITSYNC_REPO"]}
    put(deployed, "ConfigMap", {"metadata": {"name": "git-source-2"}, "data": data | {"GITSYNC_REF": ref}})
    secret = deployed.cluster.get(deployed.path("Secret", "git-credentials"))
    put(deployed, "Secret", {"metadata": {"name": "git-credentials-2"}, "data": secret["data"], "type": secret["type"]})
    for name in ("git-poller.yaml", "publish-commit.sh"):
        (folder / second(name)).write_text(second((MANIFESTS / name).read_text()))
    kustomization = {
        "namespace": NAMESPACE,
        "resources": ["git-poller-2.yaml"],
        "configMapGenerator": [{"name": "publish-commit-2", "files": ["publish-commit-2.sh"]}],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    deployed.cluster.kubectl("apply", f"--kustomize={folder}")


def put(deployed: Deployed, kind: str, item: dict[str, Any]) -> None:
    deployed.cluster.call("POST", deployed.path(kind), {"apiVersion": "v1", "kind": kind} | item)


def follow(deployed: Deployed) -> None:
    """A second sidecar in the app's pods, a second mount in its container, and a second name in the annotation."""
    path = deployed.path("Deployment", "app")
    template = deployed.cluster.get(path)["spec"]["template"]
    spec = template["spec"]
    (sidecar,) = spec["initContainers"]
    copied: dict[str, Any] = yaml.safe_load(second(yaml.safe_dump(sidecar))) | {"name": "git-sync-2"}
    for mount in copied["volumeMounts"]:
        mount["name"] = "git-2" if mount["name"] == "git" else mount["name"]
    spec["initContainers"].append(copied)
    spec["containers"][0]["volumeMounts"].append({"name": "git-2", "mountPath": "/git-2", "readOnly": True})
    spec["volumes"] += [
        {"name": "git-2", "emptyDir": {}},
        {"name": "git-credentials-2", "secret": {"secretName": "git-credentials-2"}},
    ]
    annotations = {"configmap.reloader.stakater.com/reload": "git-commit,git-commit-2"}
    deployed.cluster.patch(path, {"metadata": {"annotations": annotations}, "spec": {"template": template}})


def contents(deployed: Deployed, folder: str) -> set[str]:
    """The file in this folder of every app pod."""
    names = sorted(deployed.pod_names())
    return {deployed.execute(f"pod/{name}", "nginx", f"cat {folder}/current/{FILE}") for name in names}


def wait_for_both(deployed: Deployed, other: Repository) -> None:
    """Wait until every pod has the newest content of both repositories, and no rollout is under way."""

    def have() -> bool:
        if not deployed.is_settled():
            return False
        pods = deployed.pod_names()
        try:
            found = contents(deployed, "/git"), contents(deployed, "/git-2")
        except KubectlError:  # a rollout has begun since, and a pod has ended
            return False
        newest = [repository.contents[repository.pushed[-1]].decode() for repository in (deployed.repository, other)]
        return found == ({newest[0]}, {newest[1]}) and deployed.pod_names() == pods

    wait_for("the content of both", have, 60, lambda: "; ".join(deployed.described()), pause_s=0.3)


def test_a_push_to_either_repository_restarts_the_pods_with_its_content(deployed: Deployed, other: Repository) -> None:
    deployed.push("first repository, first commit")
    other.push(other.commit("second repository, first commit\n"))
    wait_for_both(deployed, other)
    for push in (
        lambda: other.push(other.commit("second repository, second commit\n")),
        lambda: deployed.push("first repository, second commit"),
    ):
        old = deployed.uids()
        push()
        wait_for_both(deployed, other)
        assert old.isdisjoint(deployed.uids())


def test_each_poller_may_write_its_own_config_map_only(deployed: Deployed, other: Repository) -> None:
    for account, own in (("git-poller", "git-commit"), ("git-poller-2", "git-commit-2")):
        for name in ("git-commit", "git-commit-2"):
            question = ("auth", "can-i", "patch", f"configmap/{name}", f"--namespace={NAMESPACE}")
            try:
                allowed = deployed.cluster.kubectl(*question, f"--as=system:serviceaccount:{NAMESPACE}:{account}")
            except RuntimeError as error:  # kubectl's exit status is 1 for "no"
                allowed = str(error)
            assert allowed.strip().startswith("yes") is (name == own)
