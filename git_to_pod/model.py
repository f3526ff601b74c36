"""The simplest model that holds: cost in proportion to a size, with its interval by resampling the points."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """y = intercept + slope x; `fits`: the share of the points' variation that it accounts for (R²)."""

    intercept: float
    slope: float
    slope_low: float  # 95 % interval
    slope_high: float
    fits: float
    n: int

    def at(self, x: float) -> tuple[float, float, float]:
        """The value at x, and its interval as far as the slope's goes."""
        return tuple(self.intercept + slope * x for slope in (self.slope, self.slope_low, self.slope_high))  # type: ignore[return-value]


def fit(points: Sequence[tuple[float, float]], resamples: int = 1000, seed: int = 1) -> Line:
    """Least squares, through the origin where the line would start below it: nothing costs less than nothing.

    The interval holds the middle 95 % of the slopes of resampled points.
    """
    intercept, slope = least_squares(points)
    chance = random.Random(seed)
    drawn = (chance.choices(points, k=len(points)) for _ in range(resamples))
    slopes = sorted(least_squares(some)[1] for some in drawn if len({x for x, _ in some}) > 1)
    low, high = slopes[int(0.025 * len(slopes))], slopes[int(0.975 * len(slopes))]
    mean = sum(y for _, y in points) / len(points)
    spread = sum((y - mean) ** 2 for _, y in points)
    left = sum((y - intercept - slope * x) ** 2 for x, y in points)
    return Line(intercept, slope, low, high, 1 - left / spread if spread else 1.0, len(points))


def least_squares(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Intercept, which is not negative, and slope."""
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    across = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / across if across else 0.0
    if mean_y < slope * mean_x:
        return 0.0, sum(x * y for x, y in points) / sum(x * x for x, _ in points)
    return mean_y - slope * mean_x, slope
