"""The behaviour of git-sync that the deployment relies on.

The pods come from the manifests, with another hook. The order of the tests matters: the poller first has no password,
then a wrong one, then the right one.
"""

import itertools
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import Branch, image_of
from tests.contract.kubectl import Kubectl, manifest

# Appends time, commit, working directory, ref and result to /tmp/hook. It fails while /tmp/refuse exists.
HOOK = """#!/bin/sh
result=done; [ ! -e /tmp/refuse ] || result=failed
echo "$(date +%s.%N) $GITSYNC_HASH $(pwd -P) $GITSYNC_REF $result" >> /tmp/hook
[ $result = done ]
"""
PERIOD_S, BACKOFF_S = 0.3, 1.0
# All requests have the node's address. These spellings of one path make the pods distinct in the git host's log.
SPELLINGS = {"poller": "c%6Fntent.git", "pinned": "%63ontent.git", "default-branch": "co%6Etent.git"}
ROOT = "/tmp/git"  # of the poller
NO_LIMITS = ("-u", "GITSYNC_MAX_FAILURES", "-u", "GITSYNC_INIT_MAX_FAILURES")  # for env: git-sync's own defaults


@pytest.fixture(scope="module")
def password(lab: dict[str, Any]) -> str:
    return (Path(lab["git_credentials"]) / "password").read_text().strip()


@pytest.fixture(scope="module", autouse=True)
def pods(kubectl: Kubectl, lab: dict[str, Any], branch: Branch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Four pods: the poller, the app's git-sync pinned to a commit, a poller without a ref, and a poller over SSH."""
    key = tmp_path_factory.mktemp("key") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True, timeout=30)
    credentials = {file.name: file.read_text() for file in Path(lab["git_credentials"]).iterdir()}
    credentials["other_known_hosts"] = f"git.example.test {key.with_suffix('.pub').read_text()}"
    source = manifest("git-source.yaml", "ConfigMap")["data"]
    https = source | {
        "GITSYNC_PERIOD": f"{PERIOD_S}s",
        "GITSYNC_USERNAME": credentials["username"].strip(),
        "GIT_SSL_CAINFO": "/etc/git-credentials/ca.crt",
    }
    on_branch = https | {"GITSYNC_REF": branch.name}
    on_default_branch = {name: value for name, value in https.items() if name != "GITSYNC_REF"}
    over_ssh = {
        name: value for name, value in on_branch.items() if name not in ("GITSYNC_USERNAME", "GITSYNC_PASSWORD_FILE")
    } | {
        "GITSYNC_REPO": lab["ssh_repository"],
        "GITSYNC_SSH_KEY_FILE": "/etc/git-credentials/ssh-privatekey",
        "GITSYNC_SSH_KNOWN_HOSTS_FILE": "/etc/git-credentials/known_hosts",
    }
    repository = {
        name: {"GITSYNC_REPO": lab["repository"].replace("content.git", path)} for name, path in SPELLINGS.items()
    }
    kubectl.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "git-credentials"}, "stringData": credentials},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "publish-commit"},
            "data": {"publish-commit.sh": HOOK},
        },
        pod("poller", "git-poller.yaml", on_branch | repository["poller"] | {"GITSYNC_PASSWORD_FILE": "/tmp/password"}),
        pod("pinned", "app-deployment.yaml", https | repository["pinned"] | {"GITSYNC_REF": branch.commits[0]}),
        pod("default-branch", "git-poller.yaml", on_default_branch | repository["default-branch"]),
        pod("over-ssh", "git-poller.yaml", over_ssh),
    )
    kubectl.wait(
        "4 pods are Running",
        lambda: [p["status"]["phase"] for p in kubectl.get("pods")["items"]] == ["Running"] * 4,
        60,
    )


