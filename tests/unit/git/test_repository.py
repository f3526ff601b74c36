"""git with an account: real git on local repositories, and the messages for git's errors."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from git_to_pod.git.errors import GitError, explained
from git_to_pod.git.refusals import Refusal, classify, reason
from git_to_pod.git.repository import (
    FILE,
    PROBE,
    Account,
    Repository,
    account,
    git_limit_s,
    open_repository,
    remote_commit,
    secrets_of,
)
from git_to_pod.settings import Credentials, InputError, Settings
from tests.samples import SETTINGS
from tests.unit.git.local_git import (
    Host,
    answering,
    hook,
    make_repository,
    push_from_elsewhere,
    refs,
    serving,
    settings_for,
)

URL = "https://git.example.test/a.git"
WRITER = Credentials("writer", "secret-of-the-writer")


def error_of(stderr: str, url: str = URL) -> GitError:
    return GitError(reason(stderr, url), classify(stderr, url), stderr)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("fatal: Authentication failed for 'https://...'", "refused this account"),
        ("fatal: could not read Username for 'https://...': terminal prompts disabled", "refused this account"),
        ("git@git.example.test: Permission denied (publickey).", "refused this account"),
        ("fatal: unable to access '...': The requested URL returned error: 403", "this account may not read"),
        ("conq: repository access denied.", "this account may not read"),
        ("fatal: repository 'https://...' not found", "no repository at"),
        ("ERROR: Repository not found.", "or this account may not read it"),
        ("fatal: unable to access '...': SSL certificate problem: unable to get local issuer", "is not trusted"),
        ("Host key verification failed.", "is not in the file known_hosts"),
        (
            "Host key for git.example.test has changed and you have requested strict checking.\n"
            "Host key verification failed.",
            "the host key of git.example.test is another one than the file known_hosts has",
        ),
        (
            'Load key "ssh-privatekey": error in libcrypto\ngit@git.example.test: Permission denied (publickey).',
            'ssh cannot read the key in the file ssh-privatekey (Load key "ssh-privatekey": error in libcrypto)',
        ),
        ("fatal: unable to access '...': Could not resolve host: git.example.test", "cannot be reached"),
        ("fatal: unable to access '...': Failed to connect to git.example.test", "cannot be reached"),
        ("fatal: unable to access '...': The requested URL returned error: 500", "git failed at"),
        ("fatal: unable to access '...': Connection timed out", "is slow or does not answer"),
    ],
)
def test_each_error_of_git_says_what_to_do(error: str, message: str) -> None:
    message = explained(error_of(error), URL, "--credentials")
    assert message in message
    assert "; " in message
    assert "\n" not in message


def test_a_missing_host_key_is_named_as_known_hosts_has_it() -> None:
    error = error_of(
        "No ED25519 host key is known for [git.example.test]:2222 and you have requested strict checking.\r\n"
        "Host key verification failed.\r\nfatal: Could not read from remote repository.\n"
    )
    assert explained(error, "ssh://git@git.example.test:2222/a.git", "--credentials") == (
        "--credentials: the host key of [git.example.test]:2222 is not in the file known_hosts "
        "(No ED25519 host key is known for [git.example.test]:2222 and you have requested strict checking.); "
        "add the line that begins with [git.example.test]:2222"
    )


@pytest.mark.parametrize("url", ["https://git.example.test:4403/denied-parties.git", "https://denied.test:403/401.git"])
def test_a_host_that_cannot_be_reached_is_called_so_whatever_its_url(url: str) -> None:
    stderr = f"fatal: unable to access '{url}/': Could not resolve host: {url.split('/')[2].partition(':')[0]}"
    assert "cannot be reached" in explained(error_of(stderr, url), url, "--credentials")


def test_secrets_are_in_private_files_only() -> None:
    with account(Credentials("reader", "hunter2")) as reader:
        assert "hunter2" not in " ".join(reader.environment.values())
        assert (reader.folder / "password").stat().st_mode & 0o777 == 0o600
        assert reader.folder.stat().st_mode & 0o777 == 0o700
        folder = reader.folder
    assert not folder.exists()


def test_the_users_own_git_settings_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_ASKPASS", "/bin/true")
    monkeypatch.setenv("GIT_TO_POD_PASSWORD", "hunter2")
    nobody = Account(Credentials())
    assert "GIT_ASKPASS" not in nobody.environment
    assert "GIT_TO_POD_PASSWORD" not in nobody.environment
    assert nobody.environment["GIT_CONFIG_GLOBAL"] == os.devnull
    nobody.close()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A git host that only the writer may read, and push to."""
    make_repository(tmp_path / "git" / "content.git")
    return Host(tmp_path / "git", {WRITER.username: WRITER.password}, {WRITER.username})


