"""The figures of the trials, drawn from the tables in trials.csv and responses.csv (columns: README.md).

Each function takes tables of one run and, if wanted, axes to draw on. It returns matplotlib's Figure.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from git_to_pod.report.charts import svg
from git_to_pod.report.charts.svg import axes_on, figure_of, legend, new_axes
from git_to_pod.timing.trial import BASELINE, PUSH, RESTART
from git_to_pod.timing.trials_table import latencies

Row = Mapping[Hashable, Any]  # of trials.csv, by its columns
# The segments of the timeline: from phase, to phase, label, colour.
SEGMENTS = (
    ("pushed", "polled", "wait for git-sync's next poll", svg.WAIT),
    ("polled", "published", "git-sync fetches and publishes the commit", svg.CHAIN_1),
    ("published", "requested", "Reloader patches the Deployment", svg.CHAIN_2),
    ("requested", "scheduled", "new pods are scheduled", svg.RESTART_3),
    ("scheduled", "ready", "they fetch the commit, start, become Ready", svg.RESTART_2),
    ("ready", "restarted", "old pods leave the Service", svg.RESTART_1),
)
# The lines of the distribution: a figure of summary.json, its label, its colour and its line style.
LINES = (
    ("push_to_restarted", "push → live on all replicas", svg.CHAIN_1, "-"),
    ("rollout_restart", "rollout restart alone", svg.RESTART_1, "--"),
    ("baseline_rollout_restart", "rollout restart of nginx without git-sync", svg.PLAIN, ":"),
)
MARKERS = {PUSH: "o", RESTART: "s", BASELINE: "^"}  # with the labels and colours of LINES, in their order
GAP_S = 0.5  # between two responses of one series


def finite(samples: Iterable[float]) -> list[float]:
    return sorted(sample for sample in samples if math.isfinite(sample))


def ecdf(trials: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """The share of trials that had finished after each time, for pushes and for both baselines."""
    ax = axes_on(ax, height=330)
    samples = latencies(trials)
    for name, label, colour, style in LINES:
        known, n = finite(samples[name]), int(samples[name].notna().sum())
        # The share is of all trials, so a line with timeouts never reaches 100%.
        shares = [100 * i / max(n, 1) for i in range(len(known) + 1)]
        ax.step([*known[:1], *known], shares if known else [], where="post", color=colour, ls=style, lw=2, label=label)
        ax.scatter(known, shares[1:], s=12, color=colour, lw=0)
    ax.set(ylim=(0, 104), xlim=(0, None), xlabel="seconds", ylabel="% of trials finished")
    return legend(ax, columns=3, handlelength=2.2)


def finished_pushes(trials: pd.DataFrame) -> pd.DataFrame:
    """The pushes that were restarted in time, the fastest first."""
    return trials[(trials["kind"] == PUSH) & (trials["restarted_s"] < math.inf)].sort_values("restarted_s")


def timeline(trials: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """The phases of each push that finished."""
    pushes = finished_pushes(trials)
    ax = axes_on(ax, height=130 + 16 * len(pushes))
    for line, push in enumerate(pushes.to_dict("records")):
        for start, end, _, colour in segments_of(push):
            begin, length = push[f"{start}_s"], push[f"{end}_s"] - push[f"{start}_s"]
            ax.broken_barh([(begin, length)], (line - 0.38, 0.76), fc=colour, ec=svg.PAPER, lw=0.6)
    for _, _, label, colour in SEGMENTS:
        ax.broken_barh([(0, 0)], (0, 0), color=colour, label=label)
    ax.set(xlabel="seconds since the push", xlim=(0, None), ylim=(-0.7, len(pushes) - 0.3))
    ax.set_yticks(range(len(pushes)), [commit[:7] for commit in pushes["commit"]], family="monospace", size=9)
    ax.grid(axis="y", visible=False)
    return legend(ax, columns=2, handlelength=1.2)


def segments_of(push: Row) -> list[tuple[str, str, str, str]]:
    """The segments with both ends known. Without the git host's log, the wait and the fetch are one segment."""
    segments = list(SEGMENTS)
    if not math.isfinite(push["polled_s"]):
        segments[:2] = [("pushed", "published", SEGMENTS[0][2], SEGMENTS[0][3])]
    return [
        segment for segment in segments if all(math.isfinite(push[f"{phase}_s"]) for phase in (segment[0], segment[1]))
    ]


