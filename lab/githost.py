"""The private git host: nginx with git's http-backend, and OpenSSH. One account can read, the other can also push.

Toxiproxy forwards a second port to nginx. Tests use it to inject network faults between the cluster and the git host.
"""

import shutil
import socket
from pathlib import Path

from lab import network, pki
from lab.namespace import Namespace
from lab.paths import CONFIG, LOGS, RUN
from lab.process import Component, Process

READER, WRITER = "reader", "writer"
FOLDER = RUN / "git"
ACCESS_LOG = FOLDER / "log" / "access.log"
CREDENTIALS = {account: RUN / f"git-{account}" for account in (READER, WRITER)}
REPOSITORY = f"https://{network.GIT_NAME}/content.git"
PUSH_URL = f"https://{network.GIT_ADDRESS}/content.git"
PROXIED_REPOSITORY = f"https://{network.GIT_NAME}:8443/content.git"  # through Toxiproxy
PROXY_API = f"http://{network.GIT_ADDRESS}:8474"  # only the host can reach this address, the node cannot
PASSWORDS = FOLDER / "etc" / "accounts" / "passwords"
SSH_REPOSITORY = f"ssh://git@{network.GIT_NAME}/srv/git/content.git"
SSH_PUSH_URL = f"ssh://git@{network.GIT_ADDRESS}/srv/git/content.git"


def enter(root: Path, parts: Path) -> Namespace:
    """Create the git host's namespace with its keys, accounts and disk."""
    shutil.copytree(CONFIG / "git", FOLDER / "etc")
    accounts = pki.make_git_pki(FOLDER / "etc" / "pki", CREDENTIALS)
    for folder in ("git", "log"):
        (FOLDER / folder).mkdir()
    _write_accounts(accounts)
    binds = {"/etc/lab": FOLDER / "etc", "/srv/git": FOLDER / "git", "/var/log": FOLDER / "log"}
    return Namespace("git-host", root, parts, binds, LOGS / "git-host.log")


def _write_accounts(accounts: list[pki.Account]) -> None:
    """Write nginx's file of passwords and sshd's file of keys into a folder that only root and git's group can read."""
    PASSWORDS.parent.mkdir(mode=0o750)
    PASSWORDS.write_text("".join(f"{account.name}:{{PLAIN}}{account.password}\n" for account in accounts))
    keys = [f'command="/etc/lab/serve {account.name}",restrict {account.ssh_public_key}\n' for account in accounts]
    PASSWORDS.with_name("authorized_keys").write_text("".join(keys))


def start(space: Namespace) -> dict[str, Process]:
    """Start the servers. Return once all of them accept connections."""
    space.run("install", "-d", "-o", "git", "-g", "git", "/run/git", "/srv/git")
    space.run("install", "-d", "/run/sshd")
    space.run("chgrp", "git", "/etc/lab/accounts")
    as_git = ("setpriv", "--reuid=git", "--regid=git", "--clear-groups")
    space.run(*as_git, "sh", "/etc/lab/first-commit.sh", "/srv/git/content.git")
    components = [
        Component("fcgiwrap", [*as_git, "fcgiwrap", "-c", "4", "-s", "unix:/run/git/fcgi.sock"]),
        Component("nginx", ["nginx", "-c", "/etc/lab/nginx.conf"], lambda: _port_error(443)),
        Component("toxiproxy", [
            "/opt/parts/toxiproxy", "-host", network.GIT_ADDRESS, "-config", "/etc/lab/toxiproxy.json",
        ], lambda: _port_error(8443)),
        Component("sshd", ["/usr/sbin/sshd", "-D", "-e", "-f", "/etc/lab/sshd_config"], lambda: _port_error(22)),
    ]  # fmt: skip
    processes = {component.name: Process(space, component, LOGS) for component in components}
    for process in processes.values():
        process.wait_ready()
    return processes


def _port_error(port: int) -> str:
    try:
        socket.create_connection((network.GIT_ADDRESS, port), 1).close()
    except OSError as error:
        return f"port {port}: {error}"
    return ""
