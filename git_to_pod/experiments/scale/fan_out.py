"""Fan-out: many Deployments follow one commit. Measures the time to patch them and the load on the API server."""

from __future__ import annotations

import copy
import re
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from git_to_pod.app.namespace import labels
from git_to_pod.cluster.api import Cluster, Object
from git_to_pod.cluster.paths import api_path
from git_to_pod.cluster.recorder import Recorder
from git_to_pod.cluster.status import is_complete
from git_to_pod.cluster.waiting import wait_for
from git_to_pod.experiments.effort import effort
from git_to_pod.progress import Progress
from git_to_pod.settings import Settings
from lab import Lab

LABEL = {"git-to-pod/fan-out": "true"}
NODE = "simulated"
SIMULATED, NO_PODS = "one pod, simulated by KWOK", "no pods"
CONFIG_MAP = "fan-out"  # not git-commit, so that Reloader does not patch the app
WRITES = {"POST", "PUT", "PATCH", "APPLY", "DELETE"}  # verbs


@dataclass(frozen=True)
class Fan:
    """One change of the ConfigMap, with this many Deployments that follow it."""

    experiment: str
    deployments: int
    last_patched_s: float
    last_restarted_s: float  # until the last rollout was complete
    api_writes: int  # by all clients, Kubernetes' controllers included
    reloader_cpu_s: float
    reloader_memory_bytes: int
    simulated: str  # the pods of a Deployment, in words


def run_fan_out(cluster: Cluster, recorder: Recorder, settings: Settings, lab: Lab, progress: Progress) -> list[Fan]:
    """Change a ConfigMap that more and more Deployments follow."""
    config_maps = api_path("ConfigMap", settings.namespace)
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CONFIG_MAP}, "data": {"commit": "none"}}
    cluster.apply(config_maps, body)
    if lab.simulated_nodes:
        cluster.apply(api_path("Node"), node(lab))
    found, existing = [], 0
    try:
        for number, size in enumerate(effort().fan_out):
            progress.bar(number, len(effort().fan_out), f"one commit, {size} Deployment{'' if size == 1 else 's'}")
            create(cluster, recorder, settings, lab, range(existing, size))
            existing = size
            quiet(cluster, settings)
            found.append(publish(cluster, recorder, settings, lab, size))
        progress.bar(len(effort().fan_out), len(effort().fan_out), "fan-out measured")
    finally:
        # Delete all three kinds, owners first: Kubernetes' garbage collector makes only 20 requests per second.
        all_of_them = {"labelSelector": "git-to-pod/fan-out", "gracePeriodSeconds": "0"}
        for kind in ("Deployment", "ReplicaSet", "Pod"):
            cluster.delete(api_path(kind, settings.namespace), **all_of_them)
        cluster.delete(f"{config_maps}/{CONFIG_MAP}")
        wait_for(
            "the pods of the fan-out deleted",
            lambda: not recorder.all("Pod", **LABEL),
            10 * settings.timeout_s,
            pause_s=1,
        )
        cluster.delete(api_path("Node", name=NODE))
    return found


def node(lab: Lab) -> Object:
    """A node that KWOK simulates. Its taint keeps other pods away."""
    taint = {"key": NODE, "effect": "NoSchedule"}
    room = {"cpu": "1000", "memory": "1000Gi", "pods": "10000"}
    metadata = {"name": NODE, "labels": lab.simulated_nodes | labels()}
    status = {"allocatable": room, "capacity": room}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"taints": [taint]}, "status": status}


def create(cluster: Cluster, recorder: Recorder, settings: Settings, lab: Lab, numbers: range) -> None:
    """Create the Deployments with these numbers."""
    app = recorder.get("Deployment", "app")
    assert app, "the app is deployed first"
    path = api_path("Deployment", settings.namespace)

    def one(number: int) -> Object:
        return cluster.call("POST", path, deployment(app, f"fan-{number}", lab))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, numbers))