@pytest.fixture
def bare(host: Host) -> Path:
    return host.root / "content.git"


@pytest.fixture
def url(host: Host) -> Iterator[str]:
    with serving(host.handler) as server:
        yield f"{server.url}/content.git"


@pytest.fixture
def generous_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, and an environment, that offer the writer's account in every way that git or curl knows."""
    home = tmp_path / "home"
    (home / ".config" / "git").mkdir(parents=True)
    (home / ".netrc").write_text(f"machine 127.0.0.1 login {WRITER.username} password {WRITER.password}\n")
    (home / ".netrc").chmod(0o600)
    (home / ".git-credentials").write_text(f"http://{WRITER.username}:{WRITER.password}@127.0.0.1\n")
    ask = home / "ask"
    ask.write_text(f"#!/bin/sh\ncase $1 in Username*) echo {WRITER.username} ;; *) echo {WRITER.password} ;; esac\n")
    ask.chmod(0o700)
    configuration = f"[core]\n\taskPass = {ask}\n[credential]\n\thelper = store\n"
    for name in (".gitconfig", ".config/git/config"):
        (home / name).write_text(configuration)
    for name, value in {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "SSH_ASKPASS": str(ask),
        "SSH_ASKPASS_REQUIRE": "force",
        "GIT_ASKPASS": str(ask),
        "DISPLAY": ":0",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "credential.helper",
        "GIT_CONFIG_VALUE_0": "store",
    }.items():
        monkeypatch.setenv(name, value)
    return home


@pytest.mark.parametrize("credentials", [Credentials(), Credentials("writer", "wrong"), Credentials("x", "y")])
def test_only_the_given_credentials_are_used(
    host: Host, url: str, generous_home: Path, credentials: Credentials
) -> None:
    asked = subprocess.run(["git", "ls-remote", url], capture_output=True, env=os.environ, cwd=generous_home)
    assert asked.returncode == 0  # so the home does offer the account
    host.users.clear()
    with account(credentials) as someone, pytest.raises(GitError) as caught:
        someone.git("ls-remote", url)
    assert caught.value.kind is Refusal.AUTHENTICATION
    assert {*host.users} <= {"", credentials.username}


def test_the_given_credentials_work_beside_others(url: str, generous_home: Path) -> None:
    (generous_home / ".netrc").write_text("machine 127.0.0.1 login writer password wrong\n")
    with account(WRITER) as writer:
        assert "refs/heads/main" in writer.git("ls-remote", url)


