"""Faults: each is injected around a push and undone, while a load on the Service records what clients get."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from git_to_pod.cluster.api import connect
from git_to_pod.cluster.waiting import TimedOut, pause
from git_to_pod.experiments.alternatives.approaches import without_real_reloader
from git_to_pod.experiments.effort import effort
from git_to_pod.experiments.faults.bench import Bench
from git_to_pod.experiments.faults.undo_after_kill import restore
from git_to_pod.progress import Progress
from git_to_pod.settings import Settings
from git_to_pod.timing.rollout import count_rollouts
from git_to_pod.wording import counted

Step = Callable[[Bench], object]
NEXT_PUSH_S = 20.0  # for the next push to bring back a deployment that did not recover by itself


def nothing(bench: Bench) -> None:
    """No step."""


def push_one(bench: Bench) -> None:
    bench.push(f"pushed at {time.time():.3f}")


@dataclass(frozen=True)
class Fault:
    """What is done to the deployment, what is pushed meanwhile, and how it is undone.

    With `lasts_s`, `undo` runs that long after the push, and recovery counts from there. Without, the deployment has to
    recover while the fault lasts: recovery counts from the push, and `undo` runs afterwards.
    """

    key: str  # unique, and the same in each run
    name: str
    inject: Step = nothing
    push: Step = push_one
    undo: Step = nothing
    lasts_s: float | None = None
    blocks: bool = False  # the fault must keep the commit from being served until it is undone; else it had no effect
    limit_s: float = 60  # for the recovery
    deploys: bool = False  # whether `inject` deploys the app itself, which then comes up only after `undo`
    real_reloader: bool = False  # whether it needs an option that Reloader's stand-in does not have
    note: str = ""


@dataclass(frozen=True)
class FaultResult:
    """One fault's outcome. `held`: it recovered by itself, without a failed request or a lost commit.

    `recovery_s` is infinite if it took longer than the fault's limit.
    """

    key: str
    name: str
    held: bool
    commits_lost: int
    requests: dict[str, int]
    recovery_s: float
    rollouts: int
    note: str


def try_faults(settings: Settings, faults: Sequence[Fault], progress: Progress | None = None) -> list[FaultResult]:
    """Inject each fault in turn into one deployment, deployed anew if it does not recover. No rows without the lab."""
    if not settings.lab:
        return []
    restore(settings.lab)
    cluster, rows = connect(settings), list[FaultResult]()
    faults = [fault for fault in faults if not fault.real_reloader or not without_real_reloader(cluster, settings)]
    faults = [fault for fault in faults if not effort().faults or fault.key in effort().faults]
    bench = Bench(cluster, settings, settings.lab)
    try:
        if faults and not faults[0].deploys:
            bench.deploy()
        for number, fault in enumerate(faults):
            if progress:
                progress.bar(number, len(faults), fault.name)
            rows.append(try_fault(bench, fault))
            if progress:
                progress.say(f"{fault.name}: {'recovered' if rows[-1].held else 'not recovered'}")
    finally:
        bench.close()
    if progress:
        progress.bar(len(faults), len(faults), "all faults injected")
    return rows


def try_fault(bench: Bench, fault: Fault) -> FaultResult:
    """Inject, push, undo and wait; then bring the deployment back to normal. The undo runs in any case."""
    began = Marks(bench)
    served_early, failure, recovery_s = False, "", math.inf
    try:
        try:
            fault.inject(bench)
            fault.push(bench)
            since = time.monotonic()
            if fault.lasts_s is not None:
                pause(fault.lasts_s)
                served_early = (
                    fault.blocks and bench.published() == bench.head and bench.head in bench.served().values()
                )
        finally:
            if fault.lasts_s is not None:
                fault.undo(bench)
                since = time.monotonic()
        recovery_s = bench.wait_normal(fault.limit_s) - since
        bench.catch_up()
    except Exception as error:  # noqa: BLE001  # a failed fault is a row; the next ones are still tried
        failure = str(error) if isinstance(error, TimedOut) else f"{type(error).__name__}: {error}"
    row = began.row(fault, recovery_s, failure, served_early)
    outcome = back_to_normal(bench, fault, recovered=math.isfinite(recovery_s))
    return replace(row, note="; ".join(filter(None, [outcome, row.note])))


def back_to_normal(bench: Bench, fault: Fault, recovered: bool) -> str:
    """Bring the deployment back to normal for the next fault. Returns how, if it did not recover by itself."""
    if recovered and bench.load and (fault.lasts_s is not None or fault.undo is nothing):
        return ""
    try:
        if fault.lasts_s is None:
            fault.undo(bench)
        push_one(bench)
        bench.wait_normal(NEXT_PUSH_S)
        if not bench.load:
            bench.start_load()
    except Exception as error:  # noqa: BLE001  # the next faults are still tried
        bench.deploy()
        why = "the next push did not bring it back" if isinstance(error, TimedOut) else f"after an error ({error})"
        return f"{why}, so the run deployed it anew"
    return "" if recovered else "the next push brought it back"


class Marks:
    """The position in each record at which a fault began."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.load = bench.load
        self.responses = len(bench.load.responses) if bench.load else 0
        self.recorder = bench.recorder
        self.events = len(bench.recorder.events)
        self.pushed = len(bench.repository.pushed)
        self.template = bench.template

    def row(self, fault: Fault, recovery_s: float, failure: str, served_early: bool) -> FaultResult:
        bench = self.bench
        responses = self.load.responses[self.responses :] if self.load else []
        failed = [r for r in responses if (r.failed and not bench.matches(r)) or not r.commit]
        wrong = [r for r in responses if r not in failed and not bench.matches(r)]
        lost = 0 if math.isfinite(recovery_s) else self.lost()
        notes = [
            fault.note,
            f"{counted(len(wrong), 'response')} did not match the commit that the response named" if wrong else "",
            f"first failure: {failed[0].error or f'HTTP {failed[0].status}'}" if failed else "",
            "the fault had no effect: the commit was served before the fault was undone" if served_early else "",
            failure,
        ]
        held = not (failed or wrong or lost or failure or served_early)
        counts = {"sent": len(responses), "failed": len(failed)}
        note = "; ".join(filter(None, notes))
        return FaultResult(fault.key, fault.name, held, lost, counts, recovery_s, self.rollouts(), note)

    def lost(self) -> int:
        """The number of commits, pushed since the fault began, that the pods have not reached."""
        pushed = self.bench.repository.pushed[self.pushed :]
        served = set(self.bench.served_if_reachable().values())
        reached = [number for number, commit in enumerate(pushed, 1) if served == {commit}]
        return len(pushed) - max(reached, default=0)

    def rollouts(self) -> int:
        """How often the app's template changed."""
        events = self.bench.recorder.events[self.events if self.bench.recorder is self.recorder else 0 :]
        return count_rollouts(events, "app", self.template)
