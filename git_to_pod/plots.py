"""The pictures: each shows every sample, and its title says what is to be seen."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from git_to_pod import theme
from git_to_pod.dots import dots
from git_to_pod.findings import Findings, in_words
from git_to_pod.load import Response
from git_to_pod.statistics import median
from git_to_pod.theme import Chart
from git_to_pod.trials import PLAIN, PUSH, RESTART, Trial, latencies

# From one phase to the next, as the timeline names and colours them.
SEGMENTS = (
    ("pushed", "polled", "waiting for git-sync's next poll", theme.WAIT),
    ("polled", "published", "git-sync fetches and publishes", theme.CHAIN_1),
    ("published", "requested", "Reloader asks for the restart", theme.CHAIN_2),
    ("requested", "scheduled", "new pods are placed", theme.RESTART_3),
    ("scheduled", "ready", "they fetch the commit, start, become ready", theme.RESTART_2),
    ("ready", "restarted", "old pods are let go", theme.RESTART_1),
)


def finite(samples: Sequence[float]) -> list[float]:
    return sorted(sample for sample in samples if math.isfinite(sample))


def seconds(value: float) -> str:
    """For a title: a figure that is none in words."""
    if math.isnan(value):
        return "an unknown time"
    return f"{value:.2f} s" if math.isfinite(value) else "more than a wait may take"


def strip(findings: Findings) -> Chart:
    """The answer's picture: every push, and the median with its interval."""
    samples = latencies(findings.trials)["push_to_restarted"]
    note = "Each dot is one push; the upright bar is the median, the level one its 95% interval."
    return dots([("push → all copies restarted", samples)], "seconds", note=note)


def ecdf(findings: Findings) -> Chart:
    """What share of the trials was done after how long."""
    samples, found = latencies(findings.trials), findings.figures
    lines = (
        ("push_to_restarted", "push → all replicas restarted", theme.CHAIN_1, "-"),
        ("rollout_restart", "restart alone, asked for by hand", theme.RESTART_1, "--"),
        ("plain_rollout_restart", "restart of nginx without git-sync", theme.PLAIN, ":"),
    )

    def draw(canvas: Canvas, narrow: bool) -> None:
        ax = canvas.subplots()
        for name, label, colour, style in lines:
            known, n = finite(samples[name]), found[name].n
            # The share is of all trials, so a line with timeouts in it never reaches 100 %.
            shares = [100 * i / max(n, 1) for i in range(len(known) + 1)]
            ax.step(
                [*known[:1], *known], shares if known else [], where="post", color=colour, ls=style, lw=2, label=label
            )
            ax.scatter(known, shares[1:], s=12, color=colour, lw=0)
        ax.set(ylim=(0, 104), xlim=(0, None), xlabel="seconds", ylabel="% of the trials done")
        canvas.legend(loc="outside lower left", ncols=1 if narrow else 3, frameon=False, handlelength=2.2)

    push, restart = found["push_to_restarted"], found["rollout_restart"]
    title = f"Half of the pushes are on all replicas after {seconds(push.median)}; "
    title += f"a restart alone takes {seconds(restart.median)}"
    note = f"n = {push.n} pushes and {restart.n} restarts of each kind, in one shuffled order. "
    note += "Each dot is one trial; the line says what share was done by then."
    words = "; ".join(f"{label}: median {in_words(found[name])}" for name, label, _, _ in lines)
    return Chart(title, note, words, draw, height=330, narrow_height=380)


