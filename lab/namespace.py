"""A process tree in namespaces of its own. Killing its first process removes its processes, mounts and interfaces."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from lab.errors import LabError
from lab.paths import CONFIG

_LIBC = ctypes.CDLL(None)  # loaded before any fork


class Namespace:
    """One process tree with its own mounts, network and process ids; `root` is the folder it sees as /.

    `binds` maps paths inside to folders outside. The root itself is read-only.
    """

    def __init__(self, name: str, root: Path, parts: Path, binds: Mapping[str, Path], log: Path) -> None:
        self.name = name
        arguments = [f"{outside}={inside}" for inside, outside in binds.items()]
        with log.open("wb") as out:
            self._unshare = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child=SIGKILL",
                 "sh", str(CONFIG / "enter.sh"), str(root), str(parts), *arguments],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=die_with_parent,
            )  # fmt: skip
        self._log = log
        self.pid = self._wait_until_entered()

    def _wait_until_entered(self) -> int:
        deadline = time.monotonic() + 10
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children")
        while time.monotonic() < deadline and self._unshare.poll() is None:
            pids = children.read_text().split()
            if pids and Path(f"/proc/{pids[0]}/comm").read_text().strip() == "pause":
                return int(pids[0])
            time.sleep(0.005)
        self.kill()
        last = self._log.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing"]
        raise LabError(f"namespace {self.name} was not entered within 10 s; its last line: {last[0]}")

    def command(self, *arguments: str, network_of: int | None = None) -> list[str]:
        """The command line that runs `arguments` inside, or with the network of another process."""
        network = f"--net=/proc/{network_of or self.pid}/ns/net"
        return ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--ipc", "--uts", network, "--", *arguments]

    def run(
        self, *arguments: str, network_of: int | None = None, stdin: str | None = None, timeout_s: float = 30
    ) -> str:
        """Run a command inside to its end and return what it printed."""
        done = subprocess.run(
            self.command(*arguments, network_of=network_of),
            input=stdin, capture_output=True, text=True, timeout=timeout_s,
        )  # fmt: skip
        if done.returncode:
            raise LabError(f"{self.name}: {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def start(self, *arguments: str, out: IO[Any]) -> subprocess.Popen[bytes]:
        """Start a long-running command inside."""
        return subprocess.Popen(
            self.command(*arguments), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )

    def kill(self) -> None:
        """End everything inside, at once."""
        self._unshare.kill()  # its child dies with it, and every process inside with that
        self._unshare.wait()


def die_with_parent() -> None:
    """A supervisor that is killed outright takes the namespaces with it."""
    pr_set_pdeathsig = 1
    _LIBC.prctl(pr_set_pdeathsig, signal.SIGKILL)
    os.setsid()
