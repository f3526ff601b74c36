"""A long-running program in a namespace: start it, wait until it is ready, restart it when it exits, stop it."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.namespace import Namespace

RESTART_AFTER_S = 0.5


@dataclass(frozen=True)
class Component:
    """A program and its readiness check, which returns "" once the program is ready, else why it is not."""

    name: str
    arguments: list[str]
    readiness_error: Callable[[], str] = lambda: ""
    timeout_s: float = 60


class Process:
    """A started component. Its output is appended to `<logs>/<name>.log`."""

    def __init__(self, space: Namespace, component: Component, logs: Path) -> None:
        self.component = component
        self._space = space
        self._log = logs / f"{component.name}.log"
        self._launching = threading.Lock()
        self._launch()
        self._watch()

    def start(self) -> None:
        """Start the program and keep it running until `stop`. Does nothing if it is running."""
        if not self._watcher.is_alive():
            self._launch()
            self._watch()

    def wait_ready(self) -> None:
        """Wait until the component is ready. Raise LabError if it exits or is not ready in time."""
        deadline = time.monotonic() + self.component.timeout_s
        while error := self.component.readiness_error():
            if self._child.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"{self.component.name} is not ready: {error}. Its log ends: {self._end_of_log()}")
            time.sleep(0.02)

    def stop(self, timeout_s: float = 10) -> None:
        """End the program and do not restart it. Send SIGTERM, then SIGKILL after `timeout_s`.

        Return once the program has ended. Raise LabError if SIGKILL does not end it within 5 s.
        """
        with self._launching:  # after this, the watcher launches nothing
            self._stopping.set()
        if not self._signal(signal.SIGTERM, timeout_s) and not self._signal(signal.SIGKILL, 5):
            raise LabError(f"{self.component.name} (process {self._child.pid}) did not end within 5 s of SIGKILL")
        self._watcher.join()

    def _launch(self) -> None:
        with self._log.open("ab") as out:
            self._child = self._space.start(*self.component.arguments, out=out)

    def _watch(self) -> None:
        self._stopping = threading.Event()  # a new one for each start, so that no watcher outlives its start
        arguments = (self._stopping,)
        self._watcher = threading.Thread(
            target=self._restart_on_exit, args=arguments, daemon=True, name=self.component.name
        )
        self._watcher.start()

    def _restart_on_exit(self, stopping: threading.Event) -> None:
        while True:
            self._child.wait()
            stopping.wait(RESTART_AFTER_S)
            with self._launching:
                if stopping.is_set() or not Path(f"/proc/{self._space.pid}").exists():
                    return
                self._launch()

    def _signal(self, number: signal.Signals, timeout_s: float) -> bool:
        """Send a signal to the program. Return whether the program ends in time."""
        pids = _started_by(self._child)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if not pids:
            self._child.send_signal(number)  # does nothing if it has ended
        try:
            self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _end_of_log(self) -> str:
        return " | ".join(self._log.read_text(errors="replace").strip().splitlines()[-3:]) or "nothing"


def _started_by(nsenter: subprocess.Popen[bytes], timeout_s: float = 1) -> list[int]:
    """The children of `nsenter`, which needs a moment to start the program. The list is empty if it has ended."""
    children = Path(f"/proc/{nsenter.pid}/task/{nsenter.pid}/children")
    deadline = time.monotonic() + timeout_s
    pids: list[str] = []
    while not pids and nsenter.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            pids = children.read_text().split()
        time.sleep(0 if pids else 0.005)
    return [int(pid) for pid in pids]