def timeline(findings: Findings) -> Chart:
    """Where each push spent its time."""
    pushes = [trial for trial in findings.trials if trial.kind == PUSH and "restarted" in trial.instants]
    pushes.sort(key=lambda trial: trial.latency_s("pushed", "restarted"))

    def draw(canvas: Canvas, narrow: bool) -> None:
        ax = canvas.subplots()
        for line, trial in enumerate(pushes):
            for start, end, _, colour in segments_of(trial):
                begin, length = trial.instants[start] - trial.began, trial.instants[end] - trial.instants[start]
                ax.broken_barh([(begin, length)], (line - 0.38, 0.76), fc=colour, ec=theme.PAPER, lw=0.6)
        for _, _, label, colour in SEGMENTS:
            ax.broken_barh([(0, 0)], (0, 0), color=colour, label=label)
        ax.set(xlabel="seconds since the push", xlim=(0, None), ylim=(-0.7, len(pushes) - 0.3))
        ax.set_yticks(range(len(pushes)), [trial.commit[:7] for trial in pushes], family="monospace", size=9)
        ax.grid(axis="y", visible=False)
        canvas.legend(loc="outside lower left", ncols=1 if narrow else 2, frameon=False, handlelength=1.2)

    found = findings.figures
    overhead, restart, wait = (
        found[name].median for name in ("polled_to_requested", "requested_to_restarted", "push_to_polled")
    )
    title = f"git-sync and Reloader add {seconds(overhead)}; the rest is the wait for the poll and the restart itself"
    if math.isnan(overhead):
        title = (
            f"The restart itself takes {seconds(restart)}; the git host's log was not at hand to tell the rest apart"
        )
    note = f"n = {len(pushes)} pushes, each a bar, the quickest at the bottom, named by its commit."
    words = f"Medians: wait for the poll {seconds(wait)}, poll to requested restart {seconds(overhead)}, "
    words += f"restart {seconds(restart)}."
    return Chart(title, note, words, draw, height=130 + 16 * len(pushes), narrow_height=200 + 16 * len(pushes))


def segments_of(trial: Trial) -> list[tuple[str, str, str, str]]:
    """Those whose ends are both known; without the git host's log the wait and the fetch cannot be told apart."""
    if "polled" not in trial.instants:
        together = ("pushed", "published", SEGMENTS[0][2], SEGMENTS[0][3])
        return [together, *(s for s in SEGMENTS[2:] if {s[0], s[1]} <= trial.instants.keys())]
    return [s for s in SEGMENTS if {s[0], s[1]} <= trial.instants.keys()]


def run_order(findings: Findings) -> Chart:
    """Every trial where it came in the run: a drift would show."""
    kinds = (
        (PUSH, "pushed", "push → all replicas restarted", theme.CHAIN_1, "o"),
        (RESTART, "requested", "restart alone", theme.RESTART_1, "s"),
        (PLAIN, "requested", "restart of nginx without git-sync", theme.PLAIN, "^"),
    )
    longest = max((s for values in latencies(findings.trials).values() for s in finite(values)), default=1.0)

    def draw(canvas: Canvas, narrow: bool) -> None:
        ax = canvas.subplots()
        for kind, start, label, colour, marker in kinds:
            points = [(t.number, t.latency_s(start, "restarted")) for t in findings.trials if t.kind == kind]
            known = [(x, y) for x, y in points if math.isfinite(y)]
            late = [x for x, y in points if math.isinf(y)]
            ax.scatter(
                [x for x, _ in known], [y for _, y in known], s=34, color=colour, marker=marker, lw=0, label=label
            )
            ax.scatter(
                late,
                [longest * 1.08] * len(late),
                s=40,
                color=colour,
                marker="x",
                label=f"{label}: timeout" if late else None,
            )
        ax.set(ylim=(0, longest * 1.12), xlabel="trial, in the order of the run", ylabel="seconds")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        canvas.legend(loc="outside lower left", ncols=1 if narrow else 3, frameon=False, handletextpad=0.3)

    pushes = [t.latency_s("pushed", "restarted") for t in findings.trials if t.kind == PUSH]
    first, second = (sorted(s for s in half if not math.isnan(s)) for half in halves(pushes))
    title = "Each trial in the order of the run"
    if first and second:
        title = f"Push to restarted: median {seconds(median(first))} in the first half of the run, "
        title += f"{seconds(median(second))} in the second"
    note = f"n = {len(pushes)} pushes and as many restarts of each kind; "
    note += f"the order is shuffled, seed {findings.settings.seed}."
    return Chart(title, note, title + ".", draw, height=300, narrow_height=360)


