"""The lab as a cluster of the user's own: the rights in README.md suffice, and the run needs no root."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from git_to_pod.cli.clean_up import clean_up
from git_to_pod.cluster.api import Cluster
from git_to_pod.cluster.paths import api_path
from git_to_pod.cluster.permissions import GIT_HOST, RIGHTS, RUN
from git_to_pod.cluster.waiting import wait_for
from git_to_pod.experiments.alternatives.footprint import all_objects
from git_to_pod.watchdog import LOG
from tests import processes

ROOT = Path(__file__).parent.parent.parent
RBAC = "/apis/rbac.authorization.k8s.io/v1"
CONTEXT = "mine"
OWN = ("git-to-pod", "git-to-pod-git")  # the namespaces that a run creates
ALWAYS_CHANGING = {"Event", "Lease"}


@dataclass(frozen=True)
class User:
    """A user with a kubeconfig and a home folder."""

    admin: Cluster
    home: Path

    def command(self, *options: str) -> list[str]:
        """scripts/evaluate in a user namespace where this user is nobody and has no capabilities."""
        nobody = ["unshare", "--user", "--map-user=65534", "--map-group=65534", "--kill-child", "--fork"]
        evaluate = [sys.executable, "-m", "git_to_pod.cli.evaluate", "--context", CONTEXT, "--commits", "1"]
        return [*nobody, *evaluate, "--kubeconfig", str(self.home / "config"), *options]

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_TO_POD", "KUBE"))}
        return (
            kept
            | {"HOME": str(self.home), "XDG_CACHE_HOME": str(self.home / "cache"), "TMPDIR": str(self.temporary)}
            | more
        )

    @property
    def temporary(self) -> Path:
        """The folder in which its processes keep credentials, while they run."""
        return self.home / "tmp"

    def evaluate(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command("--output", str(self.home / "report"), *options),
            cwd=ROOT, env=self.environment(**environment), capture_output=True, text=True, timeout=400,
        )  # fmt: skip

    @property
    def summary(self) -> dict[str, Any]:
        return dict(json.loads((self.home / "report" / "summary.json").read_text()))

    def namespaces(self) -> set[str]:
        return {str(item["metadata"]["name"]) for item in self.admin.items(api_path("Namespace"))}

    def elsewhere(self) -> dict[str, dict[str, Any]]:
        """Every object outside the run's own namespaces, without the fields that the cluster writes."""
        found = [item for name in self.namespaces() - set(OWN) for item in all_objects(self.admin, name)]
        found += [
            item for kind in ("clusterroles", "clusterrolebindings") for item in self.admin.items(f"{RBAC}/{kind}")
        ]
        for item in found:
            item.pop("status", None)
            for written in ("resourceVersion", "managedFields"):
                item["metadata"].pop(written, None)
        return {item["metadata"]["uid"]: item for item in found if item.get("kind") not in ALWAYS_CHANGING}


