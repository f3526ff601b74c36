"""A process tree in Linux namespaces. Killing its first process removes its processes, mounts and interfaces."""

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from lab.child import die_with_parent
from lab.errors import LabError
from lab.paths import CONFIG


class Namespace:
    """A process tree with its own mounts, network and process ids. `root` becomes its `/`, which is read-only.

    `binds` maps paths inside the namespace to folders on the host.
    """

    def __init__(self, name: str, root: Path, parts: Path, binds: Mapping[str, Path], log: Path) -> None:
        self.name = name
        arguments = [f"{outside}={inside}" for inside, outside in binds.items()]
        with log.open("wb") as out:
            self._unshare = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child=SIGKILL",
                 "sh", str(CONFIG / "enter.sh"), str(root), str(parts), *arguments],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True, preexec_fn=die_with_parent(),
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
        raise LabError(f"namespace {self.name} did not start within 10 s; its log ends: {last[0]}")

    def command(self, *arguments: str, network_of: int | None = None) -> list[str]:
        """The command line that runs `arguments` inside. `network_of`: use the network of this process instead."""
        network = f"--net=/proc/{network_of or self.pid}/ns/net"
        return ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--ipc", "--uts", network, "--", *arguments]

    def run(
        self, *arguments: str, network_of: int | None = None, stdin: str | None = None, timeout_s: float = 30
    ) -> str:
        """Run a command inside and return its standard output. Raise LabError if it fails."""
        done = subprocess.run(
            self.command(*arguments, network_of=network_of),
            input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip
        if done.returncode:
            status = f"exited with status {done.returncode}"
            raise LabError(f"{self.name}: {' '.join(arguments)} {status}: {done.stderr.strip()}")
        return done.stdout

    def start(self, *arguments: str, out: IO[Any]) -> subprocess.Popen[bytes]:
        """Start a long-running command inside."""
        return subprocess.Popen(
            self.command(*arguments), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )

    def kill(self) -> None:
        """Kill every process inside."""
        self._unshare.kill()  # the kernel then kills its child, and with that all other processes inside
        self._unshare.wait()
