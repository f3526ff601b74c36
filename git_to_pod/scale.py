"""What it costs and up to what size: pods that poll, pods that restart, and Deployments that follow one commit."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from git_to_pod import restart
from git_to_pod.cluster import Cluster, Object, wait_for
from git_to_pod.fanout import Fan, run_fan_out
from git_to_pod.findings import html_table
from git_to_pod.githost import GitLog
from git_to_pod.model import Line, fit
from git_to_pod.observe import Recorder, described, is_complete
from git_to_pod.progress import Progress
from git_to_pod.repository import Repository, open_repository
from git_to_pod.settings import Settings
from git_to_pod.trials import pause
from lab import Lab, client

POLLERS, BRANCH = "scale-pollers", "git-to-pod-scale"
# pods, poll period in seconds, files in the repository, seconds of measuring: at least one period
POINTS = (
    (2, 1, 1, 10),
    (10, 1, 1, 10),
    (20, 1, 1, 10),
    (10, 5, 1, 15),
    (20, 5, 1, 15),
    (40, 5, 1, 15),
    (40, 30, 1, 30),
    (10, 5, 1_000, 15),
    (10, 5, 20_000, 15),
)
REPLICAS, RESTARTS = (2, 10, 20, 40), 2
TARGET = 1000  # pods, to which the models are carried on


@dataclass(frozen=True)
class Poll:
    """What some pods that poll cost, per second. CPU is in cores."""

    experiment: str
    pods: int
    period_s: float
    files: int
    polls_per_s: float
    host_cpu: float
    node_cpu: float
    bytes_per_s: float


@dataclass(frozen=True)
class Restart:
    """How long it took until this many replicas were replaced."""

    experiment: str
    pods: int
    restart_s: float


@dataclass(frozen=True)
class Scale:
    """Everything measured, and the models."""

    polls: list[Poll]
    restarts: list[Restart]
    fans: list[Fan]

    @property
    def rows(self) -> list[object]:
        return [*self.polls, *self.restarts, *self.fans]

    @property
    def small(self) -> list[Poll]:
        """Those with one file, which differ in the number of polls only."""
        return [poll for poll in self.polls if poll.files == 1]

    @property
    def models(self) -> dict[str, Line]:
        """The first three go by polls a second, the fourth by pods, the others by Deployments."""
        return {
            "host_cpu_per_poll": fit([(p.polls_per_s, p.host_cpu) for p in self.small]),
            "node_cpu_per_poll": fit([(p.polls_per_s, p.node_cpu) for p in self.small]),
            "bytes_per_poll": fit([(p.polls_per_s, p.bytes_per_s) for p in self.small]),
            "restart_s_per_pod": fit([(r.pods, r.restart_s) for r in self.restarts]),
            "fan_out_s_per_deployment": fit([(f.deployments, f.last_patched_s) for f in self.fans]),
            "api_writes_per_deployment": fit([(f.deployments, f.api_writes) for f in self.fans]),
        }


@dataclass(frozen=True)
class Counters:
    """What has been used up so far."""

    time_s: float
    host_cpu_s: dict[str, float]  # by process
    node_cpu_s: dict[str, float]
    traffic_bytes: int


def run_scale(cluster: Cluster, recorder: Recorder, settings: Settings, progress: Progress) -> Scale:
    """All three experiments, on the embedded lab: elsewhere the git host's own cost cannot be read."""
    lab = client.find()
    repository = open_repository(settings)
    repository.ref = BRANCH
    try:
        polls = measure_polls(cluster, recorder, repository, settings, lab, progress)
    finally:
        repository.account.git("push", "--quiet", repository.url, f":refs/heads/{BRANCH}", folder=repository.clone)
        repository.close()
    restarts = measure_restarts(cluster, recorder, settings, progress)
    return Scale(polls, restarts, run_fan_out(cluster, recorder, settings, lab, progress))


