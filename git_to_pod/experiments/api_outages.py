"""Outages of the API server with a push meanwhile: which commit do the pods start with afterwards?

With the deployed design, a new pod takes the commit from the kubelet's cache of `git-commit`. If Reloader hears of the
new commit before the kubelet does, the pod starts with the previous one, and nothing restarts it until the next push.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from git_to_pod.cluster.api import ApiError, Cluster, Unreachable
from git_to_pod.cluster.waiting import TimedOut, pause
from git_to_pod.experiments.alternatives.approaches import DEPLOYED, PATCHING
from git_to_pod.experiments.alternatives.candidate import Candidate
from git_to_pod.experiments.effort import effort
from git_to_pod.progress import Progress
from git_to_pod.settings import Settings
from git_to_pod.timing.medians import Estimate, estimate
from git_to_pod.wording import counted
from lab import client

STALE_S = 10.0  # a pod that serves the previous commit for so long after its rollout does so until the next push
LIMIT_S = 180.0  # for the recovery


@dataclass(frozen=True)
class OutageResult:
    """One candidate after outages of one length. Each outage hits all candidates at the same time."""

    key: str
    name: str
    length_s: int
    outages: int
    stale: int  # outages after which the new pods served the previous commit
    recovered_s: Estimate  # of the others: from the end of the outage until every pod serves the commit that was pushed
    samples_s: list[float]


@dataclass
class Pushed:
    """A commit that a candidate is to serve after an outage, and its pods before."""

    candidate: Candidate
    commit: str
    old: set[str]
    rolled_out: float = math.inf  # since when the rollout is complete, and pods serve another commit
    stale: bool = False

    def is_decided(self, now: float) -> bool:
        """Whether every pod serves the commit, or they are stale."""
        if not self.candidate.is_settled() or self.candidate.pod_names() & self.old:
            return False
        try:
            if self.candidate.serves(self.commit):
                return True
        except (ApiError, Unreachable):  # the API server has only just come back
            return False
        self.rolled_out = min(self.rolled_out, now)
        self.stale = now - self.rolled_out > STALE_S
        return self.stale


def run_outages(cluster: Cluster, settings: Settings, progress: Progress) -> list[OutageResult]:
    """Stop the lab's API server again and again, for each length in a shuffled order. No rows without the lab.

    If a candidate does not recover, the rows are those of the outages before.
    """
    if not settings.lab:
        return []
    chance = random.Random(settings.seed)
    lengths = [length_s for length_s in effort().outage_lengths_s for _ in range(effort().outages)]
    chance.shuffle(lengths)
    found = dict[tuple[str, int], list[float | None]]()  # by candidate and length; None: stale
    with ExitStack() as stack:
        candidates = [Candidate(approach, cluster, settings, progress) for approach in (DEPLOYED, PATCHING)]
        for candidate in candidates:
            stack.callback(candidate.close)
            candidate.deploy()
        for number, length_s in enumerate(lengths):
            progress.bar(number, len(lengths), f"the API server is away for {length_s} s")
            pause(chance.uniform(0, 2))
            try:
                for candidate, recovered_s in outage(candidates, length_s):
                    found.setdefault((candidate.approach.key, length_s), []).append(recovered_s)
                    if recovered_s is None:
                        progress.say(f"{candidate.approach.name}: the pods started with the previous commit")
            except TimedOut as error:
                progress.say(f"no outage after the one of {length_s} s, number {number + 1}: {error}")
                break
        progress.bar(len(lengths), len(lengths), f"{counted(len(lengths), 'outage')} over")
    names = {candidate.approach.key: candidate.approach.name for candidate in candidates}
    return [row_of(key, names[key], length_s, samples) for (key, length_s), samples in sorted(found.items())]


def outage(candidates: Iterable[Candidate], length_s: int) -> list[tuple[Candidate, float | None]]:
    """Push to each candidate while the API server is away. Returns the seconds until it served; None: it was stale.

    A stale candidate is brought back with another push. Raises TimedOut if that does not bring it back.
    """
    client.command("stop", "kube-apiserver")
    try:
        since = time.monotonic()
        pushed = [Pushed(each, each.push(f"at {since:.3f}"), each.pod_names()) for each in candidates]
        pause(max(0.0, since + length_s - time.monotonic()))
    finally:
        client.command("start", "kube-apiserver")
    began = time.monotonic()
    recovered_s = dict.fromkeys((each.candidate for each in pushed), math.inf)
    left = list(pushed)
    while left and (now := time.monotonic()) - began < LIMIT_S:
        for each in [each for each in left if each.is_decided(now)]:
            recovered_s[each.candidate] = now - began
            left.remove(each)
        pause(0.1)
    for each in pushed:
        if each in left or each.stale:
            each.candidate.wait_served(each.candidate.push("again"))
    return [(each.candidate, None if each.stale else recovered_s[each.candidate]) for each in pushed]


def row_of(key: str, name: str, length_s: int, samples: list[float | None]) -> OutageResult:
    recovered = [sample for sample in samples if sample is not None]
    stale = len(samples) - len(recovered)
    return OutageResult(key, name, length_s, len(samples), stale, estimate(recovered), recovered)
