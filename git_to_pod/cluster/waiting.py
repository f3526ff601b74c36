"""Waits for state that cannot be watched."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


class TimedOut(TimeoutError):
    """A wait reached its timeout. The message names the condition and the last state seen."""


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
            raise TimedOut(f"{what}: not within {timeout_s:.0f} s; last seen: {last_seen()}")
        time.sleep(pause_s)


def pause(seconds: float) -> None:
    threading.Event().wait(seconds)
