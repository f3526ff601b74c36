"""The page's charts of the trials. Each shows every sample, and its title states the finding."""

from __future__ import annotations

import math
from collections.abc import Sequence

from git_to_pod.evaluation.summary import Evaluation
from git_to_pod.report.charts import trial_figures
from git_to_pod.report.charts.dot_plot import dots
from git_to_pod.report.charts.svg import Chart
from git_to_pod.report.charts.trial_figures import LINES, finished_pushes, seen_pushes
from git_to_pod.timing.medians import Estimate, in_words, median
from git_to_pod.timing.trials_table import latencies

NO_PUSH = "No push was measured"


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
    found, trials = evaluation.estimates, evaluation.trials_table
    push, restart = found["push_to_restarted"], found["rollout_restart"]
    title = live_after(push, restart)
    note = (
        f"n = {counted(push.n)} and {counted(restart.n, 'restart', 'restarts')} of each kind, in one shuffled order. "
    )
    note += "Each dot is one trial. The line shows the share of trials that had finished by that time."
    words = "; ".join(f"{label}: median {in_words(found[name])}" for name, label, _, _ in LINES)
    draw = lambda figure: trial_figures.ecdf(trials, figure.subplots())  # noqa: E731
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
    found, trials = evaluation.estimates, evaluation.trials_table
    n = len(finished_pushes(trials))
    overhead, restart, wait = (
        found[name].median for name in ("polled_to_requested", "requested_to_restarted", "push_to_polled")
    )
    title = added(overhead, restart)
    if not n:
        title = "No push was live on all replicas before the timeout" if found["push_to_restarted"].n else NO_PUSH
    note = f"n = {counted(n)}. Each bar is one push, labelled with its commit. The fastest is at the bottom."
    words = f"Medians: wait for the poll: {seconds(wait)}; from the poll until Reloader patches the Deployment: "
    words += f"{seconds(overhead)}; rollout: {seconds(restart)}."
    draw = lambda figure: trial_figures.timeline(trials, figure.subplots())  # noqa: E731
    return Chart(title, note, words, draw, height=130 + 16 * n, narrow_height=200 + 16 * n)


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


def run_order(evaluation: Evaluation) -> Chart:
    """Every trial in the order of the run, to reveal a drift."""
    trials = evaluation.trials_table
    pushes = list(latencies(trials)["push_to_restarted"])
    first, second = (sorted(s for s in half if not math.isnan(s)) for half in halves(pushes))
    title = compared(*(median(half) if half else math.nan for half in (first, second)))
    note = f"n = {counted(len(pushes))} and as many restarts of each kind. "
    note += f"The order is shuffled with seed {evaluation.settings.seed}."
    draw = lambda figure: trial_figures.run_order(trials, figure.subplots())  # noqa: E731
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
    trials, responses = evaluation.trials_table, evaluation.responses_table
    pushes, found = seen_pushes(trials), evaluation.estimates["mixed_commits"]
    title = switched(len(pushes), int((pushes["mixed_commits_s"] == 0).sum()), found.max)
    note = f"n = {counted(len(pushes))}, {len(responses):,} responses of the Service. "
    note += "Above: the commit that the Service served at each time. "
    note += "Below: a close-up of the push with the median time. Each dot is a response."
    words = f"Time in which the Service served both the old and the new commit: median {in_words(found)}."
    draw = lambda figure: trial_figures.who_serves_what(  # noqa: E731
        trials, responses, figure.subplots(2, 1, height_ratios=[3, 2])
    )
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
