"""Nodes that are only simulated, for those who ask for them: KWOK plays their kubelet, and pods on them run nothing."""

import os
import urllib.request
from pathlib import Path

from lab import network, node
from lab.namespace import Namespace
from lab.paths import LOGS
from lab.process import Component, Process

LABEL = {"git-to-pod/simulated": "true"}  # of the nodes that it plays
_PORT = 10247


def start(space: Namespace, built: Path) -> Process:
    """Start KWOK on the node; it takes up a node with LABEL as soon as there is one."""
    os.link(built / "kwok", node.DISK / "kwok")
    ((key, value),) = LABEL.items()
    arguments = [
        "/var/lib/kwok", "--config=/etc/lab/kwok.yaml", "--kubeconfig=/etc/lab/pki/admin.kubeconfig",
        f"--manage-nodes-with-label-selector={key}={value}", f"--server-address={network.NODE_ADDRESS}:{_PORT}",
    ]  # fmt: skip
    process = Process(space, Component("kwok", arguments, _answers), LOGS)
    process.wait_ready()
    return process


def _answers() -> str:
    try:
        urllib.request.urlopen(f"http://{network.NODE_ADDRESS}:{_PORT}/healthz", timeout=2).close()
    except OSError as error:
        return f"/healthz: {error}"
    return ""
