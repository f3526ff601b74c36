"""Medians with their exact 95% confidence interval. A timeout counts as infinite; NaN (not measured) is left out."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from git_to_pod.wording import counted


@dataclass(frozen=True)
class Estimate:
    """The median, interval and range of one measured quantity, in seconds."""

    median: float
    low: float  # 95% CI of the median; NaN if n is below 6
    high: float
    min: float
    max: float
    n: int
    timeouts: int


def estimate(samples: Iterable[float]) -> Estimate:
    """Without samples, `n` is 0 and every other value but `timeouts` is NaN."""
    known = sorted(sample for sample in samples if not math.isnan(sample))
    n = len(known)
    if not n:
        return Estimate(math.nan, math.nan, math.nan, math.nan, math.nan, n=0, timeouts=0)
    low, high = median_interval(known)
    timeouts = sum(math.isinf(sample) for sample in known)
    return Estimate(median(known), low, high, known[0], known[-1], n, timeouts)


def median(ordered: list[float]) -> float:
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def difference(samples: Sequence[float], others: Sequence[float], draws: int = 2000) -> tuple[float, float]:
    """95% CI of the first median minus the second, in seconds, by the percentile bootstrap (Efron, 1979).

    Both ends are NaN if either side has no samples.
    """
    chance = random.Random(1)
    a, b = ([s for s in some if not math.isnan(s)] for some in (samples, others))
    if not a or not b:
        return math.nan, math.nan
    found = []
    for _ in range(draws):
        first, second = (median(sorted(chance.choices(some, k=len(some)))) for some in (a, b))
        found.append(0.0 if first == second else first - second)  # inf - inf would be NaN
    found.sort()
    return found[round(0.025 * draws)], found[round(0.975 * draws) - 1]


def median_interval(ordered: list[float], confidence: float = 0.95) -> tuple[float, float]:
    """The narrowest symmetric pair of order statistics that covers the median with the given confidence.

    Whatever the distribution, a sample is below the median with probability 1/2, so the number of samples below it is
    binomial. Both ends are NaN if n is too small.
    """
    n = len(ordered)
    rank, outside = 0, 2.0**-n  # probability that at most `rank` samples are below
    while 2 * outside <= 1 - confidence:
        rank += 1
        outside += math.comb(n, rank) * 2.0**-n
    return (ordered[rank - 1], ordered[n - rank]) if rank else (math.nan, math.nan)


def share_interval(hits: int, n: int) -> tuple[float, float]:
    """95% CI of a share, from `hits` in `n` trials (Wilson, 1927). From 0 to 1 without trials."""
    if not n:
        return 0.0, 1.0
    z, share = 1.96, hits / n
    middle, width = share + z**2 / (2 * n), z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, (middle - width) / (1 + z**2 / n)), min(1.0, (middle + width) / (1 + z**2 / n))


def in_words(estimate: Estimate) -> str:
    """A figure with its interval, the number of samples, and the timeouts if there are any."""
    if not estimate.n:
        return "not measured"
    timeouts = f", {counted(estimate.timeouts, 'timeout')}" if estimate.timeouts else ""
    if math.isinf(estimate.median):
        return f"timed out (n = {estimate.n}{timeouts})"
    interval = f"95% CI {estimate.low:.2f}–{estimate.high:.2f} s, " if math.isfinite(estimate.high) else ""  # noqa: RUF001
    if math.isinf(estimate.high):
        interval = f"95% CI from {estimate.low:.2f} s to beyond the timeout, "
    return f"{estimate.median:.2f} s ({interval}n = {estimate.n}{timeouts})"
