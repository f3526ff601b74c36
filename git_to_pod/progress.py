"""Progress of a run: below the running cell of the notebook, and on the terminal of the command."""

from __future__ import annotations

import contextlib
import html
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from IPython import get_ipython
from IPython.display import HTML, DisplayHandle

PIPE = "GIT_TO_POD_PROGRESS"  # the named pipe from which scripts/evaluate reads the notebook's progress
WIDTH = 12  # columns of the bar: it leaves room for the text and the wait in 80
ERASE = "\r\x1b[2K"  # clears the cursor's line


class Display:
    """HTML in a cell's output that can be replaced later."""

    def __init__(self) -> None:
        self.handle: DisplayHandle | None = None

    def show(self, text: str) -> None:
        shown = HTML(text)  # type: ignore[no-untyped-call]
        if self.handle is None:
            self.handle = DisplayHandle()  # type: ignore[no-untyped-call]
            self.handle.display(shown)  # type: ignore[no-untyped-call]
        else:
            self.handle.update(shown)  # type: ignore[no-untyped-call]


class Progress:
    """The notebook's side: the duration of each stage, the trials that are done, and the current wait."""

    def __init__(self) -> None:
        self.timings_s: dict[str, float] = {}
        pipe = os.environ.get(PIPE)
        self.pipe = Path(pipe).open("w") if pipe else None  # noqa: SIM115  # open while the notebook runs
        self.update: dict[str, Any] = {}
        self.shown = Display()
        self.cell = 0

    @contextlib.contextmanager
    def stage(self, name: str, text: str) -> Iterator[None]:
        """Show the text, and keep the stage's duration in `timings_s`."""
        self.tell(text=text)
        started = time.monotonic()
        yield
        self.timings_s[name] = time.monotonic() - started
        done, of = self.update.get("done", 0), self.update.get("of", 0)
        self.shown.show(
            f'<p class="note">{html.escape(self.update["text"])} ({done}/{of})</p>' if done == of > 0 else ""
        )

    def say(self, text: str) -> None:
        """Show the text on the command's terminal, and nothing below a cell."""
        if self.pipe:
            self.tell(text=text)

    def bar(self, done: int, of: int, text: str) -> None:
        """Show how many of the trials are done, and what is running."""
        self.tell(done=done, of=of, text=text)

    def awaits(self, what: str) -> None:
        """Show what the run waits for; an empty text ends the wait."""
        self.begin_cell()
        if what != self.update.get("awaits", ""):
            self.tell(**self.update | {"awaits": what})

    def tell(self, **what: str | int) -> None:
        """Send an update to the command that runs the notebook, or show it below the running cell."""
        self.begin_cell()
        self.update = what
        if self.pipe:
            with contextlib.suppress(OSError):  # the command no longer reads, which must not end the run
                print(json.dumps(what), file=self.pipe, flush=True)
        else:
            self.shown.show(f'<p class="note">{html.escape(" · ".join(in_words(what)))}</p>')

    def begin_cell(self) -> None:
        """Use a new display for each execution of a cell: the cell may have dropped the previous one."""
        shell = get_ipython()
        if shell and shell.execution_count != self.cell:
            self.update, self.shown, self.cell = {}, Display(), shell.execution_count


def in_words(update: dict[str, Any]) -> list[str]:
    """The parts of a progress line: the bar, the text and the wait, as far as the update has them."""
    done, of = update.get("done", 0), update.get("of", 0)
    filled = round(WIDTH * done / of) if of else 0
    bar = f"{'█' * filled}{'░' * (WIDTH - filled)} {done}/{of}" if of else ""
    awaits = f"waiting for {update['awaits']}" if update.get("awaits") else ""
    return [part for part in (bar, update.get("text", ""), awaits) if part]


class Terminal:
    """The command's side: one line for each stage, with the seconds so far, and a progress line redrawn in place."""

    def __init__(self, out: TextIO = sys.stderr) -> None:
        self.out = out
        self.live = out.isatty()
        self.started = time.monotonic()
        self.line_at = 0.0
        self.after_drawn = ""  # ends the drawn line: a bar stays, a wait without a bar is erased

    def stage(self, text: str) -> None:
        self.leave_drawn()
        self.line(text)

    def error(self, error: Exception, status: int) -> int:
        self.leave_drawn()
        print(f"error: {error}", file=sys.stderr)
        return status

    def draw(self, update: dict[str, Any]) -> None:
        """Redraw the progress line on a terminal; elsewhere print one at most every ten seconds."""
        now = time.monotonic()
        drawn = f"{now - self.started:6.1f} s  {'  '.join(in_words(update))}"
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            print(f"{ERASE}{drawn[:width]}", end="", file=self.out, flush=True)
            self.after_drawn = "\n" if "of" in update else ERASE
        elif update.get("done") == update.get("of") or now - self.line_at > 10:
            self.line_at = now
            print(drawn, file=self.out, flush=True)

    def leave_drawn(self) -> None:
        print(self.after_drawn, end="", file=self.out)
        self.after_drawn = ""

    def line(self, text: str) -> None:
        print(f"{time.monotonic() - self.started:6.1f} s  {text}", file=self.out, flush=True)

    def read(self, pipe: TextIO) -> None:
        """Show the updates that the notebook sends, until an empty line."""
        for line in iter(pipe.readline, "\n"):
            update = json.loads(line)
            if "of" in update or "awaits" in update:
                self.draw(update)
            else:
                self.stage(update["text"])
