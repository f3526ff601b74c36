"""The charts of the trials. Each shows every sample, and its title states the finding."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from git_to_pod.app.load import Response
from git_to_pod.evaluation.summary import Evaluation
from git_to_pod.report.charts import svg
from git_to_pod.report.charts.dot_plot import dots
from git_to_pod.report.charts.svg import Chart
from git_to_pod.timing.medians import Estimate, in_words, median
from git_to_pod.timing.trial import PLAIN, PUSH, RESTART, Trial
from git_to_pod.timing.trials_table import latencies

# The segments of the timeline: from phase, to phase, label, colour.
SEGMENTS = (
    ("pushed", "polled", "wait for git-sync's next poll", svg.WAIT),
    ("polled", "published", "git-sync fetches and publishes the commit", svg.CHAIN_1),
    ("published", "requested", "Reloader patches the Deployment", svg.CHAIN_2),
    ("requested", "scheduled", "new pods are scheduled", svg.RESTART_3),
    ("scheduled", "ready", "they fetch the commit, start, become Ready", svg.RESTART_2),
    ("ready", "restarted", "old pods leave the Service", svg.RESTART_1),
)


NO_PUSH = "No push was measured"


def finite(samples: Iterable[float]) -> list[float]:
    return sorted(sample for sample in samples if math.isfinite(sample))


def seconds(value: float) -> str:
    """A median for a sentence."""
    if math.isnan(value):
        return "not measured"
    return f"{value:.2f} s" if math.isfinite(value) else "timed out"


def strip(evaluation: Evaluation) -> Chart:
    """The chart on the first screen: every push, and the median with its interval."""
    samples = list(latencies(evaluation.trials_table)["push_to_restarted"])
    note = "Each dot is one push. The vertical bar is the median, the horizontal bar its 95% CI."
    return dots([("push → live on all replicas", samples)], "seconds", note=note)


def ecdf(evaluation: Evaluation) -> Chart:
    """The share of trials that had finished after each time."""
    samples, found = latencies(evaluation.trials_table), evaluation.estimates
    lines = (
        ("push_to_restarted", "push → live on all replicas", svg.CHAIN_1, "-"),
        ("rollout_restart", "rollout restart alone", svg.RESTART_1, "--"),
        ("plain_rollout_restart", "rollout restart of nginx without git-sync", svg.PLAIN, ":"),
    )

    def draw(figure: Figure, narrow: bool) -> None:
        ax = figure.subplots()
        for name, label, colour, style in lines:
            known, n = finite(samples[name]), found[name].n
            # The share is of all trials, so a line with timeouts never reaches 100%.
            shares = [100 * i / max(n, 1) for i in range(len(known) + 1)]
            ax.step(
                [*known[:1], *known], shares if known else [], where="post", color=colour, ls=style, lw=2, label=label
            )
            ax.scatter(known, shares[1:], s=12, color=colour, lw=0)
        ax.set(ylim=(0, 104), xlim=(0, None), xlabel="seconds", ylabel="% of trials finished")
        figure.legend(loc="outside lower left", ncols=1 if narrow else 3, frameon=False, handlelength=2.2)

    push, restart = found["push_to_restarted"], found["rollout_restart"]
    title = live_after(push, restart)
    note = (
        f"n = {counted(push.n)} and {counted(restart.n, 'restart', 'restarts')} of each kind, in one shuffled order. "
    )
    note += "Each dot is one trial. The line shows the share of trials that had finished by that time."
    words = "; ".join(f"{label}: median {in_words(found[name])}" for name, label, _, _ in lines)
    return Chart(title, note, words, draw, height=330, narrow_height=380)


def live_after(push: Estimate, restart: Estimate) -> str:
    """How long a push takes, beside a restart alone."""
    if not push.n:
        return NO_PUSH
    if math.isinf(push.median):
        return "At least half of the pushes timed out before they were live on all replicas"
    live = f"A push is live on all replicas after a median of {push.median:.2f} s"
    if not math.isfinite(restart.median):
        return live
    return f"{live}; a rollout restart alone takes {restart.median:.2f} s"


def timeline(evaluation: Evaluation) -> Chart:
    """The phases of each push that finished."""
    pushes = [trial for trial in evaluation.trials if trial.kind == PUSH and "restarted" in trial.instants]
    pushes.sort(key=lambda trial: trial.latency_s("pushed", "restarted"))

    def draw(figure: Figure, narrow: bool) -> None:
        ax = figure.subplots()
        for line, trial in enumerate(pushes):
            for start, end, _, colour in segments_of(trial):
                begin, length = trial.instants[start] - trial.began, trial.instants[end] - trial.instants[start]
                ax.broken_barh([(begin, length)], (line - 0.38, 0.76), fc=colour, ec=svg.PAPER, lw=0.6)
        for _, _, label, colour in SEGMENTS:
            ax.broken_barh([(0, 0)], (0, 0), color=colour, label=label)
        ax.set(xlabel="seconds since the push", xlim=(0, None), ylim=(-0.7, len(pushes) - 0.3))
        ax.set_yticks(range(len(pushes)), [trial.commit[:7] for trial in pushes], family="monospace", size=9)
        ax.grid(axis="y", visible=False)
        figure.legend(loc="outside lower left", ncols=1 if narrow else 2, frameon=False, handlelength=1.2)

    found = evaluation.estimates
    overhead, restart, wait = (
        found[name].median for name in ("polled_to_requested", "requested_to_restarted", "push_to_polled")
    )
    title = added(overhead, restart)
    if not pushes:
        title = "No push was live on all replicas before the timeout" if found["push_to_restarted"].n else NO_PUSH
    note = f"n = {counted(len(pushes))}. Each bar is one push, labelled with its commit. The fastest is at the bottom."
    words = f"Medians: wait for the poll: {seconds(wait)}; from the poll until Reloader patches the Deployment: "
    words += f"{seconds(overhead)}; rollout: {seconds(restart)}."
    return Chart(title, note, words, draw, height=130 + 16 * len(pushes), narrow_height=200 + 16 * len(pushes))


def added(overhead: float, rollout: float) -> str:
    """What git-sync and Reloader add to a push. The arguments are medians in seconds."""
    if math.isinf(overhead):
        return "At least half of the pushes timed out before Reloader patched the Deployment"
    if math.isfinite(overhead):
        words = f"git-sync and Reloader add a median of {overhead:.2f} s to a push"
        return f"{words}; the rest is the wait for the poll and the rollout"
    if math.isfinite(rollout):
        return f"The rollout takes a median of {rollout:.2f} s; the git host's log, which shows the polls, is missing"
    return "At least half of the pushes timed out before the rollout was complete"


def segments_of(trial: Trial) -> list[tuple[str, str, str, str]]:
    """The segments with both ends known. Without the git host's log, the wait and the fetch are one segment."""
    segments = list(SEGMENTS)
    if "polled" not in trial.instants:
        segments[:2] = [("pushed", "published", SEGMENTS[0][2], SEGMENTS[0][3])]
    return [segment for segment in segments if {segment[0], segment[1]} <= trial.instants.keys()]


