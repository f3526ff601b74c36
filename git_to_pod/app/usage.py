"""CPU and memory of each container, from the kubelet's summary API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from git_to_pod.cluster.api import ApiError, Cluster, Unreachable
from git_to_pod.cluster.paths import api_path
from git_to_pod.settings import Settings

CONTAINERS = (("git-poller", "git-sync"), ("reloader", "reloader"), ("app", "git-sync"), ("app", "nginx"))


@dataclass(frozen=True)
class Usage:
    """One container's CPU counter and memory at one time."""

    time_s: float
    cpu_s: float
    memory_bytes: int


Sample = dict[tuple[str, str], Usage]  # by pod and container


def sample(cluster: Cluster, settings: Settings) -> Sample | str:
    """The usage of every container in the namespace, or the reason why it cannot be read."""
    found: Sample = {}
    try:
        for node in cluster.items(api_path("Node")):
            summary = cluster.get(f"{api_path('Node', name=node['metadata']['name'])}/proxy/stats/summary")
            for pod in summary["pods"]:
                if pod["podRef"]["namespace"] == settings.namespace:
                    for container in pod.get("containers", []):
                        usage = usage_of(container)
                        if usage:
                            found[pod["podRef"]["name"], container["name"]] = usage
    except (ApiError, Unreachable) as error:
        return f"not measured: {error}"
    return found


def usage_of(container: dict[str, object]) -> Usage | None:
    cpu, memory = container.get("cpu"), container.get("memory")
    if not isinstance(cpu, dict) or not isinstance(memory, dict) or "usageCoreNanoSeconds" not in cpu:
        return None
    time_s = datetime.fromisoformat(cpu["time"]).timestamp()
    return Usage(time_s, cpu["usageCoreNanoSeconds"] / 1e9, memory.get("workingSetBytes", 0))


def costs(before: Sample | str, after: Sample | str) -> dict[str, object]:
    """For each container of the deployment: cores used between the samples, CPU seconds so far, memory in bytes.

    If a sample is missing, the only key is `note`, which holds the reason. If several pods have the container, the
    largest value counts.
    """
    if isinstance(before, str) or isinstance(after, str):
        return {"note": before if isinstance(before, str) else str(after)}
    found: dict[str, object] = {}
    for app, container in CONTAINERS:
        of_app = {key: usage for key, usage in after.items() if key[1] == container and belongs(key[0], app)}
        through = [(before[key], usage) for key, usage in of_app.items() if key in before]
        cores = [
            (late.cpu_s - early.cpu_s) / (late.time_s - early.time_s)
            for early, late in through
            if late.time_s > early.time_s
        ]
        if of_app:
            found[f"{app}/{container}"] = {
                "cpu_cores": max(cores) if cores else None,  # None: no such pod existed at both times
                "cpu_seconds": max(usage.cpu_s for usage in of_app.values()),
                "memory_bytes": max(usage.memory_bytes for usage in of_app.values()),
            }
    return found


def belongs(pod: str, app: str) -> bool:
    """Whether the pod is one of this Deployment: its pods are named <name>-<template hash>-<suffix>."""
    return pod.rsplit("-", 2)[0] == app