@pytest.fixture(scope="module")
def user(lab: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A service account with the rights in README.md, and no others."""
    admin, home = Cluster(lab["context"], Path(lab["kubeconfig"])), tmp_path_factory.mktemp("home")
    admin.kubectl("apply", f"--filename={RIGHTS}")
    admin.kubectl("create", "namespace", "users")
    admin.kubectl("create", "serviceaccount", "--namespace=users", "me")
    for role in (RUN, GIT_HOST):
        admin.kubectl("create", "clusterrolebinding", role, f"--clusterrole={role}", "--serviceaccount=users:me")
    config = yaml.safe_load(Path(lab["kubeconfig"]).read_text())
    config["users"] = [{"name": "me", "user": {"token": admin.kubectl("create", "token", "--namespace=users", "me")}}]
    config["contexts"] = [{"name": CONTEXT, "context": {"cluster": config["clusters"][0]["name"], "user": "me"}}]
    (home / "config").write_text(yaml.safe_dump(config))
    (home / "tmp").mkdir()
    for account in ("git_credentials", "push_credentials"):
        shutil.copytree(lab[account], home / account)
    yield User(admin, home)
    for role in (RUN, GIT_HOST):
        admin.delete(f"{RBAC}/clusterrolebindings/{role}")
        admin.delete(f"{RBAC}/clusterroles/{role}")
    admin.delete(api_path("Namespace", name="users"))


@pytest.fixture
def https(user: User, lab: dict[str, Any]) -> list[str]:
    """The options for a repository over HTTPS, without the accounts."""
    return ["--repository", lab["repository"], "--push-url", lab["push_url"]]


def accounts(user: User) -> list[str]:
    return [
        "--credentials", str(user.home / "git_credentials"), "--push-credentials", str(user.home / "push_credentials"),
    ]  # fmt: skip


def holds(user: User, done: subprocess.CompletedProcess[str]) -> bool:
    """Whether the run met all requirements and constraints; it left no credentials."""
    assert done.returncode == 0, done.stderr
    assert not list(user.temporary.iterdir())
    passed = {name: found["pass"] for name, found in user.summary["requirements"].items()}
    return bool(user.summary["holds"]) and passed == dict.fromkeys(("R1", "R2", "R3", "R4"), True)


def test_over_https_with_one_account_in_files_and_one_in_the_environment(user: User, https: list[str]) -> None:
    reader, writer = user.home / "git_credentials", user.home / "push_credentials"
    authority = user.home / "authority"
    authority.mkdir()
    shutil.copy(reader / "ca.crt", authority)
    folders = ["--credentials", str(reader), "--push-credentials", str(authority)]
    name, password = (writer / "username").read_text(), (writer / "password").read_text()
    before = user.elsewhere()
    done = user.evaluate(*https, *folders, "--push-username", name, GIT_TO_POD_PUSH_PASSWORD=password)
    assert holds(user, done)
    assert user.elsewhere() == before
    assert not user.namespaces() & set(OWN)
    assert not (user.home / "report" / LOG).exists()  # the watchdog had nothing to do
    left = [path.read_text(errors="replace") for path in (user.home / "report").iterdir()] + [done.stdout, done.stderr]
    for secret in ((reader / "password").read_text(), password):
        assert not any(secret in text for text in left)


def test_over_ssh_with_the_pushing_key_in_the_environment_and_kept(user: User, lab: dict[str, Any]) -> None:
    options = ["--repository", lab["ssh_repository"], "--push-url", lab["ssh_push_url"], "--keep"]
    reader, writer = user.home / "git_credentials", user.home / "push_credentials"
    key = {"GIT_TO_POD_PUSH_SSH_PRIVATEKEY": (writer / "ssh-privatekey").read_text()}
    try:
        assert holds(user, user.evaluate(*options, "--credentials", str(reader), **key))
        assert user.namespaces() & set(OWN) == {"git-to-pod"}
        pods = user.admin.items(api_path("Pod", "git-to-pod"), labelSelector="app=app")
        assert len(pods) == 2
    finally:
        list(clean_up(user.admin, "git-to-pod", 60))


def test_without_a_repository_a_git_host_is_deployed_and_removed(user: User) -> None:
    before = user.elsewhere()
    done = user.evaluate()
    assert holds(user, done)
    assert user.summary["kubernetes"]["git_host"] == "in this cluster"
    assert user.summary["constraints"]["private"]["pass"] is True
    assert user.summary["constraints"]["read_only"]["pass"] is True
    assert user.elsewhere() == before
    assert not user.namespaces() & set(OWN)


def test_a_killed_run_is_removed_with_this_users_rights(user: User) -> None:
    """By the watchdog, the git host too."""
    running = subprocess.Popen(
        user.command("--output", str(user.home / "interrupted")),
        cwd=ROOT, env=user.environment(), text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        wait_for("both namespaces", lambda: set(OWN) <= user.namespaces(), 120, pause_s=0.2)
        os.kill(processes.children(running.pid)[0], signal.SIGKILL)
        assert running.wait(90) != 0
        wait_for("the removal of the namespaces", lambda: not user.namespaces() & set(OWN), 60, pause_s=0.5)
        wait_for("the watchdog's end", lambda: not list(user.temporary.iterdir()), 30, pause_s=0.5)
    finally:
        running.kill()
        running.communicate()
    assert not [line for line in processes.started_with(f"HOME={user.home}").values() if "port-forward" in line]


MISSING = {
    "to create a namespace": ("namespaces", "create", "create namespaces (namespace git-to-pod)"),
    "to grant": ("roles", "create", "create rolebindings.rbac.authorization.k8s.io; create roles.rbac"),
    "to grant Reloader's rights": ("deployments", "update", "update deployments.apps"),
    "to reach pods": ("pods/proxy", "get", "get pods/proxy"),
    "to see the namespace": ("namespaces", "get", "get namespaces git-to-pod"),
}


@pytest.mark.parametrize(("resource", "verb", "message"), MISSING.values(), ids=MISSING.keys())
def test_a_missing_right_is_named_before_anything_is_applied(
    user: User, https: list[str], resource: str, verb: str, message: str
) -> None:
    path = f"{RBAC}/clusterroles/{RUN}"
    whole = user.admin.get(path)["rules"]
    rules = [
        rule | {"verbs": [v for v in rule["verbs"] if v != verb]} if resource in rule["resources"] else rule
        for rule in whole
    ]
    before = user.namespaces()
    user.admin.patch(path, {"rules": [rule for rule in rules if rule["verbs"]]})
    try:
        done = user.evaluate(*https, *accounts(user))
    finally:
        user.admin.patch(path, {"rules": whole})
    assert done.returncode == 2
    error = done.stderr.splitlines()[-1]
    assert error.startswith(f"error: --context {CONTEXT}: this user cannot ")
    assert message in error
    assert user.namespaces() == before


@pytest.mark.parametrize("namespace", OWN)
def test_a_namespace_of_someone_else_is_left_alone(user: User, namespace: str) -> None:
    user.admin.kubectl("create", "namespace", namespace)
    try:
        done = user.evaluate()
        assert done.returncode == 2
        assert f"--namespace {namespace}: it exists and no evaluation created it" in done.stderr
        assert user.namespaces() & set(OWN) == {namespace}
    finally:
        user.admin.delete(api_path("Namespace", name=namespace))
        wait_for("its removal", lambda: namespace not in user.namespaces(), 60)


def test_missing_rights_for_the_git_host_are_named_before_it_is_deployed(user: User) -> None:
    binding = user.admin.get(f"{RBAC}/clusterrolebindings/{GIT_HOST}")
    user.admin.delete(f"{RBAC}/clusterrolebindings/{GIT_HOST}")
    try:
        done = user.evaluate()
    finally:
        binding["metadata"] = {"name": GIT_HOST}
        user.admin.call("POST", f"{RBAC}/clusterrolebindings", binding)
    assert done.returncode == 2
    assert (
        "this user cannot delete, get, patch namespaces git-to-pod-git; get pods; create, get pods/portforward; "
        "patch secrets git-host" in done.stderr
    )
    assert not user.namespaces() & set(OWN)
