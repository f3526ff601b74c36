"""A new pod of each candidate while the git host is down: does it start, and when does it recover if not?"""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from dataclasses import dataclass

from git_to_pod.cluster.api import Cluster
from git_to_pod.cluster.paths import api_path
from git_to_pod.cluster.status import is_ready
from git_to_pod.cluster.waiting import TimedOut, wait_for
from git_to_pod.experiments.alternatives import flux
from git_to_pod.experiments.alternatives.approaches import FLUX
from git_to_pod.experiments.alternatives.candidate import Candidate
from git_to_pod.experiments.alternatives.comparison import ERRORS, available
from git_to_pod.experiments.effort import effort
from git_to_pod.progress import Progress
from git_to_pod.settings import Settings
from lab import client

GIT_SERVER = "nginx"  # the lab's component that serves the repository


@dataclass(frozen=True)
class StartResult:
    """One candidate. `ready_s` counts from the deletion of a pod, and is infinite if its successor waited.

    `recovered_s` counts from the git host's return until all pods are Ready, and is infinite on timeout. Where an error
    came before, `failed` has it, and the rest is NaN and None.
    """

    key: str
    name: str
    ready_s: float
    recovered_s: float
    starts: bool | None
    failed: str = ""


def run_starts(cluster: Cluster, settings: Settings, progress: Progress) -> list[StartResult]:
    """Deploy one candidate after the other, and try each. No rows without the lab. Raises TimedOut if all fail."""
    if not settings.lab:
        return []
    approaches = available(cluster, settings)
    found = []
    with ExitStack() as stack:
        if FLUX in approaches:
            stack.enter_context(flux.definitions(cluster))
        for number, approach in enumerate(approaches):
            progress.bar(number, len(approaches), f"a new pod while the git host is down: {approach.name}")
            try:
                found.append(deploy_and_try(Candidate(approach, cluster, settings, progress)))
            except ERRORS as error:
                progress.say(f"{approach.name}: not measured: {error}")
                found.append(StartResult(approach.key, approach.name, math.nan, math.nan, None, str(error)))
        progress.bar(len(approaches), len(approaches), "all candidates tried")
    if all(row.failed for row in found):
        raise TimedOut(f"no candidate was measured: {'; '.join(row.failed for row in found)}")
    return found


def deploy_and_try(candidate: Candidate) -> StartResult:
    try:
        candidate.deploy()
        return try_start(candidate)
    finally:
        candidate.close()


def try_start(candidate: Candidate) -> StartResult:
    """Stop the git host, delete a pod, and see whether its successor becomes Ready. Raises ApiError, LabError."""
    deleted = min(candidate.pod_names())

    def is_replaced() -> bool:
        pods = candidate.pods()
        complete = len(pods) == candidate.settings.replicas and all(map(is_ready, pods))
        return complete and deleted not in candidate.pod_names()

    def seconds_until_replaced(limit_s: float) -> float:
        began = time.monotonic()
        try:
            wait_for("a new pod", is_replaced, limit_s, pause_s=0.1)
        except TimedOut:
            return math.inf
        return time.monotonic() - began

    try:
        client.command("stop", GIT_SERVER)
        candidate.cluster.delete(api_path("Pod", candidate.settings.namespace, deleted))
        ready_s = seconds_until_replaced(effort().down_s)
    finally:
        client.command("start", GIT_SERVER)
    recovered_s = seconds_until_replaced(candidate.settings.timeout_s)
    return StartResult(candidate.approach.key, candidate.approach.name, ready_s, recovered_s, math.isfinite(ready_s))
