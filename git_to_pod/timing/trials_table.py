"""The trials of a run as a table, and the figures computed from it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from git_to_pod.app.load import Response, mixed_commits
from git_to_pod.timing.medians import Estimate, estimate
from git_to_pod.timing.trial import PHASES, PLAIN, PUSH, RESTART, Trial
from git_to_pod.watchdog import run_id

LATENCIES = {
    "push_to_polled": (PUSH, "pushed", "polled"),
    "polled_to_published": (PUSH, "polled", "published"),
    "polled_to_requested": (PUSH, "polled", "requested"),
    "published_to_requested": (PUSH, "published", "requested"),
    "requested_to_restarted": (PUSH, "requested", "restarted"),
    "push_to_restarted": (PUSH, "pushed", "restarted"),
    "push_to_served": (PUSH, "pushed", "served"),
    "rollout_restart": (RESTART, "requested", "restarted"),
    "plain_rollout_restart": (PLAIN, "requested", "restarted"),
}


def measure_mixed_commits(trials: Sequence[Trial], responses: Sequence[Response]) -> None:
    """Set `mixed_s` of each push: how long the Service's clients got two commits."""
    pushes = [trial for trial in trials if trial.kind == PUSH and "pushed" in trial.instants]
    for trial, end in zip(pushes, [*map(overtaken, pushes[1:]), math.inf], strict=False):
        mixed = mixed_commits(responses, trial.commit, trial.instants["pushed"], end)
        trial.mixed_s = mixed.seconds if mixed else math.nan


def overtaken(push: Trial) -> float:
    """The instant from which clients may get this push's commit.

    Endpoints follow readiness with a delay, so when a push begins, clients may not have seen the previous commit yet.
    """
    return push.instants.get("requested", push.instants.get("pushed", math.inf))


def latencies(trials: Sequence[Trial]) -> dict[str, list[float]]:
    """The samples of each figure in summary.json."""
    samples = {
        name: [trial.latency_s(start, end) for trial in trials if trial.kind == kind]
        for name, (kind, start, end) in LATENCIES.items()
    }
    samples["mixed_commits"] = [trial.mixed_s for trial in trials if trial.kind == PUSH]
    return samples


def estimates(trials: Sequence[Trial]) -> dict[str, Estimate]:
    return {name: estimate(samples) for name, samples in latencies(trials).items()}


def table(trials: Sequence[Trial], poll_interval_s: float) -> pd.DataFrame:
    """trials.csv, with the columns in README.md. `run` and `poll_interval_s` distinguish runs in a joined table."""
    return pd.DataFrame([{"run": run_id(), **row(trial), "poll_interval_s": poll_interval_s} for trial in trials])


def row(trial: Trial) -> dict[str, object]:
    start = trial.phases[0]
    return {
        "started": trial.started,
        "number": trial.number,
        "kind": trial.kind,
        "commit": trial.commit,
        "offset_s": round(trial.offset_s, 4),
        **{f"{phase}_s": round(trial.latency_s(start, phase), 4) for phase in PHASES},
        "mixed_commits_s": round(trial.mixed_s, 4),
        "rollouts": trial.rollouts,
        "outcome": trial.outcome,
    }
