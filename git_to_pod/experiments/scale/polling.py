"""Cost and scale: pods that poll, replicas that restart, and Deployments that follow one commit."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from git_to_pod.cluster.api import Cluster, Object
from git_to_pod.cluster.paths import api_path
from git_to_pod.cluster.recorder import Recorder
from git_to_pod.cluster.status import containers, described, is_complete
from git_to_pod.cluster.waiting import pause, wait_for
from git_to_pod.experiments import startup_orders
from git_to_pod.experiments.effort import effort
from git_to_pod.experiments.scale.fan_out import Fan, run_fan_out
from git_to_pod.experiments.scale.linear_fit import LinearFit, fit
from git_to_pod.git.access_log import AccessLog
from git_to_pod.git.repository import Repository, open_repository
from git_to_pod.progress import Progress
from git_to_pod.settings import Settings
from lab import Lab, client

POLLERS, BRANCH = "scale-pollers", "git-to-pod-scale"
TARGET = 1000  # pods or Deployments, for the extrapolation
INTERVAL_S = 10  # poll interval, for the extrapolation


@dataclass(frozen=True)
class Poll:
    """The cost of a number of polling pods, per second. CPU is in cores."""

    experiment: str
    pods: int
    period_s: int
    files: int
    polls_per_s: float
    host_cpu: float
    node_cpu: float
    bytes_per_s: float


@dataclass(frozen=True)
class Restart:
    """The time of one rollout with this many replicas; infinite if it timed out."""

    experiment: str
    pods: int
    restart_s: float


ScaleRow = Poll | Restart | Fan


@dataclass(frozen=True)
class Scale:
    """All measurements, and the lines fitted to them."""

    polls: list[Poll]
    restarts: list[Restart]
    fans: list[Fan]

    @classmethod
    def of(cls, rows: Sequence[ScaleRow]) -> Scale:
        """Sort the rows of summary.json by experiment."""
        polls = [row for row in rows if isinstance(row, Poll)]
        restarts = [row for row in rows if isinstance(row, Restart)]
        return cls(polls, restarts, [row for row in rows if isinstance(row, Fan)])

    @property
    def rows(self) -> list[ScaleRow]:
        return [*self.polls, *self.restarts, *self.fans]

    @property
    def small(self) -> list[Poll]:
        """The measurements with one file, which differ only in the number of polls."""
        return [poll for poll in self.polls if poll.files == 1]

    @property
    def finished(self) -> list[Restart]:
        """The rollouts that did not time out."""
        return [restart for restart in self.restarts if math.isfinite(restart.restart_s)]

    @property
    def models(self) -> dict[str, LinearFit]:
        """The first three lines are over polls per second, the fourth over replicas, the others over Deployments.

        Rollouts that timed out have no time and are left out.
        """
        return {
            "host_cpu_per_poll": fit([(p.polls_per_s, p.host_cpu) for p in self.small]),
            "node_cpu_per_poll": fit([(p.polls_per_s, p.node_cpu) for p in self.small]),
            "bytes_per_poll": fit([(p.polls_per_s, p.bytes_per_s) for p in self.small]),
            "restart_s_per_pod": fit([(r.pods, r.restart_s) for r in self.finished]),
            "fan_out_s_per_deployment": fit([(f.deployments, f.last_patched_s) for f in self.fans]),
            "api_writes_per_deployment": fit([(f.deployments, f.api_writes) for f in self.fans]),
        }


@dataclass(frozen=True)
class Counters:
    """CPU time and network traffic since the processes and interfaces started."""

    time_s: float
    host_cpu_s: dict[str, float]  # by process
    node_cpu_s: dict[str, float]
    traffic_bytes: int


def run_scale(cluster: Cluster, recorder: Recorder, settings: Settings, progress: Progress) -> Scale:
    """Run all three experiments. They need the embedded lab, because they read the git host's CPU time."""
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
    """Measure pods that run only git-sync and poll like the poller, while nobody pushes."""
    path = api_path("Deployment", settings.namespace)
    found, files = [], 0
    for number, (pods, period_s, wanted, seconds) in enumerate(effort().polls):
        text = f"{pods} pods polling every {period_s} s, {wanted:,} file{'' if wanted == 1 else 's'}"
        progress.bar(number, len(effort().polls), text)
        if files != wanted:
            files = wanted
            push_files(repository, files)
        cluster.apply(path, pollers(recorder, pods, period_s, files))
        wait_settled(recorder, POLLERS, pods, 3 * settings.timeout_s)
        pause(min(period_s, 5))  # after their first sync
        log = AccessLog(Path(lab.access_log))
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
    progress.bar(len(effort().polls), len(effort().polls), "polling measured")
    return found