def measure_polls(
    cluster: Cluster, recorder: Recorder, repository: Repository, settings: Settings, lab: Lab, progress: Progress
) -> list[Poll]:
    """Pods with nothing but git-sync, which poll as the poller does; nothing changes meanwhile."""
    path = f"/apis/apps/v1/namespaces/{settings.namespace}/deployments"
    found, files = [], 0
    for number, (pods, period_s, wanted, seconds) in enumerate(POINTS):
        text = f"{pods} pods polling every {period_s} s, {wanted:,} files"
        progress.bar(number, len(POINTS), text)
        if files != wanted:
            files = wanted
            push_files(repository, files)
        cluster.apply(path, pollers(recorder, pods, period_s, files))
        wait_settled(recorder, POLLERS, pods, 3 * settings.timeout_s)
        pause(min(period_s, 5))  # after their first sync
        log = GitLog(Path(lab.git_log))
        before = counters(lab)
        pause(seconds)
        after = counters(lab)
        polls = sum(request.is_poll and request.status == 200 for request in log.read())
        took = after.time_s - before.time_s
        found.append(
            Poll(
                "polling",
                pods,
                period_s,
                files,
                polls / took,
                used(before.host_cpu_s, after.host_cpu_s) / took,
                used(before.node_cpu_s, after.node_cpu_s) / took,
                (after.traffic_bytes - before.traffic_bytes) / took,
            )
        )
    cluster.delete(f"{path}/{POLLERS}")
    progress.bar(len(POINTS), len(POINTS), "polling measured")
    return found


def push_files(repository: Repository, files: int) -> None:
    """A commit with so many small files."""
    folder = repository.clone / "files"
    folder.mkdir(exist_ok=True)
    for number in range(files):
        (folder / f"{number}.txt").write_text(f"file {number} of {files}\n")
    git = repository.account.git
    git("add", "files", folder=repository.clone)
    commit = repository.commit(f"A repository of {files} files\n")
    git("push", "--quiet", "--force", repository.url, f"{commit}:refs/heads/{BRANCH}", folder=repository.clone)


def pollers(recorder: Recorder, pods: int, period_s: float, files: int) -> Object:
    """The poller's Deployment without its hook, the probe that is about it, and its token."""
    poller = recorder.get("Deployment", "git-poller")
    assert poller, "the poller is deployed first"
    spec = copy.deepcopy(poller["spec"])
    spec |= {"replicas": pods, "selector": {"matchLabels": {"app": POLLERS}}}
    spec["template"]["metadata"] = {"labels": {"app": POLLERS}}
    pod = spec["template"]["spec"]
    pod |= {"serviceAccountName": "default", "serviceAccount": "default", "terminationGracePeriodSeconds": 1}
    unwanted = ("publish-commit", "api-access")
    pod["volumes"] = [volume for volume in pod["volumes"] if volume["name"] not in unwanted]
    git_sync = pod["containers"][0]
    del git_sync["livenessProbe"]
    git_sync["volumeMounts"] = [mount for mount in git_sync["volumeMounts"] if mount["name"] not in unwanted]
    git_sync["args"] = [argument for argument in git_sync["args"] if "exechook" not in argument]
    git_sync["env"] = [{"name": "GITSYNC_REF", "value": BRANCH}, {"name": "GITSYNC_PERIOD", "value": f"{period_s}s"}]
    request_little(pod)
    git_sync["env"].append({"name": "FILES", "value": str(files)})  # new pods for a new repository
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": POLLERS}, "spec": spec}


def request_little(pod: Object) -> None:
    """So many pods would ask for more than one small node has; what they use is what is measured."""
    for container in pod["containers"]:
        container["resources"]["requests"] = {"cpu": "1m", "memory": "1Mi"}


def wait_settled(recorder: Recorder, app: str, pods: int, timeout_s: float) -> None:
    def settled() -> bool:
        return is_complete(recorder.get("Deployment", app)) and len(recorder.all("Pod", app=app)) == pods

    wait_for(f"deployment/{app} with {pods} pods", settled, timeout_s, partial(described, recorder, app), pause_s=0.2)


def counters(lab: Lab) -> Counters:
    """From the kernel's own figures: every process of the git host, and git-sync with what it started."""
    lines = lab.run_in("git-host", "cat", "/proc/net/dev").stdout.splitlines()
    fields = [line.split(":")[1].split() for line in lines if ":" in line and not line.strip().startswith("lo:")]
    traffic = sum(int(field[0]) + int(field[8]) for field in fields)
    return Counters(time.monotonic(), cpu_seconds(lab, "git-host"), cpu_seconds(lab, "node", "git-sync"), traffic)


