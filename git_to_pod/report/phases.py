"""Where the time of a push goes: the table of its phases, and what would make each shorter."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from git_to_pod.evaluation.summary import Evaluation
from git_to_pod.report.charts.dot_plot import median_of, span
from git_to_pod.report.html import Html, html_table
from git_to_pod.timing.medians import estimate
from git_to_pod.timing.trial import PUSH
from git_to_pod.timing.trials_table import latency_s


@dataclass(frozen=True)
class Phase:
    """A part of a push, between two instants of a trial. `floor`: what keeps it from being shorter."""

    start: str
    end: str
    what: str
    floor: str
    who: str  # can change it


PHASES = (
    Phase("pushed", "polled", "wait for the next poll", "half the poll interval, on average", "you: GITSYNC_PERIOD"),
    Phase(
        "polled", "published", "git-sync fetches and publishes the commit", "a git fetch and a call to the API server",
        "the git host, by its distance",
    ),
    Phase("published", "requested", "Reloader patches the Deployment", "a watch event and a patch", "nobody"),
    Phase(
        "requested", "scheduled", "Kubernetes creates and schedules the new pods", "its controllers' queues",
        "the cluster's operators",
    ),
    Phase(
        "scheduled", "git_sync_running", "the kubelet starts the pod, and git-sync checks the commit out",
        "the pod's sandbox and volumes; a git fetch", "the container runtime; you, by the size of the content",
    ),
    Phase(
        "git_sync_running", "app_running", "the kubelet starts nginx", "the kubelet's next sync of the pod",
        "nobody; up to Kubernetes 1.35 it syncs once a second (kubernetes#137362)",
    ),
    Phase("app_running", "ready", "nginx becomes Ready", "the readiness probe", "you: the probe"),
    Phase("ready", "restarted", "the old pods begin to terminate", "the Deployment controller", "nobody"),
)  # fmt: skip
# On a cluster whose git host has no access log here
UNSEEN_POLL = replace(PHASES[0], end="published", what="wait for the next poll; git-sync publishes the commit")


def phases_table(evaluation: Evaluation) -> Html:
    """The median and the range of each phase of the pushes, in seconds."""
    trials = evaluation.trials_table
    pushes = trials[trials["kind"] == PUSH]
    rows = []
    seen = bool(pushes["polled_s"].notna().any())
    for phase in PHASES if seen else (UNSEEN_POLL, *PHASES[2:]):
        begun = pushes[pushes[f"{phase.start}_s"] != math.inf]  # a timeout counts once, where it happened
        found = estimate(latency_s(begun, phase.start, phase.end))
        if found.n:
            rows.append(
                {
                    "phase": phase.what,
                    "median": median_of(found.median),
                    "min to max": span(found.min, found.max),
                    "what keeps it from being shorter": phase.floor,
                    "who can change it": phase.who,
                }
            )
    return Html(html_table(rows, "The phases of a push, in their order"))
