"""Outages of the API server with a push meanwhile: which commit do the pods start with afterwards?

With the deployed design, a new pod takes the commit from the kubelet's cache of `git-commit`. If Reloader hears of the
new commit before the kubelet does, the pod starts with the previous one, and nothing restarts it until the next push.
The kubelet keeps a ConfigMap in its cache for five minutes after the last start of a pod that uses it (Kubernetes'
pkg/kubelet/util/manager), and reads it anew later. So each outage begins soon after a rollout, which is the worst case.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from git_to_pod.app.deployment import stamp
from git_to_pod.cluster.api import ApiError, Cluster, Unreachable
from git_to_pod.cluster.waiting import pause
from git_to_pod.experiments.alternatives.approaches import DEPLOYED, PATCHING
from git_to_pod.experiments.alternatives.candidate import Candidate
from git_to_pod.experiments.alternatives.comparison import ERRORS
from git_to_pod.experiments.effort import effort
from git_to_pod.progress import Progress
from git_to_pod.settings import Settings
from git_to_pod.timing.medians import Estimate, estimate
from git_to_pod.wording import counted
from lab import client

# Two minutes after the start of its last wait, client-go begins again with its shortest (DelayWithReset in
# tools/cache). No wait starts once the API server is ready.
APART_S = 120.0
STALE_S = 10.0  # a pod that serves the previous commit for so long after its rollout does so until the next push
LIMIT_S = 180.0  # for the recovery


@dataclass(frozen=True)
class Outcome:
    """What became of one candidate in one outage."""

    away_s: float  # from the stop of the API server until it is ready again
    stale: bool  # whether the new pods served the previous commit
    recovered_s: float  # since it is ready, until every pod serves the commit; infinite on timeout, NaN if stale


@dataclass(frozen=True)
class OutageResult:
    """One candidate after outages of one length. Each outage hits all candidates at the same time."""

    key: str
    name: str
    length_s: int
    outages: int
    away_s: Estimate
    stale: int
    recovered_s: Estimate
    samples_s: list[float]  # of recovered_s


@dataclass
class Pushed:
    """A commit that a candidate is to serve after an outage, with the commit and the pods before."""

    candidate: Candidate
    previous: str
    commit: str
    old: set[str]
    rolled_out: float = math.inf  # since when the rollout is complete and pods serve the previous commit
    stale: bool = False

    def is_decided(self, now: float) -> bool:
        """Whether the commit's rollout is complete, and every pod serves the commit or they are stale."""
        candidate, contents = self.candidate, self.candidate.repository.contents
        template = str(candidate.template)
        if self.commit not in template and stamp(self.commit) not in template:
            return False
        if not candidate.is_settled() or candidate.pod_names() & self.old:
            return False
        try:
            served = {body for _, body in candidate.answers().values()}
        except (ApiError, Unreachable):  # the API server has only just come back
            return False
        if served == {contents[self.commit]}:
            return True
        if served <= {contents[self.commit], contents[self.previous]}:
            self.rolled_out = min(self.rolled_out, now)
            self.stale = now - self.rolled_out > STALE_S
        return self.stale


def run_outages(cluster: Cluster, settings: Settings, progress: Progress) -> list[OutageResult]:
    """Stop the lab's API server again and again, for lengths in a shuffled order. No rows without the lab.

    An error ends the series; its rows are those of the outages before.
    """
    if not settings.lab:
        return []
    chance = random.Random(settings.seed)
    lengths = [length_s for length_s in effort().outage_lengths_s for _ in range(effort().outages)]
    chance.shuffle(lengths)
    found = dict[tuple[str, int], list[Outcome]]()  # by candidate and length
    with ExitStack() as stack:
        candidates = [Candidate(approach, cluster, settings, progress) for approach in (DEPLOYED, PATCHING)]
        for candidate in candidates:
            stack.callback(candidate.close)
            candidate.deploy()
        ready = -math.inf
        for number, length_s in enumerate(lengths):
            progress.bar(number, len(lengths), f"the API server is away for {length_s} s")
            pause(max(0.0, ready + APART_S - time.monotonic()))
            try:
                for candidate in candidates:  # new pods, and the end of a stale start
                    candidate.wait_served(candidate.push(f"before outage {number}"))
                ready, outcomes = outage(cluster, candidates, length_s)
            except ERRORS as error:
                progress.say(f"the series ends after {counted(number, 'outage')}: {error}")
                break
            for candidate, outcome in zip(candidates, outcomes, strict=True):
                found.setdefault((candidate.approach.key, length_s), []).append(outcome)
                if outcome.stale:
                    progress.say(f"{candidate.approach.name}: the pods started with the previous commit")
        else:
            progress.bar(len(lengths), len(lengths), f"{counted(len(lengths), 'outage')} over")
    names = {candidate.approach.key: candidate.approach.name for candidate in candidates}
    return [row_of(key, names[key], length_s, outcomes) for (key, length_s), outcomes in sorted(found.items())]


def outage(cluster: Cluster, candidates: Sequence[Candidate], length_s: int) -> tuple[float, list[Outcome]]:
    """Push to each candidate while the API server is away, see what follows. Raises GitError, LabError, TimedOut.

    Returns the monotonic instant at which the API server was ready again, and one outcome for each candidate.
    """
    began = time.monotonic()
    try:
        client.command("stop", "kube-apiserver")
        stopped = time.monotonic()
        pushed = [Pushed(each, each.head, each.push(f"at {stopped:.3f}"), each.pod_names()) for each in candidates]
        pause(max(0.0, stopped + length_s - time.monotonic()))
    finally:
        client.command("start", "kube-apiserver")
    cluster.wait_ready()
    ready = time.monotonic()
    recovered_s = [math.inf for _ in pushed]
    while (now := time.monotonic()) - ready < LIMIT_S and math.inf in recovered_s:
        for number, each in enumerate(pushed):
            if math.isinf(recovered_s[number]) and each.is_decided(now):
                recovered_s[number] = math.nan if each.stale else now - ready
        pause(0.1)
    outcomes = [Outcome(ready - began, each.stale, took) for each, took in zip(pushed, recovered_s, strict=True)]
    return ready, outcomes


def row_of(key: str, name: str, length_s: int, outcomes: Sequence[Outcome]) -> OutageResult:
    samples = [outcome.recovered_s for outcome in outcomes if not outcome.stale]
    away_s, stale = estimate(outcome.away_s for outcome in outcomes), sum(outcome.stale for outcome in outcomes)
    return OutageResult(key, name, length_s, len(outcomes), away_s, stale, estimate(samples), samples)