def used(before: dict[str, float], after: dict[str, float]) -> float:
    """CPU seconds of the processes that are still there: one that has ended took its counter with it."""
    return sum(seconds - before.get(process, 0.0) for process, seconds in after.items())


def cpu_seconds(lab: Lab, place: str, only: str | None = None) -> dict[str, float]:
    """By process: its own time, and that of the children that it has seen end."""
    said = lab.run_in(place, "sh", "-c", "cat /proc/[0-9]*/stat 2>/dev/null; true").stdout
    found = {}
    for line in said.splitlines():
        pid, _, rest = line.partition(" (")
        name, _, numbers = rest.rpartition(") ")
        if only is None or name == only:
            found[pid] = sum(map(int, numbers.split()[11:15])) / 100  # the kernel's ticks, a hundred a second
    return found


def measure_restarts(cluster: Cluster, recorder: Recorder, settings: Settings, progress: Progress) -> list[Restart]:
    """The app, restarted with more and more replicas."""
    name, path = "scale-app", f"/apis/apps/v1/namespaces/{settings.namespace}/deployments"
    patient, found = replace(settings, timeout_s=3 * settings.timeout_s), []
    restart.put(cluster, recorder, settings, name, request_little)
    for number, replicas in enumerate(REPLICAS):
        progress.bar(number, len(REPLICAS), f"restarting {replicas} replicas")
        cluster.patch(f"{path}/{name}", {"spec": {"replicas": replicas}})
        for _ in range(RESTARTS):
            wait_settled(recorder, name, replicas, patient.timeout_s)
            found.append(Restart("restart", replicas, restart.restart(cluster, recorder, patient, name)))
    cluster.delete(f"{path}/{name}")
    progress.bar(len(REPLICAS), len(REPLICAS), "restarts of many replicas measured")
    return found


def finding(scale: Scale) -> str:
    """The title, computed."""
    node, host = scale.models["node_cpu_per_poll"], scale.models["host_cpu_per_poll"]
    every_pod = TARGET / 10
    return (
        f"A poll costs {1000 * node.slope:.0f} ms of CPU on the node and {1000 * host.slope:.0f} ms on the git host: "
        f"{TARGET:,} pods that each poll every 10 s would take {node.at(every_pod)[0]:.1f} and "
        f"{host.at(every_pod)[0]:.1f} cores; one poller for all of them takes {node.at(0.1)[0]:.2f} and "
        f"{host.at(0.1)[0]:.2f}"
    )


def shown(scale: Scale) -> str:
    """Tables: what was measured, what it comes to."""
    polls = [
        {
            "pods": str(p.pods),
            "period": f"{p.period_s:g} s",
            "files": f"{p.files:,}",
            "polls a second": f"{p.polls_per_s:.2f}",
            "git host, cores": f"{p.host_cpu:.3f}",
            "node, cores": f"{p.node_cpu:.3f}",
            "traffic": f"{p.bytes_per_s / 1000:.1f} kB/s",
        }
        for p in scale.polls
    ]
    return html_table(polls, finding(scale)) + html_table(carried_on(scale), f"The models, carried on to {TARGET:,}")


def carried_on(scale: Scale) -> list[dict[str, str]]:
    """Each model: its slope, how well it holds, and its value at the size that nobody measured."""
    models = scale.models
    asked = {
        "host_cpu_per_poll": ("git host, cores, every pod polling each 10 s", TARGET / 10),
        "node_cpu_per_poll": ("nodes, cores, every pod polling each 10 s", TARGET / 10),
        "bytes_per_poll": ("traffic, bytes a second, every pod polling each 10 s", TARGET / 10),
        "restart_s_per_pod": (f"seconds to restart {TARGET:,} pods of one app on one machine such as this", TARGET),
        "fan_out_s_per_deployment": (f"seconds until the last of {TARGET:,} Deployments is patched", TARGET),
        "api_writes_per_deployment": (f"API writes for one commit and {TARGET:,} Deployments", TARGET),
    }
    rows = []
    for name, (text, x) in asked.items():
        value, low, high = models[name].at(x)
        rows.append(
            {
                "": text,
                "value": f"{value:,.1f}",
                "95% interval of the slope": f"{low:,.1f} to {high:,.1f}",
                "slope": f"{models[name].slope:.4g}",
                "R²": f"{models[name].fits:.2f}",
                "points": str(models[name].n),
            }
        )
    return rows
