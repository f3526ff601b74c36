"""The lab's cgroup, which has the same name in every hierarchy of the host (cgroup v1 or v2)."""

import time
from pathlib import Path

from lab.errors import ELSEWHERE, LabError

NAME = "git-to-pod-lab"  # as cgroupRoot in config/kubelet.yaml
CONTROLLERS = {"cpu", "cpuset", "hugetlb", "memory", "pids"}  # the kubelet uses those that the host has


def hierarchies() -> list[Path]:
    """The mount points of the host's cgroup hierarchies."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [Path(point) for _, point, kind, *_ in mounts if kind in ("cgroup", "cgroup2")]


def create() -> None:
    """Create the lab's cgroup in every hierarchy. The kubelet expects its root cgroup to exist."""
    found = hierarchies()
    if not found:
        raise LabError(f"no cgroup hierarchy is mounted; the kubelet needs one: mount it at /sys/fs/cgroup {ELSEWHERE}")
    try:
        for hierarchy in found:
            _enable_controllers(hierarchy)
            (hierarchy / NAME).mkdir(exist_ok=True)
    except OSError as error:
        raise LabError(
            f"cannot create cgroup {hierarchy / NAME} ({error.strerror}): run as root outside a container {ELSEWHERE}"
        ) from error


def _enable_controllers(hierarchy: Path) -> None:
    """With cgroup v2, enable the controllers for child cgroups. The host's root cgroup may not do so by itself."""
    control = hierarchy / "cgroup.subtree_control"
    if control.exists():
        available = set((hierarchy / "cgroup.controllers").read_text().split())
        if missing := (available & CONTROLLERS) - set(control.read_text().split()):
            control.write_text(" ".join(f"+{controller}" for controller in sorted(missing)))


def remove(timeout_s: float = 10) -> None:
    """Remove the lab's cgroups, innermost first. A cgroup stays busy until its last process has been reaped."""
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
            raise LabError(f"the lab's cgroups are busy after {timeout_s:.0f} s ({busy}): run scripts/lab down again")
        time.sleep(0.02)
