"""Gitea, a full git service on the git host, with one private repository. It runs only with --extras.

Its accounts are those of the git host, with the same passwords and keys. The reader also gets a token.
"""

import os
import re
import shutil
import ssl
import urllib.error
import urllib.request
from base64 import b64encode
from json import dumps, loads
from pathlib import Path
from typing import Any

from lab import githost, network
from lab.errors import LabError
from lab.namespace import Namespace
from lab.paths import LOGS
from lab.pki import write_secret
from lab.process import Component, Process

HOME = githost.FOLDER / "git" / "gitea"
INSIDE = "/srv/git/gitea"  # the same folder in the git host's namespace
API = f"https://{network.GIT_ADDRESS}:{network.GITEA_PORT}/api/v1"
REPOSITORY = "writer/content"
STATE = {
    "repository": f"https://{network.GIT_NAME}:{network.GITEA_PORT}/{REPOSITORY}.git",
    "push_url": f"https://{network.GIT_ADDRESS}:{network.GITEA_PORT}/{REPOSITORY}.git",
    "ssh_repository": f"ssh://git@{network.GIT_NAME}:{network.GITEA_SSH_PORT}/{REPOSITORY}.git",
    "ssh_push_url": f"ssh://git@{network.GIT_ADDRESS}:{network.GITEA_SSH_PORT}/{REPOSITORY}.git",
    "token": str(githost.CREDENTIALS[githost.READER] / "token"),
}
_AS_GIT = ("setpriv", "--reuid=git", "--regid=git", "--clear-groups", "env", f"HOME={INSIDE}", f"{INSIDE}/gitea")


def start(space: Namespace, built: Path) -> Process:
    """Start Gitea on the git host and create its accounts. Return once both are done."""
    shutil.copytree(built, HOME, copy_function=os.link)
    shutil.copy(githost.FOLDER / "etc" / "gitea.ini", HOME)
    shutil.copytree(githost.FOLDER / "etc" / "pki", HOME / "pki")
    space.run("chown", "--recursive", "git:git", f"{INSIDE}/pki", f"{INSIDE}/gitea.ini")
    space.run("chown", "git:git", INSIDE)
    process = Process(space, Component("gitea", [*_AS_GIT, "web", f"--config={INSIDE}/gitea.ini"], _api_error), LOGS)
    process.wait_ready()
    _make_accounts(space)
    return process


def _make_accounts(space: Namespace) -> None:
    create = ("admin", "user", "create", "--admin", "--username=lab", "--email=lab@example.test", "--random-password")
    message = space.run(*_AS_GIT, *create, "--must-change-password=false", f"--config={INSIDE}/gitea.ini")
    found = re.search(r"password is '(.+)'", message)
    if not found:
        raise LabError("gitea admin user create printed no password: use the version that lab/go/gitea/go.mod names")
    passwords = {name: (folder / "password").read_text() for name, folder in githost.CREDENTIALS.items()}
    for name, password in passwords.items():
        user = {"username": name, "email": f"{name}@example.test", "must_change_password": False}
        _call("POST", "/admin/users", ("lab", found[1]), user | {"password": password})
    reader, writer = ((name, passwords[name]) for name in (githost.READER, githost.WRITER))
    _call("POST", "/user/repos", writer, {"name": "content", "private": True, "default_branch": "main"})
    _call("PUT", f"/repos/{REPOSITORY}/collaborators/{githost.READER}", writer, {"permission": "read"})
    public_key = (githost.CREDENTIALS[githost.READER] / "ssh-publickey").read_text()
    key = {"title": "the cluster's", "key": public_key, "read_only": True}
    _call("POST", f"/repos/{REPOSITORY}/keys", writer, key)
    token = {"name": "the cluster's", "scopes": ["read:repository"]}
    write_secret(Path(STATE["token"]), _call("POST", f"/users/{githost.READER}/tokens", reader, token)["sha1"].encode())


def _api_error() -> str:
    try:
        _call("GET", "/version", None)
    except urllib.error.HTTPError as error:
        return "" if error.code in (401, 403) else str(error)  # it answers, and requires a login
    except OSError as error:
        return str(error)
    return ""


def _call(method: str, path: str, account: tuple[str, str] | None, content: object = None) -> Any:  # noqa: ANN401
    """Send a request to Gitea's API and return the decoded response, None if it is empty."""
    headers = {"Content-Type": "application/json"}
    if account:
        headers["Authorization"] = "Basic " + b64encode(":".join(account).encode()).decode()
    data = None if content is None else dumps(content).encode()
    request = urllib.request.Request(f"{API}{path}", data, headers, method=method)
    trust = ssl.create_default_context(cafile=str(githost.CREDENTIALS[githost.READER] / "ca.crt"))
    with urllib.request.urlopen(request, timeout=10, context=trust) as response:
        body = response.read()
    return loads(body) if body else None