def run_order(evaluation: Evaluation) -> Chart:
    """Every trial in the order of the run, to reveal a drift."""
    kinds = (
        (PUSH, "pushed", "push → live on all replicas", svg.CHAIN_1, "o"),
        (RESTART, "requested", "rollout restart alone", svg.RESTART_1, "s"),
        (PLAIN, "requested", "rollout restart of nginx without git-sync", svg.PLAIN, "^"),
    )
    longest = (
        max((s for values in latencies(evaluation.trials_table).values() for s in finite(values)), default=0.0) or 1.0
    )

    def draw(figure: Figure, narrow: bool) -> None:
        ax = figure.subplots()
        for kind, start, label, colour, marker in kinds:
            points = [(t.number, t.latency_s(start, "restarted")) for t in evaluation.trials if t.kind == kind]
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
                label=f"{label}: timed out" if late else None,
            )
        ax.set(ylim=(0, longest * 1.12), xlabel="trial, in order of the run", ylabel="seconds")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside lower left", ncols=1 if narrow else 3, frameon=False, handletextpad=0.3)

    pushes = [t.latency_s("pushed", "restarted") for t in evaluation.trials if t.kind == PUSH]
    first, second = (sorted(s for s in half if not math.isnan(s)) for half in halves(pushes))
    title = compared(*(median(half) if half else math.nan for half in (first, second)))
    note = f"n = {counted(len(pushes))} and as many restarts of each kind. "
    note += f"The order is shuffled with seed {evaluation.settings.seed}."
    return Chart(title, note, title + ".", draw, height=300, narrow_height=360)


def compared(first: float, second: float) -> str:
    """The medians of both halves of the run."""
    if math.isnan(first) or math.isnan(second):
        return "Each trial in the order of the run"
    if math.isfinite(first) and math.isfinite(second):
        words = f"A push is live on all replicas after a median of {first:.2f} s in the first half of the run"
        return f"{words} and {second:.2f} s in the second half"
    late = "both halves" if math.isinf(first) and math.isinf(second) else "one half"
    return f"In {late} of the run, at least half of the pushes timed out"


