"""The test repository: access checks before the run, and the commits that the trials push."""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
import time
import weakref
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import quote

from git_to_pod import watchdog
from git_to_pod.git.errors import GitError, cannot_push, explained
from git_to_pod.git.refusals import Refusal, classify, reason
from git_to_pod.programs import ProgramTimedOut, run
from git_to_pod.settings import Credentials, InputError, Settings

FILE = "git-to-pod-evaluation.txt"  # the file that the test commits change and that the load requests
GIT_S = 60.0  # the limit of one git command, unless --timeout is longer
PROBE = "git-to-pod-probe"  # in the name of a branch that only a check tries to create
LOOPBACK = ("localhost", "127.0.0.1", "127.0.0.0/8", "::1", "[::1]")
AUTHOR = {"NAME": "git-to-pod evaluation", "EMAIL": "evaluation@git-to-pod.example"}


class Account:
    """git with one account. Its secrets are in files of a private folder, never in arguments or the environment."""

    def __init__(self, credentials: Credentials, timeout_s: float = GIT_S) -> None:
        self.timeout_s = timeout_s  # of each command
        self.folder = watchdog.make_folder()
        # Also removes the folder if the run is interrupted before it can close it, or the process ends.
        self.close = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.secrets = secrets_of(credentials)
        self.environment = isolated_environment(self.folder, timeout_s) | {
            "GIT_SSH_COMMAND": self.ssh(credentials),
            "GIT_SSH_VARIANT": "ssh",  # which git cannot tell from a command that begins with cd
        }
        if credentials.ca_crt:
            self.environment["GIT_SSL_CAINFO"] = str(self.write("ca.crt", credentials.ca_crt))
        if credentials.password:
            user = shlex.quote(str(self.write("username", credentials.username)))
            password = shlex.quote(str(self.write("password", credentials.password)))
            answer = f'#!/bin/sh\ncase "$1" in Username*) cat {user} ;; *) cat {password} ;; esac\n'
            self.environment["GIT_ASKPASS"] = str(self.write("askpass", answer, mode=0o700))

    def write(self, name: str, text: str, mode: int = 0o600) -> Path:
        path = self.folder / name
        path.touch(mode)
        path.write_text(text)
        return path

    def ssh(self, credentials: Credentials) -> str:
        """The value of GIT_SSH_COMMAND, a shell command."""
        self.write("known_hosts", credentials.known_hosts)
        # Relative paths: ssh itself splits and expands these values, and the folder's name may hold blanks, $ or %.
        command = f"cd {shlex.quote(str(self.folder))} && exec ssh -F none -o UserKnownHostsFile=known_hosts"
        command += (
            " -o GlobalKnownHostsFile=/dev/null -o BatchMode=yes -o ConnectTimeout=10 -o StrictHostKeyChecking=yes"
        )
        command += " -o ServerAliveInterval=15 -o IdentitiesOnly=yes -o IdentityAgent=none"
        if not credentials.ssh_privatekey:
            return f"{command} -o IdentityFile=none"
        self.write("ssh-privatekey", credentials.ssh_privatekey)
        return f"{command} -i ssh-privatekey"

    def git(self, *arguments: str, folder: Path | None = None) -> str:
        """git's standard output as text. Raises GitError."""
        return self.git_bytes(*arguments, folder=folder).decode(errors="replace")

    def git_bytes(self, *arguments: str, folder: Path | None = None) -> bytes:
        """git's standard output, byte for byte. Raises GitError."""
        url = next((word for word in arguments if "://" in word or word.startswith("/")), "")
        try:
            done = run(
                "git",
                *arguments,
                timeout_s=self.timeout_s,
                folder=folder or self.folder,
                environment=self.environment,
            )
        except ProgramTimedOut:
            limit = f"git {arguments[0]}: did not finish within {self.timeout_s:g} s"
            raise GitError(limit, Refusal.TIMED_OUT) from None
        except OSError as error:
            raise GitError(f"git cannot be started: {error.strerror or error}") from None
        if done.status:
            # A git host may repeat what it was sent.
            shown = self.without_secrets(done.stderr)
            raise GitError(reason(shown, url), classify(done.stderr, url), shown)
        return done.stdout

    def without_secrets(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def isolated_environment(folder: Path, timeout_s: float) -> dict[str, str]:
    """The environment of git, in which nothing of the user's own supplies credentials or changes what git does."""
    # ~/.netrc answers for libcurl, SSH_ASKPASS for git, a Kerberos ticket for both.
    prefixes = ("GIT_", "SSH_", "XDG_", "NETRC", "KRB5")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    settings = {
        "credential.helper": "",
        "http.emptyAuth": "false",
        "core.hooksPath": os.devnull,
        # A silent host: git's helper ends by itself, should this process be killed.
        "http.lowSpeedLimit": "1",
        "http.lowSpeedTime": str(math.ceil(timeout_s)),
    }
    for number, (name, value) in enumerate(settings.items()):
        kept |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return kept | {
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_COUNT": str(len(settings)),
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "no_proxy": no_proxy(),
        "NO_PROXY": no_proxy(),
        "LC_ALL": "C",
    }


def no_proxy() -> str:
    """The hosts that git reaches without a proxy: the caller's, and this machine."""
    given = [os.environ[name] for name in ("no_proxy", "NO_PROXY") if os.environ.get(name)]
    return "*" if "*" in given else ",".join(dict.fromkeys([*given, *LOOPBACK]))


def secrets_of(credentials: Credentials) -> list[str]:
    """Every form in which a message could repeat a secret of this account."""
    password = credentials.password
    basic = b64encode(f"{credentials.username}:{password}".encode()).decode()
    key = [line for line in credentials.ssh_privatekey.splitlines() if len(line) > 16]
    return [basic, quote(password, safe=""), password, *key] if password else key


@contextmanager
def account(credentials: Credentials, timeout_s: float = GIT_S) -> Iterator[Account]:
    opened = Account(credentials, timeout_s)
    try:
        yield opened
    finally:
        opened.close()


def git_limit_s(settings: Settings) -> float:
    """The limit of one git command, in seconds: at least a minute, more if the run's --timeout is longer."""
    return max(GIT_S, settings.timeout_s)


class Repository:
    """A clone for the test commits, which the writer's account pushes."""

    def __init__(self, settings: Settings) -> None:
        self.ref = settings.ref
        self.url = settings.push_url
        self.account = Account(settings.writer, git_limit_s(settings))
        self.clone = self.account.folder / "clone"
        self.pushed: list[str] = []  # the commits of this run, in order
        self.contents: dict[str, bytes] = {}  # FILE in a checkout of each commit
        self.overtaken = 0  # how often someone else had pushed

    def open(self) -> None:
        """Clone the branch. Raises GitError."""
        git = self.account.git
        git("clone", "--quiet", "--depth=1", f"--branch={self.ref}", self.url, str(self.clone))
        for name, value in identities().items():
            git("config", name, value, folder=self.clone)

    def deepen(self) -> None:
        """Fetch the whole history. A host that lacks parts of it refuses a push from a shallow clone."""
        self.account.git("fetch", "--quiet", "--depth=2147483647", self.url, self.ref, folder=self.clone)

    def commit(self, text: str) -> str:
        """Make the next commit, without pushing it, and return its id. Raises GitError."""
        (self.clone / FILE).write_text(text)
        self.account.git("add", FILE, folder=self.clone)
        # --allow-empty: the trial needs a new commit even if the text is unchanged.
        self.account.git("commit", "--quiet", "--allow-empty", f"--message={text.splitlines()[0]}", folder=self.clone)
        return self.remember()

    def expect_random_files(self) -> None:
        """Have git store large files as they are: random bytes do not compress."""
        for name, value in {"core.bigFileThreshold": "1m", "core.compression": "0"}.items():
            self.account.git("config", name, value, folder=self.clone)

    def remember(self) -> str:
        """The id of the clone's commit, whose file is kept for later comparison. Raises GitError."""
        commit = self.account.git("rev-parse", "HEAD", folder=self.clone).strip()
        # As a checkout gives it: .gitattributes may convert the text.
        self.contents[commit] = self.account.git_bytes("cat-file", "--filters", f"{commit}:{FILE}", folder=self.clone)
        return commit

    def push(self, commit: str, *options: str) -> float:
        """Push the commit. Return the monotonic instant at which `git push` returned, in seconds. Raises GitError.

        If someone else has pushed to the branch meanwhile, push the same change on top of theirs: the last of `pushed`
        is then that new commit.
        """
        push = partial(self.account.git, "push", "--quiet", *options, self.url, folder=self.clone)
        try:
            push(f"{commit}:refs/heads/{self.ref}")
        except GitError as error:
            if error.kind is not Refusal.BEHIND:
                raise
            commit = self.rebuild(commit)
            push(f"{commit}:refs/heads/{self.ref}")
            self.overtaken += 1
        returned = time.monotonic()
        self.pushed.append(commit)
        return returned

    def rebuild(self, commit: str) -> str:
        """Make the commit's change anew on top of the host's branch; the clone goes on from there. Raises GitError."""
        git = partial(self.account.git, folder=self.clone)
        changes = git("diff-tree", "-r", "-z", "--no-renames", "--name-status", f"{commit}~", commit).split("\0")[:-1]
        status = dict(zip(changes[1::2], changes[::2], strict=True))
        git("fetch", "--quiet", self.url, f"refs/heads/{self.ref}")
        git("reset", "--quiet", "--hard", "FETCH_HEAD")
        # Whole files, no merge: two runs on one branch change the same line.
        if changed := [path for path, letter in status.items() if letter != "D"]:
            git("--literal-pathspecs", "checkout", "--quiet", commit, "--", *changed)
        if deleted := [path for path, letter in status.items() if letter == "D"]:
            git("--literal-pathspecs", "rm", "--quiet", "--ignore-unmatch", "--", *deleted)
        git("commit", "--quiet", "--allow-empty", f"--reuse-message={commit}")
        return self.remember() if commit in self.contents else git("rev-parse", "HEAD").strip()

    def take_over(self) -> bool:
        """Whether someone else has pushed since this run did. The clone then goes on from their commit.

        It becomes the last of `pushed`. Raises GitError.
        """
        git = partial(self.account.git, folder=self.clone)
        git("fetch", "--quiet", self.url, f"refs/heads/{self.ref}")
        if git("rev-parse", "FETCH_HEAD").strip() == self.pushed[-1]:
            return False
        git("reset", "--quiet", "--hard", "FETCH_HEAD")
        self.pushed.append(self.remember())
        self.overtaken += 1
        return True

    def object_format(self) -> str:
        """The hash of the repository's object ids: sha1 or sha256."""
        return self.account.git("rev-parse", "--show-object-format", folder=self.clone).strip()

    def close(self) -> None:
        self.account.close()


def identities() -> dict[str, str]:
    """git's settings for author and committer of the test commits. The caller's environment names others."""
    found = {}
    for name, default in AUTHOR.items():
        author = os.environ.get(f"GIT_AUTHOR_{name}") or default
        found[f"author.{name.lower()}"] = author
        found[f"committer.{name.lower()}"] = os.environ.get(f"GIT_COMMITTER_{name}") or author
    return found


def remote_commit(credentials: Credentials, url: str, ref: str, timeout_s: float = GIT_S) -> str:
    """The id of the branch's commit on the host; empty if the branch does not exist. Raises GitError."""
    with account(credentials, timeout_s) as reader:
        return reader.git("ls-remote", url, f"refs/heads/{ref}").partition("\t")[0]


def open_repository(settings: Settings) -> Repository:
    """Check both accounts, the repository and the branch, and clone it. Raises InputError."""
    limit_s = git_limit_s(settings)
    check_access(settings.reader, settings.reader_url, settings.ref, "--credentials", limit_s)
    if (settings.push_url, settings.writer.files()) != (settings.reader_url, settings.reader.files()):
        check_access(settings.writer, settings.push_url, settings.ref, "--push-credentials", limit_s)
    repository = Repository(settings)
    try:
        repository.open()
        check_object_format(repository, settings)
        check_push(repository)
    except GitError as error:
        repository.close()
        raise InputError(cannot_push(error, settings, identities())) from None
    except BaseException:
        repository.close()
        raise
    return repository


def check_object_format(repository: Repository, settings: Settings) -> None:
    """Refuse a repository in SHA-256 object format. Raises InputError."""
    if repository.object_format() == "sha256":
        raise InputError(
            f"--repository {settings.repository}: expected object format SHA-1, found SHA-256, which git-sync 4.7.1 "
            "cannot fetch; use a repository made by git init --object-format=sha1"
        )


def check_push(repository: Repository) -> None:
    """Check that the host takes a commit of the test commits' author on the branch. Raises GitError.

    A dry run shows neither a protected branch nor a rule on authors, because the host's hooks do not see it. The hooks
    see the second push, but the host carries out no part of it: the push is atomic, and it also names a branch below
    this one, which cannot exist beside it.
    """
    git, branch = partial(repository.account.git, folder=repository.clone), f"refs/heads/{repository.ref}"
    head = git("rev-parse", "HEAD").strip()
    git("push", "--dry-run", "--quiet", repository.url, f"{head}:{branch}")
    commit = git("commit-tree", f"{head}^{{tree}}", "-p", head, "-m", "Check of the push, kept by no branch").strip()
    try:
        git("push", "--quiet", "--atomic", repository.url, f"{commit}:{branch}", f"{commit}:{branch}/{PROBE}")
    except GitError as error:
        if refuses(error, repository.ref):
            raise
    else:  # no git host that is known does this
        git("update-ref", "HEAD", commit)
        git("push", "--quiet", repository.url, f":{branch}/{PROBE}")


def refuses(error: GitError, ref: str) -> bool:
    """Whether check_push failed because the host refuses the commit on the branch, and not only the branch below."""
    found = re.search(rf"^ ?! \[[a-z ]*\] .* -> {re.escape(ref)} (\(.*\))$", error.stderr, re.MULTILINE)
    if not found:
        return error.kind in (Refusal.AUTHENTICATION, Refusal.NOT_AUTHORIZED, Refusal.TIMED_OUT)
    about_the_other = any(PROBE in line for line in error.stderr.splitlines() if line.startswith("remote:"))
    return classify(found[1]) in (Refusal.RULE, Refusal.NOT_AUTHORIZED) and not about_the_other


def check_access(credentials: Credentials, url: str, ref: str, option: str, timeout_s: float) -> None:
    """Check that the account can read the branch. Raises InputError."""
    try:
        found = remote_commit(credentials, url, ref, timeout_s)
    except GitError as error:
        raise InputError(explained(error, url, option)) from None
    if not found:
        raise InputError(f"--ref {ref}: no such branch in {url}; push it first, or name an existing branch")
