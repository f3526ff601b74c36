"""The poll interval: how long a push takes with it, and how many restarts a burst of pushes causes."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from git_to_pod.app.app import App
from git_to_pod.cluster.waiting import pause
from git_to_pod.experiments.alternatives.comparison import GAP_S
from git_to_pod.experiments.effort import effort
from git_to_pod.progress import Progress
from git_to_pod.timing.medians import Estimate, estimate
from git_to_pod.timing.rollout import count_rollouts
from git_to_pod.timing.trial import PUSH, Planned, latencies_s
from git_to_pod.timing.trials import PUSHES, Trials

NEXT_ROLLOUT_S = 2.0  # long enough for another rollout to begin


@dataclass(frozen=True)
class IntervalResult:
    """One poll interval of the deployed design. `rollouts`: how many the burst of pushes caused."""

    period_s: int
    pushed_to_restarted_s: Estimate
    polled_to_restarted_s: Estimate
    burst: int
    rollouts: int


def run_intervals(app: App, progress: Progress) -> list[IntervalResult]:
    """Push at random instants with each poll interval, then in a burst. The app gets its own interval back."""
    chance, found, periods = random.Random(app.settings.seed), list[IntervalResult](), effort().intervals
    try:
        for number, period_s in enumerate(periods):
            progress.bar(number, len(periods), f"pushes with a poll interval of {period_s} s")
            poll_every(app, f"{period_s}s")
            settings = replace(app.settings, period=f"{period_s}s")
            trials = Trials(app.cluster, app.recorder, app.repository, settings, progress)
            trials.csv = settings.output / PUSHES / f"interval-{period_s}s.csv"
            for push in range(1, effort().pushes_per_interval + 1):
                trials.push(Planned(push, PUSH, chance.uniform(0, period_s)))
            pushed, polled = (estimate(latencies_s(trials.done, start, "restarted")) for start in ("pushed", "polled"))
            found.append(IntervalResult(period_s, pushed, polled, effort().burst, burst(app)))
    finally:
        poll_every(app, app.settings.period)
    progress.bar(len(periods), len(periods), "poll intervals measured")
    return found


def poll_every(app: App, period: str) -> None:
    """Change the poller's interval, and wait until it runs with it."""
    app.cluster.patch(app.path("ConfigMap", "git-source"), {"data": {"GITSYNC_PERIOD": period}})
    old = app.uids("git-poller")
    app.restart("git-poller")
    replaced = lambda: not old & app.uids("git-poller")  # noqa: E731
    app.recorder.wait_for("a new poller", replaced, app.settings.timeout_s, lambda: f"pods: {app.uids('git-poller')}")
    app.wait_normal(app.settings.timeout_s)


def burst(app: App) -> int:
    """Push in quick succession; return the number of rollouts until every pod serves the last commit."""
    position, template = len(app.recorder.events), app.template
    for number in range(effort().burst):
        app.push(f"push {number} of a burst")
        pause(GAP_S)
    for _ in range(2):
        app.wait_served(app.head)
        pause(NEXT_ROLLOUT_S)
    return count_rollouts(app.recorder.events[position:], "app", template)
