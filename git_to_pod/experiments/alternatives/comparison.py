"""Candidates that keep the same app up to date with the same content, measured in one run."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from git_to_pod.app import usage
from git_to_pod.app.app import served_commit
from git_to_pod.app.load import mixed_commits
from git_to_pod.cluster.api import ApiError, Cluster, Unreachable
from git_to_pod.cluster.status import pods_of
from git_to_pod.cluster.waiting import TimedOut, pause, wait_for
from git_to_pod.experiments.alternatives import flux
from git_to_pod.experiments.alternatives.approaches import APPROACHES, FLUX
from git_to_pod.experiments.alternatives.candidate import BIG_BYTES, Approach, Candidate
from git_to_pod.experiments.alternatives.footprint import Right, all_objects, applied, rights, where_seen
from git_to_pod.experiments.effort import effort
from git_to_pod.git.errors import GitError
from git_to_pod.progress import Progress
from git_to_pod.settings import Settings
from git_to_pod.timing.medians import Estimate, estimate
from git_to_pod.timing.trial import PUSH, Outcome, Planned, Trial, latencies_s
from git_to_pod.timing.trials_table import ends_of
from git_to_pod.wording import counted
from lab import LabError

GAP_S = 0.7  # between the pushes of a burst
NOT_SYNCING = ("nginx", "curl")  # containers that are the same with every candidate
ERRORS = (ApiError, GitError, LabError, TimedOut, Unreachable)
WORKLOADS = {"deployments", "statefulsets", "daemonsets"}


@dataclass(frozen=True)
class CandidateResult:
    """One candidate. NaN or None: not measured, or no limit found. Counts by replicas have the number as key."""

    key: str
    name: str
    polled_to_restarted_s: Estimate  # from the poll that sees the commit: the wait for the poll drops out
    polled_to_served_s: Estimate  # until all replicas serve the commit
    polled_to_requested_s: Estimate
    requested_to_restarted_s: Estimate
    samples_s: list[float]  # of polled_to_restarted_s
    repeated_s: list[float]  # the same candidate measured a second time; empty for all but one
    requested_samples_s: list[float]  # of requested_to_restarted_s
    pushes: int
    changed_before_restart: int  # pushes whose content was served before any new pod was Ready
    requests: dict[str, int]
    mixed_commit_s: Estimate
    rollouts_per_burst: dict[str, int]
    regressions: dict[str, int]
    recovers_missed_change: bool | None  # None: it has no controller that could miss a change
    undo_restores_content: bool | None
    content_limit_bytes: int | None
    objects: dict[str, int]  # by kind
    rights: list[str]
    rights_pairs: int  # pairs of a verb and a resource
    git_pod_changes_workloads: bool  # whether the account of the pod that talks to the git host may patch workloads
    names_each_workload: bool  # whether another workload that follows needs a new right
    cpu_cores: float
    memory_bytes: int
    commit_seen_in: list[str]
    failed: str = ""  # the error that ended its measurement after the pushes; what follows is then not measured


def unavailable(cluster: Cluster, settings: Settings) -> dict[Approach, str]:
    """Why this cluster cannot run a candidate; empty if it can."""
    chosen = [approach for approach in APPROACHES if not effort().candidates or approach.key in effort().candidates]
    return {approach: approach.unavailable(cluster, settings) for approach in chosen}


def available(cluster: Cluster, settings: Settings) -> list[Approach]:
    """The candidates that this cluster can run."""
    return [approach for approach, reason in unavailable(cluster, settings).items() if not reason]


def not_tried(
    rows: Sequence[CandidateResult], cluster: Cluster, settings: Settings, failed: Mapping[str, str]
) -> list[str]:
    """The candidates without a row, each with the reason: the cluster cannot run it, or an error (`failed`, by key)."""
    measured = {row.key for row in rows}
    why = {each: failed.get(each.key, reason) for each, reason in unavailable(cluster, settings).items()}
    return [f"{approach.name} ({why[approach]})" for approach in why if why[approach] and approach.key not in measured]


def run_alternatives(
    cluster: Cluster, settings: Settings, progress: Progress, failed: dict[str, str]
) -> list[CandidateResult]:
    """Deploy all candidates that this cluster can run, and measure one at a time.

    An error before the behaviour of one is observed costs that one its row. `failed` gets the error, by its key.
    """
    approaches = available(cluster, settings)
    with ExitStack() as stack:
        candidates = []
        if FLUX in approaches:
            stack.enter_context(flux.definitions(cluster))
        for number, approach in enumerate(approaches):
            progress.bar(number, len(approaches), f"deploying: {approach.name}")
            candidates.append(Candidate(approach, cluster, settings, progress))
            stack.callback(candidates[-1].close)
            candidates[-1].deploy()
            candidates[-1].rest()
        push_in_blocks(candidates, progress)
        for candidate in candidates:
            candidate.wake()
        idle = idle_cost(cluster, candidates, progress)
        rows = []
        for candidate in candidates:
            key = candidate.approach.key
            try:
                rows.append(measure(cluster, candidate, idle[key], progress))
            except ERRORS as error:
                failed[key] = f"failed: {error}"
                progress.say(f"{candidate.approach.name}: {failed[key]}")
        if failed and not rows:
            raise TimedOut(f"no candidate was measured: {'; '.join(failed.values())}")
        return rows


def push_in_blocks(candidates: Sequence[Candidate], progress: Progress) -> None:
    """Rounds in which each candidate has a block of pushes, in a shuffled order and alone on the machine.

    Each block begins with a push that does not count. The first candidate has a second block in each round: its pushes
    in both are compared, which shows the noise.
    """
    chance = random.Random(candidates[0].settings.seed)
    like = candidates[0].recorder.get("Deployment", "git-poller")
    assert like, "the first candidate has a poller"
    blocks = [(candidates[0], candidates[0].repeated), *((candidate, candidate.done) for candidate in candidates)]
    # A machine's speed varies. Shuffled as a whole, all blocks of one candidate could fall into a fast or a slow time.
    order = [block for _ in range(effort().rounds) for block in chance.sample(blocks, len(blocks))]
    for number, (candidate, trials) in enumerate(order):
        progress.bar(number, len(order), f"{counted(effort().pushes, 'push', 'pushes')}: {candidate.approach.name}")
        candidate.wake()
        candidate.warm_up()
        candidate.start_load(like)
        for _ in range(effort().pushes):
            wait_s = chance.uniform(0, candidate.settings.period_s)
            trial = candidate.trials.push(Planned(len(candidate.trials.done) + 1, PUSH, wait_s))
            trials.append(trial)
            if trial.outcome is not Outcome.OK:
                progress.say(f"{candidate.approach.name}: push {trial.number} {trial.in_words}")
        candidate.rest()
    progress.bar(len(order), len(order), "pushes done")


def idle_cost(cluster: Cluster, candidates: Sequence[Candidate], progress: Progress) -> dict[str, tuple[float, int]]:
    """CPU in cores and memory in bytes of each idle candidate, all at the same time and without the app itself."""
    pause(effort().idle_wait_s)
    before = {candidate.approach.key: usage.sample(cluster, candidate.settings) for candidate in candidates}
    progress.say(f"idle cost of each candidate: {effort().idle_s:.0f} s")
    pause(effort().idle_s)
    found = {}
    for candidate in candidates:
        early, late = before[candidate.approach.key], usage.sample(cluster, candidate.settings)
        found[candidate.approach.key] = (math.nan, 0)
        if not isinstance(early, str) and not isinstance(late, str):
            found[candidate.approach.key] = total(early, late)
    return found


def total(early: usage.Sample, late: usage.Sample) -> tuple[float, int]:
    """The sum over all containers but the app's own."""
    kept = [(early[key], late[key]) for key in late if key in early and key[1] not in NOT_SYNCING]
    cores = sum((b.cpu_s - a.cpu_s) / (b.time_s - a.time_s) for a, b in kept if b.time_s > a.time_s)
    return cores, sum(b.memory_bytes for _, b in kept)


