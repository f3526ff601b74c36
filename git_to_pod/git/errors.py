"""The error of a git command, and the message with which a user can act on it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from git_to_pod.git.refusals import Refusal
from git_to_pod.settings import Settings


class GitError(RuntimeError):
    """A git command failed. The message is the line of git's output that says why; `stderr` is all of it."""

    def __init__(self, message: str, kind: Refusal = Refusal.OTHER, stderr: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.stderr = stderr


def cannot_push(error: GitError, settings: Settings, author: Mapping[str, str]) -> str:
    """An error of the clone or of check_push, with the next step for the user."""
    url, kind = settings.push_url, error.kind
    if kind is Refusal.RULE or "declined" in error.stderr:
        return (
            f"--ref {settings.ref}: {urlsplit(url).hostname} refuses a commit of {author['author.name']} "
            f"<{author['author.email']}> on this branch ({error}); name a branch that this account may push to, or set "
            "GIT_AUTHOR_NAME and GIT_AUTHOR_EMAIL to an author that the host accepts"
        )
    if kind in (Refusal.AUTHENTICATION, Refusal.NOT_AUTHORIZED, Refusal.NO_REPOSITORY):
        return f"--push-credentials: this account cannot push to {url} ({error}); use an account with write access"
    return explained(error, url, "--push-credentials")


def explained(error: GitError, url: str, option: str) -> str:
    """An error of git, with the next step for the user."""
    parts = urlsplit(url)
    host = parts.hostname
    entry = f"[{host}]:{parts.port}" if parts.port not in (None, 22) else host  # as known_hosts names it
    if damaged := re.search(r"Load key .*", error.stderr):
        return (
            f"{option}: ssh cannot read the key in the file ssh-privatekey ({damaged[0].strip()}); "
            "use a private key without a passphrase, in OpenSSH's format or PEM"
        )
    if error.kind is Refusal.HOST_KEY and re.search("has changed", error.stderr):
        return (
            f"{option}: the host key of {entry} is another one than the file known_hosts has ({error}); "
            "find out which is right, and correct the file"
        )
    templates = {
        Refusal.AUTHENTICATION: "{option}: {host} refused this account for {url} ({error}); "
        "check user name, password or key",
        Refusal.NOT_AUTHORIZED: "{option}: this account may not read {url} ({error}); give it read access",
        Refusal.HOST_KEY: "{option}: the host key of {entry} is not in the file known_hosts ({error}); "
        "add the line that begins with {entry}",
        Refusal.CERTIFICATE: "{option}: the certificate of {host} is not trusted ({error}); "
        "put its CA in the file ca.crt",
        Refusal.NO_REPOSITORY: "no repository at {url}, or this account may not read it ({error}); "
        "check --repository and --push-url, and the rights of {option}",
        Refusal.NO_HOST: "{url} cannot be reached ({error}); check the URL and this machine's DNS",
        Refusal.TIMED_OUT: "{url} is slow or does not answer ({error}); check the host, or raise --timeout",
        Refusal.UNREACHABLE: "{url} cannot be reached ({error}); check the URL, and that the host is up",
    }
    template = templates.get(error.kind, "git failed at {url} ({error}); check the URL, and the git host's log")
    return template.format(option=option, host=host, url=url, error=error, entry=entry)
