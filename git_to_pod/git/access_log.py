"""When git-sync polled: the git host's access log, on this process's monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Request:
    """A request to the git host: one line of its access log."""

    started: float  # seconds on this process's monotonic clock, as is `ended`
    ended: float
    address: str
    user: str
    status: int
    method: str
    uri: str

    @property
    def is_poll(self) -> bool:
        """A poll begins with a request for the refs: once without, then with credentials."""
        return self.method == "GET" and "/info/refs" in self.uri and "service=git-upload-pack" in self.uri

    @property
    def is_push(self) -> bool:
        return self.method == "POST" and self.uri.endswith("/git-receive-pack") and self.status == 200


def parse(line: str, offset: float) -> Request | None:
    """Parse `<unix time at the end> <seconds taken> <address> <user> <status> <method> <uri>`; None for other lines."""
    parts = line.split()
    if len(parts) != 7:
        return None
    try:
        ended, taken, status = float(parts[0]) - offset, float(parts[1]), int(parts[4])
    except ValueError:
        return None
    return Request(ended - taken, ended, parts[2], parts[3], status, parts[5], parts[6])


class AccessLog:
    """The access log from now on. Without a log, no poll is known."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.position = path.stat().st_size if path else 0
        self.requests: list[Request] = []

    def read(self) -> list[Request]:
        """Read the lines written since the last call, and return all requests so far."""
        if self.path:
            with self.path.open() as log:
                log.seek(self.position)
                text = log.read()
            whole = text[: text.rfind("\n") + 1]  # the last line may be incomplete
            self.position += len(whole.encode())
            offset = time.time() - time.monotonic()  # anew at each read: the wall clock may be set during a run
            self.requests += [request for line in whole.splitlines() if (request := parse(line, offset))]
        return self.requests

    def polled(self, pushed: float, seen: float) -> float | None:
        """The start of the poll that found the pushed commit, or None."""
        return poll_that_brought(self.read(), pushed, seen)


def poll_that_brought(requests: Iterable[Request], pushed: float, seen: float) -> float | None:
    """The start of the first poll after the push reached the repository, at least `pushed`; None without such a poll.

    A push has reached the repository when its request ends in the log, some milliseconds before `git push` returns.
    A poll in between counts as a wait of zero. So does a poll that began during the push and yet saw the new ref:
    it is the last one before the commit was seen elsewhere, for example published.
    """
    known = sorted(requests, key=lambda request: request.started)
    pushes = [request for request in known if request.is_push and request.ended <= pushed + 0.05]
    received = max((push.ended for push in pushes), default=pushed)
    begun = max((push.started for push in pushes), default=pushed)
    polls = [request.started for request in known if request.is_poll]
    later = [poll for poll in polls if poll >= received]
    if later and later[0] <= seen:
        return max(later[0], pushed)
    during = [poll for poll in polls if begun <= poll <= seen]
    return max(during[-1], pushed) if during else None
