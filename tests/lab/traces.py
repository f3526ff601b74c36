"""Traces of a lab on this machine. A lab that has ended must leave none."""

import time
from collections.abc import Callable
from pathlib import Path

from lab import cgroups, network, paths


def traces() -> list[str]:
    """A lab's network interfaces, cgroups, mounts, routes and processes, one line each."""
    found = [f"interface {name}" for name in network.links_left()]
    found += [f"cgroup {path / cgroups.NAME}" for path in cgroups.hierarchies() if (path / cgroups.NAME).exists()]
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    found += [f"mount {line}" for line in mounts if str(paths.CACHE) in line]
    lab_network = bytes([198, 18])[::-1].hex().upper()  # /proc/net/route writes addresses backwards
    routes = Path("/proc/net/route").read_text().splitlines()
    found += [f"route {line}" for line in routes if f"0000{lab_network}" in line]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            program, words = str((process / "exe").readlink()), (process / "cmdline").read_bytes()
        except OSError:  # it has ended, or is a kernel thread
            continue
        if program.startswith((str(paths.CACHE / "go"), "/opt/parts")) or b"lab.supervisor" in words:
            found.append(f"process {process.name}: {words.replace(bytes(1), b' ').decode(errors='replace')[:100]}")
    return found


def until(what: str, condition: Callable[[], object], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:.0f} s; left: {traces()}"
        time.sleep(0.05)
