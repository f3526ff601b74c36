"""Matplotlib charts as inline SVG that follows the page: its fonts, its light or dark colours, its width."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

# Each colour is a name in templates/report/style.css, which has its light and its dark value. Hues by Okabe and Ito,
# which colour-blind readers can tell apart; shapes, labels and order say the same again.
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
WIDE, NARROW = 720, 350  # the two widths, in CSS pixels, that each chart is drawn for
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


@dataclass(frozen=True)
class Chart:
    """A finding as the title, the picture, how to read it, and the same in words for those who cannot see it."""

    title: str
    note: str
    alternative: str
    draw: Callable[[Canvas, bool], None]
    height: int = 300
    narrow_height: int = 0

    def _repr_html_(self) -> str:
        note = f'<p class="note">{escape(self.note)}</p>' if self.note else ""
        title = f'<p class="finding">{escape(self.title)}</p>' if self.title else ""
        return f"<figure>{title}{self.pictures()}<figcaption>{note}</figcaption></figure>"

    def pictures(self) -> str:
        wide = svg(self.draw, WIDE, self.height, narrow=False, alternative=self.alternative)
        return f'<div class="wide">{wide}</div><div class="narrow">{self.small()}</div>'

    def small(self) -> str:
        """For a phone, and for a column beside text."""
        return svg(self.draw, NARROW, self.narrow_height or self.height, narrow=True, alternative=self.alternative)


def svg(draw: Callable[[Canvas, bool], None], width: int, height: int, narrow: bool, alternative: str) -> str:
    """Draw, then hand fonts and colours over to the page."""
    with mpl.rc_context(STYLE | {"svg.hashsalt": f"{alternative}{width}"}):  # ids that no other picture has
        canvas = Canvas(figsize=(width / 72, height / 72), layout="constrained")
        draw(canvas, narrow)
        written = io.StringIO()
        canvas.savefig(written, format="svg", transparent=True)
    text = written.getvalue()
    text = text[text.index("<svg") :]
    for unwanted in (r"<metadata>.*?</metadata>", r"<style.*?</style>", r"font-family: [^;\"]*;", r"<!--.*?-->"):
        text = re.sub(unwanted, "", text, flags=re.DOTALL)
    text = re.sub(r' (width|height)="[^"]*pt"', "", text, count=2)
    text = re.sub(r' id="[a-zA-Z_0-9]*_[0-9]+"', "", text)  # the same in every picture, and nowhere referred to
    for colour, name in NAMES.items():
        text = text.replace(colour, f"var(--{name}, {colour})")
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(alternative)}"', 1)
