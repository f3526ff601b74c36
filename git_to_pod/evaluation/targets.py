"""The targets: limits that were set before measuring, and their figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple


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
        lambda median: (median["rollout_restart"], 1.5 * median["baseline_rollout_restart"]),
    ),
    Limit(
        "failed_requests", "failed requests", "during all rollouts", lambda median: (median["failed_requests"], 0), ""
    ),
)


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