def halves(samples: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    middle = len(samples) // 2
    return samples[:middle], samples[middle:]


def who_serves_what(evaluation: Evaluation) -> Chart:
    """The commit of each response from the Service: over the whole run, and in a close-up of one rollout."""
    mixed = dict(zip(evaluation.trials_table["number"], evaluation.trials_table["mixed_commits_s"], strict=True))
    pushes = [t for t in evaluation.trials if t.kind == PUSH and not math.isnan(mixed[t.number])]
    example = sorted(pushes, key=lambda trial: mixed[trial.number])[len(pushes) // 2] if pushes else None
    number = {trial.commit: i for i, trial in enumerate(pushes, 1)}
    origin = next((trial.began for trial in evaluation.trials if not math.isnan(trial.began)), 0.0)

    def draw(figure: Figure, _narrow: bool) -> None:
        whole, close = figure.subplots(2, 1, height_ratios=[3, 2])
        for commit, start, end in runs_of(evaluation.responses):
            if commit in number:
                whole.plot(
                    [start - origin, end - origin],
                    [number[commit]] * 2,
                    color=svg.CHAIN_1,
                    lw=3,
                    solid_capstyle="butt",
                )
        whole.set(ylabel="commit, in push order", xlabel="seconds since the first trial")
        whole.yaxis.set_major_locator(MaxNLocator(integer=True))
        if example:
            draw_close_up(close, example, evaluation.responses)

    found = evaluation.estimates["mixed_commits"]
    at_once = sum(mixed[trial.number] == 0 for trial in pushes)
    title = switched(len(pushes), at_once, found.max)
    note = f"n = {counted(len(pushes))}, {len(evaluation.responses):,} responses of the Service. "
    note += "Above: the commit that the Service served at each time. "
    note += "Below: a close-up of the push with the median time. Each dot is a response."
    words = f"Time in which the Service served both the old and the new commit: median {in_words(found)}."
    return Chart(title, note, words, draw, height=430, narrow_height=430)


def switched(pushes: int, at_once: int, longest_s: float) -> str:
    """How clients switch from one commit to the next."""
    if not pushes:
        return "No response showed a pushed commit"
    if at_once == pushes:
        return f"Clients switched to the new commit at once in {'all ' if pushes > 1 else ''}{counted(pushes)}"
    mixed = f"both commits were served for at most {longest_s:.2f} s"
    if not at_once:
        those = f"{'any of ' if pushes > 1 else ''}{counted(pushes)}"
        return f"Clients did not switch to the new commit at once in {those}; {mixed}"
    others = "the other" if pushes - at_once == 1 else "the others"
    return f"Clients switched to the new commit at once in {at_once} of {pushes} pushes; in {others}, {mixed}"


def counted(n: int, one: str = "push", many: str = "pushes") -> str:
    return f"{n} {one if n == 1 else many}"


def draw_close_up(ax: Axes, trial: Trial, responses: Sequence[Response]) -> None:
    """The responses around one rollout. A push that timed out has no lines for the phases that it did not reach."""
    lines = (("requested", "rollout triggered"), ("ready", "new pods Ready"), ("restarted", "rollout complete"))
    first = next((r.instant for r in responses if r.commit == trial.commit), trial.began)
    known = [trial.instants[phase] for phase, _ in lines if phase in trial.instants]
    begin, end = min([*known, first]) - 0.2, max([*known, first]) + 0.6
    near = [r for r in responses if begin <= r.instant <= end and r.commit]
    for level, (label, colour, chosen) in enumerate(
        (("old commit", svg.PLAIN, False), ("new commit", svg.CHAIN_1, True))
    ):
        at = [r.instant - trial.began for r in near if (r.commit == trial.commit) == chosen]
        ax.scatter(at, [level] * len(at), s=14, color=colour, lw=0, label=label)
    behind = {"facecolor": svg.PAPER, "lw": 0, "pad": 0.5}  # hides the lines that cross a label
    for level, (phase, label) in enumerate(lines):
        if phase not in trial.instants:
            continue
        at_s = trial.instants[phase] - trial.began
        ax.axvline(at_s, color=svg.MUTED, lw=1, ls=":")
        align = "left" if phase == "requested" else "right"  # the last two lie close together
        ax.text(at_s, 1.45 + 0.5 * level, f" {label} ", ha=align, va="bottom", size=9, color=svg.MUTED, bbox=behind)
    ax.set(ylim=(-0.6, 3.1), xlabel=f"seconds since the push of {trial.commit[:7]}")
    ax.set_yticks([0, 1], ["old commit", "new commit"])
    ax.grid(axis="y", visible=False)


def runs_of(responses: Sequence[Response], gap_s: float = 0.5) -> list[tuple[str, float, float]]:
    """Each commit, with the start and end of each series of its responses that has no longer gap."""
    stretches: dict[str, list[list[float]]] = {}
    for response in responses:
        known = stretches.setdefault(response.commit, [])
        if known and response.instant - known[-1][1] < gap_s:
            known[-1][1] = response.instant
        else:
            known.append([response.instant, response.instant])
    return [(commit, start, end) for commit, known in stretches.items() for start, end in known]
