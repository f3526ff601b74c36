"""A running lab, as its state file describes it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass


@dataclass(frozen=True)
class Lab:
    """A running lab, read from its state file. Paths are on this machine."""

    context: str
    kubeconfig: str
    repository: str  # its URL from pods
    push_url: str  # its URL from this machine
    ssh_repository: str
    ssh_push_url: str
    git_credentials: str  # a folder with the reader's username, password, ca.crt, ssh-privatekey and known_hosts
    push_credentials: str  # the same files of the writer
    proxied_repository: str  # its URL from pods, through Toxiproxy
    proxy_api: str  # the URL of Toxiproxy's API, from this machine only
    git_passwords: str  # the git host's password file for HTTPS, which nginx reads at every request
    access_log: str  # the git host's access log; its format is in config/git/nginx.conf
    gitea: dict[str, str]  # repository, push_url, ssh_repository, ssh_push_url and token; empty without the extras
    simulated_nodes: dict[str, str]  # the label of the nodes that KWOK simulates; empty without the extras
    kubernetes: str  # the node's version, as v1.37.2
    images: list[dict[str, str]]  # ref, source, digest and note of each
    timings_s: dict[str, float]
    node_pid: int
    git_pid: int

    def run_in(self, place: str, *command: str, timeout_s: float = 30) -> subprocess.CompletedProcess[str]:
        """Run a command inside the `node` or the `git-host`."""
        return subprocess.run(
            [*self.enter(place), *command], capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def enter(self, place: str) -> list[str]:
        """The words before a command that make it run inside the `node` or the `git-host`."""
        pid = {"node": self.node_pid, "git-host": self.git_pid}[place]
        return ["nsenter", f"--target={pid}", "--mount", "--pid", "--net", "--ipc", "--uts", "--"]
