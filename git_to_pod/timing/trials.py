"""Runs the trials: each pushes a commit or triggers a rollout restart, and waits for every phase that follows."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from git_to_pod.app import baseline
from git_to_pod.app.app import restart, served_commit
from git_to_pod.app.load import Response
from git_to_pod.cluster.api import Cluster, Unreachable
from git_to_pod.cluster.recorder import Recorder
from git_to_pod.cluster.status import described, is_complete, pods_of, settled
from git_to_pod.cluster.waiting import TimedOut, pause, wait_for
from git_to_pod.files import write_whole
from git_to_pod.git.access_log import AccessLog
from git_to_pod.git.repository import Repository
from git_to_pod.progress import Progress
from git_to_pod.settings import Settings
from git_to_pod.timing.rollout import Rollout
from git_to_pod.timing.trial import (
    ABSENT,
    BASELINE,
    PUSH,
    RESTART,
    Observation,
    Outcome,
    Planned,
    Trial,
    kind_in_words,
    trial_of,
)
from git_to_pod.timing.trials_table import mixed_commits_s, table

# The phases that a trial waits for, in their order, and what the progress line says meanwhile.
AWAITED = {
    "published": "git-sync to publish the commit",
    "requested": "the Deployment to be patched",
    "scheduled": "new pods to be scheduled",
    "git_sync_running": "git-sync to run in the new pods",
    "app_running": "nginx to run in the new pods",
    "ready": "new pods to be Ready",
}
SYNC_TICK_S = 1.0  # the kubelet's sync tick
PUSHES = "pushes"  # in the run's folder: the rows of the second notebook's pushes
FAILURES_IN_A_ROW = 3  # end the series: the rest would show the same


def plan(commits: int, seed: int, period_s: float) -> list[Planned]:
    """Pushes and both baselines in one shuffled order.

    The wait is random, within one poll interval for a push and within 1 s for a restart. It keeps the trials out of
    step with the polls and with the kubelet's sync tick.
    """
    chance = random.Random(seed)
    kinds = [PUSH, RESTART, BASELINE] * commits
    chance.shuffle(kinds)
    return [
        Planned(number, kind, chance.uniform(0, period_s if kind == PUSH else SYNC_TICK_S))
        for number, kind in enumerate(kinds, 1)
    ]


class Trials:
    """Runs trials and keeps them in `done`."""

    def __init__(
        self, cluster: Cluster, recorder: Recorder, repository: Repository, settings: Settings, progress: Progress
    ) -> None:
        self.cluster = cluster
        self.recorder = recorder
        self.repository = repository
        self.settings = settings
        self.progress = progress
        self.access_log = AccessLog(Path(settings.lab.access_log) if settings.lab else None)
        self.csv = settings.output / "trials.csv"
        self.done: list[Trial] = []
        self.responses: Sequence[Response] = ()  # what clients get meanwhile, if there is a load

    def run(self) -> list[Trial]:
        """Run one set in the planned order. Three failures in a row end it. A second set replaces the first.

        Raises Unreachable or ApiError if they end it because the cluster does not answer.
        """
        self.done = []
        longest_s = min(self.settings.period_s, self.settings.timeout_s)
        todo = plan(self.settings.commits, self.settings.seed, longest_s)
        last = "first trial"
        for planned in todo:
            self.progress.bar(planned.number - 1, len(todo), f"{kind_in_words(planned.kind)}; {last}")
            trial = self.push(planned) if planned.kind == PUSH else self.restart(planned)
            last = f"last {trial.instants.get('restarted', math.inf) - trial.began:.2f} s"
            if trial.outcome is not Outcome.OK:
                last = f"last {kind_in_words(trial.kind)} {trial.in_words}"
            latest = self.done[-FAILURES_IN_A_ROW:]
            if len(latest) == FAILURES_IN_A_ROW and all(each.outcome is not Outcome.OK for each in latest):
                self.cluster.get("/version")  # without a cluster, the failures say nothing about the design
                break
        self.progress.bar(len(todo), len(todo), "all done" if len(self.done) == len(todo) else f"aborted; {last}")
        return self.done

    def push(self, planned: Planned | None = None) -> Trial:
        """One trial, by default one more: push a commit and follow it to every pod."""
        planned = planned or Planned(len(self.done) + 1, PUSH)
        seen = Observation(planned)
        with seen.failures():
            stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
            seen.commit = self.repository.commit(f"Trial {planned.number} of the evaluation, {stamp}\n")
            pause(planned.offset_s)
            rollout, position = self.begin(seen, "app")
            seen.instants["pushed"] = self.repository.push(seen.commit)
            seen.commit = rollout.commit = self.repository.pushed[-1]  # another one if someone else had pushed
            self.follow(seen, rollout, position)
        return self.keep(seen)

    def restart(self, planned: Planned) -> Trial:
        """Follow a `kubectl rollout restart` of the app, or of the baseline."""
        seen = Observation(planned)
        app = "app" if planned.kind == RESTART else baseline.APP
        pause(planned.offset_s)
        with seen.failures():
            rollout, position = self.begin(seen, app)
            restart(self.cluster, self.settings.namespace, app)
            self.follow(seen, rollout, position)
        return self.keep(seen)

    def keep(self, seen: Observation) -> Trial:
        """Add the trial and write the rows at once: whatever happens later, they stay."""
        self.progress.awaits("")
        trial = trial_of(seen, self.access_log)
        self.done.append(trial)
        mixed_s = mixed_commits_s(self.done, self.responses)
        write_whole(self.csv, table(self.done, self.settings.period_s, mixed_s).to_csv(index=False))
        return trial

    def begin(self, seen: Observation, app: str) -> tuple[Rollout, int]:
        """Start the observation of a rollout, and return the index of its first event."""
        with self.recorder.heard:
            deployment = self.recorder.get("Deployment", app)
            if deployment is None:
                raise TimedOut(f"deployment/{app} is gone: somebody deleted it, or the namespace")
            old = {str(pod["metadata"]["name"]) for pod in pods_of(self.recorder, app)}
            replicas = deployment["spec"]["replicas"]
            seen.rollout = Rollout(app, deployment["spec"]["template"], old, seen.commit, replicas=replicas)
            return seen.rollout, len(self.recorder.events)

    def follow(self, seen: Observation, rollout: Rollout, position: int) -> None:
        """Wait for each phase, then until no rollout is under way, so that all trials start from the same state."""

        def see_events() -> None:
            nonlocal position
            events = self.recorder.events[position:]
            position += len(events)
            for event in events:
                rollout.see(event)

        def wait_until(*phases: str, since: float) -> None:
            """Until the first of the phases is reached, or one that follows it: some candidates skip phases."""

            def reached() -> bool:
                see_events()
                return not rollout.instants.keys().isdisjoint(phases)

            what = f"{kind_in_words(seen.planned.kind)} {seen.planned.number}: {phases[0]}"
            words = partial(described, self.recorder, rollout.app)
            self.recorder.wait_for(what, reached, self.settings.timeout_s, words, since)

        began = self.recorder.clock()
        awaited = [phase for phase in AWAITED if phase not in ABSENT[seen.planned.kind]]
        for number, phase in enumerate(awaited):
            self.progress.awaits(AWAITED[phase])
            wait_until(*awaited[number:], since=began)
        if seen.commit:
            self.progress.awaits("all pods to serve the commit")
            seen.instants["served"] = self.served(seen.commit, list(rollout.pods))
        self.progress.awaits("old pods to terminate")
        wait_until("restarted", since=self.recorder.clock())
        self.progress.awaits("the Service to drop the old pods")
        self.wait_until_settled(rollout.app)

    def served(self, commit: str, pods: Sequence[str]) -> float:
        """The instant at which all of these pods had answered with the commit, through the API server's proxy."""
        last: dict[str, tuple[str, bytes]] = {}

        def all_answer() -> bool:
            with suppress(Unreachable):  # one lost connection is not an answer: ask again
                last.update({pod: served_commit(self.cluster, self.settings.namespace, pod) for pod in pods})
            return all(pod in last and self.is_of_commit(*last[pod], commit) for pod in pods)

        def last_seen() -> str:
            return ", ".join(f"{pod} serves {commit}" for pod, (commit, _) in last.items())

        limit_s = self.settings.timeout_s
        wait_for(f"all pods serving {commit[:8]}", all_answer, limit_s, last_seen, pause_s=0.02)
        return self.recorder.clock()

    def is_of_commit(self, named: str, _body: bytes, commit: str) -> bool:
        """Whether a pod's answer, which names a commit and has a body, is of this commit."""
        return named == commit

    def wait_until_settled(self, app: str) -> None:
        """Wait until the Service has no old pods. To wait until they terminate would double the time of a trial."""
        replicas = self.settings.replicas

        def quiet() -> bool:
            if app == baseline.APP:
                return is_complete(self.recorder.get("Deployment", app))
            return settled(self.recorder, app, replicas)

        words = partial(described, self.recorder, app)
        self.recorder.wait_for(f"deployment/{app} settled", quiet, self.settings.timeout_s, words)
