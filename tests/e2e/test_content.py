"""Branch names, symbolic links, line endings, a proxy and IPv6: inputs that a usual repository does not have."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from git_to_pod.app.deployment import other_reloaders
from git_to_pod.cluster.paths import api_path
from git_to_pod.cluster.status import containers, pods_of
from git_to_pod.cluster.waiting import wait_for
from git_to_pod.evaluation.requirements import observable, synchronised, undisturbed
from git_to_pod.git.repository import Repository, remote_commit
from tests.e2e.test_deployment import Deployed, deployment

NAMESPACE = "git-to-pod-content"
REF = """e2e/fix"x'y$HOME"""
LINKS = {
    "links/to-hostname": "../../../../etc/hostname",
    "links/to-environment": "/proc/self/environ",
    "links/to-git-config": "../../../.git/config",
    "links/to-etc": "/etc",
    "links/inside": "../page.txt",
    "folder-inside": "folder",
}
DELETION_S = 35  # the pod's grace period of 30 s, and some seconds for the kubelet


@pytest.fixture(scope="module")
def deployed(lab: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with deployment(NAMESPACE, REF, tmp_path_factory.mktemp("report")) as running:
        yield running


def annotation(deployed: Deployed) -> str:
    metadata = (deployed.recorder.get("ConfigMap", "git-commit") or {"metadata": {}})["metadata"]
    return str(metadata.get("annotations", {}).get("git-to-pod/ref"))


@contextmanager
def git_source(deployed: Deployed, **changes: str | None) -> Iterator[None]:
    """Change entries of git-source, None removes one, and restart the poller; then restore them."""
    path = deployed.path("ConfigMap", "git-source")
    before = deployed.cluster.get(path)["data"]

    def change(data: dict[str, str | None]) -> None:
        pods = deployed.uids("git-poller")
        deployed.cluster.patch(path, {"data": data})
        deployed.restart("git-poller")
        wait_for("a new poller", lambda: pods.isdisjoint(deployed.uids("git-poller") or pods), 60)

    change(changes)
    try:
        yield
    finally:
        change({name: before.get(name) for name in changes})


def test_the_branch_is_published_under_its_own_name(deployed: Deployed) -> None:
    commit = deployed.push("a branch name with quotes and a dollar")
    deployed.wait_served(commit)
    assert annotation(deployed) == REF


def test_without_a_branch_the_default_branch_is_published(deployed: Deployed) -> None:
    settings = deployed.settings

    def default_published() -> bool:
        default = remote_commit(settings.reader, settings.reader_url, "main")
        return annotation(deployed) == "HEAD" and deployed.published() == default

    with git_source(deployed, GITSYNC_REF=None):
        wait_for("the default branch is published", default_published, 60, deployed.published)
        deployed.wait_served(deployed.published())
    deployed.wait_served(deployed.push("back on the branch"))
    assert annotation(deployed) == REF


@pytest.fixture(scope="module")
def content(deployed: Deployed) -> dict[str, bytes]:
    """Push LINKS, a page, a folder and files with a leading dot, and return the files' content by path."""
    clone, git = deployed.repository.clone, deployed.repository.account.git
    files = {"page.txt": b"a page\n", "folder/a.txt": b"a\n", ".gitignore": b"*.tmp\n"}
    files |= {".github/workflows/a.yml": b"on: push\n"}
    for name, text in files.items():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_bytes(text)
    for name, target in LINKS.items():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).symlink_to(target)
    git("add", "--force", *files, *LINKS, folder=clone)
    deployed.wait_served(deployed.push("links"))
    return files


def read(deployed: Deployed, path: str) -> tuple[int, bytes]:
    pod = pods_of(deployed.recorder, "app")[0]["metadata"]["name"]
    response = deployed.cluster.request("GET", f"{deployed.path('Pod', pod)}:8080/proxy/{path}")
    return response.status, bytes(response.data)


@pytest.mark.parametrize("path", ["page.txt", ".gitignore", ".github/workflows/a.yml"])
def test_a_file_is_served(deployed: Deployed, content: dict[str, bytes], path: str) -> None:
    assert read(deployed, path) == (200, content[path])


@pytest.mark.parametrize(("path", "target"), [("links/inside", "page.txt"), ("folder-inside/a.txt", "folder/a.txt")])
def test_a_link_inside_the_worktree_is_served(
    deployed: Deployed, content: dict[str, bytes], path: str, target: str
) -> None:
    assert read(deployed, path) == (200, content[target])


@pytest.mark.parametrize(
    ("path", "secret"),
    [
        ("links/to-hostname", rb"app-"),
        ("links/to-environment", rb"KUBERNETES_|PATH="),
        ("links/to-git-config", rb"\[core\]"),
        ("links/to-etc/passwd", rb"root:"),
        ("links/to-etc/", rb"passwd"),
    ],
)
@pytest.mark.usefixtures("content")
def test_a_link_out_of_the_worktree_is_not_served(deployed: Deployed, path: str, secret: bytes) -> None:
    status, body = read(deployed, path)
    assert status in (403, 404)
    assert not re.search(secret, body)


