"""Linear fit of a cost against a size, with a bootstrap interval of the slope."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class LinearFit:
    """y = intercept + slope x. `fits` is R², the share of the variation in y that the line explains."""

    intercept: float
    slope: float
    slope_low: float  # 95% interval
    slope_high: float
    r_squared: float
    n: int

    def at(self, x: float) -> tuple[float, float, float]:
        """The value at x, and its interval if only the slope varies."""
        return tuple(self.intercept + slope * x for slope in (self.slope, self.slope_low, self.slope_high))  # type: ignore[return-value]


def fit(points: Sequence[tuple[float, float]], resamples: int = 1000, seed: int = 1) -> LinearFit:
    """Least squares. A line with a negative intercept is fitted through the origin, because no cost is negative.

    The interval holds the middle 95% of the slopes of resampled points. Everything that the points do not determine
    is NaN: all of the line without points, its interval if all points have the same x.
    """
    if not points:
        return LinearFit(math.nan, math.nan, math.nan, math.nan, math.nan, 0)
    intercept, slope = least_squares(points)
    chance = random.Random(seed)
    drawn = (chance.choices(points, k=len(points)) for _ in range(resamples))
    slopes = sorted(least_squares(some)[1] for some in drawn if len({x for x, _ in some}) > 1)
    low, high = (slopes[int(share * len(slopes))] if slopes else math.nan for share in (0.025, 0.975))
    mean = sum(y for _, y in points) / len(points)
    spread = sum((y - mean) ** 2 for _, y in points)
    left = sum((y - intercept - slope * x) ** 2 for x, y in points)
    return LinearFit(intercept, slope, low, high, 1 - left / spread if spread else 1.0, len(points))


def least_squares(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Intercept and slope. The intercept is never negative."""
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    across = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / across if across else 0.0
    if mean_y < slope * mean_x:
        return 0.0, sum(x * y for x, y in points) / sum(x * x for x, _ in points)
    return mean_y - slope * mean_x, slope
