"""Medians with their exact interval. A timeout is infinitely long and stays in; what was not measured is left out."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured quantity, in seconds."""

    median: float
    low: float  # the 95 % interval of the median; NaN where n is too small for one
    high: float
    min: float
    max: float
    n: int
    timeouts: int


def figure(samples: Iterable[float]) -> Figure:
    known = sorted(sample for sample in samples if not math.isnan(sample))
    n = len(known)
    if not n:
        return Figure(math.nan, math.nan, math.nan, math.nan, math.nan, n=0, timeouts=0)
    low, high = median_interval(known)
    timeouts = sum(math.isinf(sample) for sample in known)
    return Figure(median(known), low, high, known[0], known[-1], n, timeouts)


def median(ordered: list[float]) -> float:
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def difference(samples: Sequence[float], others: Sequence[float], draws: int = 2000) -> tuple[float, float]:
    """The 95 % interval of how much greater the first median is, in seconds: the percentile bootstrap (Efron, 1979)."""
    chance = random.Random(1)
    a, b = ([s for s in some if not math.isnan(s)] for some in (samples, others))
    if not a or not b:
        return math.nan, math.nan
    found = []
    for _ in range(draws):
        first, second = (median(sorted(chance.choices(some, k=len(some)))) for some in (a, b))
        found.append(0.0 if first == second else first - second)  # as two timeouts are
    found.sort()
    return found[round(0.025 * draws)], found[round(0.975 * draws) - 1]


def median_interval(ordered: list[float], confidence: float = 0.95) -> tuple[float, float]:
    """The narrowest symmetric pair of order statistics that covers the median with the given confidence.

    Each sample is below the median with probability 1/2 whatever the distribution, so the count below it is binomial.
    """
    n = len(ordered)
    rank, outside = 0, 2.0**-n  # the chance that fewer than rank + 1 samples are below
    while 2 * outside <= 1 - confidence:
        rank += 1
        outside += math.comb(n, rank) * 2.0**-n
    return (ordered[rank - 1], ordered[n - rank]) if rank else (math.nan, math.nan)