@dataclass
class Behaviour:
    """What a candidate does in a burst, after its controller was down, at an undo and with a large file.

    If an error ends the observation, `failed` has it, and the rest is not measured.
    """

    rollouts: dict[str, int] = field(default_factory=dict)
    regressions: dict[str, int] = field(default_factory=dict)
    recovers: bool | None = None
    undo: bool | None = None
    limit_bytes: int | None = None
    failed: str = ""


def measure(cluster: Cluster, candidate: Candidate, idle: tuple[float, int], progress: Progress) -> CandidateResult:
    """Count the candidate's objects and rights, then see how it behaves."""
    objects, held = all_objects(cluster, candidate.settings.namespace), rights(cluster, candidate.settings.namespace)
    seen_in = where_seen(objects, candidate.repository.pushed[-1]) + header(candidate)
    kinds = dict(applied(objects)) | (flux.cluster_objects(cluster) if candidate.approach is FLUX else {})
    samples = latencies_s(candidate.done, "polled", "restarted")
    mixed, early = seen_by_clients(candidate)
    behaviour, triggering = observe_behaviour(cluster, candidate, progress), rights_to_trigger(held)
    return CandidateResult(
        key=candidate.approach.key,
        name=candidate.approach.name,
        polled_to_restarted_s=estimate(samples),
        polled_to_served_s=estimate(latencies_s(candidate.done, "polled", "served")),
        polled_to_requested_s=estimate(latencies_s(candidate.done, "polled", "requested")),
        requested_to_restarted_s=estimate(latencies_s(candidate.done, "requested", "restarted")),
        samples_s=samples,
        repeated_s=latencies_s(candidate.repeated, "polled", "restarted"),
        requested_samples_s=latencies_s(candidate.done, "requested", "restarted"),
        pushes=sum(trial.outcome is not Outcome.FAILED for trial in (*candidate.done, *candidate.repeated)),
        changed_before_restart=early,
        requests={"sent": len(candidate.responses), "failed": sum(r.failed for r in candidate.responses)},
        mixed_commit_s=estimate(mixed),
        rollouts_per_burst=behaviour.rollouts,
        regressions=behaviour.regressions,
        recovers_missed_change=behaviour.recovers,
        undo_restores_content=behaviour.undo,
        content_limit_bytes=behaviour.limit_bytes,
        failed=behaviour.failed,
        objects=kinds,
        rights=[str(right) for right in held],
        rights_pairs=sum(right.pairs for right in held),
        git_pod_changes_workloads=any(right.account == candidate.approach.git_account for right in triggering),
        names_each_workload=all(right.names for right in triggering),
        cpu_cores=idle[0],
        memory_bytes=idle[1],
        commit_seen_in=seen_in,
    )


