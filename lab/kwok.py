"""Nodes that are only simulated, for those who ask for them: KWOK plays their kubelet, and pods on them run nothing."""

import os
from pathlib import Path

from lab import node
from lab.namespace import Namespace
from lab.paths import LOGS
from lab.process import Component, Process

LABEL = {"git-to-pod/simulated": "true"}  # of the nodes that it plays


def start(space: Namespace, built: Path) -> Process:
    """Start KWOK on the node; it takes up a node with LABEL as soon as there is one."""
    os.link(built / "kwok", node.DISK / "kwok")
    ((key, value),) = LABEL.items()
    arguments = ["/var/lib/kwok", "--config=/etc/lab/kwok.yaml", "--kubeconfig=/etc/lab/pki/admin.kubeconfig"]
    return Process(space, Component("kwok", [*arguments, f"--manage-nodes-with-label-selector={key}={value}"]), LOGS)
