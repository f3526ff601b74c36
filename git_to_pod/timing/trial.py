"""A trial: what happened after one push, or after one rollout restart."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape

PUSH, RESTART, PLAIN = "push", "rollout_restart", "plain_rollout_restart"
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
RECEIPT_S = 0.01  # each kind has its own watch thread, so events closer together have no order


@dataclass
class Trial:
    """One row of trials.csv. Instants are on the monotonic clock of the observing process."""

    number: int
    kind: str
    offset_s: float = 0.0  # wait before the trial
    commit: str = ""
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))
    instants: dict[str, float] = field(default_factory=dict)
    pods: dict[str, float] = field(default_factory=dict)  # the new pods, and when each was ready
    old_pods: set[str] = field(default_factory=set)
    rollouts: int = 0
    outcome: str = "ok"
    mixed_s: float = math.nan
    unmeasured: set[str] = field(default_factory=set)

    @property
    def began(self) -> float:
        return self.instants.get("pushed", self.instants.get("requested", math.nan))

    @property
    def timed_out(self) -> bool:
        return self.outcome.startswith("timed out")

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases that a trial of this kind goes through."""
        absent = {
            PUSH: set[str](),
            RESTART: {"pushed", "polled", "published", "served"},
            PLAIN: {"pushed", "polled", "published", "served", "git_sync_running"},
        }[self.kind]
        return tuple(phase for phase in PHASES if phase not in absent | self.unmeasured)

    def _repr_html_(self) -> str:
        """A trial as the output of a cell."""
        reached = [phase for phase in self.phases[1:] if phase in self.instants]
        took = ", ".join(f"{phase.replace('_', ' ')} {self.instants[phase] - self.began:.2f} s" for phase in reached)
        return f'<p class="note">{escape(f"{kind_in_words(self.kind)} {self.number}, {self.outcome}: {took}")}</p>'

    def latency_s(self, start: str, end: str) -> float:
        """Seconds; infinite after a timeout, NaN if it was not measured or the trial failed."""
        if not {start, end} <= set(self.phases) or not (self.outcome == "ok" or self.timed_out):
            return math.nan
        if start not in self.instants or end not in self.instants:
            return math.inf if self.timed_out else math.nan  # a trial can be good without a poll in the host's log
        return self.instants[end] - self.instants[start]


def kind_in_words(kind: str) -> str:
    return kind.replace("_", " ")


def order_of_phases(instants: dict[str, float]) -> str:
    """ "ok", or which phase was reached before the one that leads to it."""
    reached = [phase for phase in PHASES if phase in instants and phase != "served"]
    for before, after in itertools.pairwise(reached):
        if instants[after] < instants[before] - RECEIPT_S:
            return f"failed: {after} {instants[before] - instants[after]:.3f} s before {before}"
    return "ok"
