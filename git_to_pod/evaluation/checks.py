"""What the evaluation claims: requirements, constraints and targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

REQUIREMENTS = {
    "R1": "A git repository is synced into running pods",
    "R2": "Changes are detected and pulled automatically",
    "R3": "Pods restart when the content changes",
    "R4": "The deployed commit is observable",
}
CONSTRAINTS = {
    "no_way_out": "Air-gapped: the cluster reaches the git host and nothing else",
    "nothing_reaches_in": "Pull-based: nothing outside connects to the cluster",
    "private": "The repository is private",
    "read_only": "The cluster's credentials are read-only",
    "provider_agnostic": "Any git provider, over HTTPS and SSH",
    "no_api_token": "The app's pods hold no Kubernetes API token",
}


class Limit(NamedTuple):
    """A limit that was set before measuring. `of` computes value and limit from the medians by their JSON names."""

    name: str
    what: str
    how: str
    of: Callable[[Mapping[str, float]], tuple[float, float]]
    unit: str = "s"


LIMITS = (
    Limit(
        "chain_overhead",
        "overhead of git-sync and Reloader",
        "from the poll until Reloader patches the Deployment",
        lambda median: (median["polled_to_requested"], 0.15),
    ),
    Limit(
        "push_to_restarted",
        "push to all replicas restarted",
        "at most 1.15 × (wait for the poll + kubectl rollout restart)",
        lambda median: (median["push_to_restarted"], 1.15 * (median["push_to_polled"] + median["rollout_restart"])),
    ),
    Limit(
        "restart",
        "kubectl rollout restart of the app",
        "at most 1.5 × the same nginx without git-sync",
        lambda median: (median["rollout_restart"], 1.5 * median["plain_rollout_restart"]),
    ),
    Limit(
        "failed_requests", "failed requests", "during all rollouts", lambda median: (median["failed_requests"], 0), ""
    ),
)


@dataclass
class Check:
    """A requirement or constraint: whether it is met, and the evidence.

    None: the evidence does not decide it, or, without `tried`, this cluster does not let the run try.
    """

    holds: bool | None
    first_evidence: str
    rows: list[dict[str, str]] = field(default_factory=list)
    name: str = ""  # a key of REQUIREMENTS or CONSTRAINTS
    claim: str = ""
    tried: bool = True
    evidence_of_trials: str = ""

    @property
    def evidence(self) -> str:
        return " ".join(filter(None, [self.first_evidence, self.evidence_of_trials]))

    @property
    def outcome(self) -> str:
        return {True: "met", False: "not met", None: "not shown" if self.tried else "not tried"}[self.holds]


@dataclass(frozen=True)
class Target:
    """A figure of this run beside its limit."""

    name: str
    what: str
    how: str
    value: float
    limit: float
    unit: str = "s"

    @property
    def met(self) -> bool | None:
        """None without a figure or a limit: one that was not measured, or whose own measurements timed out."""
        return None if math.isnan(self.value) or not math.isfinite(self.limit) else self.value <= self.limit


class EvaluationFailed(AssertionError):
    """A requirement or a constraint is not met."""