def rights_to_trigger(held: Sequence[Right]) -> list[Right]:
    """The rights by which a rollout can be triggered."""
    return [right for right in held if {"patch", "update"} & {*right.verbs} and WORKLOADS & {*right.resources}]


def observe_behaviour(cluster: Cluster, candidate: Candidate, progress: Progress) -> Behaviour:
    found, name = Behaviour(), candidate.approach.name
    try:
        observe(cluster, candidate, progress, found)
    except ERRORS as error:
        found.failed = str(error)
        with suppress(*ERRORS):
            candidate.set_replicas("app", 0)  # it must not disturb those that are measured after it
        progress.say(f"{name}: the rest is not measured: {error}")
    return found


def observe(cluster: Cluster, candidate: Candidate, progress: Progress, found: Behaviour) -> None:
    """Fill `found`, step by step."""
    name = candidate.approach.name
    for replicas in effort().burst_replicas:
        progress.say(f"{effort().burst} pushes {GAP_S} s apart, {replicas} replicas: {name}")
        candidate.scale("app", replicas)
        found.rollouts[str(replicas)], found.regressions[str(replicas)] = candidate.burst(effort().burst, GAP_S)
    candidate.scale("app", effort().burst_replicas[0])
    if candidate.approach.controller:
        progress.say(f"a push while {candidate.approach.controller} is down: {name}")
        found.recovers = candidate.catches_up()
    progress.say(f"kubectl rollout undo: {name}")
    found.undo = candidate.undo_restores_content()
    progress.say(f"a file of {BIG_BYTES >> 20} MiB: {name}")
    found.limit_bytes = None if candidate.takes_big_content() else limit_of(cluster, candidate)


def limit_of(cluster: Cluster, candidate: Candidate) -> int:
    """The limit that the candidate's own error names, else the size of the file that it did not deploy."""
    if candidate.approach is FLUX:
        with suppress(TimedOut):
            return wait_for("Flux's error", lambda: flux.limit(cluster, candidate.settings.namespace), 60)
    return BIG_BYTES


def header(candidate: Candidate) -> list[str]:
    """Whether the app's responses name the commit."""
    pod = pods_of(candidate.recorder, "app")[0]["metadata"]["name"]
    named, _ = served_commit(candidate.cluster, candidate.settings.namespace, pod)
    return ["every response: X-Git-Commit"] if named == candidate.repository.pushed[-1] else []


def seen_by_clients(candidate: Candidate) -> tuple[list[float], int]:
    """For each push, the seconds in which clients got both commits; and how many came before any restarted pod."""
    mixed, early = [], 0
    pushes: list[Trial] = sorted([*candidate.done, *candidate.repeated], key=lambda trial: trial.began)
    for trial, end in zip(pushes, ends_of(pushes, candidate.responses), strict=True):
        seen = (
            mixed_commits(candidate.responses, trial.commit, trial.began, end) if "pushed" in trial.instants else None
        )
        mixed.append(seen.seconds if seen else math.nan)
        if seen and trial.outcome is not Outcome.FAILED:  # of a failed one, the instants may be out of order
            restarted = min(trial.pods.values(), default=math.nan) if candidate.approach.restarts else math.inf
            early += seen.started < restarted
    return mixed, early


def by_replicas(counts: dict[str, Any]) -> str:
    return ", ".join(f"{count} with {replicas} replicas" for replicas, count in counts.items()) or "not measured"


def limit_in_words(limit_bytes: int | None, measured: bool = True) -> str:
    """The largest content. BIG_BYTES means that a file of this size was not deployed and no limit was named."""
    if not measured:
        return "not measured"
    if not limit_bytes:
        return f"no limit found ({size_in_words(BIG_BYTES)} tried)"
    return f"less than {size_in_words(BIG_BYTES)}" if limit_bytes == BIG_BYTES else size_in_words(limit_bytes)


def size_in_words(size_bytes: int) -> str:
    return f"{size_bytes:,} bytes" if size_bytes % 2**20 else f"{size_bytes >> 20} MiB"