def halves(samples: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    middle = len(samples) // 2
    return samples[:middle], samples[middle:]


def who_serves_what(findings: Findings) -> Chart:
    """What the Service's visitors were served: over the whole run, and close up while one commit replaced another."""
    pushes = [t for t in findings.trials if t.kind == PUSH and not math.isnan(t.mixed_s)]
    example = sorted(pushes, key=lambda trial: trial.mixed_s)[len(pushes) // 2] if pushes else None
    number = {trial.commit: i for i, trial in enumerate(pushes, 1)}
    origin = findings.trials[0].began if findings.trials else 0.0

    def draw(canvas: Canvas, _narrow: bool) -> None:
        whole, close = canvas.subplots(2, 1, height_ratios=[3, 2])
        for commit, start, end in runs_of(findings.responses):
            if commit in number:
                whole.plot(
                    [start - origin, end - origin],
                    [number[commit]] * 2,
                    color=theme.CHAIN_1,
                    lw=3,
                    solid_capstyle="butt",
                )
        whole.set(ylabel="commit, in the order pushed", xlabel="seconds since the first trial")
        whole.yaxis.set_major_locator(MaxNLocator(integer=True))
        if example:
            draw_close_up(close, example, findings.responses)

    found = findings.figures["mixed_commits"]
    at_once = sum(trial.mixed_s == 0 for trial in pushes)
    title = f"In {at_once} of {len(pushes)} pushes visitors went over to the new commit at once; "
    title += f"for {seconds(found.max)} at most they could get either"
    note = f"n = {len(pushes)} pushes, {len(findings.responses)} responses of the Service. "
    note += "Above: which commit was served when. "
    note += "Below: one push close up, the one with the median time; a dot is a response."
    words = f"Time in which both the old and the new commit were served: median {in_words(found)}."
    return Chart(title, note, words, draw, height=430, narrow_height=430)


def draw_close_up(ax: Axes, trial: Trial, responses: Sequence[Response]) -> None:
    first = next((r.instant for r in responses if r.commit == trial.commit), 0.0)
    begin, end = trial.instants["requested"] - 0.2, max(trial.instants["restarted"], first) + 0.6
    near = [r for r in responses if begin <= r.instant <= end and r.commit]
    for level, (label, colour, chosen) in enumerate(
        (("old commit", theme.PLAIN, False), ("new commit", theme.CHAIN_1, True))
    ):
        at = [r.instant - trial.began for r in near if (r.commit == trial.commit) == chosen]
        ax.scatter(at, [level] * len(at), s=14, color=colour, lw=0, label=label)
    lines = (("requested", "restart asked for"), ("ready", "new pods ready"), ("restarted", "all restarted"))
    behind = {"facecolor": theme.PAPER, "lw": 0, "pad": 0.5}  # the lines that a label crosses
    for level, (phase, label) in enumerate(lines):
        at_s = trial.instants[phase] - trial.began
        ax.axvline(at_s, color=theme.MUTED, lw=1, ls=":")
        align = "left" if phase == "requested" else "right"  # at heights of their own: the last two lie close together
        ax.text(at_s, 1.45 + 0.5 * level, f" {label} ", ha=align, va="bottom", size=9, color=theme.MUTED, bbox=behind)
    ax.set(ylim=(-0.6, 3.1), xlabel=f"seconds since the push of {trial.commit[:7]}")
    ax.set_yticks([0, 1], ["old commit", "new commit"])
    ax.grid(axis="y", visible=False)


def runs_of(responses: Sequence[Response], gap_s: float = 0.5) -> list[tuple[str, float, float]]:
    """Each commit's responses, as stretches without a longer gap."""
    stretches: dict[str, list[list[float]]] = {}
    for response in responses:
        known = stretches.setdefault(response.commit, [])
        if known and response.instant - known[-1][1] < gap_s:
            known[-1][1] = response.instant
        else:
            known.append([response.instant, response.instant])
    return [(commit, start, end) for commit, known in stretches.items() for start, end in known]
