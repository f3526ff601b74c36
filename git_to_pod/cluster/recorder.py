"""Watch events of one namespace, each with the monotonic instant of its receipt, and waits on them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from git_to_pod.cluster.api import Cluster, Object
from git_to_pod.cluster.paths import api_path
from git_to_pod.cluster.reflector import Reflector
from git_to_pod.cluster.waiting import TimedOut

Found = TypeVar("Found")
WATCHED = ("Deployment", "ReplicaSet", "Pod", "ConfigMap", "EndpointSlice")


@dataclass(frozen=True)
class Event:
    """A watch event. `instant` is its receipt, on the monotonic clock in seconds."""

    instant: float
    kind: str
    type: str  # ADDED, MODIFIED or DELETED
    object: Object

    @property
    def name(self) -> str:
        return str(self.object["metadata"]["name"])


BEGAN = time.monotonic()  # the zero of all seconds that a run writes to its CSV files


class WatchEnded(RuntimeError):
    """A watch ended by a fault of this program, so that no more of its events will come."""


class Recorder:
    """All events so far, in order of receipt, and the latest state of each object."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.events: list[Event] = []
        self.state: dict[tuple[str, str], Object] = {}
        self.heard = threading.Condition()
        self.stopped = threading.Event()
        self.reflectors: dict[str, Reflector] = {}  # by kind
        self.ended = ""  # why a watch ended for good

    def follow(self, cluster: Cluster, namespace: str) -> None:
        """Watch each kind in a thread until stop(), which is for the recorder's owner to call."""
        for kind in WATCHED:

            def see(instant: float, change: str, item: Object, kind: str = kind) -> None:
                self.see(Event(instant, kind, change, item))

            self.reflectors[kind] = Reflector(cluster, api_path(kind, namespace), see)
            threading.Thread(target=self.run, args=(kind,), name=f"watch {kind}", daemon=True).start()

    def run(self, kind: str) -> None:
        try:
            self.reflectors[kind].run()
        except Exception as error:  # noqa: BLE001  # whoever waits for an object is shown it
            with self.heard:
                self.ended = f"the watch of {kind} objects ended: {type(error).__name__}: {error}"
                self.heard.notify_all()

    def see(self, event: Event) -> None:
        event.object["metadata"].pop("managedFields", None)  # large, and nobody reads them
        with self.heard:
            self.events.append(event)
            if event.type == "DELETED":
                self.state.pop((event.kind, event.name), None)
            else:
                self.state[event.kind, event.name] = event.object
            self.heard.notify_all()

    def stop(self) -> None:
        """End the watches. Their threads end within a second."""
        self.stopped.set()
        for reflector in self.reflectors.values():
            reflector.stop()

    def failing(self) -> str:
        """Which watches fail and why, for a timeout's message."""
        errors = {kind: reflector.error for kind, reflector in self.reflectors.items() if reflector.error}
        if not errors:
            return ""
        kinds, first = ", ".join(errors), next(iter(errors.values()))
        if len(errors) == 1:
            return f"; the watch of {kinds} objects fails: {first}"
        return f"; the watches of {kinds} objects fail, the first one with: {first}"

    def get(self, kind: str, name: str) -> Object | None:
        return self.state.get((kind, name))

    def all(self, kind: str, **labels: str) -> list[Object]:
        with self.heard:
            found = [item for (its_kind, _), item in self.state.items() if its_kind == kind]
        return [item for item in found if labels.items() <= item["metadata"].get("labels", {}).items()]

    def wait_for(
        self,
        what: str,
        condition: Callable[[], Found | None],
        timeout_s: float,
        last_seen: Callable[[], str],
        since: float | None = None,
    ) -> Found:
        """Wait until the condition is true after some event, and return its value. Raises TimedOut and WatchEnded.

        The timeout counts from `since`, by default from now.
        """
        limit = (self.clock() if since is None else since) + timeout_s
        with self.heard:
            while not (found := condition()):
                if self.ended:
                    raise WatchEnded(f"{what}: {self.ended}")
                left = limit - self.clock()
                if left <= 0:
                    raise TimedOut(f"{TimedOut.of(what, timeout_s, last_seen())}{self.failing()}")
                self.heard.wait(left)
        return found
