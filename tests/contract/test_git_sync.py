"""What the deployment expects of git-sync. The pods are those of the manifests, with another hook; the order matters:
the poller is first seen without a password, then with a wrong one, then at work."""

import itertools
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import Branch, image_of
from tests.contract.kubectl import Kubectl, manifest

# Notes when, for which commit and where it runs; fails while there is a file /tmp/refuse.
HOOK = """#!/bin/sh
result=done; [ ! -e /tmp/refuse ] || result=failed
echo "$(date +%s.%N) $GITSYNC_HASH $(pwd -P) $GITSYNC_REF $result" >> /tmp/hook
[ $result = done ]
"""
PERIOD_S, BACKOFF_S = 0.3, 1.0
# The same path, spelled so that the git host's log tells the pods apart: they all come from the node's address.
SPELLINGS = {"poller": "c%6Fntent.git", "pinned": "%63ontent.git"}


@pytest.fixture(scope="module")
def password(lab: dict[str, Any]) -> str:
    return (Path(lab["git_credentials"]) / "password").read_text().strip()


@pytest.fixture(scope="module", autouse=True)
def pods(kubectl: Kubectl, lab: dict[str, Any], branch: Branch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """All pods at once: the poller, an app's git-sync pinned to a commit, and a poller over SSH."""
    key = tmp_path_factory.mktemp("key") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True, timeout=30)
    credentials = {file.name: file.read_text() for file in Path(lab["git_credentials"]).iterdir()}
    credentials["other_known_hosts"] = f"git.example.test {key.with_suffix('.pub').read_text()}"
    common = manifest("git-source.yaml", "ConfigMap")["data"] | {
        "GITSYNC_REF": branch.name,
        "GITSYNC_PERIOD": f"{PERIOD_S}s",
        "GITSYNC_USERNAME": credentials["username"].strip(),
    }
    repository = {
        name: {"GITSYNC_REPO": lab["repository"].replace("content.git", path)} for name, path in SPELLINGS.items()
    }
    over_ssh = {
        "GITSYNC_REPO": lab["ssh_repository"],
        "GITSYNC_REF": branch.name,
        "GITSYNC_PERIOD": common["GITSYNC_PERIOD"],
        "GITSYNC_SSH_KEY_FILE": "/etc/git-credentials/ssh-privatekey",
        "GITSYNC_SSH_KNOWN_HOSTS_FILE": "/etc/git-credentials/known_hosts",
    }
    kubectl.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "git-credentials"}, "stringData": credentials},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "publish-commit"},
            "data": {"publish-commit.sh": HOOK},
        },
        pod("poller", "git-poller.yaml", common | repository["poller"] | {"GITSYNC_PASSWORD_FILE": "/tmp/password"}),
        pod("pinned", "app-deployment.yaml", common | repository["pinned"] | {"GITSYNC_REF": branch.commits[0]}),
        pod("over-ssh", "git-poller.yaml", over_ssh),
    )
    kubectl.wait(
        "3 pods run", lambda: [p["status"]["phase"] for p in kubectl.get("pods")["items"]] == ["Running"] * 3, 60
    )


def pod(name: str, file: str, environment: dict[str, str]) -> dict[str, Any]:
    """The git-sync container of a manifest's pod template, alone and without access to the API."""
    spec = manifest(file)["spec"]["template"]["spec"]
    container = next(one for one in spec["containers"] if one["name"] == "git-sync")
    spec |= {"containers": [container], "serviceAccountName": "default", "terminationGracePeriodSeconds": 2}
    spec["volumes"] = [volume for volume in spec["volumes"] if volume["name"] != "api-access"]
    container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] != "api-access"]
    container.pop("livenessProbe", None)  # about the API, too
    container |= {"env": [{"name": key, "value": value} for key, value in environment.items()], "envFrom": []}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def status_of(kubectl: Kubectl) -> str:
    return kubectl.shell("poller", "curl -s -o /dev/null -w '%{http_code}' http://localhost:8080/ || true")


