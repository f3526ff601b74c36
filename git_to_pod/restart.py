"""How the app may wait for its content: each way as a Deployment of its own, all restarted in one shuffled order."""

# ruff: noqa: RUF001  # signs as a reader expects them in print

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from git_to_pod import plain
from git_to_pod.cluster import Cluster, Object, TimedOut
from git_to_pod.deploy import STAMP
from git_to_pod.dots import dots
from git_to_pod.findings import html_table
from git_to_pod.observe import Recorder, described, is_complete, pods_of
from git_to_pod.progress import Progress
from git_to_pod.rollout import Rollout
from git_to_pod.settings import Settings
from git_to_pod.statistics import Figure, figure
from git_to_pod.theme import Chart

TRIALS = 8
PLAIN, DEPLOYED = "nginx without git-sync", "as it is deployed"
CONTENT, LISTENS = "[ -e /git/current ]", "[ -s /tmp/nginx.pid ]"
POD = dict[str, Any]  # a pod's spec


@dataclass(frozen=True)
class Row:
    """One way and what it takes; `ratio` is to the same nginx without git-sync, of the medians."""

    name: str
    how: str
    restart_s: Figure
    ratio: float
    samples_s: list[float]


def wait_until(condition: str) -> dict[str, Any]:
    """A postStart hook as in manifests/app-deployment.yaml."""
    script = f"i=0; until {condition} || [ $i = 250 ]; do sleep 0.02; i=$((i+1)); done"
    return {"exec": {"command": ["sh", "-c", script]}}


def containers(pod: POD) -> dict[str, dict[str, Any]]:
    return {container["name"]: container for container in pod["containers"]}


def without_hooks(pod: POD) -> None:
    """Both containers start at once; nginx is Ready when a probe finds content."""
    del containers(pod)["nginx"]["lifecycle"]["postStart"]


def git_sync_first(pod: POD) -> None:
    without_hooks(pod)
    containers(pod)["git-sync"]["lifecycle"] = {"postStart": wait_until(CONTENT)}


def git_sync_last(pod: POD) -> None:
    git_sync_first(pod)
    pod["containers"].reverse()


def without_git_sync(pod: POD) -> None:
    plain.take_git_sync_out(pod)
    containers(pod)["nginx"]["lifecycle"]["postStart"] = wait_until(LISTENS)


def probe_waits(pod: POD) -> None:
    """A probe that waits by itself succeeds at once, and the kubelet then asks the readiness probe at once."""
    without_hooks(pod)
    script = f"until {CONTENT} && {LISTENS}; do sleep 0.02; done"
    containers(pod)["nginx"]["startupProbe"] = {
        "exec": {"command": ["sh", "-c", script]},
        "periodSeconds": 1,
        "timeoutSeconds": 10,
        "failureThreshold": 360,
    }


def native_sidecar(pod: POD) -> None:
    without_hooks(pod)
    git_sync = pod["containers"].pop(0)
    git_sync["restartPolicy"] = "Always"
    git_sync["startupProbe"] = {
        "exec": {"command": ["test", "-e", "/git/current"]},
        "periodSeconds": 1,
        "failureThreshold": 300,
    }
    pod["initContainers"] = [git_sync]


def init_container(pod: POD) -> None:
    """Ends with the first sync: as `--one-time` does, which the stand-in does not have."""
    without_hooks(pod)
    git_sync = pod["containers"].pop(0)
    script = f'/git-sync "$@" & until {CONTENT}; do sleep 0.02; done'
    git_sync["command"] = ["sh", "-c", script, "sh"]
    pod["initContainers"] = [git_sync]


WAYS: dict[str, tuple[str, Callable[[POD], None]]] = {
    DEPLOYED: ("git-sync first; nginx's postStart waits for content and for nginx to listen", lambda pod: None),
    "git-sync first, waits": ("git-sync's postStart waits for content, only then nginx is started", git_sync_first),
    "git-sync last, waits": ("nginx first, then git-sync, whose postStart waits for content", git_sync_last),
    "startup probe waits": ("both start at once; a startup probe ends when there is content", probe_waits),
    "nobody waits": ("both start at once; the readiness probe decides, once a second", without_hooks),
    "native sidecar": ("git-sync as a sidecar with a startup probe, once a second", native_sidecar),
    "nginx without git-sync, waits": ("the baseline, and a postStart that waits for it to listen", without_git_sync),
    "init container": ("git-sync syncs once before nginx is started, and ends", init_container),
}