def push_files(repository: Repository, files: int) -> None:
    """Push a commit with this many small files."""
    folder = repository.clone / "files"
    folder.mkdir(exist_ok=True)
    for number in range(files):
        (folder / f"{number}.txt").write_text(f"file {number} of {files}\n")
    git = repository.account.git
    git("add", "files", folder=repository.clone)
    commit = repository.commit(f"Number of files: {files}\n")
    git("push", "--quiet", "--force", repository.url, f"{commit}:refs/heads/{BRANCH}", folder=repository.clone)


def pollers(recorder: Recorder, pods: int, period_s: float, files: int) -> Object:
    """The poller's Deployment without its hook, without access to the API server, and with its own poll interval."""
    poller = recorder.get("Deployment", "git-poller")
    assert poller, "the poller is deployed first"
    spec = copy.deepcopy(poller["spec"])
    spec |= {"replicas": pods, "selector": {"matchLabels": {"app": POLLERS}}}
    spec["template"]["metadata"] = {"labels": {"app": POLLERS}}
    pod = spec["template"]["spec"]
    pod |= {"serviceAccountName": "default", "serviceAccount": "default", "terminationGracePeriodSeconds": 1}
    pod["automountServiceAccountToken"] = False
    pod["volumes"] = [volume for volume in pod["volumes"] if volume["name"] != "publish-commit"]
    git_sync = pod["containers"][0]
    git_sync["volumeMounts"] = [mount for mount in git_sync["volumeMounts"] if mount["name"] != "publish-commit"]
    git_sync["args"] = [argument for argument in git_sync["args"] if "exechook" not in argument]
    git_sync["env"] = [{"name": "GITSYNC_REF", "value": BRANCH}, {"name": "GITSYNC_PERIOD", "value": f"{period_s}s"}]
    request_little(pod)
    git_sync["env"].append(
        {"name": "FILES", "value": str(files)}
    )  # changes the template, so that new pods clone the new commit
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": POLLERS}, "spec": spec}


def request_little(pod: Object) -> None:
    """Lower the requests, which for this many pods would exceed one small node. Only the usage is measured."""
    for container in containers(pod):
        container["resources"]["requests"] = {"cpu": "1m", "memory": "1Mi"}


def wait_settled(recorder: Recorder, app: str, pods: int, timeout_s: float) -> None:
    def settled() -> bool:
        return is_complete(recorder.get("Deployment", app)) and len(recorder.all("Pod", app=app)) == pods

    wait_for(f"deployment/{app} with {pods} pods", settled, timeout_s, partial(described, recorder, app), pause_s=0.2)


def counters(lab: Lab) -> Counters:
    """Read the kernel's counters: of all processes on the git host, and of git-sync and its children on the node."""
    return Counters(
        time.monotonic(), cpu_seconds(lab, "git-host"), cpu_seconds(lab, "node", "git-sync"), sum(traffic(lab))
    )


def traffic(lab: Lab) -> tuple[int, int]:
    """The bytes that the git host has received and sent."""
    lines = lab.run_in("git-host", "cat", "/proc/net/dev").stdout.splitlines()
    fields = [line.split(":")[1].split() for line in lines if ":" in line and not line.strip().startswith("lo:")]
    return sum(int(field[0]) for field in fields), sum(int(field[8]) for field in fields)


def used(before: dict[str, float], after: dict[str, float]) -> float:
    """CPU seconds of the processes that still run. The counter of a process is gone once it has ended."""
    return sum(seconds - before.get(process, 0.0) for process, seconds in after.items())


def cpu_seconds(lab: Lab, place: str, only: str | None = None) -> dict[str, float]:
    """CPU seconds of each process, with those of the children that it has waited for."""
    message = lab.run_in(place, "sh", "-c", "cat /proc/[0-9]*/stat 2>/dev/null; true").stdout
    found = {}
    for line in message.splitlines():
        pid, _, rest = line.partition(" (")
        name, _, numbers = rest.rpartition(") ")
        if only is None or name == only:
            found[pid] = sum(map(int, numbers.split()[11:15])) / 100  # the kernel counts 100 ticks per second
    return found


def measure_restarts(cluster: Cluster, recorder: Recorder, settings: Settings, progress: Progress) -> list[Restart]:
    """Restart the app with an increasing number of replicas."""
    name, path = "scale-app", api_path("Deployment", settings.namespace)
    patient, found = replace(settings, timeout_s=3 * settings.timeout_s), []
    startup_orders.put(cluster, recorder, settings, name, request_little)
    for number, replicas in enumerate(effort().replicas):
        progress.bar(number, len(effort().replicas), f"restarting the app with {replicas} replicas")
        cluster.patch(f"{path}/{name}", {"spec": {"replicas": replicas}})
        for _ in range(effort().restarts_of_many):
            wait_settled(recorder, name, replicas, patient.timeout_s)
            found.append(Restart("restart", replicas, startup_orders.timed_restart(cluster, recorder, patient, name)))
    cluster.delete(f"{path}/{name}")
    progress.bar(len(effort().replicas), len(effort().replicas), "rollouts with many replicas measured")
    return found
