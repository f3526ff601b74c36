"""The process that owns a running lab: it builds and starts the lab, answers commands and finally cleans up.

It ends on SIGTERM, SIGINT and the command `down`; with --owned, also when the other end of its standard input closes.
lab.client starts it. It prints its progress on standard output and closes that once the lab is up. Its standard error
is a log file.
"""

import argparse
import contextlib
import fcntl
import json
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Listener
from pathlib import Path
from types import FrameType
from typing import IO

from lab import build, cgroups, gitea, githost, images, kwok, network, node, pki, store, versions
from lab.errors import LabError
from lab.namespace import Namespace
from lab.paths import CACHE, LOCK, LOGS, RUN, STATE
from lab.process import Process
from lab.state import Lab
from lab.tools import Runner

CONTROL = RUN / "control"  # a socket that receives (verb, component name)


@dataclass(frozen=True)
class Parts:
    """All that a lab is made of: its programs, the folders of Gitea and KWOK if it has them, and its images."""

    built: build.Built
    extras: tuple[Path, Path] | None
    images: list[images.Image]
    store: Path


class Supervisor:
    """A lab, from its build to its end."""

    def __init__(self, minor: str, archives: Path | None, *, with_extras: bool) -> None:
        self._minor = minor  # of Kubernetes
        self._archives = archives
        self._with_extras = with_extras
        self._began = time.monotonic()
        self._spaces: list[Namespace] = []
        self._processes: dict[str, Process] = {}
        self._ending = threading.Event()

    def start(self) -> None:
        """Start the lab and write the state file, by which other processes find it."""
        build.check_host(self._minor)
        parts = self._build()
        build_s = self._elapsed_s()
        clear_leftovers()
        network.check_free()
        LOGS.mkdir(parents=True)
        self._report("starting the node and the git host")
        start_s = self._elapsed_s()
        kubernetes = self._start_node_and_git_host(parts)
        ready_s = self._elapsed_s() - start_s
        self._report(f"node Ready, {len(parts.images)} images imported, after {ready_s:.1f} s")
        if parts.extras:
            self._start_extras(*parts.extras)
        kubernetes.wait_dns()
        up_s = self._elapsed_s() - start_s
        self._write_state(parts.images, {"build": build_s, "node_ready": ready_s, "lab_up": up_s})
        self._report(f"lab up, after {up_s:.1f} s")

    def _build(self) -> Parts:
        runner = Runner(self._report)
        built = build.build(runner, self._minor)
        extras = build.build_extras(runner) if self._with_extras else None
        resolved = images.resolve(built, self._archives, runner)
        return Parts(built, extras, resolved, store.prepare(built, resolved, self._report))

    def _start_node_and_git_host(self, parts: Parts) -> node.Node:
        cgroups.create()
        for enter in (node.enter, githost.enter):
            self._spaces.append(enter(parts.built.root, parts.built.parts))
        node_space, git_space = self._spaces
        network.connect(node_space, git_space)
        store.copy(parts.store, node.DISK / "containerd")
        self._processes.update(githost.start(git_space))
        kubernetes = node.Node(node_space)
        kubernetes.start()
        self._processes.update(kubernetes.processes)
        return kubernetes

    def _start_extras(self, gitea_folder: Path, kwok_folder: Path) -> None:
        node_space, git_space = self._spaces
        self._processes["gitea"] = gitea.start(git_space, gitea_folder)
        self._processes["kwok"] = kwok.start(node_space, kwok_folder)

    def wait(self, *, owned: bool) -> None:
        """Serve commands until `down`. If owned, return also once the owner is gone."""
        threading.Thread(target=self._serve, daemon=True).start()
        while not self._ending.wait(0.2):
            if owned and _input_has_ended():
                return
            for space in self._spaces:
                if not Path(f"/proc/{space.pid}").exists():
                    raise LabError(f"namespace {space.name} ended unexpectedly; see scripts/lab logs")

    def stop(self) -> None:
        """Kill the namespaces; wait until their interfaces are gone; remove the cgroups."""
        STATE.unlink(missing_ok=True)
        for space in self._spaces:
            space.kill()
        deadline = time.monotonic() + 10
        while network.links_left() and time.monotonic() < deadline:
            time.sleep(0.02)
        cgroups.remove()

    def _serve(self) -> None:
        with Listener(str(CONTROL)) as listener:
            while True:
                with contextlib.suppress(OSError, EOFError), listener.accept() as connection:
                    connection.send(self._execute(*connection.recv()))

    def _execute(self, verb: str, name: str) -> str:
        """Carry out a command. Return "" or the error."""
        if verb == "down":
            self._ending.set()
            return ""
        if name not in self._processes:
            return f"no component {name!r}; available: {', '.join(sorted(self._processes))}"
        if verb not in ("stop", "start", "restart"):
            return f"no command {verb!r}; available: down, stop, start, restart"
        try:
            if verb != "start":
                self._processes[name].stop()
            if verb != "stop":
                self._processes[name].start()
        except LabError as error:
            return str(error)
        return ""

    def _write_state(self, resolved: list[images.Image], timings_s: dict[str, float]) -> None:
        node_space, git_space = self._spaces
        lab = Lab(
            context=pki.CONTEXT,
            kubeconfig=str(node.KUBECONFIG),
            repository=githost.REPOSITORY,
            push_url=githost.PUSH_URL,
            ssh_repository=githost.SSH_REPOSITORY,
            ssh_push_url=githost.SSH_PUSH_URL,
            git_credentials=str(githost.CREDENTIALS[githost.READER]),
            push_credentials=str(githost.CREDENTIALS[githost.WRITER]),
            proxied_repository=githost.PROXIED_REPOSITORY,
            proxy_api=githost.PROXY_API,
            git_passwords=str(githost.PASSWORDS),
            access_log=str(githost.ACCESS_LOG),
            gitea=gitea.STATE if self._with_extras else {},
            simulated_nodes=kwok.LABEL if self._with_extras else {},
            kubernetes=versions.KUBERNETES[self._minor],
            images=[image.public() for image in resolved],
            timings_s={name: round(seconds, 3) for name, seconds in timings_s.items()},
            node_pid=node_space.pid,
            git_pid=git_space.pid,
        )
        temporary = STATE.with_suffix(".making")
        temporary.write_text(json.dumps(asdict(lab), indent=2))
        temporary.rename(STATE)

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._began

    def _report(self, line: str) -> None:
        print(f"lab {self._elapsed_s():6.1f} s  {line}", flush=True)