def run_restarts(
    cluster: Cluster, recorder: Recorder, settings: Settings, progress: Progress, trials: int = TRIALS
) -> list[Row]:
    """Put each way beside the app, then restart them all, one at a time."""
    plain.deploy_plain(cluster, recorder, settings)
    apps = {PLAIN: plain.APP} | {name: f"restart-{number}" for number, name in enumerate(WAYS)}
    for name, (_, change) in WAYS.items():
        put(cluster, recorder, settings, apps[name], change)
    for app in apps.values():
        wait_complete(recorder, app, settings)
    samples: dict[str, list[float]] = {name: [] for name in apps}
    order = [name for name in apps for _ in range(trials * (2 if name in (PLAIN, DEPLOYED) else 1))]
    chance = random.Random(settings.seed)
    chance.shuffle(order)
    for number, name in enumerate(order):
        progress.bar(number, len(order), f"restarting: {name}")
        recorder.stopped.wait(chance.uniform(0, 1))  # or they would fall into step with the kubelet's ticks
        samples[name].append(restart(cluster, recorder, settings, apps[name]))
    progress.bar(len(order), len(order), "restarts done")
    for app in apps.values():
        cluster.delete(f"/apis/apps/v1/namespaces/{settings.namespace}/deployments/{app}")
    return rows_of(samples)


def put(cluster: Cluster, recorder: Recorder, settings: Settings, name: str, change: Callable[[POD], None]) -> None:
    """The app's Deployment under another name, changed."""
    app = recorder.get("Deployment", "app")
    assert app, "the app is deployed first"
    spec = copy.deepcopy(app["spec"])
    spec["selector"]["matchLabels"] = spec["template"]["metadata"]["labels"] = {"app": name}
    spec["template"]["metadata"].pop("annotations", None)
    for container in spec["template"]["spec"]["containers"]:  # Reloader will not renew its stamp in a copy
        container["env"] = [one for one in container.get("env", []) if one["name"] != STAMP]
    change(spec["template"]["spec"])
    deployment: Object = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
    cluster.apply(f"/apis/apps/v1/namespaces/{settings.namespace}/deployments", deployment)


def wait_complete(recorder: Recorder, app: str, settings: Settings) -> None:
    recorder.wait_for(
        f"deployment/{app}",
        lambda: is_complete(recorder.get("Deployment", app)),
        settings.timeout_s,
        partial(described, recorder, app),
    )


def restart(cluster: Cluster, recorder: Recorder, settings: Settings, app: str) -> float:
    """As `kubectl rollout restart`; the seconds from the changed template to the old pods' end. Infinite: timed out."""
    with recorder.heard:
        deployment = recorder.get("Deployment", app)
        assert deployment, f"deployment/{app} is there"
        old = {str(pod["metadata"]["name"]) for pod in pods_of(recorder, app)}
        rollout, position = Rollout(app, deployment["spec"]["template"], old), len(recorder.events)
    annotations = {"kubectl.kubernetes.io/restartedAt": datetime.now(UTC).isoformat()}
    path = f"/apis/apps/v1/namespaces/{settings.namespace}/deployments/{app}"
    cluster.patch(path, {"spec": {"template": {"metadata": {"annotations": annotations}}}})

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


def rows_of(samples: dict[str, list[float]]) -> list[Row]:
    base = figure(samples[PLAIN]).median
    hows = {PLAIN: "the baseline: the same pod, its content from a ConfigMap"} | {
        n: how for n, (how, _) in WAYS.items()
    }
    found = {name: figure(values) for name, values in samples.items()}
    return [
        Row(name, hows[name], found[name], found[name].median / base, samples[name])
        for name in sorted(samples, key=lambda name: found[name].median)
    ]


def finding(rows: Sequence[Row]) -> str:
    """The title, computed."""
    by_name = {row.name: row for row in rows}
    deployed, bare = by_name[DEPLOYED], by_name[PLAIN]
    others = [row for row in rows if not row.name.startswith((DEPLOYED, PLAIN))]
    best = min(others, key=lambda row: row.restart_s.median)
    words = f"A restart takes {deployed.restart_s.median:.2f} s, {deployed.ratio:.2f} × that of the same nginx without "
    words += f"git-sync ({bare.restart_s.median:.2f} s)"
    return f"{words}; of the other ways the quickest, “{best.name}”, takes {best.restart_s.median:.2f} s"


def picture(rows: Sequence[Row]) -> Chart:
    """Every restart of each way."""
    note = "Each dot is one restart; the upright bar is the median, the level one its 95% interval."
    lines = [(row.name, row.samples_s) for row in rows]
    return dots(lines, "seconds from the changed template to the end of the restart", finding(rows), note, DEPLOYED)


def shown(rows: Sequence[Row]) -> str:
    """The table, as HTML."""
    table = [
        {
            "way": row.name,
            "how": row.how,
            "median": f"{row.restart_s.median:.2f} s",
            "95% interval": f"{row.restart_s.low:.2f}–{row.restart_s.high:.2f}",
            "× plain nginx": f"{row.ratio:.2f}",
            "n": str(row.restart_s.n),
            "timeouts": str(row.restart_s.timeouts),
        }
        for row in rows
    ]
    return html_table(table, "How each of them waits")
