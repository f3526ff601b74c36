"""KWOK simulates nodes: it acts as their kubelet, and their pods run no containers. It runs only with --extras."""

import os
import urllib.request
from pathlib import Path

from lab import network, node
from lab.namespace import Namespace
from lab.paths import LOGS
from lab.process import Component, Process

LABEL = {"git-to-pod/simulated": "true"}  # of the simulated nodes
_PORT = 10247


def start(space: Namespace, built: Path) -> Process:
    """Start KWOK on the node. It simulates each node that has LABEL, from the time the node is created."""
    os.link(built / "kwok", node.DISK / "kwok")
    ((key, value),) = LABEL.items()
    arguments = [
        "/var/lib/kwok", "--config=/etc/lab/kwok.yaml", "--kubeconfig=/etc/lab/pki/admin.kubeconfig",
        f"--manage-nodes-with-label-selector={key}={value}", f"--server-address={network.NODE_ADDRESS}:{_PORT}",
    ]  # fmt: skip
    process = Process(space, Component("kwok", arguments, _health_error), LOGS)
    process.wait_ready()
    return process


def _health_error() -> str:
    try:
        urllib.request.urlopen(f"http://{network.NODE_ADDRESS}:{_PORT}/healthz", timeout=2).close()
    except OSError as error:
        return f"/healthz: {error}"
    return ""
