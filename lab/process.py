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
    """A program and its readiness check. `ready` returns "" once the program is ready, else what it last saw."""

    name: str
    arguments: list[str]
    ready: Callable[[], str] = lambda: ""
    timeout_s: float = 60


class Process:
    """A started component. Its output is appended to `<logs>/<name>.log`."""

    def __init__(self, space: Namespace, component: Component, logs: Path) -> None:
        self.component = component
        self._space = space
        self._log = logs / f"{component.name}.log"
        self._launching = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._keeper: threading.Thread | None = None
        self._ending = threading.Event()  # a new one for each start, so that no keeper outlives its start
        self.start()

    def start(self) -> None:
        """Start the program and keep it running until `stop`. Does nothing if it is running."""
        if self._keeper is None or not self._keeper.is_alive():
            self._launch()
            self._ending = threading.Event()
            arguments = (self._ending,)
            self._keeper = threading.Thread(target=self._keep, args=arguments, daemon=True, name=self.component.name)
            self._keeper.start()

    def stop(self, timeout_s: float = 10) -> None:
        """End the program and do not restart it. Send SIGTERM, then SIGKILL after `timeout_s`.

        Return once the program has ended. Raise LabError if SIGKILL does not end it within 5 s.
        """
        if self._keeper is None or self._child is None:
            return
        with self._launching:  # after this, the keeper launches nothing
            self._ending.set()
        for number, limit_s in ((signal.SIGTERM, timeout_s), (signal.SIGKILL, 5.0)):
            for pid in _started_by(self._child) or [self._child.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(limit_s)
                break
        else:
            raise LabError(f"{self.component.name} (process {self._child.pid}) did not end within 5 s of SIGKILL")
        self._keeper.join()

    def wait_ready(self) -> None:
        """Wait until the component is ready. Raise LabError with the end of its log if it is not in time."""
        deadline = time.monotonic() + self.component.timeout_s
        while (seen := self.component.ready()) and time.monotonic() < deadline:
            if self._child is not None and self._child.poll() is not None:
                break
            time.sleep(0.02)
        if seen:
            tail = " | ".join(self._log.read_text(errors="replace").strip().splitlines()[-3:])
            raise LabError(f"{self.component.name} is not ready: {seen}. Its log ends: {tail or 'nothing'}")

    def _launch(self) -> None:
        with self._log.open("ab") as out:
            self._child = self._space.start(*self.component.arguments, out=out)

    def _keep(self, ending: threading.Event) -> None:
        while self._child is not None:
            self._child.wait()
            ending.wait(RESTART_AFTER_S)
            with self._launching:
                if ending.is_set() or not Path(f"/proc/{self._space.pid}").exists():
                    return
                self._launch()


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
