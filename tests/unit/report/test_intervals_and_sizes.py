"""The tables of the poll intervals and of the content's sizes."""

from __future__ import annotations

import math

from git_to_pod.experiments.content_sizes import MB, SizeResult
from git_to_pod.experiments.poll_intervals import IntervalResult
from git_to_pod.experiments.scale.linear_fit import LinearFit, fit
from git_to_pod.report import tables
from git_to_pod.report.tables.poll_intervals import expected_s
from git_to_pod.timing.medians import estimate

CPU = LinearFit(0.0, 0.05, 0.04, 0.06, 0.99, 6)
QUICK = IntervalResult(1, estimate([2.4] * 6), estimate([2.0] * 6), 12, 4)
SLOW = IntervalResult(30, estimate([17.5] * 6), estimate([2.2] * 6), 12, 1)


def size(megabytes: int, *samples: float, restarts: int = 0) -> SizeResult:
    return SizeResult(megabytes, 1, estimate(samples), [*samples], 3 * megabytes * MB, restarts, 2)


def test_the_expected_time_is_half_the_interval_and_what_follows_the_poll() -> None:
    assert expected_s(SLOW) == 15 + 2.2
    table = tables.intervals_table([QUICK, SLOW], CPU)
    assert "17.20 s" in table
    assert "50.0 m" in table  # 0.05 CPU seconds a poll, once a second
    assert "1.7 m" in table


def test_the_finding_compares_the_shortest_interval_with_the_longest() -> None:
    found = tables.intervals_finding([SLOW, QUICK])
    assert found.startswith(
        "A push takes a median of 2.40 s with a poll interval of 1 s, and a median of 17.50 s with 30"
    )
    assert found.endswith(
        "12 pushes in quick succession cause 4 rollouts with the shorter interval, and 1 with the longer."
    )


def test_a_poll_without_a_measured_cost_has_none() -> None:
    assert "not measured" in tables.intervals_table([QUICK], fit([]))


def test_the_largest_content_that_arrived_titles_the_table_and_what_did_not_arrive_is_named() -> None:
    found = tables.sizes_finding([size(1, 2.5), size(300, 20.0, 21.0), size(600, math.inf, restarts=2)])
    assert found == (
        "A commit of 300 MB in 1 file is on all replicas after a median of 20.50 s; the git host sends it 3.0 times; "
        "git-sync's containers restarted 2 times. Not on all replicas in time: 600 MB in 1 file."
    )


def test_nothing_that_arrived_and_nothing_that_was_measured_have_words() -> None:
    assert tables.sizes_finding([size(1, math.inf)]) == "Not on all replicas in time: 1 MB in 1 file."
    assert tables.sizes_finding([]) == "No content size was measured."
    assert tables.intervals_finding([]) == "No poll interval was measured."
    assert tables.sizes_table([]) == tables.intervals_table([], CPU) == ""
