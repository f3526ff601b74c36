"""How a pod can wait for its content: a Deployment for each startup order, restarted in one shuffled order."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from git_to_pod.app import baseline
from git_to_pod.app.app import restart
from git_to_pod.app.deployment import STAMP
from git_to_pod.cluster.api import Cluster, Object
from git_to_pod.cluster.paths import api_path
from git_to_pod.cluster.recorder import Recorder
from git_to_pod.cluster.status import containers, described, is_complete, pods_of
from git_to_pod.cluster.waiting import TimedOut
from git_to_pod.experiments.effort import effort
from git_to_pod.git.repository import FILE
from git_to_pod.progress import Progress
from git_to_pod.settings import Settings
from git_to_pod.timing.medians import Estimate, estimate
from git_to_pod.timing.rollout import Rollout

PROBE_PORT = 8081  # for git-sync's HTTP endpoint; nginx has 8080
POD = dict[str, Any]  # a pod's spec


class Order(StrEnum):
    """What starts before what. The values are keys in the results."""

    BASELINE = "baseline"  # without git-sync
    DEPLOYED = "native-sidecar-hook"  # as in manifests/
    APP_HOOK = "sidecar-app-hook"
    READINESS_PROBE = "sidecar-readiness-probe"
    STARTUP_PROBE = "native-sidecar-startup-probe"
    INIT_CONTAINER = "init-container"


@dataclass(frozen=True)
class StartupResult:
    """One startup order. `ratio` is its median divided by the median of the same nginx without git-sync."""

    key: Order
    name: str
    how: str
    restart_s: Estimate
    ratio: float
    samples_s: list[float]


def as_deployed(pod: POD) -> None:
    """manifests/app-deployment.yaml."""


def ordinary_sidecar(pod: POD) -> POD:
    """Make git-sync the first of the ordinary containers, without its hook; return its spec."""
    (git_sync,) = pod.pop("initContainers")
    del git_sync["restartPolicy"], git_sync["lifecycle"]
    pod["containers"].insert(0, git_sync)
    return dict(git_sync)


def app_hook_waits(pod: POD) -> None:
    """nginx starts at once. Its hook ends when the content is there and nginx listens."""
    ordinary_sidecar(pod)
    script = "until [ -e /git/current ] && [ -s /tmp/nginx.pid ]; do sleep 0.02; done"
    pod["containers"][1]["lifecycle"]["postStart"] = {"exec": {"command": ["sh", "-c", script]}}


def readiness_probe_decides(pod: POD) -> None:
    ordinary_sidecar(pod)
    pod["containers"][1]["readinessProbe"] = {"httpGet": {"path": f"/{FILE}", "port": "http"}, "periodSeconds": 1}


def startup_probe(pod: POD) -> None:
    (git_sync,) = pod["initContainers"]
    del git_sync["lifecycle"]
    git_sync["args"] = [f"--http-bind=:{PROBE_PORT}"]
    probe = {"httpGet": {"path": "/", "port": PROBE_PORT}, "periodSeconds": 1, "failureThreshold": 300}
    git_sync["startupProbe"] = probe


def init_container(pod: POD) -> None:
    """Ends after the first sync, as with `--one-time`, which the stand-in does not have."""
    (git_sync,) = pod["initContainers"]
    del git_sync["restartPolicy"], git_sync["lifecycle"]
    script = "/git-sync & until [ -e /git/current ]; do sleep 0.02; done"
    git_sync["command"] = ["sh", "-c", script]


# For each order: its name and how it works, for readers, and how it changes the pod that manifests/ deploys (the
# baseline has a Deployment of its own).
ORDERS: dict[Order, tuple[str, str, Callable[[POD], None] | None]] = {
    Order.BASELINE: (
        "nginx without git-sync",
        "the baseline: the same nginx, its content in a ConfigMap",
        None,
    ),
    Order.DEPLOYED: (
        "native sidecar, its postStart waits (deployed)",
        "nginx starts when git-sync's postStart hook has seen the content",
        as_deployed,
    ),
    Order.APP_HOOK: (
        "ordinary sidecar, nginx's postStart waits",
        "both start at once; the pod is Ready after nginx's hook",
        app_hook_waits,
    ),
    Order.READINESS_PROBE: (
        "ordinary sidecar, readiness probe decides",
        "both start at once; the probe runs once a second",
        readiness_probe_decides,
    ),
    Order.STARTUP_PROBE: (
        "native sidecar, startup probe",
        "nginx starts after an HTTP probe of git-sync, once a second",
        startup_probe,
    ),
    Order.INIT_CONTAINER: (
        "init container",
        "nginx starts after git-sync has synced once and ended",
        init_container,
    ),
}


def run_restarts(cluster: Cluster, recorder: Recorder, settings: Settings, progress: Progress) -> list[StartupResult]:
    """Deploy each order beside the app, then restart one Deployment at a time."""
    baseline.deploy_baseline(cluster, recorder, settings)
    apps = {Order.BASELINE: baseline.APP}
    for order, (_, _, change) in ORDERS.items():
        if change:
            apps[order] = f"restart-{order}"
            put(cluster, recorder, settings, apps[order], change)
    for app in apps.values():
        wait_complete(recorder, app, settings)
    samples: dict[Order, list[float]] = {order: [] for order in apps}
    twice = (Order.BASELINE, Order.DEPLOYED)
    todo = [order for order in apps for _ in range(effort().restarts * (2 if order in twice else 1))]
    chance = random.Random(settings.seed)
    chance.shuffle(todo)
    for number, order in enumerate(todo):
        progress.bar(number, len(todo), f"restarting: {ORDERS[order][0]}")
        recorder.stopped.wait(chance.uniform(0, 1))  # else all would start at the same phase of the kubelet's 1 s tick
        samples[order].append(timed_restart(cluster, recorder, settings, apps[order]))
    progress.bar(len(todo), len(todo), "restarts done")
    for app in apps.values():
        cluster.delete(api_path("Deployment", settings.namespace, app))
    return rows_of(samples)


def put(cluster: Cluster, recorder: Recorder, settings: Settings, name: str, change: Callable[[POD], None]) -> None:
    """Deploy a changed copy of the app's Deployment, under another name."""
    app = recorder.get("Deployment", "app")
    assert app, "the app is deployed first"
    spec = copy.deepcopy(app["spec"])
    spec["selector"]["matchLabels"] = spec["template"]["metadata"]["labels"] = {"app": name}
    spec["template"]["metadata"].pop("annotations", None)
    for container in containers(spec["template"]["spec"]):  # Reloader does not update its stamp in a copy
        container["env"] = [variable for variable in container.get("env", []) if variable["name"] != STAMP]
    change(spec["template"]["spec"])
    deployment: Object = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
    cluster.apply(api_path("Deployment", settings.namespace), deployment)


