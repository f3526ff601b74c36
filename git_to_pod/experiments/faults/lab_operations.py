"""What the faults do to the lab: to the connection to the git host, to its accounts, and to the lab's components."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

import urllib3

from git_to_pod.cluster.api import Object
from lab import Lab, client


def replace_accounts(path: Path, text: str) -> None:
    """Replace the git host's password file in one step: nginx reads it at every request."""
    new = path.with_name(f"{path.name}.new")
    new.touch(0o600)
    new.write_text(text)
    shutil.copystat(path, new)
    new.replace(path)


def account_entry(name: str, password: str) -> str:
    """An account's line in the password file, without its end."""
    return f"{name}:{{PLAIN}}{password}"


class LabOperations:
    """Changes to the lab, with the reader's current password at the git host."""

    def __init__(self, lab: Lab, password: str) -> None:
        self.lab = lab
        self.password = password
        self.original_password = password

    # The state before the first fault

    def reset(self) -> None:
        """Undo every change to the connection and to the accounts, also of a run that was interrupted."""
        self.reset_proxy()
        self.password = self.original_password
        if not self.accepts_original_password():
            self.write_accounts(self.with_reader())

    def accepts_original_password(self) -> bool:
        """Whether the reader's entry is the one that the lab wrote, or has the same password."""
        entries = [line for line in self.accounts().splitlines() if line.startswith("reader:")]
        return len(entries) == 1 and ("{PLAIN}" not in entries[0] or entries == [self.reader_entry()])

    # The connection between the cluster and the git host

    def proxy(self, method: str, path: str, body: Object | None = None) -> None:
        """Send a request to Toxiproxy's API. Raises RuntimeError."""
        answer = urllib3.request(method, f"{self.lab.proxy_api}/{path}", json=body, timeout=5, retries=False)
        if answer.status >= 300:
            raise RuntimeError(f"Toxiproxy: {method} /{path}: {answer.status} {answer.data.decode()}")

    def reset_proxy(self) -> None:
        """Remove all toxics and enable the connection."""
        self.proxy("POST", "reset")

    def disconnect(self) -> None:
        self.proxy("POST", "proxies/git", {"enabled": False})

    def add_toxic(self, kind: str, **attributes: int) -> None:
        self.proxy("POST", "proxies/git/toxics", {"name": kind, "type": kind, "attributes": attributes})

    # The accounts that the git host accepts over HTTPS

    def accounts(self) -> str:
        return Path(self.lab.git_passwords).read_text()

    def write_accounts(self, text: str) -> None:
        replace_accounts(Path(self.lab.git_passwords), text)

    def without_reader(self) -> str:
        lines = self.accounts().splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("reader:"))

    def reader_entry(self) -> str:
        return account_entry("reader", self.password)

    def with_reader(self) -> str:
        return f"{self.without_reader()}{self.reader_entry()}\n"

    def revoke_reader(self) -> None:
        self.write_accounts(self.without_reader())

    def restore_reader(self) -> None:
        self.write_accounts(self.with_reader())

    def rotate_password(self) -> None:
        """Change the reader's password on the git host. The cluster keeps the old one."""
        self.password = secrets.token_urlsafe()
        self.restore_reader()

    # Its machines and components

    def run_in(self, place: str, *command: str) -> str:
        """A command's output. Raises RuntimeError if it fails."""
        done = self.lab.run_in(place, *command)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def in_node(self, *command: str) -> str:
        return self.run_in("node", *command)

    def in_git_host(self, *command: str) -> str:
        return self.run_in("git-host", *command)

    def component(self, verb: str, name: str) -> None:
        """Stop or start one of the lab's components."""
        client.command(verb, name)
