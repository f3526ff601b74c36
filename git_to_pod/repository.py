"""The test repository: access checks before the run, and the commits that the trials push."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from git_to_pod.settings import Credentials, InputError, Settings

FILE = "git-to-pod-evaluation.txt"  # the file that the test commits change and that the load requests
GIT_S = 60.0


class GitError(RuntimeError):
    """A git command failed. The message is the line of git's output that says why."""


class Account:
    """git with one account. Its secrets are in files of a private folder, never in arguments or the environment."""

    def __init__(self, credentials: Credentials) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="git-to-pod-"))  # 0700
        # Also removes the folder if the run is interrupted before it can close it, or the process ends.
        self.close = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        self.environment |= {
            "GIT_CONFIG_GLOBAL": os.devnull,  # else the user's own credential helper might answer
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_SSH_COMMAND": self.ssh(credentials),
            "GIT_SSH_VARIANT": "ssh",  # which git cannot tell from a command that begins with cd
            "LC_ALL": "C",
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
        command += " -o BatchMode=yes -o ConnectTimeout=10 -o StrictHostKeyChecking=yes"
        command += " -o IdentitiesOnly=yes -o IdentityAgent=none"
        if not credentials.ssh_privatekey:
            return f"{command} -o IdentityFile=none"
        self.write("ssh-privatekey", credentials.ssh_privatekey)
        return f"{command} -i ssh-privatekey"

    def git(self, *arguments: str, folder: Path | None = None) -> str:
        """git's standard output as text. Raises GitError."""
        return self.git_bytes(*arguments, folder=folder).decode(errors="replace")

    def git_bytes(self, *arguments: str, folder: Path | None = None) -> bytes:
        """git's standard output, byte for byte. Raises GitError."""
        try:
            done = subprocess.run(
                ["git", *arguments],
                cwd=folder or self.folder,
                env=self.environment,
                capture_output=True,
                timeout=GIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise GitError(f"git {arguments[0]}: did not finish within {GIT_S:.0f} s") from None
        if done.returncode:
            raise GitError(last_words(done.stderr.decode(errors="replace")))
        return done.stdout


@contextmanager
def account(credentials: Credentials) -> Iterator[Account]:
    opened = Account(credentials)
    try:
        yield opened
    finally:
        opened.close()


def last_words(stderr: str) -> str:
    """The line of git's standard error that gives the reason."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    host_says = r"denied|refused|rejected|may not|read[- ]only|not (allowed|permitted|authori[sz]ed)|unauthori[sz]ed"
    for words in (host_says, "host key verification failed", r"(fatal|error): *\S|not found"):
        for line in lines:
            if re.search(words, line, re.IGNORECASE):
                return line
    return (lines or ["git gave no reason"])[0]


class Repository:
    """A clone for the test commits, which the writer's account pushes."""

    def __init__(self, settings: Settings) -> None:
        self.ref = settings.ref
        self.url = settings.push_url
        self.account = Account(settings.writer)
        self.clone = self.account.folder / "clone"
        self.pushed: list[str] = []  # the commits of this run, in order
        self.contents: dict[str, bytes] = {}  # FILE in a checkout of each commit

    def open(self) -> None:
        """Clone the branch. Raises GitError."""
        git = self.account.git
        git("clone", "--quiet", "--depth=1", f"--branch={self.ref}", self.url, str(self.clone))
        git("config", "user.name", "git-to-pod evaluation", folder=self.clone)
        git("config", "user.email", "evaluation@git-to-pod.example", folder=self.clone)

    def deepen(self) -> None:
        """Fetch the whole history. A host that lacks parts of it refuses a push from a shallow clone."""
        self.account.git("fetch", "--quiet", "--depth=2147483647", self.url, self.ref, folder=self.clone)

    def commit(self, text: str) -> str:
        """Make the next commit, without pushing it, and return its id. Raises GitError."""
        (self.clone / FILE).write_text(text)
        self.account.git("add", FILE, folder=self.clone)
        # --allow-empty: the trial needs a new commit even if the text is unchanged.
        self.account.git("commit", "--quiet", "--allow-empty", f"--message={text.splitlines()[0]}", folder=self.clone)
        commit = self.account.git("rev-parse", "HEAD", folder=self.clone).strip()
        # As a checkout gives it: .gitattributes may convert the text.
        self.contents[commit] = self.account.git_bytes("cat-file", "--filters", f"{commit}:{FILE}", folder=self.clone)
        return commit

    def push(self, commit: str, *options: str) -> float:
        """Push the commit. Return the monotonic instant at which `git push` returned, in seconds. Raises GitError."""
        self.account.git("push", "--quiet", *options, self.url, f"{commit}:refs/heads/{self.ref}", folder=self.clone)
        returned = time.monotonic()
        self.pushed.append(commit)
        return returned

    def object_format(self) -> str:
        """The hash of the repository's object ids: sha1 or sha256."""
        return self.account.git("rev-parse", "--show-object-format", folder=self.clone).strip()

    def close(self) -> None:
        self.account.close()


def remote_commit(credentials: Credentials, url: str, ref: str) -> str:
    """The id of the branch's commit on the host; empty if the branch does not exist. Raises GitError."""
    with account(credentials) as reader:
        return reader.git("ls-remote", url, f"refs/heads/{ref}").partition("\t")[0]


def open_repository(settings: Settings) -> Repository:
    """Check both accounts, the repository and the branch, and clone it. Raises InputError."""
    check_access(settings.reader, settings.reader_url, settings.ref, "--credentials")
    if (settings.push_url, settings.writer.files()) != (settings.reader_url, settings.reader.files()):
        check_access(settings.writer, settings.push_url, settings.ref, "--push-credentials")
    repository = Repository(settings)
    try:
        repository.open()
        check_object_format(repository, settings)
        head = repository.account.git("rev-parse", "HEAD", folder=repository.clone).strip()
        push = ("push", "--dry-run", "--quiet", settings.push_url, f"{head}:refs/heads/{settings.ref}")
        repository.account.git(*push, folder=repository.clone)
    except GitError as error:
        repository.close()
        raise InputError(
            f"--push-credentials: this account cannot push to {settings.push_url} ({error}); "
            "use an account with write access"
        ) from None
    except InputError:
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


def check_access(credentials: Credentials, url: str, ref: str, option: str) -> None:
    """Check that the account can read the branch. Raises InputError."""
    try:
        found = remote_commit(credentials, url, ref)
    except GitError as error:
        raise InputError(explained(str(error), url, option)) from None
    if not found:
        raise InputError(f"--ref {ref}: no such branch in {url}; push it first, or name an existing branch")


def explained(error: str, url: str, option: str) -> str:
    """An error message of git, with what the user can do about it. constraints.py looks for `refused this account`."""
    host = urlsplit(url).hostname
    if re.search(
        r"Authentication failed|could not read|denied|insufficient permission|declined|403|invalid cred", error
    ):
        return f"{option}: {host} refused this account for {url} ({error}); check user name, password or key"
    if re.search(r"Host key verification", error):
        return f"{option}: the host key of {host} is not in the file known_hosts ({error}); add it"
    if re.search(r"certificate|SSL", error):
        return f"{option}: the certificate of {host} is not trusted ({error}); put its CA in the file ca.crt"
    if re.search(r"not found|does not (exist|appear)|404", error):
        return f"no repository at {url} ({error}); check --repository and --push-url"
    return f"{url} cannot be reached ({error}); check the URL, and that the host is up"