def deployment(app: Object, name: str, lab: Lab) -> Object:
    """A copy of the app's Deployment that follows CONFIG_MAP. It has one simulated pod, or none without KWOK."""
    replicas = 1 if lab.simulated_nodes else 0
    spec = copy.deepcopy(app["spec"]) | {"replicas": replicas, "selector": {"matchLabels": {"app": name}}}
    spec["template"]["metadata"] = {"labels": {"app": name} | LABEL}
    spec["template"]["spec"] |= {"nodeSelector": lab.simulated_nodes, "tolerations": [{"operator": "Exists"}]}
    metadata = {
        "name": name,
        "labels": LABEL,
        "annotations": {"configmap.reloader.stakater.com/reload": CONFIG_MAP},
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def quiet(cluster: Cluster, settings: Settings) -> None:
    """Wait until the API server gets only the writes of an idle cluster: heartbeats of nodes and leases."""
    last = 0  # so that the first reading never counts as idle

    def at_rest() -> bool:
        nonlocal last
        before, last = last, writes(cluster)
        return last - before <= 6

    wait_for("an idle cluster", at_rest, 10 * settings.timeout_s, lambda: f"{last} writes so far", pause_s=2)


def publish(cluster: Cluster, recorder: Recorder, settings: Settings, lab: Lab, size: int) -> Fan:
    """Change the ConfigMap's data, as a new commit does, and wait until all rollouts are complete."""
    before = {item["metadata"]["name"]: item["spec"]["template"] for item in recorder.all("Deployment", **LABEL)}
    written, cpu_s = writes(cluster), reloader(lab)[0]
    position, started = len(recorder.events), time.monotonic()
    path = api_path("ConfigMap", settings.namespace, CONFIG_MAP)
    cluster.patch(path, {"data": {"commit": secrets.token_hex(20)}})
    patched: dict[str, float] = {}
    restarted: dict[str, float] = {}

    def all_restarted() -> bool:
        nonlocal position
        events = recorder.events[position:]
        position += len(events)
        for event in events:
            if event.kind != "Deployment" or event.name not in before:
                continue
            if event.object["spec"]["template"] != before[event.name]:
                patched.setdefault(event.name, event.instant)
                if is_complete(event.object):
                    restarted.setdefault(event.name, event.instant)
        return len(restarted) == size

    words = lambda: f"{len(patched)} of {size} patched, {len(restarted)} rollouts complete"  # noqa: E731
    recorder.wait_for(f"the rollouts of {size} Deployments", all_restarted, 10 * settings.timeout_s, words)
    quiet(cluster, settings)
    cpu_after_s, memory = reloader(lab)
    simulated = SIMULATED if lab.simulated_nodes else NO_PODS
    last_patched_s, last_restarted_s = (max(instants.values()) - started for instants in (patched, restarted))
    api_writes = writes(cluster) - written
    return Fan("fan-out", size, last_patched_s, last_restarted_s, api_writes, cpu_after_s - cpu_s, memory, simulated)


def writes(cluster: Cluster) -> int:
    """The number of write requests that the API server has answered so far."""
    text = cluster.request("GET", "/metrics").data.decode()
    requests = "\n".join(line for line in text.splitlines() if line.startswith("apiserver_request_total{"))
    samples = [sample for family in text_string_to_metric_families(requests) for sample in family.samples]
    return int(sum(sample.value for sample in samples if sample.labels["verb"] in WRITES))


def reloader(lab: Lab) -> tuple[float, int]:
    """Reloader's CPU seconds so far, and its peak memory in bytes."""
    script = 'for p in /proc/[0-9]*; do [ "$(readlink $p/exe)" = /manager ] && cat $p/stat $p/status; done 2>/dev/null'
    message = lab.run_in("node", "sh", "-c", f"{script}; true").stdout
    ticks = sum(sum(map(int, line.rpartition(") ")[2].split()[11:13])) for line in message.splitlines() if ") " in line)
    memory = re.findall(r"VmHWM:\s*(\d+) kB", message)
    return ticks / 100, sum(map(int, memory)) * 1024