def test_this_machine_is_reached_without_a_proxy(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{held.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", ".svc,10.0.0.0/8")
        with account(WRITER) as writer:
            assert "refs/heads/main" in writer.git("ls-remote", url)
            assert "refs/heads/main" in writer.git("ls-remote", url.replace("127.0.0.1", "localhost"))
            assert writer.environment["no_proxy"].startswith(".svc,10.0.0.0/8,localhost,127.0.0.1")
            with pytest.raises(GitError, match="Failed to connect to 127.0.0.1"):
                writer.git("ls-remote", "http://git.example.test/content.git")  # by way of the proxy


def test_a_star_in_no_proxy_stays_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with account(Credentials()) as someone:
        assert someone.environment["no_proxy"] == someone.environment["NO_PROXY"] == "*"


def test_a_host_that_repeats_the_password_does_not_bring_it_into_a_message() -> None:
    with (
        serving(answering(403, "you sent {auth}", authenticate=True)) as server,
        account(WRITER) as writer,
        pytest.raises(GitError) as caught,
    ):
        writer.git("ls-remote", server.url)
    assert "you sent Basic ***" in caught.value.stderr
    for secret in secrets_of(WRITER):
        assert secret not in f"{caught.value} {caught.value!r} {caught.value.stderr} {writer!r}"


def test_every_line_of_a_key_is_a_secret() -> None:
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----\n"
    with account(Credentials(ssh_privatekey=key)) as someone:
        assert someone.without_secrets("Load key b3BlbnNzaC1rZXktdjEAAAAA") == "Load key ***"


def test_git_gives_up_after_its_limit_with_everything_that_it_started() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, account(Credentials(), timeout_s=0.5) as someone:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/content.git"
        began = time.monotonic()
        with pytest.raises(GitError) as caught:
            someone.git("ls-remote", url)
        assert 0.4 < time.monotonic() - began < 5
        connection, _ = silent.accept()
        connection.settimeout(5)
        while connection.recv(4096):  # its request; then the end, because the helper is gone too
            pass
        connection.close()
    assert caught.value.kind is Refusal.TIMED_OUT
    assert str(caught.value) == "git ls-remote: did not finish within 0.5 s"


def test_git_ends_after_a_run_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys; from git_to_pod.git.repository import account; from git_to_pod.settings import Credentials\n"
        "with account(Credentials(), timeout_s=2) as someone: someone.git('ls-remote', sys.argv[1])"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/content.git"
        with subprocess.Popen([sys.executable, "-c", program, url], env=os.environ | {"TMPDIR": str(tmp_path)}) as run:
            connection, _ = silent.accept()
            run.kill()
        connection.settimeout(10)
        while connection.recv(4096):  # the request, then the end
            pass
        connection.close()


@pytest.mark.parametrize(("timeout_s", "limit_s"), [(10.0, 60.0), (60.0, 60.0), (300.0, 300.0)])
def test_gits_limit_follows_the_runs_timeout(timeout_s: float, limit_s: float) -> None:
    settings = replace(SETTINGS, timeout_s=timeout_s)
    assert git_limit_s(settings) == limit_s
    repository = Repository(settings)
    assert repository.account.timeout_s == limit_s
    repository.close()


def test_a_slow_clone_is_called_slow(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ "$1" = clone ] && sleep 60\nexec {shutil.which("git")} "$@"\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr("git_to_pod.git.repository.GIT_S", 2.0)
    with pytest.raises(InputError) as caught:
        open_repository(replace(settings_for(str(bare)), timeout_s=2.0))
    assert str(caught.value) == (
        f"{bare} is slow or does not answer (git clone: did not finish within 2 s); check the host, or raise --timeout"
    )


def test_git_that_is_not_installed_is_no_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with account(Credentials()) as someone, pytest.raises(GitError, match="git cannot be started: git is not on PATH"):
        someone.git("version")


def test_someone_elses_push_does_not_stop_the_run(bare: Path) -> None:
    repository = open_repository(settings_for(str(bare)))
    repository.push(repository.commit("First of the run\n"))
    first = repository.commit("Second of the run\n")
    theirs = push_from_elsewhere(bare, "theirs.txt", "theirs")
    began = time.monotonic()
    returned = repository.push(first)
    assert began < returned < time.monotonic()
    last = repository.pushed[-1]
    assert repository.overtaken == 1
    assert last != first
    assert refs(bare)["main"] == last
    git = repository.account.git
    assert git("rev-parse", f"{last}~", folder=bare).strip() == theirs
    assert git("show", f"{last}:theirs.txt", folder=bare) == "theirs"
    assert git("show", "--no-patch", "--format=%s", last, folder=bare) == "Second of the run\n"
    assert repository.contents[last] == b"Second of the run\n"
    repository.push(repository.commit("Third of the run\n"))  # the next one goes on from there
    assert repository.overtaken == 1
    assert refs(bare)["main"] == repository.pushed[-1]
    repository.close()


def test_someone_elses_last_push_is_taken_over(bare: Path) -> None:
    repository = open_repository(settings_for(str(bare)))
    repository.push(repository.commit("First of the run\n"))
    assert not repository.take_over()
    theirs = push_from_elsewhere(bare, "theirs.txt", "theirs")
    assert repository.take_over()
    assert (repository.pushed[-1], repository.overtaken) == (theirs, 1)
    assert repository.contents[theirs] == b"First of the run\n"
    repository.push(repository.commit("Second of the run\n"))
    assert repository.overtaken == 1
    repository.close()


@pytest.mark.parametrize("theirs", ["another run's text\n", None], ids=["changed", "deleted"])
def test_someone_elses_change_of_the_same_file_is_no_conflict(bare: Path, theirs: str | None) -> None:
    repository = open_repository(settings_for(str(bare)))
    repository.push(repository.commit("First of the run\n"))
    commit = repository.commit("Second of the run\n")
    push_from_elsewhere(bare, FILE, theirs)
    repository.push(commit)
    assert repository.account.git("show", f"main:{FILE}", folder=bare) == "Second of the run\n"
    assert repository.overtaken == 1
    repository.close()


def test_other_files_of_a_commit_are_rebuilt_too(bare: Path) -> None:
    repository = open_repository(settings_for(str(bare)))
    git, clone = repository.account.git, repository.clone
    (clone / "a*b").write_text("new")
    (clone / ".gitattributes").unlink()
    git("add", "--all", folder=clone)
    git("commit", "--quiet", "--message=Without the file", folder=clone)
    push_from_elsewhere(bare, "theirs.txt", "theirs")
    repository.push(git("rev-parse", "HEAD", folder=clone).strip())
    assert git("ls-tree", "--name-only", "main", folder=bare).split() == ["a*b", "theirs.txt"]
    repository.close()


def test_another_rejection_is_not_tried_again(bare: Path) -> None:
    repository = open_repository(settings_for(str(bare)))
    hook(bare, "pre-receive", "echo no; exit 1")
    commit = repository.commit("One\n")
    with pytest.raises(GitError, match="remote: no"):
        repository.push(commit)
    assert (repository.overtaken, repository.pushed) == (0, [])
    repository.close()


HOOKS = {
    "a protected branch": (
        "pre-receive",
        "while read -r old new ref; do [ $ref = refs/heads/main ] || continue; "
        "echo 'GitLab: You are not allowed to push code to protected branches on this project.'; exit 1; done",
        "remote: GitLab: You are not allowed to push code to protected branches on this project.",
    ),
    "a rule on authors": (
        "pre-receive",
        "while read -r old new ref; do case $(git show --no-patch --format=%ae $new) in *@acme.example) ;; "
        '*) echo "Author is not a member of team"; exit 1 ;; esac; done',
        "remote: Author is not a member of team",
    ),
    "a hook for each branch": (
        "update",
        "[ $1 != refs/heads/main ] || { echo 'Use a pull request.'; exit 1; }",
        "remote: Use a pull request.",
    ),
}


@pytest.mark.parametrize(("name", "script", "line"), HOOKS.values(), ids=HOOKS.keys())
@pytest.mark.parametrize("over_http", [True, False])
def test_a_branch_that_takes_no_commit_is_refused_before_the_run(
    bare: Path, url: str, over_http: bool, name: str, script: str, line: str
) -> None:
    hook(bare, name, script)
    settings, before = settings_for(url if over_http else str(bare), WRITER), refs(bare)
    with pytest.raises(InputError) as caught:
        open_repository(settings)
    message = str(caught.value)
    assert message.startswith("--ref main: ")
    assert "refuses a commit of git-to-pod evaluation <evaluation@git-to-pod.example> on this branch" in message
    assert f"({line})" in message
    assert "\n" not in message
    assert refs(bare) == before


def test_the_author_comes_from_the_callers_environment(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hook(bare, *HOOKS["a rule on authors"][:2])
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ann Example")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "ann@acme.example")
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "ci@acme.example")
    repository = open_repository(settings_for(str(bare)))
    repository.push(repository.commit("One\n"))
    shown = repository.account.git("show", "--no-patch", "--format=%an <%ae>, %cn <%ce>", "main", folder=bare)
    assert shown == "Ann Example <ann@acme.example>, Ann Example <ci@acme.example>\n"
    repository.close()


ALLOWED = {
    "no rule": ("post-receive", "echo $(cat) >>events"),
    "a rule on the names of branches": (
        "pre-receive",
        "while read -r old new ref; do [ $ref = refs/heads/main ] || "
        "{ echo \"GitLab: Branch name '${ref#refs/heads/}' does not follow the pattern '^main$'\"; exit 1; }; done",
    ),
    "a hook that refuses new branches": ("update", "[ $1 = refs/heads/main ] || { echo 'no new branches'; exit 1; }"),
}


@pytest.mark.parametrize(("name", "script"), ALLOWED.values(), ids=ALLOWED.keys())
def test_the_check_of_the_push_changes_nothing_and_stops_no_run(bare: Path, url: str, name: str, script: str) -> None:
    hook(bare, name, script)
    before = refs(bare)
    repository = open_repository(settings_for(url, WRITER))
    assert refs(bare) == before
    assert not any(PROBE in ref for ref in before)
    assert repository.contents == {}
    assert not (bare / "events").exists()  # nothing for CI to run
    repository.push(repository.commit("One\n"))
    assert refs(bare) == {"main": repository.pushed[0]}
    repository.close()


def test_a_host_without_atomic_pushes_is_no_obstacle(bare: Path, url: str) -> None:
    repository = Repository(settings_for(url))
    repository.account.git("config", "receive.advertiseAtomic", "false", folder=bare)
    repository.close()
    open_repository(settings_for(url, WRITER)).close()


def test_an_account_that_may_not_push_is_refused(host: Host, url: str) -> None:
    host.pushers.clear()
    with pytest.raises(InputError, match="--push-credentials: this account cannot push to http://127.0.0.1") as caught:
        open_repository(settings_for(url, WRITER))
    assert WRITER.password not in str(caught.value)


def test_the_branchs_commit_is_asked_within_a_limit(bare: Path, url: str) -> None:
    assert remote_commit(WRITER, url, "main") == remote_commit(WRITER, url, "main", 5) == refs(bare)["main"]
    assert remote_commit(WRITER, url, "none") == ""


SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")


@pytest.fixture
def ssh_port(tmp_path: Path) -> Iterator[int]:
    """OpenSSH's server, for the messages before anyone is logged in."""
    if not SSHD:
        pytest.skip("no sshd on this machine")
    key = tmp_path / "host_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    options = ("-o", f"HostKey={key}", "-o", "PidFile=none", "-o", "ListenAddress=127.0.0.1", "-p", str(port))
    with subprocess.Popen([SSHD, "-D", "-e", "-f", "/dev/null", *options], stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr
        line = server.stderr.readline()
        if "listening" not in line:
            server.wait(10)
            pytest.skip(f"sshd does not start: {line}")
        yield port
        server.terminate()


@pytest.mark.parametrize(
    ("known_hosts", "message"),
    [
        ("127.0.0.1 {other}", "the host key of [127.0.0.1]:{port} is not in the file known_hosts (No ED25519 host key"),
        ("[127.0.0.1]:{port} {other}", "the host key of [127.0.0.1]:{port} is another one than the file known_hosts"),
        ("[127.0.0.1]:{port} {right}", "127.0.0.1 refused this account for ssh://git@127.0.0.1:{port}/a.git (git@"),
    ],
    ids=["without its port", "another key", "an unknown account"],
)
def test_the_host_key_and_the_account_have_messages_of_their_own(
    ssh_port: int, tmp_path: Path, known_hosts: str, message: str
) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    keys = {name: (tmp_path / f"{file}.pub").read_text() for name, file in (("right", "host_key"), ("other", "other"))}
    credentials = Credentials(
        ssh_privatekey=(tmp_path / "other").read_text(), known_hosts=known_hosts.format(port=ssh_port, **keys)
    )
    url = f"ssh://git@127.0.0.1:{ssh_port}/a.git"
    with pytest.raises(InputError) as caught:
        open_repository(settings_for(url, credentials))
    assert str(caught.value).startswith("--credentials: " + message.format(port=ssh_port))


def test_the_error_is_gits_own_line(tmp_path: Path) -> None:
    with account(Credentials()) as someone, pytest.raises(GitError, match="does not appear to be a git repository"):
        someone.git("ls-remote", str(tmp_path))


@pytest.fixture(params=["blank here", "single'quote", 'double"quote', "$HOME", "per%cent", "${HOME}; `x` \\"])
def odd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files whose name means something to a shell or to ssh."""
    folder = tmp_path / str(request.param)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_git_gets_user_and_password_whatever_the_folder_is_called(odd: Path) -> None:
    with account(Credentials("reader", "hunter2")) as reader:
        assert odd in reader.folder.parents
        for question, answer in {
            "Username for 'https://x': ": "reader",
            "Password for 'https://x': ": "hunter2",
        }.items():
            asked = subprocess.run([reader.environment["GIT_ASKPASS"], question], capture_output=True, text=True)
            assert (asked.stdout, asked.stderr) == (answer, "")


def test_git_gets_key_and_known_hosts_whatever_the_folder_is_called(
    odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a program in place of ssh, which shows the files that its arguments name."""
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n{\n"
        'for word; do case $word in UserKnownHostsFile=*) cat "${word#*=}" ;; esac; done\n'
        'while [ "$1" != -i ]; do shift; done\ncat "$2"\nshift 2\necho "$@"\n} >&2\n'
    )
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    with account(Credentials(ssh_privatekey="the key\n", known_hosts="the host\n")) as reader:
        done = subprocess.run(
            ["git", "ls-remote", "ssh://git@git.example.test/a.git"],
            cwd=odd, env=reader.environment, capture_output=True, text=True,
        )  # fmt: skip
    assert done.stderr.splitlines()[:2] == ["the host", "the key"]
    assert done.stderr.splitlines()[2].endswith("git@git.example.test git-upload-pack '/a.git'")


def test_bytes_are_gits_own_and_text_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"one\r\ntwo\n\xff")
    with account(Credentials()) as someone:
        someone.git("init", "--quiet", folder=tmp_path)
        blob = someone.git("hash-object", "-w", "--no-filters", "file", folder=tmp_path).strip()
        assert someone.git_bytes("cat-file", "blob", blob, folder=tmp_path) == b"one\r\ntwo\n\xff"
        assert someone.git("cat-file", "blob", blob, folder=tmp_path) == "one\r\ntwo\n\ufffd"


def hosted(folder: Path, *options: str, attributes: str = "") -> Settings:
    """Settings for a bare repository on this machine, with one commit on main."""
    return settings_for(str(make_repository(folder / "content.git", *options, attributes=attributes)))


@pytest.fixture
def converting(tmp_path: Path) -> Iterator[Repository]:
    """A clone of a repository that converts line ends."""
    repository = open_repository(hosted(tmp_path, attributes="* text eol=crlf\n"))
    yield repository
    repository.close()


def test_the_content_of_a_commit_is_what_a_checkout_gives(converting: Repository, tmp_path: Path) -> None:
    commits = [converting.commit(text) for text in ("First line\nsecond\n", "Another\n", "Another\n")]
    assert list(converting.contents) == commits
    assert [converting.contents[commit] for commit in commits] == [b"First line\r\nsecond\r\n"] + 2 * [b"Another\r\n"]
    for commit, content in converting.contents.items():
        converting.push(commit)
        converting.account.git("clone", "--quiet", "--branch=main", converting.url, str(tmp_path / commit))
        assert (tmp_path / commit / FILE).read_bytes() == content


def test_without_attributes_the_content_is_the_text(tmp_path: Path) -> None:
    repository = open_repository(hosted(tmp_path))
    assert repository.object_format() == "sha1"
    assert repository.contents[repository.commit("one\ntwo\n")] == b"one\ntwo\n"
    repository.close()


def test_a_repository_in_sha256_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = hosted(tmp_path, "--object-format=sha256")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    with pytest.raises(InputError) as caught:
        open_repository(settings)
    error = str(caught.value)
    assert error.startswith(f"--repository {settings.repository}: expected object format SHA-1, found SHA-256")
    assert "git-sync 4.7.1" in error
    assert "\n" not in error
    assert not list((tmp_path / "tmp").iterdir())
