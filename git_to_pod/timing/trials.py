"""Trials: each pushes a commit or triggers a rollout restart, and times every phase that follows."""

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
from git_to_pod.cluster.api import ApiError, Cluster, Unreachable
from git_to_pod.cluster.recorder import Recorder
from git_to_pod.cluster.status import described, is_complete, pods_of, settled
from git_to_pod.cluster.waiting import TimedOut, pause, wait_for
from git_to_pod.git.access_log import AccessLog
from git_to_pod.git.repository import GitError, Repository
from git_to_pod.progress import Progress
from git_to_pod.settings import Settings
from git_to_pod.timing.rollout import Rollout
from git_to_pod.timing.trial import PLAIN, PUSH, RESTART, Trial, kind_in_words, order_of_phases
from git_to_pod.timing.trials_table import table

# What the progress line says while a phase is awaited.
AWAITED = {
    "published": "git-sync to publish the commit",
    "requested": "the Deployment to be patched",
    "scheduled": "new pods to be scheduled",
    "git_sync_running": "git-sync to run in the new pods",
    "app_running": "nginx to run in the new pods",
    "ready": "new pods to be Ready",
    "restarted": "old pods to terminate",
}
SYNC_TICK_S = 1.0  # the kubelet's sync tick
FAILURES_IN_A_ROW = 3  # end the series: the rest would show the same