def _input_has_ended() -> bool:
    """Whether the other end of standard input is closed. Nothing is ever written to it."""
    return bool(select.select([sys.stdin], [], [], 0)[0]) and not os.read(sys.stdin.fileno(), 1)


def clear_leftovers() -> None:
    """Remove the files and cgroups of a lab that was killed. The caller must be sure that no lab is running."""
    cgroups.remove()
    build.remove(RUN)


def main() -> int:
    """Run a lab from its start to its end. Exit status: 0 or 1 (failed; the last line printed gives the reason)."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kubernetes", default=versions.DEFAULT)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--extras", action="store_true")
    parser.add_argument("--owned", action="store_true")
    arguments = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    with LOCK.open("a+") as lock:  # until this process ends
        if not _acquire(lock):
            print("error: a lab is running already: use it, or stop it with scripts/lab down", flush=True)
            return 1
        supervisor = Supervisor(arguments.kubernetes, arguments.images, with_extras=arguments.extras)
        return _run(supervisor, owned=arguments.owned)


def _acquire(lock: IO[str]) -> bool:
    """Lock the file and write this process's id into it. Return whether no other process holds the lock."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return True


def _run(supervisor: Supervisor, *, owned: bool) -> int:
    """Start the lab, serve until its end and clean up. Return the exit status."""
    _on_signals(_interrupt)
    try:
        supervisor.start()
        _end_progress()
        supervisor.wait(owned=owned)
    except KeyboardInterrupt:
        return 0
    except LabError as error:
        with contextlib.suppress(OSError):
            print(f"error: {error}", flush=True)
        return 1
    finally:
        _on_signals(signal.SIG_IGN)  # a signal must not interrupt the clean-up
        supervisor.stop()
    return 0


def _on_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end_progress() -> None:
    """Close the pipe to lab.client, which is the sign that the lab is up. What is printed later goes into the log."""
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
