"""Waits for state that cannot be watched."""

from __future__ import annotations

import textwrap
import threading
import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")
LONGEST = 1000  # characters of a state in a message


class TimedOut(TimeoutError):
    """A wait reached its timeout. The message names the condition and the last state seen."""

    @classmethod
    def of(cls, what: str, timeout_s: float, last_seen: str) -> TimedOut:
        return cls(f"{what}: not within {timeout_s:.0f} s; last seen: {textwrap.shorten(last_seen, LONGEST)}")


def wait_for(
    what: str,
    condition: Callable[[], Found | None],
    timeout_s: float,
    last_seen: Callable[[], str] = lambda: "nothing",
    pause_s: float = 0.05,
) -> Found:
    """Poll the condition until it is true, and return its value. For state that cannot be watched. Raises TimedOut."""
    started = time.monotonic()
    while True:
        if found := condition():
            return found
        if time.monotonic() - started > timeout_s:
            raise TimedOut.of(what, timeout_s, last_seen())
        time.sleep(pause_s)


def pause(seconds: float) -> None:
    threading.Event().wait(seconds)
