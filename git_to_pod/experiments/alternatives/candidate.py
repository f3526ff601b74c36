"""One candidate: a way to keep the app up to date, deployed in its own namespace with its own branch."""

from __future__ import annotations

import itertools
import math
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from git_to_pod.app.deployment import apply
from git_to_pod.app.load import Load, Response
from git_to_pod.app.namespace import ask_to_remove, remove
from git_to_pod.cluster.api import Cluster, Object
from git_to_pod.cluster.recorder import Event, Recorder
from git_to_pod.cluster.status import described, pods_of, settled
from git_to_pod.cluster.waiting import TimedOut, pause, wait_for
from git_to_pod.git.repository import GitError, Repository, open_repository
from git_to_pod.progress import Progress
from git_to_pod.settings import Settings
from git_to_pod.timing.trials import Trial, Trials, served_commit

BIG = "big.bin"
BIG_BYTES = 2 * 2**20
UNDO_S, OTHER_CONTENT_S = 15.0, 3.0  # limits for the content to come back, after the command and after its rollout
RATE = 20  # requests a second, as in the first notebook


def put_manifests(candidate: Candidate) -> None:
    apply(candidate.cluster, candidate.settings, candidate.approach.base)


def prepare_nothing(candidate: Candidate) -> None:
    """The repository holds only the content."""


@dataclass(frozen=True)
class Approach:
    """What distinguishes one candidate from the others."""

    key: str  # also in the names of its namespace and branch
    name: str
    base: str  # its manifests
    controller: str  # the Deployment that triggers the rollout
    git_account: str  # the ServiceAccount of the pod that talks to the git host
    published: Callable[[Event], str]  # the commit, or the content, that an event publishes; empty: none
    put: Callable[[Candidate], None] = put_manifests
    prepare: Callable[[Candidate], None] = prepare_nothing  # adds to the clone what must be there beside the content


class ContentTrials(Trials):
    """Trials that compare the served file: not every candidate names the commit in its responses."""

    def served(self, commit: str, pods: list[str]) -> float:  # type: ignore[override]
        wanted, last = self.repository.contents[commit], dict[str, bytes]()

        def all_answer() -> bool:
            last.update({pod: served_commit(self.cluster, self.settings.namespace, pod)[1] for pod in pods})
            return all(answered == wanted for answered in last.values())

        what = f"all pods of {self.settings.namespace} serving {commit[:8]}"
        wait_for(what, all_answer, self.settings.timeout_s, lambda: str(last), pause_s=0.02)
        return self.recorder.clock()


