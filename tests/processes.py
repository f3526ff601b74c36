"""The processes of this machine. One that ends while it is read is like one that has ended."""

from __future__ import annotations

from pathlib import Path


def running() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def has_ended(pid: int) -> bool:
    """Whether it has closed all its files, even if its parent has not waited for it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith(("Z", "X"))
    except OSError:
        return True


def command_line(pid: int) -> list[str]:
    """The program and its arguments, empty for a process that has ended."""
    return strings(pid, "cmdline")


def environment(pid: int) -> list[str]:
    """The variables with which it was started, each as NAME=VALUE."""
    return strings(pid, "environ")


def strings(pid: int, name: str) -> list[str]:
    try:
        content = Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return []
    return content.decode(errors="replace").rstrip("\0").split("\0") if content else []


def children(pid: int) -> list[int]:
    """The processes that the main thread of a process has started."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def started_with(variable: str) -> dict[int, str]:
    """The processes that run with this in their environment: the command line of each."""
    found = [pid for pid in running() if variable in environment(pid)]
    return {pid: " ".join(command_line(pid)) for pid in found}
