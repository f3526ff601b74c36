"""What git-sync and Reloader cost: CPU and memory per container, from the kubelet's own figures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from git_to_pod.cluster import ApiError, Cluster, Unreachable
from git_to_pod.settings import Settings

CONTAINERS = (("git-poller", "git-sync"), ("reloader", "reloader"), ("app", "git-sync"), ("app", "nginx"))


@dataclass(frozen=True)
class Usage:
    """One container's counters at one time."""

    time_s: float
    cpu_s: float
    memory_bytes: int


Sample = dict[tuple[str, str], Usage]  # by pod and container


def sample(cluster: Cluster, settings: Settings) -> Sample | str:
    """The counters of every container in the namespace, or why they cannot be had."""
    found: Sample = {}
    try:
        for node in cluster.items("/api/v1/nodes"):
            summary = cluster.get(f"/api/v1/nodes/{node['metadata']['name']}/proxy/stats/summary")
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
    """Per container of the deployment: cores while the trials ran, CPU seconds of one pod so far, memory."""
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
                "cpu_cores": max(cores) if cores else None,  # None: these pods were replaced during the trials
                "cpu_seconds": max(usage.cpu_s for usage in of_app.values()),
                "memory_bytes": max(usage.memory_bytes for usage in of_app.values()),
            }
    return found


def belongs(pod: str, app: str) -> bool:
    """Pods of a Deployment are called <name>-<template hash>-<suffix>."""
    return pod.rsplit("-", 2)[0] == app
