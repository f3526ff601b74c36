"""Matplotlib charts as inline SVG with the fonts, the light or dark colours and the width of the page."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import matplotlib as mpl
from IPython import get_ipython
from IPython.core.pylabtools import select_figure_formats
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

# Each colour becomes a variable of templates/report/style.css, which defines its light and its dark value. The hues are
# those of Okabe and Ito, for colour-blind readers. Shapes, labels and order repeat what the colours say.
INK, MUTED, GRID, PAPER = "#1b1c1e", "#5f6368", "#dfe1e5", "#fefefe"
WAIT, CHAIN_1, CHAIN_2 = "#b4b8bf", "#0072b2", "#56b4e9"
RESTART_1, RESTART_2, RESTART_3 = "#d55e00", "#e69f00", "#f3cf7a"
GOOD, PLAIN = "#009e73", "#7d7f83"
NAMES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    PAPER: "paper",
    WAIT: "wait",
    CHAIN_1: "chain-1",
    CHAIN_2: "chain-2",
    RESTART_1: "restart-1",
    RESTART_2: "restart-2",
    RESTART_3: "restart-3",
    GOOD: "good",
    PLAIN: "plain",
}
WIDE, NARROW = 720, 350  # CSS pixels; each chart is drawn in both widths
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "ytick.major.size": 0,
    "xtick.major.size": 3,
}


def new_figure(height: int = 300) -> Figure:
    """An empty figure of the page's width; the height is in CSS pixels. Jupyter shows it as the output of a cell."""
    shell = get_ipython()
    if shell and not any(
        Figure in formatter.type_printers for formatter in shell.display_formatter.formatters.values()
    ):
        select_figure_formats(shell, {"png"})  # type: ignore[no-untyped-call]
    return Figure(figsize=(WIDE / 72, height / 72), layout="constrained", facecolor=PAPER)


def axes_on(ax: Axes | None, height: int = 300) -> Axes:
    """The axes to draw on: those given, or those of a new figure in the page's style."""
    return new_axes(height) if ax is None else ax


def new_axes(height: int, rows: int = 1, columns: int = 1, **options: Any) -> Any:  # noqa: ANN401  # as subplots()
    """The axes of a new figure in the page's style: one, or an array."""
    with mpl.rc_context(STYLE):
        return new_figure(height).subplots(rows, columns, **options)


def figure_of(ax: Axes) -> Figure:
    figure = ax.get_figure(root=True)
    assert isinstance(figure, Figure), "axes that are drawn on belong to a figure"
    return figure


def is_narrow(figure: Figure) -> bool:
    return bool(figure.get_figwidth() * 72 < (NARROW + WIDE) / 2)


def legend(ax: Axes, columns: int, **options: Any) -> Figure:  # noqa: ANN401  # matplotlib's own
    """Add a legend: below the axes if they have a figure of the page's layout for themselves. Return the figure."""
    figure = figure_of(ax)
    if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine) and figure.axes == [ax]:
        columns = 1 if is_narrow(figure) else columns
        figure.legend(loc="outside lower left", ncols=columns, frameon=False, **options)
    else:
        ax.legend(frameon=False, **options)
    return figure


@dataclass(frozen=True)
class Chart:
    """A chart: its finding as the title, a note on how to read it, and a text alternative for screen readers."""

    title: str
    note: str
    alternative: str
    draw: Callable[[Figure], object]
    height: int = 300
    narrow_height: int = 0

    def _repr_html_(self) -> str:
        note = f'<p class="note">{escape(self.note)}</p>' if self.note else ""
        title = f'<p class="finding">{escape(self.title)}</p>' if self.title else ""
        return f"<figure>{title}{self.pictures()}<figcaption>{note}</figcaption></figure>"

    def figure(self) -> Figure:
        """The chart with its title as an ordinary matplotlib Figure: change its axes, or save it with savefig."""
        with mpl.rc_context(STYLE):
            drawn = new_figure(self.height + 40)
            self.draw(drawn)
            drawn.suptitle(textwrap.fill(self.title, 95), x=0.01, ha="left", size=12, color=INK)
        return drawn

    def save_as(self, path: Path) -> Chart:
        """Write figure() to path.svg and path.png, for documents; return the chart, for the page."""
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn = self.figure()
        with mpl.rc_context(STYLE):
            for suffix in (".svg", ".png"):
                drawn.savefig(path.with_suffix(suffix), dpi=144)
        return self

    def pictures(self) -> str:
        wide = svg(self.draw, WIDE, self.height, self.alternative)
        return f'<div class="wide">{wide}</div><div class="narrow">{self.small()}</div>'

    def small(self) -> str:
        """The narrow picture, for phones and for a column beside text."""
        return svg(self.draw, NARROW, self.narrow_height or self.height, self.alternative)


def svg(draw: Callable[[Figure], object], width: int, height: int, alternative: str) -> str:
    """Draw the chart as SVG that takes its fonts and colours from the page's CSS."""
    with mpl.rc_context(STYLE | {"svg.hashsalt": f"{alternative}{width}"}):  # makes the IDs unique on the page
        figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        draw(figure)
        written = io.StringIO()
        figure.savefig(written, format="svg", transparent=True)
    text = written.getvalue()
    text = text[text.index("<svg") :]
    for unwanted in (r"<metadata>.*?</metadata>", r"<style.*?</style>", r"font-family: [^;\"]*;", r"<!--.*?-->"):
        text = re.sub(unwanted, "", text, flags=re.DOTALL)
    text = re.sub(r' (width|height)="[^"]*pt"', "", text, count=2)
    text = re.sub(r' id="[a-zA-Z_0-9]*_[0-9]+"', "", text)  # not unique on the page, and never referenced
    for colour, name in NAMES.items():
        text = text.replace(colour, f"var(--{name}, {colour})")
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(alternative)}"', 1)