def head_of(kubectl: Kubectl, name: str = "poller") -> str:
    return kubectl.shell(name, 'basename "$(readlink /git/current)"')


def failures_in(kubectl: Kubectl) -> int:
    """How often a sync failed: git's own words, for the programs' differ."""
    return kubectl.logs("poller").count("Authentication failed")


def hook_runs(kubectl: Kubectl) -> list[list[str]]:
    return [line.split() for line in kubectl.shell("poller", "cat /tmp/hook 2>/dev/null || true").splitlines()]


def hook_done(kubectl: Kubectl, commit: str) -> bool:
    return any(run[1] == commit and run[-1] == "done" for run in hook_runs(kubectl))


def test_the_version_is_the_expected_one(kubectl: Kubectl, sources: dict[str, str]) -> None:
    printed = kubectl.exec("poller", "/git-sync", "--version").stdout
    assert "v4.7.1" in printed
    stand_in = sources[image_of("git-poller.yaml")] == "stand-in"
    assert ["STAND-IN" in said for said in (printed, kubectl.logs("poller").splitlines()[0])] == [stand_in] * 2


def test_an_unknown_flag_is_refused(kubectl: Kubectl) -> None:
    refused = kubectl.exec("poller", "/git-sync", "--no-such-flag", check=False)
    assert refused.returncode == 2
    assert "no-such-flag" in refused.stderr


def test_a_sync_that_fails_is_tried_again_and_answered_by_503(kubectl: Kubectl) -> None:
    kubectl.wait("503 without a password", lambda: status_of(kubectl) == "503")
    kubectl.shell("poller", "cat > /tmp/password", stdin="wrong")
    kubectl.wait("retries with a wrong password", lambda: failures_in(kubectl) >= 3)
    assert status_of(kubectl) == "503"


def test_a_sync_that_fails_ends_the_program_unless_failures_are_allowed(kubectl: Kubectl) -> None:
    for failures, limits in {1: [], 2: ["--max-failures=-1", "--init-max-failures=2"]}.items():
        ended = kubectl.exec("poller", "/git-sync", "--root=/tmp/once", "--link=link", *limits, check=False)
        assert (ended.returncode, ended.stderr.count("Authentication failed")) == (1, failures)


def test_the_first_sync_publishes_a_worktree_named_by_its_commit(
    kubectl: Kubectl, branch: Branch, password: str
) -> None:
    kubectl.shell("poller", "cat > /tmp/password", stdin=password + "\n")
    kubectl.wait("200 after the first sync", lambda: status_of(kubectl) == "200")
    assert kubectl.shell("poller", "readlink /git/current") == f".worktrees/{branch.commits[-1]}"
    assert kubectl.shell("poller", "ls -A /git/current") == ".git\nnumber"
    kubectl.run("wait", "--for=condition=Ready", "pod/poller", "--timeout=20s")


def test_the_hook_runs_in_the_worktree_and_is_told_the_commit(kubectl: Kubectl, branch: Branch) -> None:
    kubectl.wait("the hook ran", lambda: hook_done(kubectl, branch.commits[-1]))
    (run,) = hook_runs(kubectl)
    assert run[1:4] == [branch.commits[-1], f"/git/.worktrees/{branch.commits[-1]}", branch.name]


