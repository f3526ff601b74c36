"""Faults: each is injected across a push, undone, and judged by what the Service's visitors were served meanwhile."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from git_to_pod.cluster import TimedOut, connect
from git_to_pod.faults_bench import Bench
from git_to_pod.findings import html_table
from git_to_pod.progress import Progress
from git_to_pod.settings import Settings
from git_to_pod.trials import pause

Step = Callable[[Bench], None]


def nothing(bench: Bench) -> None:
    """No step."""


def push_one(bench: Bench) -> None:
    bench.push(f"pushed at {time.time():.3f}")


@dataclass(frozen=True)
class Fault:
    """What is done to the deployment, what is pushed meanwhile, and how it is undone.

    With `lasts_s` the fault is undone that long after the push, and recovery counts from there. Without, the system
    has to cope while the fault is there: recovery counts from the push, and what `undo` does comes after.
    """

    name: str
    inject: Step = nothing
    push: Step = push_one
    undo: Step = nothing
    lasts_s: float | None = None
    blocks: bool = False  # the commit cannot be served before the fault is undone; if it is, nothing was tried
    limit_s: float = 60  # within which it must have recovered
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One fault's outcome. `recovery_s` is infinite where the limit came first."""

    name: str
    held: bool
    commits_lost: int
    requests: dict[str, int]
    recovery_s: float
    rollouts: int
    note: str


def try_faults(settings: Settings, faults: Sequence[Fault], progress: Progress | None = None) -> list[Row]:
    """Each fault in turn on one deployment, which is made anew after a fault that it did not get over."""
    if not settings.lab:
        return []  # nobody wants these done to a cluster of their own
    rows: list[Row] = []
    bench = Bench(connect(settings), settings, settings.lab)
    try:
        for number, fault in enumerate(faults):
            if progress:
                progress.bar(number, len(faults), fault.name)
            rows.append(try_fault(bench, fault))
            if progress:
                progress.say(f"{fault.name}: {'held' if rows[-1].held else 'did not hold'}")
    finally:
        bench.close()
    if progress:
        progress.bar(len(faults), len(faults), "faults tried")
    return rows


def try_fault(bench: Bench, fault: Fault) -> Row:
    """Inject, push, undo, wait; then see that all is as before."""
    began = Marks(bench)
    served_early, failure, recovery_s = False, "", math.inf
    try:
        fault.inject(bench)
        fault.push(bench)
        since = time.monotonic()
        if fault.lasts_s is not None:
            pause(fault.lasts_s)
            served_early = fault.blocks and bench.published == bench.head and bench.head in bench.served().values()
            fault.undo(bench)
            since = time.monotonic()
        recovery_s = bench.wait_normal(fault.limit_s) - since
        bench.catch_up()
    except TimedOut as error:
        failure = str(error)
    row = began.row(fault, recovery_s, failure, served_early)
    back_to_normal(bench, fault, recovered=math.isfinite(recovery_s))
    return row


def back_to_normal(bench: Bench, fault: Fault, recovered: bool) -> None:
    """The next fault is to start from a deployment that works; one that does not is made anew."""
    if recovered and bench.load and (fault.lasts_s is not None or fault.undo is nothing):
        return
    try:
        if fault.lasts_s is None:
            fault.undo(bench)
        push_one(bench)
        bench.wait_normal(20)
        if not bench.load:
            bench.start_load()
    except TimedOut:
        bench.deploy()


class Marks:
    """Where a fault began in all that is recorded."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.load = bench.load
        self.responses = len(bench.load.responses) if bench.load else 0
        self.recorder = bench.recorder
        self.events = len(bench.recorder.events)
        self.pushed = len(bench.repository.pushed)
        self.template = bench.template

    def row(self, fault: Fault, recovery_s: float, failure: str, served_early: bool) -> Row:
        bench = self.bench
        responses = self.load.responses[self.responses :] if self.load else []
        failed = [r for r in responses if (r.failed and not bench.matches(r)) or not r.commit]
        wrong = [r for r in responses if r not in failed and not bench.matches(r)]
        lost = 0 if math.isfinite(recovery_s) else self.lost()
        notes = [
            fault.note,
            f"{len(wrong)} responses were not what the repository holds at their commit" if wrong else "",
            f"first failure: {failed[0].error or f'HTTP {failed[0].status}'}" if failed else "",
            "the commit was served before the fault was undone: nothing was tried" if served_early else "",
            failure,
        ]
        held = not (failed or wrong or lost or failure or served_early)
        counts = {"sent": len(responses), "failed": len(failed)}
        note = "; ".join(filter(None, notes))
        return Row(fault.name, held, lost, counts, recovery_s, self.rollouts(), note)

    def lost(self) -> int:
        """The commits pushed since then that are not part of what every pod serves."""
        pushed = self.bench.repository.pushed[self.pushed :]
        served = set(self.bench.served_if_asked().values())
        reached = [number for number, commit in enumerate(pushed, 1) if served == {commit}]
        return len(pushed) - max(reached, default=0)

    def rollouts(self) -> int:
        """How often the app's template changed."""
        template, changes = self.template, 0
        events = self.bench.recorder.events[self.events if self.bench.recorder is self.recorder else 0 :]
        for event in events:
            if event.kind == "Deployment" and event.name == "app" and event.object["spec"]["template"] != template:
                changes, template = changes + bool(template), event.object["spec"]["template"]
        return changes


def finding(rows: Sequence[Row]) -> str:
    """What the table says, in one sentence."""
    held = [row for row in rows if row.held]
    sent, failed = (sum(row.requests[key] for row in rows) for key in ("sent", "failed"))
    lost = sum(row.commits_lost for row in rows)
    return (
        f"{len(held)} of {len(rows)} faults held; {failed} of {sent} requests failed, "
        f"{lost} pushed commit{'' if lost == 1 else 's'} never arrived"
    )


def shown(rows: Sequence[Row]) -> str:
    """The table, with its finding as the title."""
    if not rows:
        return "<p>Faults are injected into the embedded lab only; this run was on another cluster.</p>"
    return html_table([cells(row) for row in rows], finding(rows))


def cells(row: Row) -> dict[str, str]:
    return {
        "fault": row.name,
        "held": "yes" if row.held else "no",
        "commits lost": str(row.commits_lost),
        "requests": str(row.requests["sent"]),
        "failed": str(row.requests["failed"]),
        "recovery": f"{row.recovery_s:.1f} s" if math.isfinite(row.recovery_s) else "none",
        "rollouts": str(row.rollouts),
        "note": row.note,
    }