def run_order(trials: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Every trial in the order of the run, to reveal a drift."""
    ax = axes_on(ax)
    longest = max(finite(trials["restarted_s"]), default=0.0) or 1.0
    for (kind, marker), (_, label, colour, _) in zip(MARKERS.items(), LINES, strict=True):
        of_kind = trials[trials["kind"] == kind]
        known, late = of_kind[of_kind["restarted_s"] < math.inf], of_kind[of_kind["restarted_s"] == math.inf]
        ax.scatter(known["number"], known["restarted_s"], s=34, color=colour, marker=marker, lw=0, label=label)
        timeouts = f"{label}: timed out" if len(late) else None
        ax.scatter(late["number"], [longest * 1.08] * len(late), s=40, color=colour, marker="x", label=timeouts)
    ax.set(ylim=(0, longest * 1.12), xlabel="trial, in order of the run", ylabel="seconds")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return legend(ax, columns=3, handletextpad=0.3)


def seen_pushes(trials: pd.DataFrame) -> pd.DataFrame:
    """The pushes whose commit clients got."""
    return trials[(trials["kind"] == PUSH) & trials["mixed_commits_s"].notna()]


def who_serves_what(trials: pd.DataFrame, responses: pd.DataFrame, axes: Sequence[Axes] | None = None) -> Figure:
    """The commit of each response of the Service: over the whole run, and a close-up of one rollout."""
    whole, close = new_axes(430, 2, height_ratios=[3, 2]) if axes is None else axes
    pushes, responses = seen_pushes(trials), responses.fillna({"commit": ""})  # as read from a file: empty is NaN
    order = {commit: number for number, commit in enumerate(pushes["commit"], 1)}
    first = trials["began_s"].min()  # NaN, and nothing to draw, if no trial began
    for commit, start, end in series_of(responses):
        if commit in order:
            times, level = [start - first, end - first], [order[commit]] * 2
            whole.plot(times, level, color=svg.CHAIN_1, lw=3, solid_capstyle="butt")
    whole.set(ylabel="commit, in push order", xlabel="seconds since the first trial")
    whole.yaxis.set_major_locator(MaxNLocator(integer=True))
    if len(pushes):
        median = pushes.sort_values("mixed_commits_s", kind="stable").iloc[len(pushes) // 2]
        close_up(close, median.to_dict(), responses)
    return figure_of(whole)


def close_up(ax: Axes, push: Row, responses: pd.DataFrame) -> None:
    """The responses around one rollout. A push that timed out has no lines for the phases that it did not reach."""
    lines = (("requested", "rollout triggered"), ("ready", "new pods Ready"), ("restarted", "rollout complete"))
    since_push, is_new = responses["seconds"] - push["began_s"], responses["commit"] == push["commit"]
    known = [push[f"{phase}_s"] for phase, _ in lines if math.isfinite(push[f"{phase}_s"])]
    known.append(since_push[is_new].min() if is_new.any() else 0.0)
    near = since_push.between(min(known) - 0.2, max(known) + 0.6) & responses["commit"].astype(bool)
    for level, (label, colour, chosen) in enumerate(
        (("old commit", svg.PLAIN, ~is_new), ("new commit", svg.CHAIN_1, is_new))
    ):
        at = since_push[near & chosen]
        ax.scatter(at, [level] * len(at), s=14, color=colour, lw=0, label=label)
    behind = {"facecolor": svg.PAPER, "lw": 0, "pad": 0.5}  # hides the lines that cross a label
    for level, (phase, label) in enumerate(lines):
        at_s = push[f"{phase}_s"]
        if not math.isfinite(at_s):
            continue
        ax.axvline(at_s, color=svg.MUTED, lw=1, ls=":")
        align = "left" if phase == "requested" else "right"  # the last two lie close together
        ax.text(at_s, 1.45 + 0.5 * level, f" {label} ", ha=align, va="bottom", size=9, color=svg.MUTED, bbox=behind)
    ax.set(ylim=(-0.6, 3.1), xlabel=f"seconds since the push of {str(push['commit'])[:7]}")
    ax.set_yticks([0, 1], ["old commit", "new commit"])
    ax.grid(axis="y", visible=False)


def series_of(responses: pd.DataFrame, gap_s: float = GAP_S) -> list[tuple[str, float, float]]:
    """Each commit, with the start and the end of each series of its responses that has no longer gap."""
    found: dict[str, list[list[float]]] = {}
    for commit, seconds in zip(responses["commit"], responses["seconds"], strict=True):
        known = found.setdefault(commit, [])
        if known and seconds - known[-1][1] < gap_s:
            known[-1][1] = seconds
        else:
            known.append([seconds, seconds])
    return [(commit, start, end) for commit, known in found.items() for start, end in known]