def test_a_push_is_published_by_one_rename(kubectl: Kubectl, branch: Branch) -> None:
    watch = "echo $1; while now=$(readlink /git/current); do [ ${now##*/} = $1 ] || exec echo ${now##*/}; done; exit 3"
    command = ["exec", "poller", "--", "timeout", "30", "sh", "-c", watch, "sh", branch.commits[-1]]
    with subprocess.Popen([*kubectl.command, *command], stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout
        assert watcher.stdout.readline(), "it watches, so push"
        after = branch.push()
        seen, _ = watcher.communicate(timeout=60)
    assert (watcher.returncode, seen.strip()) == (0, after), "the link was gone, or pointed elsewhere, for a moment"
    assert kubectl.shell("poller", "cat /git/current/number") == "1"
    kubectl.wait("the old worktree is gone", lambda: kubectl.shell("poller", "ls /git/.worktrees") == after)
    kubectl.wait("the hook ran again", lambda: hook_done(kubectl, after))


def test_a_hook_that_fails_is_retried_with_the_newest_commit(kubectl: Kubectl, branch: Branch) -> None:
    kubectl.shell("poller", "touch /tmp/refuse")
    skipped = branch.push()
    kubectl.wait("two attempts", lambda: [run[1] for run in hook_runs(kubectl)].count(skipped) >= 2)
    newest = branch.push()
    kubectl.wait("sync goes on beside the hook", lambda: head_of(kubectl) == newest)
    kubectl.wait("an attempt with the newest", lambda: hook_runs(kubectl)[-1][1] == newest)
    kubectl.shell("poller", "rm /tmp/refuse")
    kubectl.wait("the hook succeeded", lambda: hook_done(kubectl, newest))
    attempts = [run for run in hook_runs(kubectl) if run[1] in (skipped, newest)]
    assert not hook_done(kubectl, skipped)
    pauses = [float(after[0]) - float(before[0]) for before, after in itertools.pairwise(attempts)]
    assert min(pauses) >= BACKOFF_S
    assert max(pauses) < 3 * BACKOFF_S, "the pause does not grow"


def test_while_the_git_host_denies_the_old_content_stays(kubectl: Kubectl, branch: Branch, password: str) -> None:
    before, failures = branch.commits[-1], failures_in(kubectl)
    kubectl.shell("poller", "cat > /tmp/password", stdin="wrong")
    kubectl.wait("denied", lambda: failures_in(kubectl) > failures)
    after = branch.push()
    failures = failures_in(kubectl)
    kubectl.wait("denied after the push", lambda: failures_in(kubectl) > failures + 2)
    assert (head_of(kubectl), status_of(kubectl)) == (before, "200")
    kubectl.shell("poller", "cat > /tmp/password", stdin=password)  # read again at each sync
    kubectl.wait("caught up", lambda: head_of(kubectl) == after)
    kubectl.wait("the hook ran", lambda: hook_done(kubectl, after))
    runs = [run[1] for run in hook_runs(kubectl)]
    assert runs.count(after) == 1, "a commit is published once"


def test_the_password_shows_in_no_log_and_no_argument(kubectl: Kubectl, password: str) -> None:
    look = "for i in $(seq 150); do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; done"
    seen = [""]
    while "fetch" not in seen[-1] and len(seen) < 10:
        seen.append(kubectl.shell("poller", look))
    assert "fetch" in seen[-1], "git was not seen at work"
    assert password not in "".join(seen)
    assert password not in kubectl.logs("poller")


def test_a_full_commit_id_is_fetched_once_and_then_left_alone(
    kubectl: Kubectl, lab: dict[str, Any], branch: Branch
) -> None:
    kubectl.wait("pinned", lambda: head_of(kubectl, "pinned") == branch.commits[0])

    def requests(name: str) -> int:
        return Path(lab["git_log"]).read_text().count(f" /{SPELLINGS[name]}/info/refs")

    pinned, polls = requests("pinned"), requests("poller")
    assert pinned > 0
    kubectl.wait("five more polls of the poller", lambda: requests("poller") >= polls + 5)
    assert requests("pinned") == pinned
    assert kubectl.get("pod", "pinned")["status"]["containerStatuses"][0]["restartCount"] == 0


def test_ssh_needs_the_host_key_that_known_hosts_has(kubectl: Kubectl, branch: Branch) -> None:
    kubectl.wait("synced over SSH", lambda: head_of(kubectl, "over-ssh") == branch.commits[-1])
    other = "GITSYNC_SSH_KNOWN_HOSTS_FILE=/etc/git-credentials/other_known_hosts"
    refused = kubectl.exec("over-ssh", "env", other, "/git-sync", "--root=/tmp/once", "--link=link", check=False)
    assert refused.returncode == 1
    assert "Host key verification failed" in refused.stderr
