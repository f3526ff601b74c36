"""A trial: what happened after one push, or after one rollout restart."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from html import escape

from git_to_pod.cluster.api import ApiError, Unreachable
from git_to_pod.cluster.waiting import TimedOut
from git_to_pod.git.access_log import AccessLog
from git_to_pod.git.errors import GitError
from git_to_pod.timing.rollout import Rollout

PUSH, RESTART, BASELINE = "push", "rollout_restart", "baseline_rollout_restart"
# In the order in which they must be reached.
PHASES = (
    "pushed",
    "polled",
    "published",
    "requested",
    "scheduled",
    "git_sync_running",
    "app_running",
    "ready",
    "restarted",
    "served",
)
ABSENT = {  # the phases that a trial of this kind does not go through
    PUSH: frozenset[str](),
    RESTART: frozenset({"pushed", "polled", "published", "served"}),
    BASELINE: frozenset({"pushed", "polled", "published", "served", "git_sync_running"}),
}
RECEIPT_S = 0.01  # each kind has its own watch thread, so events closer together have no order


class Outcome(StrEnum):
    OK = "ok"
    TIMED_OUT = "timed out"
    FAILED = "failed"


@dataclass(frozen=True)
class Planned:
    """A trial to run: its number, its kind and the seconds to wait before it."""

    number: int
    kind: str
    offset_s: float = 0.0


@dataclass
class Observation:
    """What is seen of a trial while it runs."""

    planned: Planned
    commit: str = ""
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))
    instants: dict[str, float] = field(default_factory=dict)  # those that are not the rollout's
    rollout: Rollout | None = None
    outcome: Outcome = Outcome.OK
    reason: str = ""

    @contextlib.contextmanager
    def failures(self) -> Iterator[None]:
        """Keep the error that ends the trial as its outcome and reason."""
        try:
            yield
        except TimedOut as error:
            self.outcome, self.reason = Outcome.TIMED_OUT, str(error)
        except GitError as error:
            self.outcome, self.reason = Outcome.FAILED, f"git push: {error}"
        except (ApiError, Unreachable) as error:
            self.outcome, self.reason = Outcome.FAILED, str(error)


@dataclass(frozen=True)
class Trial:
    """One row of trials.csv. Instants are on the monotonic clock of the observing process, in seconds."""

    number: int
    kind: str
    offset_s: float = 0.0
    commit: str = ""
    started: str = ""  # UTC, ISO 8601
    instants: Mapping[str, float] = field(default_factory=dict)
    pods: Mapping[str, float] = field(default_factory=dict)  # the new pods, and when each was ready
    old_pods: frozenset[str] = frozenset()
    rollouts: int = 0
    outcome: Outcome = Outcome.OK
    reason: str = ""  # why the outcome is not ok
    unmeasured: frozenset[str] = frozenset()  # phases that this cluster does not show

    @property
    def began(self) -> float:
        return self.instants.get("pushed", self.instants.get("requested", math.nan))

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases that a trial of this kind goes through."""
        return tuple(phase for phase in PHASES if phase not in ABSENT[self.kind] | self.unmeasured)

    def _repr_html_(self) -> str:
        """A trial as the output of a cell."""
        reached = [phase for phase in self.phases[1:] if phase in self.instants]
        took = ", ".join(f"{phase.replace('_', ' ')} {self.instants[phase] - self.began:.2f} s" for phase in reached)
        return f'<p class="note">{escape(f"{kind_in_words(self.kind)} {self.number}, {self.in_words}: {took}")}</p>'

    @property
    def in_words(self) -> str:
        """The outcome and its reason."""
        return f"{self.outcome}: {self.reason}" if self.reason else str(self.outcome)

    def latency_s(self, start: str, end: str) -> float:
        """Seconds; infinite after a timeout, NaN if it was not measured or the trial failed."""
        if not {start, end} <= set(self.phases) or self.outcome is Outcome.FAILED:
            return math.nan
        if start not in self.instants or end not in self.instants:
            # a trial can be good without a poll in the host's log
            return math.inf if self.outcome is Outcome.TIMED_OUT else math.nan
        return self.instants[end] - self.instants[start]


def latencies_s(trials: Iterable[Trial], start: str, end: str) -> list[float]:
    """The latencies that were measured; a timeout is infinite."""
    return [latency for trial in trials if not math.isnan(latency := trial.latency_s(start, end))]


def trial_of(observation: Observation, access_log: AccessLog) -> Trial:
    """The trial that was observed. The only place that makes one from measurements."""
    planned, rollout = observation.planned, observation.rollout
    instants = observation.instants | (rollout.instants if rollout else {})
    if "pushed" in instants:
        instants |= arrival(instants, access_log)
    outcome, reason = observation.outcome, observation.reason
    if outcome is Outcome.OK and (reason := out_of_order(instants)):
        outcome = Outcome.FAILED
    return Trial(
        number=planned.number,
        kind=planned.kind,
        offset_s=planned.offset_s,
        commit=observation.commit,
        started=observation.started,
        instants=instants,
        pods={name: at["ready"] for name, at in rollout.pods.items() if "ready" in at} if rollout else {},
        old_pods=frozenset(rollout.old if rollout else ()),
        rollouts=rollout.rollouts if rollout else 0,
        outcome=outcome,
        reason=reason,
        unmeasured=frozenset() if access_log.path else frozenset({"polled"}),
    )


def arrival(instants: Mapping[str, float], access_log: AccessLog) -> dict[str, float]:
    """The instants of the push and of the poll that saw it.

    `git push` may return after the commit was published. Such a push counts from the publication; where nothing is
    published, from the restart's request or else from the first answers with the commit.
    """
    returned = instants["pushed"]
    seen = next((instants[phase] for phase in ("published", "requested", "served") if phase in instants), math.inf)
    polled = access_log.polled(returned, seen)
    found = {"pushed": min(returned, seen)}
    return found if polled is None else found | {"polled": min(polled, seen)}


def out_of_order(instants: Mapping[str, float]) -> str:
    """Which phase was reached before the one that leads to it, or nothing."""
    reached = [phase for phase in PHASES if phase in instants and phase != "served"]
    for before, after in itertools.pairwise(reached):
        if instants[after] < instants[before] - RECEIPT_S:
            return f"{after} {instants[before] - instants[after]:.3f} s before {before}"
    return ""


def kind_in_words(kind: str) -> str:
    return kind.replace("_", " ")
