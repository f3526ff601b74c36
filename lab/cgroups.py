"""The lab's cgroups: one name in every hierarchy of the host, cgroup v1 or v2."""

import time
from pathlib import Path

from lab.errors import ELSEWHERE, LabError

NAME = "git-to-pod-lab"  # as cgroupRoot in config/kubelet.yaml
CONTROLLERS = {"cpu", "cpuset", "hugetlb", "memory", "pids"}  # that the kubelet asks for, where the host has them


def hierarchies() -> list[Path]:
    """Where the host has its cgroup hierarchies with controllers mounted."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [Path(point) for _, point, kind, *_ in mounts if kind in ("cgroup", "cgroup2")]


def create() -> None:
    """Make the lab's cgroup in every hierarchy; the kubelet expects its root to exist."""
    found = hierarchies()
    if not found:
        raise LabError(f"no cgroup hierarchy is mounted; the kubelet needs one in /sys/fs/cgroup: mount it {ELSEWHERE}")
    try:
        for hierarchy in found:
            _hand_down(hierarchy)
            (hierarchy / NAME).mkdir(exist_ok=True)
    except OSError as error:
        raise LabError(
            f"cgroup {hierarchy / NAME} cannot be made ({error.strerror}): run as root, not in a container {ELSEWHERE}"
        ) from error


def _hand_down(hierarchy: Path) -> None:
    """cgroup v2: a cgroup has the controllers that the one above hands down, and the host's may not do so by itself."""
    handed_down = hierarchy / "cgroup.subtree_control"
    if handed_down.exists():
        there = set((hierarchy / "cgroup.controllers").read_text().split())
        if missing := (there & CONTROLLERS) - set(handed_down.read_text().split()):
            handed_down.write_text(" ".join(f"+{controller}" for controller in sorted(missing)))


def remove(timeout_s: float = 10) -> None:
    """Remove the lab's cgroups, innermost first. A cgroup is busy until the kernel has reaped its last process."""
    deadline = time.monotonic() + timeout_s
    while left := [hierarchy / NAME for hierarchy in hierarchies() if (hierarchy / NAME).exists()]:
        for top in left:
            inner = sorted((path for path in top.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts))
            for group in (*inner, top):
                try:
                    group.rmdir()
                except OSError as error:
                    busy = f"{group}: {error.strerror}"
        if time.monotonic() > deadline:
            raise LabError(f"cgroups still busy after {timeout_s:.0f} s ({busy}): run scripts/lab down again")
        time.sleep(0.02)
