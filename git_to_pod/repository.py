"""The test repository: what it refuses, and the commits that the trials push."""

from __future__ import annotations

import os
import re
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

FILE = "git-to-pod-evaluation.txt"  # what the test commits change, and the load requests
GIT_S = 60.0


class GitError(RuntimeError):
    """git's own last words."""


class Account:
    """git as one account of the host. Secrets are in files of a private folder, not in arguments or the environment."""

    def __init__(self, credentials: Credentials) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="git-to-pod-"))  # 0700
        # Not left behind by a run that was interrupted before it could close it, nor by a process that ends.
        self.close = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        self.environment |= {
            "GIT_CONFIG_GLOBAL": os.devnull,  # no credential helper of the user's may answer in our place
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_SSH_COMMAND": self.ssh(credentials),
            "LC_ALL": "C",
        }
        if credentials.ca_crt:
            self.environment["GIT_SSL_CAINFO"] = str(self.write("ca.crt", credentials.ca_crt))
        if credentials.password:
            user = self.write("username", credentials.username)
            password = self.write("password", credentials.password)
            answer = f'#!/bin/sh\ncase "$1" in Username*) cat "{user}" ;; *) cat "{password}" ;; esac\n'
            self.environment["GIT_ASKPASS"] = str(self.write("askpass", answer, mode=0o700))

    def write(self, name: str, text: str, mode: int = 0o600) -> Path:
        path = self.folder / name
        path.touch(mode)
        path.write_text(text)
        return path

    def ssh(self, credentials: Credentials) -> str:
        known = self.write("known_hosts", credentials.known_hosts)
        command = f"ssh -F none -o BatchMode=yes -o ConnectTimeout=10 -o UserKnownHostsFile={known}"
        command += " -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o IdentityAgent=none"
        key = self.write("ssh-privatekey", credentials.ssh_privatekey) if credentials.ssh_privatekey else None
        return f"{command} -i {key}" if key else f"{command} -o IdentityFile=none"

    def git(self, *arguments: str, folder: Path | None = None) -> str:
        try:
            done = subprocess.run(
                ["git", *arguments],
                cwd=folder or self.folder,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=GIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise GitError(f"git {arguments[0]}: no answer in {GIT_S:.0f} s") from None
        if done.returncode:
            raise GitError(last_words(done.stderr))
        return done.stdout


@contextmanager
def account(credentials: Credentials) -> Iterator[Account]:
    opened = Account(credentials)
    try:
        yield opened
    finally:
        opened.close()


def last_words(stderr: str) -> str:
    """The line of git's complaint that says why."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    host_says = r"denied|refused|rejected|may not|read[- ]only|not (allowed|permitted|authori[sz]ed)|unauthori[sz]ed"
    for words in (host_says, r"(fatal|error): *\S|not found"):
        for line in lines:
            if re.search(words, line, re.IGNORECASE):
                return line
    return (lines or ["no word of why"])[0]


class Repository:
    """A clone to commit in, pushed by the writer's account."""

    def __init__(self, settings: Settings) -> None:
        self.ref = settings.ref
        self.url = settings.push_url
        self.account = Account(settings.writer)
        self.clone = self.account.folder / "clone"
        self.pushed: list[str] = []  # the commits of this run, in order
        self.contents: dict[str, bytes] = {}  # what each of them put into FILE

    def open(self) -> None:
        git = self.account.git
        git("clone", "--quiet", "--depth=1", f"--branch={self.ref}", self.url, str(self.clone))
        git("config", "user.name", "git-to-pod evaluation", folder=self.clone)
        git("config", "user.email", "evaluation@git-to-pod.example", folder=self.clone)

    def deepen(self) -> None:
        """Have all of the history: a host that lacks some of it refuses a push without it."""
        self.account.git("fetch", "--quiet", "--depth=2147483647", self.url, self.ref, folder=self.clone)

    def commit(self, text: str) -> str:
        """Make the next commit, not yet pushed; its id."""
        (self.clone / FILE).write_text(text)
        self.account.git("add", FILE, folder=self.clone)
        # Even where the text is as before: a new commit is what is being tried.
        self.account.git("commit", "--quiet", "--allow-empty", f"--message={text.splitlines()[0]}", folder=self.clone)
        commit = self.account.git("rev-parse", "HEAD", folder=self.clone).strip()
        self.contents[commit] = text.encode()
        return commit

    def push(self, commit: str, *options: str) -> float:
        """Push it; the instant at which `git push` returned."""
        self.account.git("push", "--quiet", *options, self.url, f"{commit}:refs/heads/{self.ref}", folder=self.clone)
        returned = time.monotonic()
        self.pushed.append(commit)
        return returned

    def close(self) -> None:
        self.account.close()


def remote_commit(credentials: Credentials, url: str, ref: str) -> str:
    """The commit that the branch points at, asked of the host; empty where there is no such branch."""
    with account(credentials) as reader:
        return reader.git("ls-remote", url, f"refs/heads/{ref}").partition("\t")[0]


def open_repository(settings: Settings) -> Repository:
    """Check both accounts, the repository and the ref before anything is deployed; then clone."""
    check_access(settings.reader, settings.reader_url, settings.ref, "--credentials")
    if (settings.push_url, settings.writer.files()) != (settings.reader_url, settings.reader.files()):
        check_access(settings.writer, settings.push_url, settings.ref, "--push-credentials")
    repository = Repository(settings)
    try:
        repository.open()
        head = repository.account.git("rev-parse", "HEAD", folder=repository.clone).strip()
        push = ("push", "--dry-run", "--quiet", settings.push_url, f"{head}:refs/heads/{settings.ref}")
        repository.account.git(*push, folder=repository.clone)
    except GitError as error:
        repository.close()
        raise InputError(
            f"--push-credentials: may not push to {settings.push_url} ({error}); give an account that may write to it"
        ) from None
    return repository


def check_access(credentials: Credentials, url: str, ref: str, option: str) -> None:
    try:
        found = remote_commit(credentials, url, ref)
    except GitError as error:
        raise InputError(explained(str(error), url, option)) from None
    if not found:
        raise InputError(f"--ref {ref}: no such branch in {url}; push it first, or name one that is there")


def explained(error: str, url: str, option: str) -> str:
    """git's words, put as what the user can do."""
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
    return f"{url} cannot be reached ({error}); check the address, and that the host is up"
