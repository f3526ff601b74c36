"""One long-running program in a namespace: started, watched until it answers, restarted when it ends by itself."""

import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.namespace import Namespace


@dataclass(frozen=True)
class Component:
    """A program and how to tell that it works. `ready` returns "" once it does, else what it last saw."""

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
        self._wanted = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start the program and keep it running until `stop`."""
        if not self._wanted.is_set():
            self._wanted.set()
            self._launch()
            threading.Thread(target=self._keep, daemon=True, name=self.component.name).start()

    def stop(self, timeout_s: float = 10) -> None:
        """End the program, by force if it does not end by itself, and do not restart it."""
        self._wanted.clear()
        child = self._child
        if child is None or child.poll() is not None:
            return
        inner = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()  # nsenter's child
        for signal, limit_s in (("TERM", timeout_s), ("KILL", 5.0)):
            subprocess.run(["kill", f"-{signal}", *inner], check=False, stderr=subprocess.DEVNULL)
            try:
                child.wait(limit_s)
                return
            except subprocess.TimeoutExpired:
                continue

    def wait_ready(self) -> None:
        """Wait until the component answers; raise with its last words otherwise."""
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

    def _keep(self) -> None:
        while self._child is not None:
            self._child.wait()
            time.sleep(0.5)
            if not self._wanted.is_set() or not Path(f"/proc/{self._space.pid}").exists():
                return
            self._launch()
