"""Progress of a run in the notebook, as displays that both JupyterLab and the command's terminal can show."""

from __future__ import annotations

import contextlib
import html
import time
from collections.abc import Iterator
from typing import Any

from IPython import get_ipython
from IPython.display import DisplayHandle

MIME = "application/vnd.git-to-pod.progress+json"  # of an update, for cli/run_notebook.py; the page drops such outputs
WIDTH = 12  # columns of the bar: it leaves room for the text and the wait in 80


class Display:
    """HTML in a cell's output that can be replaced later."""

    def __init__(self) -> None:
        self.handle: DisplayHandle | None = None

    def show(self, text: str, update: dict[str, Any] | None = None) -> None:
        """Show the HTML, which stands for this update if it is progress."""
        bundle: dict[str, Any] = {"text/html": text, "text/plain": (update or {}).get("text", "")}
        bundle |= {} if update is None else {MIME: update}
        if self.handle is None:
            self.handle = DisplayHandle()  # type: ignore[no-untyped-call]
            self.handle.display(bundle, raw=True)  # type: ignore[no-untyped-call]
        else:
            self.handle.update(bundle, raw=True)  # type: ignore[no-untyped-call]


class Progress:
    """The duration of each stage, the trials that are done, and the current wait, below the running cell."""

    def __init__(self) -> None:
        self.timings_s: dict[str, float] = {}
        self.update: dict[str, Any] = {}
        self.display = Display()
        self.cell = 0

    @contextlib.contextmanager
    def stage(self, name: str, text: str) -> Iterator[None]:
        """Show the text, and keep the stage's duration in `timings_s`."""
        self.send({"text": text}, note(text))
        started = time.monotonic()
        yield
        self.timings_s[name] = time.monotonic() - started
        done, total = self.update.get("done", 0), self.update.get("of", 0)
        last = note(f"{self.update['text']} ({done}/{total})") if done == total > 0 else ""
        self.display.show(last, {})

    def say(self, text: str) -> None:
        """Show the text on the command's terminal, and nothing below a cell."""
        self.send({"text": text}, "")

    def bar(self, done: int, total: int, text: str) -> None:
        """Show how many of the trials are done, and what is running."""
        self.draw({"done": done, "of": total, "text": text})

    def awaits(self, what: str) -> None:
        """Show what the run waits for; an empty text ends the wait."""
        self.begin_cell()
        if what != self.update.get("awaits", ""):
            self.draw(self.update | {"awaits": what})

    def draw(self, update: dict[str, Any]) -> None:
        self.send(update, note(" · ".join(progress_line(update))))

    def send(self, update: dict[str, Any], shown: str) -> None:
        self.begin_cell()
        self.update = update
        self.display.show(shown, update)

    def begin_cell(self) -> None:
        """Use a new display for each execution of a cell: the cell may have dropped the previous one."""
        shell = get_ipython()
        if shell and shell.execution_count != self.cell:
            self.update, self.display, self.cell = {}, Display(), shell.execution_count


def note(text: str) -> str:
    return f'<p class="note">{html.escape(text)}</p>'


def progress_line(update: dict[str, Any]) -> list[str]:
    """The parts of a progress line: the bar, the text and the wait, as far as the update has them."""
    done, total = update.get("done", 0), update.get("of", 0)
    filled = round(WIDTH * done / total) if total else 0
    bar = f"{'█' * filled}{'░' * (WIDTH - filled)} {done}/{total}" if total else ""
    return [part for part in (bar, update.get("text", ""), awaited(update)) if part]


def awaited(update: dict[str, Any]) -> str:
    return f"waiting for {update['awaits']}" if update.get("awaits") else ""
