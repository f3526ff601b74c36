"""One way to keep the app up to date, deployed in a namespace of its own with a branch of its own."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from git_to_pod.cluster import Cluster, Object, TimedOut, wait_for
from git_to_pod.deploy import apply, ask_to_remove, remove, settled
from git_to_pod.load import Load, Response
from git_to_pod.observe import Event, Recorder, described, pods_of
from git_to_pod.progress import Progress
from git_to_pod.repository import GitError, Repository, open_repository
from git_to_pod.settings import Settings
from git_to_pod.trials import Trial, Trials, pause, served_commit

BIG = "big.bin"
BIG_BYTES = 2 * 2**20
RATE = 10  # requests a second to each of them: all are asked at the same time


def put_manifests(rival: Rival) -> None:
    apply(rival.cluster, rival.settings, rival.kind.base)


def prepare_nothing(rival: Rival) -> None:
    """The content is all."""


@dataclass(frozen=True)
class Kind:
    """What tells one rival from the others."""

    key: str  # in names of namespaces and branches
    name: str
    base: str  # its manifests
    controller: str  # the Deployment whose absence a change must survive
    published: Callable[[Event], str]  # the commit, or the content, that an event makes the wanted one; empty: none
    put: Callable[[Rival], None] = put_manifests
    prepare: Callable[[Rival], None] = prepare_nothing  # what has to be in the clone beside the content


class ContentTrials(Trials):
    """A pod serves a commit when it serves that commit's file: not every rival tells the commit itself."""

    def served(self, commit: str, pods: list[str]) -> float:  # type: ignore[override]
        wanted, last = self.repository.contents[commit], dict[str, bytes]()

        def all_answer() -> bool:
            last.update({pod: served_commit(self.cluster, self.settings.namespace, pod)[1] for pod in pods})
            return all(answered == wanted for answered in last.values())

        what = f"all pods of {self.settings.namespace} serving {commit[:8]}"
        wait_for(what, all_answer, self.settings.timeout_s, lambda: str(last), pause_s=0.02)
        return self.recorder.clock()