def pod(name: str, file: str, environment: dict[str, str]) -> dict[str, Any]:
    """A pod with only the git-sync container of a manifest, as an ordinary container and without access to the API."""
    template = manifest(file)["spec"]["template"]["spec"]
    containers = [*template.get("initContainers", []), *template["containers"]]
    container = next(one for one in containers if one["name"] == "git-sync")
    container.pop("restartPolicy", None)  # that of a native sidecar
    container |= {"env": [{"name": key, "value": value} for key, value in environment.items()], "envFrom": []}
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    spec = {
        "securityContext": template["securityContext"],
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 2,
        "containers": [container],
        "volumes": [volume for volume in template["volumes"] if volume["name"] in mounted],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def status_of(kubectl: Kubectl) -> str:
    return kubectl.shell("poller", "curl -s -o /dev/null -w '%{http_code}' http://localhost:8080/ || true")


def head_of(kubectl: Kubectl, name: str = "poller", root: str = ROOT) -> str:
    return kubectl.shell(name, f'basename "$(readlink {root}/current)"')


def failures_in(kubectl: Kubectl) -> int:
    """The number of failed syncs, counted by git's message, because those of the two programs differ."""
    return kubectl.logs("poller").count("Authentication failed")


def hook_runs(kubectl: Kubectl) -> list[list[str]]:
    return [line.split() for line in kubectl.shell("poller", "cat /tmp/hook 2>/dev/null || true").splitlines()]


def hook_done(kubectl: Kubectl, commit: str) -> bool:
    return any(run[1] == commit and run[-1] == "done" for run in hook_runs(kubectl))


def test_the_version_is_the_expected_one(kubectl: Kubectl, sources: dict[str, str]) -> None:
    printed = kubectl.exec("poller", "/git-sync", "--version").stdout
    assert "v4.7.1" in printed
    stand_in = sources[image_of("git-poller.yaml")] == "stand-in"
    assert ["STAND-IN" in message for message in (printed, kubectl.logs("poller").splitlines()[0])] == [stand_in] * 2


def test_an_unknown_flag_is_rejected(kubectl: Kubectl) -> None:
    refused = kubectl.exec("poller", "/git-sync", "--no-such-flag", check=False)
    assert refused.returncode == 2
    assert "no-such-flag" in refused.stderr


def test_a_failed_sync_is_retried_and_the_endpoint_answers_503(kubectl: Kubectl) -> None:
    kubectl.wait("503 without a password", lambda: status_of(kubectl) == "503")
    kubectl.shell("poller", "cat > /tmp/password", stdin="wrong")
    kubectl.wait("retries with a wrong password", lambda: failures_in(kubectl) >= 3)
    assert status_of(kubectl) == "503"


def once(kubectl: Kubectl, *command: str, pod: str = "poller") -> subprocess.CompletedProcess[str]:
    """Run git-sync once more in a pod, by `env COMMAND`. The settings must be such that it fails and exits."""
    return kubectl.exec(pod, "timeout", "60", "env", *command, check=False)


def wrong_password(kubectl: Kubectl) -> str:
    """The environment setting of a wrong password, for `once`."""
    kubectl.shell("poller", "echo wrong > /tmp/wrong-password")
    return "GITSYNC_PASSWORD_FILE=/tmp/wrong-password"


@pytest.mark.parametrize(
    ("environment", "flags", "failures"),
    [
        (NO_LIMITS, (), 1),
        (("GITSYNC_INIT_MAX_FAILURES=2",), (), 2),
        ((*NO_LIMITS[2:], "GITSYNC_MAX_FAILURES=2"), (), 2),
        ((), ("--init-max-failures=2",), 2),
    ],
    ids=["defaults", "limit of the first sync", "limit of every sync", "flag before environment"],
)
def test_git_sync_exits_at_its_limit_of_failures(
    kubectl: Kubectl, environment: tuple[str, ...], flags: tuple[str, ...], failures: int
) -> None:
    ended = once(kubectl, *environment, wrong_password(kubectl), "/git-sync", "--root=/tmp/once", *flags)
    assert (ended.returncode, ended.stderr.count("Authentication failed")) == (1, failures), ended.stderr


def test_git_uses_the_proxy_of_the_environment(kubectl: Kubectl) -> None:
    """Nothing listens on the proxy's port, so git cannot reach the git host, except with NO_PROXY."""
    proxy = (*NO_LIMITS, "HTTPS_PROXY=http://127.0.0.1:9", wrong_password(kubectl))
    program = ("/git-sync", "--root=/tmp/once")
    through_proxy = once(kubectl, *proxy, *program)
    assert through_proxy.returncode == 1
    assert "127.0.0.1" in through_proxy.stderr, "git names the proxy"
    assert "Authentication failed" not in through_proxy.stderr
    direct = once(kubectl, *proxy, "NO_PROXY=git.example.test", *program)
    assert "Authentication failed" in direct.stderr
    assert "127.0.0.1" not in direct.stderr


def test_git_trusts_only_the_ca_of_the_environment(kubectl: Kubectl) -> None:
    without = once(
        kubectl, *NO_LIMITS, "-u", "GIT_SSL_CAINFO", wrong_password(kubectl), "/git-sync", "--root=/tmp/once"
    )
    assert without.returncode == 1
    assert "certificate" in without.stderr
    assert "Authentication failed" not in without.stderr


def test_the_first_sync_publishes_a_worktree_named_by_its_commit(
    kubectl: Kubectl, branch: Branch, password: str
) -> None:
    kubectl.shell("poller", "cat > /tmp/password", stdin=password + "\n")
    kubectl.wait("200 after the first sync", lambda: status_of(kubectl) == "200")
    assert kubectl.shell("poller", f"readlink {ROOT}/current") == f".worktrees/{branch.commits[-1]}"
    assert kubectl.shell("poller", f"ls -A {ROOT}/current") == ".git\nnumber"
    kubectl.run("wait", "--for=condition=Ready", "pod/poller", "--timeout=20s")


def test_the_hook_runs_in_the_worktree_and_gets_the_commit(kubectl: Kubectl, branch: Branch) -> None:
    kubectl.wait("the hook ran", lambda: hook_done(kubectl, branch.commits[-1]))
    (run,) = hook_runs(kubectl)
    assert run[1:4] == [branch.commits[-1], f"{ROOT}/.worktrees/{branch.commits[-1]}", branch.name]


def test_a_push_is_published_by_one_rename(kubectl: Kubectl, branch: Branch) -> None:
    link = f"{ROOT}/current"
    watch = f"echo $1; while now=$(readlink {link}); do [ ${{now##*/}} = $1 ] || exec echo ${{now##*/}}; done; exit 3"
    command = ["exec", "poller", "--", "timeout", "30", "sh", "-c", watch, "sh", branch.commits[-1]]
    with subprocess.Popen([*kubectl.command, *command], stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout
        assert watcher.stdout.readline(), "the loop has not started"
        after = branch.push()
        seen, _ = watcher.communicate(timeout=60)
    assert (watcher.returncode, seen.strip()) == (0, after), "the link was missing or pointed elsewhere in between"
    assert kubectl.shell("poller", f"cat {ROOT}/current/number") == "1"
    kubectl.wait("the old worktree is gone", lambda: kubectl.shell("poller", f"ls {ROOT}/.worktrees") == after)
    kubectl.wait("the hook ran again", lambda: hook_done(kubectl, after))


def test_a_hook_that_fails_is_retried_with_the_newest_commit(kubectl: Kubectl, branch: Branch) -> None:
    kubectl.shell("poller", "touch /tmp/refuse")
    skipped = branch.push()
    kubectl.wait("two attempts", lambda: [run[1] for run in hook_runs(kubectl)].count(skipped) >= 2)
    newest = branch.push()
    kubectl.wait("git-sync syncs while the hook fails", lambda: head_of(kubectl) == newest)
    kubectl.wait("an attempt with the newest", lambda: hook_runs(kubectl)[-1][1] == newest)
    kubectl.shell("poller", "rm /tmp/refuse")
    kubectl.wait("the hook succeeded", lambda: hook_done(kubectl, newest))
    attempts = [run for run in hook_runs(kubectl) if run[1] in (skipped, newest)]
    assert not hook_done(kubectl, skipped)
    pauses = [float(after[0]) - float(before[0]) for before, after in itertools.pairwise(attempts)]
    assert min(pauses) >= BACKOFF_S
    assert max(pauses) < 3 * BACKOFF_S, "the backoff grew"


def test_the_old_content_stays_while_the_git_host_rejects_the_password(
    kubectl: Kubectl, branch: Branch, password: str
) -> None:
    before, failures = branch.commits[-1], failures_in(kubectl)
    kubectl.shell("poller", "cat > /tmp/password", stdin="wrong")
    kubectl.wait("a rejected poll", lambda: failures_in(kubectl) > failures)
    after = branch.push()
    failures = failures_in(kubectl)
    kubectl.wait("rejected polls after the push", lambda: failures_in(kubectl) > failures + 2)
    assert (head_of(kubectl), status_of(kubectl)) == (before, "200")
    kubectl.shell("poller", "cat > /tmp/password", stdin=password)  # read again at each sync
    kubectl.wait("caught up", lambda: head_of(kubectl) == after)
    kubectl.wait("the hook ran", lambda: hook_done(kubectl, after))
    runs = [run[1] for run in hook_runs(kubectl)]
    assert runs.count(after) == 1, "the hook ran again for the same commit"


def test_the_password_shows_in_no_log_and_no_argument(kubectl: Kubectl, password: str) -> None:
    look = "for i in $(seq 150); do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; done"
    seen = [""]
    while "fetch" not in seen[-1] and len(seen) < 10:
        seen.append(kubectl.shell("poller", look))
    assert "fetch" in seen[-1], "no running git process was seen"
    assert password not in "".join(seen)
    assert password not in kubectl.logs("poller")


def test_a_full_commit_hash_is_fetched_once_and_never_polled(
    kubectl: Kubectl, lab: dict[str, Any], branch: Branch
) -> None:
    kubectl.wait("the pinned commit", lambda: head_of(kubectl, "pinned", "/git") == branch.commits[0])

    def requests(name: str) -> int:
        return Path(lab["access_log"]).read_text().count(f" /{SPELLINGS[name]}/info/refs")

    pinned, polls = requests("pinned"), requests("poller")
    assert pinned > 0
    kubectl.wait("five polls of the poller", lambda: requests("poller") >= polls + 5)
    assert requests("pinned") == pinned
    assert kubectl.get("pod", "pinned")["status"]["containerStatuses"][0]["restartCount"] == 0


def test_without_a_ref_git_sync_follows_the_head_of_the_remote(
    kubectl: Kubectl, lab: dict[str, Any], branch: Branch
) -> None:
    head = branch.git("ls-remote", lab["push_url"], "HEAD").split()[0]
    assert head not in branch.commits, "the suite's branch is the default branch"
    kubectl.wait("the remote HEAD", lambda: head_of(kubectl, "default-branch") == head)


def test_ssh_accepts_only_the_host_key_in_known_hosts(kubectl: Kubectl, branch: Branch) -> None:
    kubectl.wait("a sync over SSH", lambda: head_of(kubectl, "over-ssh") == branch.commits[-1])
    other = "GITSYNC_SSH_KNOWN_HOSTS_FILE=/etc/git-credentials/other_known_hosts"
    refused = once(kubectl, *NO_LIMITS, other, "/git-sync", "--root=/tmp/once", pod="over-ssh")
    assert refused.returncode == 1
    assert "Host key verification failed" in refused.stderr