class Candidate:
    """A deployed candidate: its settings, its clone, the events of its namespace, and the operations on it."""

    def __init__(self, approach: Approach, cluster: Cluster, settings: Settings, progress: Progress) -> None:
        self.approach = approach
        self.cluster = cluster
        names = {"namespace": f"{settings.namespace}-{approach.key}", "ref": f"git-to-pod-{approach.key}"}
        self.settings = replace(settings, **names, replicas=2)  # type: ignore[arg-type]
        self.repository: Repository = open_repository(settings)
        self.repository.ref = self.settings.ref
        self.recorder = Recorder()
        self.trials = ContentTrials(cluster, self.recorder, self.repository, self.settings, progress)
        self.trials.csv = None  # trials.csv is the first notebook's
        self.load: Load | None = None
        self.done: list[Trial] = []
        self.repeated: list[Trial] = []  # a second set of the same, which shows the noise
        self.responses: list[Response] = []
        self.resting: dict[str, int] = {}  # replicas of each Deployment while it is scaled to zero

    def path(self, kind: str, name: str = "") -> str:
        group = "apis/apps/v1" if kind == "deployments" else "api/v1"
        return f"/{group}/namespaces/{self.settings.namespace}/{kind}/{name}".rstrip("/")

    def deploy(self) -> None:
        """Deploy to an empty namespace; return when the app serves the first commit."""
        remove(self.cluster, self.settings.namespace, self.settings.timeout_s)
        commit = self.commit("begins")
        self.repository.account.git(
            "push", "--quiet", "--force", self.repository.url, f"{commit}:refs/heads/{self.settings.ref}",
            folder=self.repository.clone,
        )  # fmt: skip
        self.repository.pushed.append(commit)
        self.recorder.follow(self.cluster, self.settings.namespace, beside=True)
        self.approach.put(self)
        self.wait_served(commit)

    def start_load(self, like: Object) -> None:
        self.load = Load(self.cluster, self.recorder, self.settings, RATE)
        self.load.start(like)

    def rest(self) -> None:
        """Scale everything to zero, so that another candidate has the machine to itself."""
        self.stop_load()
        deployments = self.recorder.all("Deployment")
        self.resting = {str(d["metadata"]["name"]): int(d["spec"]["replicas"]) for d in deployments}
        for name in self.resting:
            self.set_replicas(name, 0)
        no_pods = lambda: not self.recorder.all("Pod")  # noqa: E731
        wait_for(f"no pods in {self.settings.namespace}", no_pods, self.settings.timeout_s)

    def wake(self) -> None:
        """Scale everything back, and wait until the app serves the newest commit."""
        for name in sorted(self.resting, key=lambda name: name == "app"):  # the app last
            self.set_replicas(name, self.resting[name])
        self.resting = {}
        self.wait_served(self.repository.pushed[-1])

    def set_replicas(self, name: str, replicas: int) -> None:
        self.cluster.patch(self.path("deployments", name), {"spec": {"replicas": replicas}})

    def commit(self, text: str) -> str:
        self.approach.prepare(self)
        return self.repository.commit(f"{self.approach.key} {text} {secrets.token_hex(4)}\n")

    def push(self, text: str) -> str:
        self.repository.push(self.commit(text))
        return self.repository.pushed[-1]

    def wait_served(self, commit: str, timeout_s: float | None = None) -> None:
        """Wait until no rollout is under way and every pod serves this commit's file."""
        limit_s = timeout_s or self.settings.timeout_s
        words = partial(described, self.recorder, "app")
        replicas = self.settings.replicas

        def up() -> bool:
            return settled(self.recorder, "app", replicas) and self.served() == {self.repository.contents[commit]}

        wait_for(f"{self.settings.namespace} serving {commit[:8]}", up, limit_s, words, pause_s=0.1)

    def served(self) -> set[bytes]:
        return {served_commit(self.cluster, self.settings.namespace, name)[1] for name in self.pod_names()}

    def scale(self, name: str, replicas: int) -> None:
        """Set a Deployment's replicas and wait until it has as many Ready pods."""
        self.set_replicas(name, replicas)
        if name == "app":
            self.settings = replace(self.settings, replicas=replicas)
            self.trials.settings = self.settings

        def scaled() -> bool:
            status = self.cluster.get(self.path("deployments", name))["status"]
            existing = len(pods_of(self.recorder, name))
            return bool(existing == replicas == status.get("readyReplicas", 0))

        wait_for(f"{name} has {replicas} pods", scaled, self.settings.timeout_s, lambda: described(self.recorder, name))

    def burst(self, pushes: int, gap_s: float) -> tuple[int, int]:
        """Push in quick succession. Returns the number of rollouts, and of regressions to an older published commit."""
        position = len(self.recorder.events)
        commits = []
        for number in range(pushes):
            commits.append(self.push(f"burst {number}"))
            pause(gap_s)
        self.wait_served(commits[-1])
        pause(2)  # long enough for another rollout to begin
        self.wait_served(commits[-1])
        events = self.recorder.events[position:]
        sets = [e for e in events if e.kind == "ReplicaSet" and e.type == "ADDED" and e.name.startswith("app-")]
        seen = [commit for event in events if (commit := self.approach.published(event))]
        pushed = self.repository.pushed
        order = {commit: number for number, commit in enumerate(pushed)}
        order |= {self.repository.contents[commit].decode(): number for number, commit in enumerate(pushed)}
        return len(sets), regressions([order[commit] for commit in seen if commit in order])

    def misses_a_change(self) -> bool:
        """Whether the candidate catches up on a push made while its controller was down."""
        self.scale(self.approach.controller, 0)
        commit = self.push("missed")
        pause(2 * self.settings.period_s + 1)
        self.scale(self.approach.controller, 1)
        try:
            self.wait_served(commit, 30)
        except TimedOut:
            return False
        return True

    def undo_restores_content(self) -> bool:
        """Whether `kubectl rollout undo` brings back the content of the previous commit."""
        before = self.push("before undo")
        self.wait_served(before)
        self.wait_served(self.push("to be undone"))
        old = self.pod_names()
        self.cluster.kubectl("rollout", "undo", "deployment/app", f"--namespace={self.settings.namespace}")
        restored = self.new_pods_serve(before, old)
        self.wait_served(self.push("after undo"))
        return restored

    def new_pods_serve(self, commit: str, old: set[str]) -> bool:
        """Whether the pods of the rollout under way serve this commit's file. They may take a moment to do so."""
        since = math.inf  # when the new pods served something else

        def decided() -> bool:
            nonlocal since
            if not settled(self.recorder, "app", self.settings.replicas) or self.pod_names() & old:
                return False
            if self.served() == {self.repository.contents[commit]}:
                return True
            since = min(since, time.monotonic())
            return time.monotonic() - since > OTHER_CONTENT_S

        with suppress(TimedOut):
            wait_for("the rollout of the undo", decided, UNDO_S, pause_s=0.1)
        return self.served() == {self.repository.contents[commit]}

    def pod_names(self) -> set[str]:
        return {str(pod["metadata"]["name"]) for pod in pods_of(self.recorder, "app")}

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
        """Delete the namespace, the branch and the clone."""
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
            self.responses += [replace(r, commit=by_content.get(r.body.encode(), "")) for r in heard]
            self.load = None


def regressions(numbers: list[int]) -> int:
    """How often an older commit follows a newer one. The numbers are in push order."""
    return sum(after < before for before, after in itertools.pairwise(numbers))
