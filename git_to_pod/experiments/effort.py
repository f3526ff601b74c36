"""What the second notebook measures: which experiments, and how much of each.

The environment variable GIT_TO_POD_EFFORT chooses between everything and the least that runs every step, for the tests.
It is no parameter of the notebook, because a report from the smallest size shows nothing but that the steps work.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from git_to_pod.settings import InputError
from git_to_pod.wording import names

VARIABLE = "GIT_TO_POD_EFFORT"
ONLY = "GIT_TO_POD_ONLY"  # set by --only, also for the notebook's kernel


@dataclass(frozen=True)
class Experiment:
    """An experiment of the second notebook. `minutes`: as long as it took in the recording, on two cores."""

    title: str
    minutes: int


# In the order of the notebook; also the keys of summary.json.
EXPERIMENTS = {
    "faults": Experiment("faults", 12),
    "providers": Experiment("git hosts and authentication", 1),
    "alternatives": Experiment("alternatives", 37),
    "starts": Experiment("new pods while the git host is down", 3),
    "restart": Experiment("how a pod waits for its content", 3),
    "scale": Experiment("cost and size", 13),
    "intervals": Experiment("the poll interval", 8),
    "sizes": Experiment("the size of the content", 8),
    "outages": Experiment("outages of the API server", 50),
    "gitops": Experiment("Flux owns the Deployment", 4),
}


@dataclass(frozen=True)
class Effort:
    """Numbers of measurements. `polls`: pods, poll interval in s, files in the repository, seconds of measuring."""

    faults: tuple[str, ...]  # their keys; empty: all
    git_hosts: int
    candidates: tuple[str, ...]  # their keys; empty: all
    rounds: int  # each with a block of every candidate, in shuffled order
    pushes: int  # in each block
    burst: int
    burst_replicas: tuple[int, ...]
    idle_wait_s: float  # before it: the kubelet's figures may be ten seconds old, from the candidates' start
    idle_s: float
    down_s: float  # how long the git host is down while a new pod, which takes a few seconds otherwise, is to start
    restarts: int  # of each way to wait; the baseline and the deployed way get twice as many
    polls: tuple[tuple[int, int, int, int], ...]
    replicas: tuple[int, ...]
    restarts_of_many: int
    fan_out: tuple[int, ...]  # Deployments
    intervals: tuple[int, ...]  # in s
    pushes_per_interval: int
    sizes: tuple[tuple[int, int], ...]  # MB, and files
    pushes_per_size: int
    outage_lengths_s: tuple[int, ...]
    outages: int  # of each length
    owned_pushes: int  # while Flux owns the Deployment


FULL = Effort(
    faults=(),
    git_hosts=99,
    candidates=(),
    rounds=4,
    pushes=5,
    burst=12,
    burst_replicas=(2, 6),
    idle_wait_s=12.0,
    idle_s=25.0,
    down_s=20.0,
    restarts=8,
    polls=(
        (2, 1, 1, 10),
        (10, 1, 1, 10),
        (20, 1, 1, 10),
        (10, 5, 1, 15),
        (20, 5, 1, 15),
        (40, 5, 1, 15),
        (40, 30, 1, 30),
        (10, 5, 1_000, 15),
        (10, 5, 20_000, 15),
    ),
    replicas=(2, 10, 20, 40),
    restarts_of_many=2,
    fan_out=(1, 50, 200, 500),
    intervals=(1, 5, 10, 30),
    pushes_per_interval=6,
    sizes=((1, 1), (10, 1), (100, 1), (100, 1000), (300, 1), (600, 1)),
    pushes_per_size=3,
    outage_lengths_s=(5, 20),
    outages=10,
    owned_pushes=5,
)
SMALLEST = Effort(
    faults=("git-host-down",),
    git_hosts=1,
    candidates=("deployed", "in-place"),
    rounds=1,
    pushes=1,
    burst=2,
    burst_replicas=(2,),
    idle_wait_s=0.0,
    idle_s=11.0,
    down_s=6.0,
    restarts=1,
    polls=((2, 1, 1, 3), (4, 1, 1, 3)),
    replicas=(2, 3),
    restarts_of_many=1,
    fan_out=(1, 5),
    intervals=(1,),
    pushes_per_interval=1,
    sizes=((1, 1),),
    pushes_per_size=1,
    outage_lengths_s=(2,),
    outages=1,
    owned_pushes=1,
)


def effort() -> Effort:
    """The size that the environment asks for; without the variable, all. Raises InputError."""
    sizes = {"": FULL, "full": FULL, "smallest": SMALLEST}
    size = os.environ.get(VARIABLE, "")
    if size not in sizes:
        raise InputError(f"{VARIABLE}={size}: expected full or smallest; unset it for a full run")
    return sizes[size]


def selected(text: str | None = None) -> list[str]:
    """The experiments that a list with commas names, or else the environment; without any, all. Raises InputError."""
    given = os.environ.get(ONLY, "") if text is None else text
    wanted = [name.strip() for name in given.split(",")] if given or text is not None else list(EXPERIMENTS)
    if unknown := [name for name in wanted if name not in EXPERIMENTS]:
        raise InputError(f"--only {given}: {unknown[0]!r} is no experiment; expected {names([*EXPERIMENTS])}")
    return [name for name in EXPERIMENTS if name in wanted]