class Rival:
    """Its settings, its clone, what is heard of its namespace, and what is done to it."""

    def __init__(self, kind: Kind, cluster: Cluster, settings: Settings, progress: Progress) -> None:
        self.kind = kind
        self.cluster = cluster
        names = {"namespace": f"{settings.namespace}-{kind.key}", "ref": f"git-to-pod-{kind.key}"}
        # Without the git host's log: it does not tell the pollers apart.
        self.settings = replace(settings, **names, replicas=2, lab=None)  # type: ignore[arg-type]
        self.repository: Repository = open_repository(settings)
        self.repository.ref = self.settings.ref
        self.recorder = Recorder()
        self.trials = ContentTrials(cluster, self.recorder, self.repository, self.settings, progress)
        self.load: Load | None = None
        self.done: list[Trial] = []
        self.responses: list[Response] = []

    def path(self, kind: str, name: str = "") -> str:
        group = "apis/apps/v1" if kind == "deployments" else "api/v1"
        return f"/{group}/namespaces/{self.settings.namespace}/{kind}/{name}".rstrip("/")

    def deploy(self) -> None:
        """To an empty namespace; return when the app serves the first commit."""
        remove(self.cluster, self.settings.namespace, self.settings.timeout_s)
        commit = self.commit("begins")
        self.repository.account.git(
            "push", "--quiet", "--force", self.repository.url, f"{commit}:refs/heads/{self.settings.ref}",
            folder=self.repository.clone,
        )  # fmt: skip
        self.repository.pushed.append(commit)
        self.recorder.follow(self.cluster, self.settings.namespace, beside=True)
        self.kind.put(self)
        self.wait_served(commit)

    def start_load(self, like: Object) -> None:
        self.load = Load(self.cluster, self.recorder, self.settings, RATE)
        self.load.start(like)

    def commit(self, text: str) -> str:
        self.kind.prepare(self)
        return self.repository.commit(f"{self.kind.key} {text} {secrets.token_hex(4)}\n")

    def push(self, text: str) -> str:
        commit = self.commit(text)
        self.repository.push(commit)
        return commit

    def wait_served(self, commit: str, timeout_s: float | None = None) -> None:
        """Until nothing moves and every pod serves this commit's file."""
        limit_s = timeout_s or self.settings.timeout_s
        words = partial(described, self.recorder, "app")
        replicas = self.settings.replicas

        def up() -> bool:
            return settled(self.recorder, "app", replicas) and self.served() == {self.repository.contents[commit]}

        wait_for(f"{self.settings.namespace} serving {commit[:8]}", up, limit_s, words, pause_s=0.1)

    def served(self) -> set[bytes]:
        names = [str(pod["metadata"]["name"]) for pod in pods_of(self.recorder, "app")]
        return {served_commit(self.cluster, self.settings.namespace, name)[1] for name in names}

    def scale(self, name: str, replicas: int) -> None:
        """Set a Deployment's replicas and wait until it has as many pods, Ready."""
        self.cluster.patch(self.path("deployments", name), {"spec": {"replicas": replicas}})
        if name == "app":
            self.settings = replace(self.settings, replicas=replicas)
            self.trials.settings = self.settings

        def scaled() -> bool:
            status = self.cluster.get(self.path("deployments", name))["status"]
            there = len(pods_of(self.recorder, name))
            return bool(there == replicas == status.get("readyReplicas", 0))

        wait_for(f"{name} has {replicas} pods", scaled, self.settings.timeout_s, lambda: described(self.recorder, name))

    def burst(self, pushes: int, gap_s: float) -> tuple[int, int]:
        """Push fast; how many rollouts that made, and how often the published commit went back to an older one."""
        position = len(self.recorder.events)
        commits = []
        for number in range(pushes):
            commits.append(self.push(f"burst {number}"))
            pause(gap_s)
        self.wait_served(commits[-1])
        pause(2)  # a rollout too many would begin by now
        self.wait_served(commits[-1])
        events = self.recorder.events[position:]
        sets = [e for e in events if e.kind == "ReplicaSet" and e.type == "ADDED" and e.name.startswith("app-")]
        seen = [commit for event in events if (commit := self.kind.published(event))]
        pushed = self.repository.pushed
        order = {commit: number for number, commit in enumerate(pushed)}
        order |= {self.repository.contents[commit].decode(): number for number, commit in enumerate(pushed)}
        return len(sets), steps_back([order[one] for one in seen if one in order])

    def misses_a_change(self) -> bool:
        """A push while the controller is away, which then comes back: whether the change is deployed after all."""
        self.scale(self.kind.controller, 0)
        commit = self.push("missed")
        pause(2 * self.settings.period_s + 1)
        self.scale(self.kind.controller, 1)
        try:
            self.wait_served(commit, 30)
        except TimedOut:
            return False
        return True

    def takes_big_content(self) -> bool:
        """Whether a commit with a file over 1 MiB is deployed."""
        (self.repository.clone / BIG).write_bytes(secrets.token_bytes(BIG_BYTES))
        self.repository.account.git("add", BIG, folder=self.repository.clone)
        commit = self.push("big")
        try:
            self.wait_served(commit, 25)
        except TimedOut:
            return False
        return True

    def close(self) -> None:
        """Take in what the load saw, and leave nothing behind: no namespace, no branch, no clone."""
        self.stop_load()
        self.recorder.stop()
        ask_to_remove(self.cluster, self.settings.namespace)
        try:
            branch = f":refs/heads/{self.settings.ref}"
            self.repository.account.git("push", "--quiet", self.repository.url, branch, folder=self.repository.clone)
        except GitError:  # it was never pushed
            pass
        finally:
            self.repository.close()

    def stop_load(self) -> None:
        if self.load:
            by_content = {content: commit for commit, content in self.repository.contents.items()}
            heard = self.load.stop()
            self.responses = [replace(r, commit=by_content.get(r.body.encode(), "")) for r in heard]
            self.load = None


def steps_back(numbers: list[int]) -> int:
    """How often a commit was followed by one that was pushed before it."""
    return sum(after < before for before, after in itertools.pairwise(numbers))
