"""When git-sync asked, from the git host's own access log, on this process's clock."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Request:
    """One line of the log: a request to the git host."""

    started: float  # on this process's monotonic clock, like `ended`
    ended: float
    address: str
    user: str
    status: int
    method: str
    uri: str

    @property
    def is_poll(self) -> bool:
        """git asks for the refs before anything else: first without, then with credentials."""
        return self.method == "GET" and "/info/refs" in self.uri and "service=git-upload-pack" in self.uri

    @property
    def is_push(self) -> bool:
        return self.method == "POST" and self.uri.endswith("/git-receive-pack") and self.status == 200


def parse(line: str, offset: float) -> Request | None:
    """`<unix time at the end> <seconds taken> <address> <user> <status> <method> <uri>`; None for anything else."""
    parts = line.split()
    if len(parts) != 7:
        return None
    try:
        ended, taken, status = float(parts[0]) - offset, float(parts[1]), int(parts[4])
    except ValueError:
        return None
    return Request(ended - taken, ended, parts[2], parts[3], status, parts[5], parts[6])


class GitLog:
    """The log from now on; where there is none, nothing is known of the polls."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.position = path.stat().st_size if path else 0
        self.requests: list[Request] = []
        # Both clocks are this machine's: the lab's git host runs on it too.
        self.offset = time.time() - time.monotonic()

    def read(self) -> list[Request]:
        """Take in what was written since."""
        if self.path:
            with self.path.open() as log:
                log.seek(self.position)
                text = log.read()
            whole = text[: text.rfind("\n") + 1]  # the last line may be half written
            self.position += len(whole.encode())
            self.requests += [request for line in whole.splitlines() if (request := parse(line, self.offset))]
        return self.requests

    def polled(self, pushed: float, published: float) -> float | None:
        """When the poll began that brought what was pushed."""
        return poll_that_brought(self.read(), pushed, published)


def poll_that_brought(requests: Iterable[Request], pushed: float, published: float) -> float | None:
    """The first poll that began once the push had reached the repository.

    A push has reached it when the host's log says so, some milliseconds before `git push` returns: a poll in between
    makes a wait of nothing. A poll that began before that, and still saw the new ref, shows by what was published.
    """
    known = sorted(requests, key=lambda request: request.started)
    pushes = [request for request in known if request.is_push and request.ended <= pushed + 0.05]
    received = max((push.ended for push in pushes), default=pushed)
    begun = max((push.started for push in pushes), default=pushed)
    polls = [request.started for request in known if request.is_poll]
    later = [poll for poll in polls if poll >= received]
    if later and later[0] <= published:
        return max(later[0], pushed)
    during = [poll for poll in polls if begun <= poll <= published]
    return max(during[-1], pushed) if during else None
