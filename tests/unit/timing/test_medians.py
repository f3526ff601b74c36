"""The exact interval of a median, and what becomes of timeouts."""

from __future__ import annotations

import math
import random

import pytest

from git_to_pod.timing.medians import difference, estimate, median_interval, share_interval


# Ranks from the tables of the sign test: n, and the rank of the lower bound.
@pytest.mark.parametrize(("n", "rank"), [(6, 1), (8, 1), (9, 2), (12, 3), (20, 6), (25, 8), (40, 14), (100, 40)])
def test_the_interval_is_the_known_pair_of_order_statistics(n: int, rank: int) -> None:
    assert median_interval([float(i) for i in range(1, n + 1)]) == (rank, n - rank + 1)


def test_under_six_samples_there_is_no_95_percent_interval() -> None:
    found = estimate([1.0, 2.0, 3.0, 4.0, 5.0])
    assert found.median == 3.0
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_the_interval_covers_the_true_median_as_often_as_it_says() -> None:
    chance = random.Random(1)
    covered = 0
    for _ in range(2000):
        found = estimate(chance.expovariate(1.0) for _ in range(20))
        covered += found.low <= math.log(2) <= found.high
    assert covered / 2000 > 0.945


def test_a_timeout_stays_in_as_infinitely_long() -> None:
    found = estimate([1.0, 2.0, math.inf])
    assert (found.median, found.max, found.n, found.timeouts) == (2.0, math.inf, 3, 1)


def test_a_median_of_timeouts_is_infinite() -> None:
    assert estimate([1.0, math.inf, math.inf]).median == math.inf
    assert estimate([1.0, math.inf]).median == math.inf


def test_what_was_not_measured_is_left_out() -> None:
    assert estimate([1.0, math.nan, 3.0]).n == 2
    assert estimate([math.nan]).n == 0


def test_the_interval_of_a_difference_covers_the_true_one_about_as_often_as_it_says() -> None:
    chance = random.Random(1)
    covered = 0
    for _ in range(300):
        a, b = ([chance.gauss(mean, 1.0) for _ in range(16)] for mean in (1.5, 1.0))
        low, high = difference(a, b, draws=300)
        covered += low <= 0.5 <= high
    assert 0.92 < covered / 300 <= 1.0


def test_a_difference_with_timeouts_is_none_between_two_and_endless_otherwise() -> None:
    timeouts = [math.inf] * 8
    assert difference(timeouts, timeouts) == (0.0, 0.0)
    assert difference(timeouts, [1.0] * 8) == (math.inf, math.inf)


def test_nothing_measured_has_no_difference() -> None:
    assert all(map(math.isnan, difference([math.nan], [1.0])))


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"), [(0, 20, 0.0, 0.161), (1, 16, 0.011, 0.283), (10, 20, 0.299, 0.701), (0, 0, 0.0, 1.0)]
)
def test_the_interval_of_a_share_is_wilsons(hits: int, n: int, low: float, high: float) -> None:
    assert share_interval(hits, n) == pytest.approx((low, high), abs=0.001)
