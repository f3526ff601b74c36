"""The models find what the points were made of, and what they are made of is counted."""

from __future__ import annotations

import pytest

from git_to_pod.model import fit
from git_to_pod.scale import used


def test_the_model_finds_the_line_that_the_points_are_on() -> None:
    line = fit([(x, 2 + 3 * x) for x in range(8)])
    assert (line.intercept, line.slope) == pytest.approx((2, 3))
    assert line.slope_low == pytest.approx(3)
    assert line.fits == pytest.approx(1)
    assert line.at(1000)[0] == pytest.approx(3002)


def test_scattered_points_widen_the_interval() -> None:
    line = fit([(x, x + (-1) ** x * 4) for x in range(10)])
    assert line.slope_low < 1 < line.slope_high
    assert line.fits < 0.8


def test_nothing_costs_less_than_nothing() -> None:
    line = fit([(2, 0.5), (10, 6.0), (20, 14.0)])
    assert line.intercept == 0
    assert line.at(0.1)[0] > 0


def test_a_process_that_has_ended_takes_nothing_back() -> None:
    assert used({"1": 5.0, "2": 9.0}, {"1": 5.5, "3": 0.25}) == pytest.approx(0.75)
