"""The table of the poll intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from git_to_pod.experiments.poll_intervals import IntervalResult
from git_to_pod.experiments.scale.linear_fit import LinearFit
from git_to_pod.report.charts.dot_plot import median_of, span
from git_to_pod.report.html import html_table
from git_to_pod.wording import counted


def expected_s(row: IntervalResult) -> float:
    """Half the interval, which a push waits on average, and the time from the poll to the restart."""
    return row.period_s / 2 + row.polled_to_restarted_s.median


def intervals_finding(rows: Sequence[IntervalResult]) -> str:
    """The title, computed: the shortest interval against the longest."""
    if not rows:
        return "No poll interval was measured."
    shortest, longest = (choose(rows, key=lambda row: row.period_s) for choose in (min, max))
    if shortest is longest:
        return f"With a poll interval of {shortest.period_s} s, a push takes {in_words(shortest)}."
    return (
        f"A push takes {in_words(shortest)} with a poll interval of {shortest.period_s} s, and {in_words(longest)} "
        f"with {longest.period_s} s. {counted(shortest.burst, 'push', 'pushes')} in quick succession cause "
        f"{counted(shortest.rollouts, 'rollout')} with the shorter interval, and {longest.rollouts} with the longer."
    )


def in_words(row: IntervalResult) -> str:
    return f"a median of {median_of(row.pushed_to_restarted_s.median)}"


def intervals_table(rows: Sequence[IntervalResult], cpu_per_poll: LinearFit) -> Markup:
    """The table. `cpu_per_poll`: cores on the node against polls per second, from the experiment on cost and size."""
    table = [
        {
            "poll interval": f"{row.period_s} s",
            "push → restarted, median": median_of(row.pushed_to_restarted_s.median),
            "range": span(row.pushed_to_restarted_s.min, row.pushed_to_restarted_s.max),
            "n": str(row.pushed_to_restarted_s.n),
            "half the interval + poll → restarted": median_of(expected_s(row)),
            f"rollouts for {row.burst} quick pushes": str(row.rollouts),
            "CPU of the poller, computed": cpu(cpu_per_poll.slope / row.period_s),
        }
        for row in rows
    ]
    return html_table(table, intervals_finding(rows))


def cpu(cores: float) -> str:
    return f"{1000 * cores:.1f} m" if math.isfinite(cores) else "not measured"
