"""What is going on, while it goes on: in the notebook below the cell, and on the terminal of scripts/evaluate."""

from __future__ import annotations

import contextlib
import html
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from IPython.display import HTML, DisplayHandle

PIPE = "GIT_TO_POD_PROGRESS"  # scripts/evaluate reads the notebook's progress from this named pipe


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
    """The notebook's side: how long each stage took, and how far the trials are."""

    def __init__(self) -> None:
        self.timings_s: dict[str, float] = {}
        pipe = os.environ.get(PIPE)
        self.pipe = Path(pipe).open("w") if pipe else None  # noqa: SIM115  # open as long as the notebook runs
        self.shown = Display()

    @contextlib.contextmanager
    def stage(self, name: str, text: str) -> Iterator[None]:
        """Say what begins, and keep how long it took."""
        self.say(text)
        started = time.monotonic()
        yield
        self.timings_s[name] = time.monotonic() - started

    def say(self, text: str) -> None:
        """Name what begins."""
        self.tell(text=text)

    def bar(self, done: int, of: int, text: str) -> None:
        """How many of the trials are done, and what is under way."""
        self.tell(done=done, of=of, text=text)
        if done == of:
            self.shown.show(f'<p class="note">{of} trials, {html.escape(text)}</p>')
            self.shown = Display()
            return
        self.shown.show(f'<progress max="{of}" value="{done}"></progress> {done} of {of} · {html.escape(text)}')

    def tell(self, **what: str | int) -> None:
        if self.pipe:
            with contextlib.suppress(OSError):  # nobody reads any more: no reason to stop
                print(json.dumps(what), file=self.pipe, flush=True)


class Terminal:
    """scripts/evaluate's side: a line for each stage with the seconds so far, and one bar."""

    def __init__(self, out: TextIO = sys.stderr) -> None:
        self.out = out
        self.live = out.isatty()
        self.started = time.monotonic()
        self.bar_since = 0.0
        self.open_bar = False

    def stage(self, text: str) -> None:
        self.close_bar()
        self.line(text)

    def bar(self, done: int, of: int, text: str) -> None:
        """Redrawn in place on a terminal; elsewhere a line every ten seconds."""
        now = time.monotonic()
        drawn = f"{'█' * round(24 * done / of)}{'░' * (24 - round(24 * done / of))} {done}/{of}  {text}"
        if self.live:
            print(f"\r{now - self.started:6.1f} s  {drawn[:100]:<100}", end="", file=self.out, flush=True)
            self.open_bar = True
        elif done == of or now - self.bar_since > 10:
            self.bar_since = now
            self.line(drawn)

    def close_bar(self) -> None:
        if self.open_bar:
            print(file=self.out)
        self.open_bar = False

    def line(self, text: str) -> None:
        print(f"{time.monotonic() - self.started:6.1f} s  {text}", file=self.out, flush=True)

    def read(self, pipe: TextIO) -> None:
        """Show what the notebook tells, until an empty line."""
        for line in iter(pipe.readline, "\n"):
            told = json.loads(line)
            if "of" in told:
                self.bar(told["done"], told["of"], told["text"])
            else:
                self.stage(told["text"])
