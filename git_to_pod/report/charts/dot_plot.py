"""Dot plots: a line of dots for each set of samples, with its median and confidence interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from git_to_pod.report.charts import svg
from git_to_pod.report.charts.svg import Chart, axes_on, figure_of
from git_to_pod.timing.medians import estimate, in_words

Line = tuple[str, Sequence[float]]  # a label, and its samples in seconds


def dots(lines: Sequence[Line], xlabel: str, title: str = "", note: str = "", chosen: str = "") -> Chart:
    """One line of dots for each label. If `chosen` is given, only that line has a colour."""
    words = "; ".join(f"{label}: {in_words(estimate(samples))}" for label, samples in lines)
    alternative = f"Dot plot of every sample, in seconds. Medians: {words}."
    table = pd.DataFrame([(label, s) for label, samples in lines for s in samples], columns=["label", "seconds"])
    labels = [label for label, _ in lines]
    draw = lambda figure: dot_plot(table, figure.subplots(), labels, xlabel, chosen)  # noqa: E731
    return Chart(title, note, alternative, draw, height=56 + 52 * len(lines))


def dot_plot(
    samples: pd.DataFrame,
    ax: Axes | None = None,
    labels: Sequence[str] | None = None,
    xlabel: str = "seconds",
    chosen: str = "",
) -> Figure:
    """Every sample of each label, with its median and confidence interval.

    `samples` has the columns `label` and `seconds` (infinite: timed out, NaN: not measured). `labels`: their order.
    """
    labels = list(samples["label"].unique()) if labels is None else labels
    ax = axes_on(ax, height=56 + 52 * len(labels))
    furthest = max((s for s in samples["seconds"] if math.isfinite(s)), default=0.0) or 1.0
    for level, label in enumerate(labels):
        colour = svg.PLAIN if chosen and label != chosen else svg.CHAIN_1
        draw_line(ax, -level, label, list(samples.loc[samples["label"] == label, "seconds"]), colour, furthest)
    ax.set(ylim=(0.4 - len(labels), 0.75), xlim=(0, 1.12 * furthest), yticks=[], xlabel=xlabel)
    ax.grid(axis="y", visible=False)
    return figure_of(ax)


def draw_line(ax: Axes, level: float, label: str, samples: Sequence[float], colour: str, furthest: float) -> None:
    known, found = sorted(s for s in samples if math.isfinite(s)), estimate(samples)
    # Three heights, so that equal values do not hide each other.
    heights = [level + (i % 3 - 1) * 0.1 for i in range(len(samples))]
    ax.scatter(known, heights[: len(known)], s=34, color=colour, alpha=0.75, lw=0)
    ax.scatter([1.08 * furthest] * found.timeouts, heights[: found.timeouts], s=34, color=colour, marker="x")
    if math.isfinite(found.median):
        ax.plot([found.median] * 2, [level - 0.28, level + 0.28], color=svg.INK, lw=2.5)
    if math.isfinite(found.low) and math.isfinite(found.high):
        ax.plot([found.low, found.high], [level - 0.28] * 2, color=svg.INK, lw=2.5)
    timeouts = f", {found.timeouts} timed out" if found.timeouts else ""
    words = f"{label}: {median_of(found.median)}{timeouts}"
    ax.text(0, level + 0.36, words, va="bottom", size=9.5, in_layout=False)


def span(low: float, high: float) -> str:
    return f"{median_of(low)} to {median_of(high)}"


def median_of(value: float) -> str:
    return f"{value:.2f} s" if math.isfinite(value) else "timed out" if math.isinf(value) else "not measured"
