"""Traces of a lab on this machine. A lab that has ended must leave none."""

import time
from collections.abc import Callable
from pathlib import Path

from lab import cgroups, network, paths
from tests.processes import command_line, running


def traces() -> list[str]:
    """A lab's network interfaces, cgroups, mounts, routes and processes, one line each."""
    found = [f"interface {name}" for name in network.links_left()]
    found += [f"cgroup {path / cgroups.NAME}" for path in cgroups.hierarchies() if (path / cgroups.NAME).exists()]
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    found += [f"mount {line}" for line in mounts if str(paths.CACHE) in line]
    lab_network = bytes([198, 18])[::-1].hex().upper()  # /proc/net/route writes addresses backwards
    routes = Path("/proc/net/route").read_text().splitlines()
    found += [f"route {line}" for line in routes if f"0000{lab_network}" in line]
    found += [f"process {pid}: {' '.join(command_line(pid))[:100]}" for pid in running() if is_of_the_lab(pid)]
    return found


def is_of_the_lab(pid: int) -> bool:
    """Whether it is the supervisor, one of the programs that the lab built, or one of those in the node's own root."""
    process = Path(f"/proc/{pid}")
    try:
        program, mounts = str((process / "exe").readlink()), (process / "ns" / "mnt").readlink()
    except OSError:  # it has ended, or is a kernel thread
        return False
    if program.startswith("/opt/parts/"):  # another program of this machine may be there, too
        return mounts != Path("/proc/self/ns/mnt").readlink()
    return program.startswith(str(paths.CACHE / "go")) or "lab.supervisor" in command_line(pid)


def until(what: str, condition: Callable[[], object], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:.0f} s; left: {traces()}"
        time.sleep(0.05)