def plan(commits: int, seed: int, period_s: float) -> list[tuple[str, float]]:
    """Pushes and both baselines in one shuffled order, each with the seconds to wait before it.

    The wait is random, within one poll interval for a push and within 1 s for a restart. It keeps the trials out of
    step with the polls and with the kubelet's sync tick.
    """
    chance = random.Random(seed)
    kinds = [PUSH, RESTART, PLAIN] * commits
    chance.shuffle(kinds)
    return [(kind, chance.uniform(0, period_s if kind == PUSH else SYNC_TICK_S)) for kind in kinds]


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
        self.csv: Path | None = settings.output / "trials.csv"  # None: the caller keeps the trials
        self.done: list[Trial] = []

    def run(self) -> list[Trial]:
        """Run one set in the planned order. Three failures in a row end it. A second set replaces the first."""
        self.done = []
        longest_s = min(self.settings.period_s, self.settings.timeout_s)
        todo = plan(self.settings.commits, self.settings.seed, longest_s)
        last = "first trial"
        for number, (kind, offset_s) in enumerate(todo, 1):
            self.progress.bar(number - 1, len(todo), f"{kind_in_words(kind)}; {last}")
            trial = self.push(number, offset_s) if kind == PUSH else self.restart(number, kind, offset_s)
            last = f"last {trial.instants.get('restarted', math.inf) - trial.began:.2f} s"
            if trial.outcome != "ok":
                last = f"last {kind_in_words(kind)} {trial.outcome}"
            if len(self.done) >= FAILURES_IN_A_ROW and all(t.outcome != "ok" for t in self.done[-FAILURES_IN_A_ROW:]):
                break
        self.progress.bar(len(todo), len(todo), "all done" if len(self.done) == len(todo) else f"aborted; {last}")
        return self.done

    def push(self, number: int = 0, offset_s: float = 0.0) -> Trial:
        """One more trial: push a commit and follow it to every pod."""
        unmeasured = set() if self.access_log.path else {"polled"}
        trial = Trial(number or len(self.done) + 1, PUSH, offset_s, unmeasured=unmeasured)
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            trial.commit = self.repository.commit(f"Trial {trial.number} of the evaluation, {stamp}\n")
            pause(offset_s)
            rollout, position = self.begin("app", trial.commit)
            trial.instants["pushed"] = self.repository.push(trial.commit)
            trial.commit = rollout.commit = self.repository.pushed[-1]  # another one if someone else had pushed
        except GitError as error:
            trial.outcome = f"failed: git push: {error}"
        else:
            self.follow(trial, rollout, position)
        return self.keep(trial)

    def keep(self, trial: Trial) -> Trial:
        """Add the trial and write trials.csv at once: whatever happens later, its row stays."""
        self.done.append(trial)
        if self.csv:
            self.csv.parent.mkdir(parents=True, exist_ok=True)
            table(self.done, self.settings.period_s).to_csv(self.csv, index=False)
        return trial

    def restart(self, number: int, kind: str, offset_s: float = 0.0) -> Trial:
        """Follow a `kubectl rollout restart` of the app, or of the baseline."""
        trial = Trial(number, kind, offset_s)
        app = "app" if kind == RESTART else baseline.APP
        pause(offset_s)
        rollout, position = self.begin(app, "")
        try:
            restart(self.cluster, self.settings.namespace, app)
        except (ApiError, Unreachable) as error:
            trial.outcome = f"failed: {error}"
        else:
            self.follow(trial, rollout, position)
        return self.keep(trial)

    def begin(self, app: str, commit: str) -> tuple[Rollout, int]:
        """The rollout with the state before the trial, and the index of the trial's first event."""
        with self.recorder.heard:
            deployment = self.recorder.get("Deployment", app)
            assert deployment, f"deployment/{app} is deployed first"
            old = {str(pod["metadata"]["name"]) for pod in pods_of(self.recorder, app)}
            replicas = deployment["spec"]["replicas"]
            rollout = Rollout(app, deployment["spec"]["template"], old, commit, replicas=replicas)
            return rollout, len(self.recorder.events)

    def follow(self, trial: Trial, rollout: Rollout, position: int) -> None:
        """Wait for each phase, then until no rollout is under way, so that all trials start from the same state."""

        def reached(phase: str) -> bool:
            nonlocal position
            events = self.recorder.events[position:]
            position += len(events)
            for event in events:
                rollout.see(event)
            if phase not in rollout.instants:
                self.progress.awaits(awaited(trial, rollout))
            return phase in rollout.instants

        def wait_until(phase: str) -> None:
            what = f"{kind_in_words(trial.kind)} {trial.number}: {phase}"
            words = partial(described, self.recorder, rollout.app)
            self.recorder.wait_for(what, lambda: reached(phase), self.settings.timeout_s, words)

        try:
            wait_until("ready")
            if trial.commit:
                self.progress.awaits("all pods to serve the commit")
                trial.instants["served"] = self.served(trial.commit, list(rollout.pods))
            wait_until("restarted")
            self.progress.awaits("the Service to drop the old pods")
            self.wait_until_settled(rollout.app)
        except TimedOut as error:
            trial.outcome = f"timed out: {error}"
        except (ApiError, Unreachable) as error:
            trial.outcome = f"failed: {error}"
        trial.instants |= rollout.instants
        trial.pods = {name: reached["ready"] for name, reached in rollout.pods.items() if "ready" in reached}
        trial.old_pods, trial.rollouts = rollout.old, rollout.rollouts
        if trial.commit:
            trial.instants |= self.arrival(trial.instants)
        if trial.outcome == "ok":
            trial.outcome = order_of_phases(trial.instants)
        self.progress.awaits("")

    def arrival(self, instants: dict[str, float]) -> dict[str, float]:
        """The instants of the push and of the poll that saw it.

        `git push` may return after the commit was published. Such a push counts from the publication.
        """
        returned, published = instants["pushed"], instants.get("published", math.inf)
        polled = self.access_log.polled(returned, published)
        found = {"pushed": min(returned, published)}
        return found if polled is None else found | {"polled": min(polled, published)}

    def served(self, commit: str, pods: Sequence[str]) -> float:
        """The instant at which all of these pods had answered with the commit, through the API server's proxy."""
        last: dict[str, tuple[str, bytes]] = {}

        def all_answer() -> bool:
            with suppress(Unreachable):  # one lost connection is not an answer: ask again
                last.update({pod: served_commit(self.cluster, self.settings.namespace, pod) for pod in pods})
            return all(pod in last and self.is_of_commit(*last[pod], commit) for pod in pods)

        limit_s = self.settings.timeout_s
        wait_for(f"all pods serving {commit[:8]}", all_answer, limit_s, lambda: str(last), pause_s=0.02)
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


def awaited(trial: Trial, rollout: Rollout) -> str:
    """The first phase that the rollout has not reached yet, as the progress line names it."""
    to_come = [phase for phase in trial.phases if phase in AWAITED and phase not in rollout.instants]
    return AWAITED[to_come[0]] if to_come else ""