def wait_complete(recorder: Recorder, app: str, settings: Settings) -> None:
    recorder.wait_for(
        f"deployment/{app}",
        lambda: is_complete(recorder.get("Deployment", app)),
        settings.timeout_s,
        partial(described, recorder, app),
    )


def timed_restart(cluster: Cluster, recorder: Recorder, settings: Settings, app: str) -> float:
    """Restart as `kubectl rollout restart` does. Returns the seconds of the rollout, infinite on timeout."""
    with recorder.heard:
        deployment = recorder.get("Deployment", app)
        assert deployment, f"deployment/{app} is there"
        old = {str(pod["metadata"]["name"]) for pod in pods_of(recorder, app)}
        rollout, position = Rollout(app, deployment["spec"]["template"], old), len(recorder.events)
    restart(cluster, settings.namespace, app)

    def restarted() -> bool:
        nonlocal position
        events = recorder.events[position:]
        position += len(events)
        for event in events:
            rollout.see(event)
        return "restarted" in rollout.instants

    try:
        words = partial(described, recorder, app)
        recorder.wait_for(f"deployment/{app} restarted", restarted, settings.timeout_s, words)
    except TimedOut:
        return float("inf")
    return rollout.instants["restarted"] - rollout.instants["requested"]


def rows_of(samples: dict[Order, list[float]]) -> list[StartupResult]:
    """One row for each order, the quickest first."""
    found = {order: estimate(values) for order, values in samples.items()}
    baseline_s = found[Order.BASELINE].median
    return [
        StartupResult(order, *ORDERS[order][:2], found[order], found[order].median / baseline_s, samples[order])
        for order in sorted(samples, key=lambda order: found[order].median)
    ]
