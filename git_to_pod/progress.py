"""What is going on, while it goes on: in the notebook below the cell, and on the terminal of the command."""

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

PIPE = "GIT_TO_POD_PROGRESS"  # scripts/evaluate reads the notebook's progress from this named pipe
WIDTH = 12  # of the bar: 80 columns hold the wait too
ERASE = "\r\x1b[2K"  # what the terminal's cursor stands in


class Display:
    """A piece of HTML in a cell's output that can be replaced later, from any cell."""

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
    """The notebook's side: how long each stage took, how far the trials are, and what is being waited for."""

    def __init__(self) -> None:
        self.timings_s: dict[str, float] = {}
        pipe = os.environ.get(PIPE)
        self.pipe = Path(pipe).open("w") if pipe else None  # noqa: SIM115  # open as long as the notebook runs
        self.told: dict[str, Any] = {}
        self.shown = Display()
        self.cell = 0

    @contextlib.contextmanager
    def stage(self, name: str, text: str) -> Iterator[None]:
        """Say what begins, and keep how long it took."""
        self.tell(text=text)
        started = time.monotonic()
        yield
        self.timings_s[name] = time.monotonic() - started
        done, of = self.told.get("done", 0), self.told.get("of", 0)
        self.shown.show(f'<p class="note">{of} trials, {html.escape(self.told["text"])}</p>' if done == of > 0 else "")

    def say(self, text: str) -> None:
        """Name what begins, where the cell itself shows nothing of it."""
        if self.pipe:
            self.tell(text=text)

    def bar(self, done: int, of: int, text: str) -> None:
        """How many of the trials are done, and what is under way."""
        self.tell(done=done, of=of, text=text)

    def awaits(self, what: str) -> None:
        """What is being waited for at this moment; empty: nothing any more."""
        self.begin_cell()
        if what != self.told.get("awaits", ""):
            self.tell(**self.told | {"awaits": what})

    def tell(self, **what: str | int) -> None:
        """Show it: to the command that runs the notebook, else below the running cell."""
        self.begin_cell()
        self.told = what
        if self.pipe:
            with contextlib.suppress(OSError):  # nobody reads any more: no reason to stop
                print(json.dumps(what), file=self.pipe, flush=True)
        else:
            self.shown.show(f'<p class="note">{html.escape(" · ".join(in_words(what)))}</p>')

    def begin_cell(self) -> None:
        """Each execution of a cell has a display of its own: the one of the execution before may be gone."""
        shell = get_ipython()
        if shell and shell.execution_count != self.cell:
            self.told, self.shown, self.cell = {}, Display(), shell.execution_count


def in_words(told: dict[str, Any]) -> list[str]:
    """The parts of a line that says what is under way."""
    done, of = told.get("done", 0), told.get("of", 0)
    filled = round(WIDTH * done / of) if of else 0
    bar = f"{'█' * filled}{'░' * (WIDTH - filled)} {done}/{of}" if of else ""
    awaits = f"waiting for {told['awaits']}" if told.get("awaits") else ""
    return [part for part in (bar, told.get("text", ""), awaits) if part]


class Terminal:
    """The command's side: a line for each stage with the seconds so far, and one that is drawn anew in its place."""

    def __init__(self, out: TextIO = sys.stderr) -> None:
        self.out = out
        self.live = out.isatty()
        self.started = time.monotonic()
        self.line_at = 0.0
        self.after_drawn = ""  # what the cursor needs to leave a drawn line: a bar stays, a mere wait is erased

    def stage(self, text: str) -> None:
        self.leave_drawn()
        self.line(text)

    def error(self, error: Exception, status: int) -> int:
        self.leave_drawn()
        print(f"error: {error}", file=sys.stderr)
        return status

    def draw(self, told: dict[str, Any]) -> None:
        """Redrawn in place on a terminal; elsewhere a line every ten seconds."""
        now = time.monotonic()
        drawn = f"{now - self.started:6.1f} s  {'  '.join(in_words(told))}"
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            print(f"{ERASE}{drawn[:width]}", end="", file=self.out, flush=True)
            self.after_drawn = "\n" if "of" in told else ERASE
        elif told.get("done") == told.get("of") or now - self.line_at > 10:
            self.line_at = now
            print(drawn, file=self.out, flush=True)

    def leave_drawn(self) -> None:
        print(self.after_drawn, end="", file=self.out)
        self.after_drawn = ""

    def line(self, text: str) -> None:
        print(f"{time.monotonic() - self.started:6.1f} s  {text}", file=self.out, flush=True)

    def read(self, pipe: TextIO) -> None:
        """Show what the notebook tells, until an empty line."""
        for line in iter(pipe.readline, "\n"):
            told = json.loads(line)
            if "of" in told or "awaits" in told:
                self.draw(told)
            else:
                self.stage(told["text"])
