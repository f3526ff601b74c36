"""One candidate: a way to keep the app up to date, deployed in its own namespace with its own branch."""

from __future__ import annotations

import itertools
import math
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from git_to_pod.app.app import App
from git_to_pod.app.load import Load, Response
from git_to_pod.app.namespace import ask_to_remove
from git_to_pod.cluster.api import Cluster, Object
from git_to_pod.cluster.recorder import Event
from git_to_pod.cluster.waiting import TimedOut, pause, wait_for
from git_to_pod.git.errors import GitError
from git_to_pod.git.repository import open_repository
from git_to_pod.progress import Progress
from git_to_pod.settings import Settings
from git_to_pod.timing.rollout import count_rollouts
from git_to_pod.timing.trial import Trial
from git_to_pod.timing.trials import PUSHES, Trials

BIG = "big.bin"
BIG_BYTES = 2 * 2**20
UNDO_S, OTHER_CONTENT_S = 15.0, 3.0  # limits for the content to come back, after the command and after its rollout
RATE = 20  # requests a second, as in the first notebook


def put_manifests(candidate: Candidate) -> None:
    candidate.apply(candidate.approach.base)


def prepare_nothing(candidate: Candidate) -> None:
    """The repository holds only the content."""


def publishes_nothing(_event: Event) -> str:
    return ""


def rollouts_of_app(events: Sequence[Event], template: Object) -> int:
    return count_rollouts(events, "app", template)


def always_available(_cluster: Cluster, _settings: Settings) -> str:
    return ""


class ContentTrials(Trials):
    """Trials that compare the served file: not every candidate names the commit in its responses."""

    def is_of_commit(self, _named: str, body: bytes, commit: str) -> bool:
        return body == self.repository.contents[commit]


@dataclass(frozen=True, kw_only=True)
class Approach:
    """What distinguishes one candidate from the others."""

    key: str  # also in the names of its namespace and branch
    name: str
    base: str  # its manifests
    controller: str = ""  # the Deployment that triggers the restart; empty: none does
    git_account: str = ""  # the ServiceAccount of the pod that talks to the git host; empty: one without rights
    published: Callable[[Event], str] = publishes_nothing  # the commit, or the content, that an event publishes
    put: Callable[[Candidate], None] = put_manifests
    prepare: Callable[[Candidate], None] = prepare_nothing  # adds to the clone what must be there beside the content
    restarts: bool = True  # whether a new commit restarts anything
    trials: type[ContentTrials] = ContentTrials
    count: Callable[[Sequence[Event], Object], int] = rollouts_of_app  # restarts, from events and the template before
    unavailable: Callable[[Cluster, Settings], str] = always_available  # why it cannot be measured; empty if it can


class Candidate(App):
    """The app as one approach deploys it, in its own namespace and with its own branch."""

    def __init__(self, approach: Approach, cluster: Cluster, settings: Settings, progress: Progress) -> None:
        self.approach = approach
        names = {"namespace": f"{settings.namespace}-{approach.key}", "ref": f"git-to-pod-{approach.key}"}
        repository = open_repository(settings)
        super().__init__(cluster, replace(settings, **names, replicas=2), repository)  # type: ignore[arg-type]
        self.repository.ref = self.settings.ref
        self.progress = progress
        self.load: Load | None = None
        self.done: list[Trial] = []
        self.repeated: list[Trial] = []  # a second set of the same, which shows the noise
        self.responses: list[Response] = []
        self.resting: dict[str, int] = {}  # replicas of each Deployment while it is scaled to zero

    def deploy(self) -> None:
        """Deploy to an empty namespace; return when the app serves the first commit."""
        self.remove()
        commit = self.commit("begins")
        self.repository.account.git(
            "push", "--quiet", "--force", self.repository.url, f"{commit}:refs/heads/{self.settings.ref}",
            folder=self.repository.clone,
        )  # fmt: skip
        self.repository.pushed.append(commit)
        self.record()
        self.trials = self.approach.trials(self.cluster, self.recorder, self.repository, self.settings, self.progress)
        self.trials.csv = self.settings.output / PUSHES / f"candidate-{self.approach.key}.csv"
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

    def warm_up(self) -> None:
        """A trial that does not count: soon after its start, a controller may take longer (Flux's took 3 to 4 s)."""
        self.trials.push()
        self.trials.done.pop()

    def commit(self, text: str) -> str:
        self.approach.prepare(self)
        return self.repository.commit(f"{self.approach.key} {text} {secrets.token_hex(4)}\n")

    def push(self, text: str) -> str:
        self.repository.push(self.commit(text))
        return self.head

    def serves(self, commit: str) -> bool:
        """Whether every app pod serves this commit's file."""
        return {body for _, body in self.answers().values()} == {self.repository.contents[commit]}

    def scale(self, name: str, replicas: int) -> None:
        if name == "app":
            self.settings = self.trials.settings = replace(self.settings, replicas=replicas)
        super().scale(name, replicas)

    def is_scaled(self, name: str, replicas: int) -> bool:
        """Whether as many pods exist, and all are Ready. Pods that terminate do not count."""
        return len(self.pods(name)) == replicas == self.ready_replicas(name)

    def burst(self, pushes: int, gap_s: float) -> tuple[int, int]:
        """Push in quick succession. Returns the number of restarts, and of regressions to an older published commit."""
        position, template = len(self.recorder.events), self.template
        commits = []
        for number in range(pushes):
            commits.append(self.push(f"burst {number}"))
            pause(gap_s)
        self.wait_served(commits[-1])
        pause(2)  # long enough for another rollout to begin
        self.wait_served(commits[-1])
        events = self.recorder.events[position:]
        seen = [commit for event in events if (commit := self.approach.published(event))]
        pushed = self.repository.pushed
        order = {commit: number for number, commit in enumerate(pushed)}
        order |= {self.repository.contents[commit].decode(): number for number, commit in enumerate(pushed)}
        return self.approach.count(events, template), regressions([order[commit] for commit in seen if commit in order])

    def catches_up(self) -> bool:
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
        old, restored = self.pod_names(), False
        with suppress(RuntimeError):  # a Deployment without a rollout has none to undo
            self.cluster.kubectl("rollout", "undo", "deployment/app", f"--namespace={self.settings.namespace}")
            restored = self.new_pods_serve(before, old)
        self.wait_served(self.push("after undo"))
        return restored

    def new_pods_serve(self, commit: str, old: set[str]) -> bool:
        """Whether the pods of the rollout under way serve this commit's file. They may take a moment to do so."""
        since = math.inf  # when the new pods served something else

        def decided() -> bool:
            nonlocal since
            if not self.is_settled() or self.pod_names() & old:
                return False
            if self.serves(commit):
                return True
            since = min(since, time.monotonic())
            return time.monotonic() - since > OTHER_CONTENT_S

        with suppress(TimedOut):
            wait_for("the rollout of the undo", decided, UNDO_S, pause_s=0.1)
        return self.serves(commit)

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
        self.stop_recorder()
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
