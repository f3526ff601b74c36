"""The terminal of the commands: a line for each stage, and a progress bar that tqdm redraws."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from typing import Any, TextIO

from tqdm import tqdm

from git_to_pod.progress import WIDTH, awaited, progress_line

LINE_S = 10.0  # between two lines of progress, where nothing can be redrawn
tqdm.monitor_interval = 0  # no thread: every update is drawn at once


def print_line(text: str) -> None:
    """Print to standard output, whose reader may have gone away (`scripts/evaluate | head`)."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # also for the flush at the process's end


class Terminal:
    """Writes to `out`, whose reader may go away: that ends the output and not the run.

    `started` is the beginning of the seconds in front of each line, on the monotonic clock.
    """

    def __init__(self, out: TextIO | None = None, started: float | None = None) -> None:
        self.out = out or sys.stderr
        self.started = time.monotonic() if started is None else started
        self.live = self.out.isatty()
        self.progress_bar: tqdm[Any] | None = None
        self.line_at = 0.0

    def show(self, update: dict[str, Any]) -> None:
        """An update of the notebook's Progress: a stage, a bar, or a wait."""
        with suppress(OSError, ValueError):  # nobody reads any more
            if "of" in update or "awaits" in update:
                self.draw(update)
            elif "text" in update:
                self.stage(update["text"])

    def stage(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self.leave_bar()
            self.line(text)

    def error(self, error: Exception, status: int) -> int:
        with suppress(OSError, ValueError):
            self.leave_bar()
            print(f"error: {error}", file=self.out, flush=True)
        return status

    def draw(self, update: dict[str, Any]) -> None:
        """Redraw the bar on a terminal; elsewhere print a line at most every ten seconds."""
        now = time.monotonic()
        if self.live:
            self.redraw(update)
        elif update.get("done", -1) == update.get("of") or now - self.line_at > LINE_S:
            self.line_at = now
            self.line("  ".join(progress_line(update)))

    def redraw(self, update: dict[str, Any]) -> None:
        """A bar stays when the next stage begins. A wait without a bar is erased."""
        done, total = update.get("done", 0), update.get("of")
        text = update.get("text", "") if total else ""
        words = "  ".join(filter(None, [text, awaited(update)])).replace("{", "{{").replace("}", "}}")
        line = f"{self.seconds()}  {f'{{bar:{WIDTH}}} {{n_fmt}}/{{total_fmt}}  ' if total else ''}{words}"
        if self.progress_bar is not None and self.progress_bar.total != total:
            self.leave_bar()
        if self.progress_bar is None:
            how = {"dynamic_ncols": True, "leave": bool(total), "position": 0}
            self.progress_bar = tqdm(total=total, initial=done, bar_format=line, file=self.out, **how)
        self.progress_bar.n, self.progress_bar.bar_format = done, line
        self.progress_bar.refresh()

    def leave_bar(self) -> None:
        """End the bar's line, if there is one."""
        with suppress(OSError, ValueError):
            if self.progress_bar is not None:
                self.progress_bar.close()
        self.progress_bar = None

    def line(self, text: str) -> None:
        print(f"{self.seconds()}  {text}", file=self.out, flush=True)

    def seconds(self) -> str:
        return f"{time.monotonic() - self.started:6.1f} s"