@pytest.mark.parametrize("path", [".git", ".git/config"])
def test_the_worktrees_git_file_is_not_served(deployed: Deployed, path: str) -> None:
    status, body = read(deployed, path)
    assert status == 404
    assert b"gitdir" not in body


def test_nginx_listens_on_ipv6(deployed: Deployed) -> None:
    table = deployed.execute("deployment/app", "nginx", "cat /proc/net/tcp6")
    sockets = [line.split() for line in table.splitlines()[1:]]
    listening, port = "0A", "1F90"  # port 8080
    assert [fields[1] for fields in sockets if fields[3] == listening] == [f"{'0' * 32}:{port}"]


def test_the_hook_does_not_use_gits_proxy(deployed: Deployed) -> None:
    dead, host = "http://127.0.0.1:9", "git.example.test"
    assert host in deployed.settings.repository
    with git_source(deployed, HTTPS_PROXY=dead, NO_PROXY=f"localhost,127.0.0.1,.svc,{host}"):
        commit = deployed.push("with a proxy")
        deployed.wait_served(commit)
        script = "curl --silent --insecure https://kubernetes.default/ >/dev/null; echo $?"
        could_not_connect = "7"
        assert deployed.execute("deployment/git-poller", "git-sync", script).strip() == could_not_connect
    assert deployed.published() == commit


def test_line_endings_that_gitattributes_convert_are_compared_as_checked_out(deployed: Deployed) -> None:
    clone, git = deployed.repository.clone, deployed.repository.account.git
    (clone / ".gitattributes").write_text("* text eol=crlf\n")
    git("add", ".gitattributes", folder=clone)
    try:
        commit = deployed.push("with CRLF")
        assert deployed.repository.contents[commit] == b"with CRLF\r\n"
        deployed.wait_served(commit)
        check = synchronised(deployed)
        assert check.holds, check
    finally:
        git("rm", "--quiet", "--force", ".gitattributes", folder=clone)
        deployed.wait_served(deployed.push("with LF"))


def test_someone_elses_push_spoils_neither_the_deployment_nor_an_answer(deployed: Deployed) -> None:
    others = Repository(deployed.settings)
    try:
        others.open()
        others.push(others.commit("theirs\n"))
        wait_for("their commit", lambda: deployed.published() == others.pushed[-1], 30)
        deployed.wait_deployed()
        assert deployed.head == others.pushed[-1]
        assert synchronised(deployed).holds
        others.push(others.commit("theirs again\n"))
        assert not observable(deployed).holds
        assert undisturbed(deployed, observable).holds
        assert deployed.head == others.pushed[-1]
    finally:
        others.close()


@pytest.mark.parametrize("own_namespace_only", [False, True])
def test_a_reloader_that_watches_the_whole_cluster_is_named(deployed: Deployed, own_namespace_only: bool) -> None:
    namespace, labels = f"{NAMESPACE}-reloader-{secrets.token_hex(2)}", {"app": "reloader"}
    container: dict[str, Any] = {"name": "reloader", "image": "ghcr.io/stakater/reloader:v1.4.21"}
    if own_namespace_only:
        field = {"fieldRef": {"fieldPath": "metadata.namespace"}}
        container["env"] = [{"name": "KUBERNETES_NAMESPACE", "valueFrom": field}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "reloader"}, "spec": spec}
    deployed.cluster.kubectl("create", "namespace", namespace)
    try:
        deployed.cluster.call("POST", api_path("Deployment", namespace), body)
        named = f"{namespace}/reloader" in other_reloaders(deployed.cluster, NAMESPACE)
        assert named is not own_namespace_only
    finally:
        deployed.cluster.delete(api_path("Namespace", name=namespace))


def test_a_pod_that_waits_for_its_content_can_be_deleted(deployed: Deployed, lab: dict[str, Any]) -> None:
    """The kubelet stops no container before its postStart hook has ended, so the hook has a bound; here 5 s of it."""
    missing = f"missing-{secrets.token_hex(4)}.git"
    template = deployed.cluster.get(api_path("Deployment", NAMESPACE, "app"))["spec"]["template"]
    spec = deepcopy(template["spec"])
    (sidecar,) = (container for container in containers(spec) if container["name"] == "git-sync")
    hook = sidecar["lifecycle"]["postStart"]["exec"]["command"]
    assert hook[:2] == ["timeout", "120"]
    hook[1] = "5"
    sidecar["env"].append({"name": "GITSYNC_REPO", "value": f"https://git.example.test/{missing}"})
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "waiting"}, "spec": spec}
    path = deployed.path("Pod", "waiting")
    deployed.cluster.call("POST", deployed.path("Pod"), pod)
    try:
        wait_for("git-sync polls the host", lambda: missing in Path(lab["access_log"]).read_text(), 60)
        deployed.cluster.delete(path)
        wait_for("the pod is gone", lambda: deployed.cluster.find(path) is None, DELETION_S)
    finally:
        deployed.cluster.delete(path)
