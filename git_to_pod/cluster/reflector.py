"""A reflector, as client-go has it: it lists the objects of a path, and follows their changes from there."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

from git_to_pod.cluster.api import ApiError, Cluster, Lines, Object, Unreachable

WATCH_S = 300
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
LONGEST_OUTAGE_PAUSE_S = 1.0  # recovery times are measured by these watches


class Reflector:
    """Reports each change once: `see(instant, type, object)`, with type ADDED, MODIFIED or DELETED."""

    def __init__(self, cluster: Cluster, path: str, see: Callable[[float, str, Object], None]) -> None:
        self.cluster = cluster
        self.path = path
        self.see = see
        self.error = ""  # why the watch is not open
        self.status: int | None = None  # of the last error; 0: no answer
        self.failures = 0  # with this status, since the last event
        self.stopped = threading.Event()
        self.version = ""  # the resourceVersion to go on from; empty: list first
        self.known: dict[str, Object] = {}  # by uid
        self.stream: Lines | None = None

    def run(self) -> None:
        """List and follow until stop(). After an error, go on after a pause."""
        while not self.stopped.is_set():
            try:
                if not self.version:
                    self.list()
                self.follow()
            except Unreachable as error:
                self.back_off(error)
            except ApiError as error:  # 410 Gone among them: the resourceVersion has expired
                self.version = ""
                self.back_off(error)

    def list(self) -> None:
        """Report how the objects differ from those that are known. Raises ApiError and Unreachable."""
        answer = self.cluster.get(self.path)
        instant = time.monotonic()
        try:
            version = answer["metadata"]["resourceVersion"]
            listed = {uid_of(item): item for item in answer["items"] or []}
            versions = {uid: version_of(item) for uid, item in listed.items()}
        except (KeyError, TypeError):
            raise ApiError("GET", self.path, 200, json.dumps(answer).encode()) from None
        for uid in [uid for uid in self.known if uid not in listed]:  # before an object of the same name is added
            self.report(instant, "DELETED", self.known[uid])
        for uid, item in listed.items():
            if uid not in self.known:
                self.report(instant, "ADDED", item)
            elif version_of(self.known[uid]) != versions[uid]:
                self.report(instant, "MODIFIED", item)
        self.version = version

    def follow(self) -> None:
        """Report the events of one watch until the server ends it. Raises ApiError and Unreachable."""
        query = {"watch": "1", "resourceVersion": self.version, "timeoutSeconds": str(WATCH_S)}
        opened, seen = time.monotonic(), False
        self.stream = self.cluster.lines(self.path, WATCH_S + 10, allowWatchBookmarks="true", **query)
        if self.stopped.is_set():  # before there was a stream to close
            self.stream.close()
        self.error = ""
        for instant, line in self.stream:
            self.take(instant, line)
            seen, self.status = True, None
        if not seen and time.monotonic() - opened < 1:
            raise Unreachable(self.cluster.server, ConnectionError("it ended the watch at once"))

    def take(self, instant: float, line: bytes) -> None:
        """One event. Raises ApiError if it is an error, or broken."""
        try:
            event = json.loads(line)
            change, item = event["type"], event["object"]
            if change == "ERROR":
                raise ApiError("GET", self.path, item["code"], json.dumps(item).encode())
            version = version_of(item)
            if change != "BOOKMARK":
                uid_of(item)
        except (ValueError, KeyError, TypeError):
            raise ApiError("GET", self.path, 200, line) from None
        if change != "BOOKMARK":
            self.report(instant, change, item)
        self.version = version

    def report(self, instant: float, change: str, item: Object) -> None:
        if self.stopped.is_set():
            return
        if change == "DELETED":
            self.known.pop(uid_of(item), None)
        else:
            self.known[uid_of(item)] = item
        self.see(instant, change, item)

    def back_off(self, error: ApiError | Unreachable) -> None:
        """Pause, for twice as long each time that the same error comes again."""
        if self.stopped.is_set():  # stop() closed the stream
            return
        status = error.status if isinstance(error, ApiError) else 0
        self.failures = self.failures + 1 if status == self.status else 0
        self.status, self.error = status, str(error)
        longest_s = LONGEST_PAUSE_S if status else LONGEST_OUTAGE_PAUSE_S
        self.stopped.wait(min(FIRST_PAUSE_S * 2 ** min(self.failures, 10), longest_s))

    def stop(self) -> None:
        """End run(), also while it waits for an event."""
        self.stopped.set()
        if self.stream:
            self.stream.close()


def uid_of(item: Object) -> str:
    return str(item["metadata"]["uid"])


def version_of(item: Object) -> str:
    return str(item["metadata"]["resourceVersion"])
