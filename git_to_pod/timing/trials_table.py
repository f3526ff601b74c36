"""The trials of a run as a table, and the figures computed from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from git_to_pod.app import load
from git_to_pod.app.load import Response, mixed_commits
from git_to_pod.cluster.recorder import BEGAN
from git_to_pod.settings import InputError
from git_to_pod.timing.medians import Estimate, estimate
from git_to_pod.timing.trial import BASELINE, PHASES, PUSH, RESTART, Trial
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
    "baseline_rollout_restart": (BASELINE, "requested", "restarted"),
}

COLUMNS = [
    *("run", "started", "number", "kind", "commit", "offset_s", "began_s"),
    *(f"{phase}_s" for phase in PHASES),
    *("mixed_commits_s", "rollouts", "outcome", "reason", "poll_interval_s"),
]


def ends_of(pushes: Sequence[Trial], responses: Sequence[Response]) -> list[float]:
    """For each push, the instant from which clients may get the next push's commit; infinite for the last one.

    It is when the next restart is requested, because endpoints follow readiness with a delay: when a push begins,
    clients may not have seen the previous commit yet. A design may change the files before: then the first response.
    """
    first = {response.commit: response.instant for response in reversed(responses)}
    requested = [p.instants.get("requested", p.instants.get("pushed", math.inf)) for p in pushes]
    begins = [min(instant, first.get(push.commit, math.inf)) for push, instant in zip(pushes, requested, strict=True)]
    return [*begins, math.inf][1:]


@dataclass(frozen=True)
class Tables:
    """The measurements of a run: trials.csv, responses.csv, and the figures computed from the first."""

    trials: pd.DataFrame
    responses: pd.DataFrame
    estimates: Mapping[str, Estimate]
    of: tuple[int, int]  # the numbers of trials and responses


def tables_of(trials: Sequence[Trial], responses: Sequence[Response], poll_interval_s: float) -> Tables:
    found = table(trials, poll_interval_s, mixed_commits_s(trials, responses))
    return Tables(found, load.table(responses), estimates_of(found), (len(trials), len(responses)))


def mixed_commits_s(trials: Sequence[Trial], responses: Sequence[Response]) -> list[float]:
    """For each trial, how long the Service's clients got two commits, in seconds; NaN for what is no push."""
    pushes = [trial for trial in trials if trial.kind == PUSH and "pushed" in trial.instants]
    found = {
        trial.number: mixed.seconds
        for trial, end in zip(pushes, ends_of(pushes, responses), strict=True)
        if (mixed := mixed_commits(responses, trial.commit, trial.instants["pushed"], end))
    }
    return [found.get(trial.number, math.nan) for trial in trials]


def table(trials: Sequence[Trial], poll_interval_s: float, mixed_s: Sequence[float] = ()) -> pd.DataFrame:
    """trials.csv, with the columns in README.md. `run` and `poll_interval_s` distinguish runs in a joined table.

    `mixed_s` has one value for each trial. It is known when the load has ended.
    """
    rows = [
        row(trial) | {"mixed_commits_s": round(mixed, 4), "poll_interval_s": poll_interval_s}
        for trial, mixed in zip(trials, mixed_s or [math.nan] * len(trials), strict=True)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def read(folder: Path) -> pd.DataFrame:
    """The rows that a run, perhaps a killed one, left in its folder's trials.csv; an empty table without that file.

    Raises InputError if the file is no table of trials.
    """
    path = folder / "trials.csv"
    if not path.exists():
        return table([], math.nan)
    try:
        return pd.read_csv(path)[COLUMNS]
    except (KeyError, ValueError):  # of pandas; without its columns, or no table
        raise InputError(f"{path}: expected the trials of a run, with a line of columns; remove it") from None


def row(trial: Trial) -> dict[str, object]:
    start = trial.phases[0]
    return {
        "run": run_id(),
        "started": trial.started,
        "number": trial.number,
        "kind": trial.kind,
        "commit": trial.commit,
        "offset_s": round(trial.offset_s, 4),
        "began_s": round(trial.began - BEGAN, 4),
        **{f"{phase}_s": round(trial.latency_s(start, phase), 4) for phase in PHASES},
        "rollouts": trial.rollouts,
        "outcome": str(trial.outcome),
        "reason": trial.reason,
    }


def latencies(trials: pd.DataFrame) -> dict[str, pd.Series]:
    """The samples of each figure in summary.json, in seconds, from the columns of trials.csv."""
    samples = {
        name: latency_s(trials[trials["kind"] == kind], start, end) for name, (kind, start, end) in LATENCIES.items()
    }
    samples["mixed_commits"] = trials.loc[trials["kind"] == PUSH, "mixed_commits_s"]
    return samples


def latency_s(trials: pd.DataFrame, start: str, end: str) -> pd.Series:
    """The seconds between two phases of each trial; infinite after a timeout, NaN if it was not measured."""
    begun, ended = trials[f"{start}_s"], trials[f"{end}_s"]
    measured = begun.notna() & ended.notna()
    late = begun.eq(math.inf) | ended.eq(math.inf)
    return (ended - begun).mask(measured & late, math.inf)


def estimates_of(trials: pd.DataFrame) -> dict[str, Estimate]:
    """The figures in summary.json, from the columns of trials.csv."""
    return {name: estimate(samples) for name, samples in latencies(trials).items()}
