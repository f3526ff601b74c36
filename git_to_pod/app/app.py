"""The app under test: deployed to one namespace, following one branch, observed by one Recorder."""

from __future__ import annotations

import atexit
import os
import time
import weakref
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

from git_to_pod import watchdog
from git_to_pod.app.deployment import apply, check_cluster, has_reloader, stamp
from git_to_pod.app.namespace import SESSION, ask_to_remove, make_room, remove, remove_or_report
from git_to_pod.app.pod_proxy import check_proxy, proxy_path
from git_to_pod.cluster.api import ApiError, Cluster, Object, Unreachable
from git_to_pod.cluster.paths import api_path
from git_to_pod.cluster.recorder import Recorder
from git_to_pod.cluster.status import described, is_complete, pods_of, serving, settled
from git_to_pod.cluster.waiting import pause, wait_for
from git_to_pod.git.repository import FILE, Repository
from git_to_pod.settings import Settings

NOT_PUBLISHED = "nothing"  # published() while the ConfigMap git-commit does not exist
NEXT_PATCH_S = 1.5  # long enough for another patch by Reloader


class NamespaceGone(RuntimeError):
    """Someone has deleted the namespace of the run."""


class App:
    """The deployed app. Its recorder starts with deploy() or record(), and ends with close() or with this object."""

    def __init__(self, cluster: Cluster, settings: Settings, repository: Repository) -> None:
        self.cluster = cluster
        self.settings = settings
        self.repository = repository
        self.recorder = Recorder()
        self.stop_recorder = weakref.finalize(self, self.recorder.stop)

    # Its life

    def deploy(self) -> None:
        """Push a first commit, deploy to an empty namespace, and wait until the app serves it."""
        check_cluster(self.cluster, self.settings)
        make_room(self.cluster, self.namespace, self.settings.timeout_s)
        watchdog.log_to(self.settings.output)
        self.push("First commit of the evaluation")
        if not self.settings.keep:
            # When a kernel exits that scripts/notebook started. If a process is killed, its watchdog does this.
            atexit.register(ask_to_remove, self.cluster, self.namespace)
        self.record()
        self.apply()
        self.wait_deployed()
        check_proxy(self.cluster, self.namespace, sorted(self.pod_names()))

    def record(self) -> None:
        """Follow the namespace with a new Recorder, in place of the one before."""
        self.stop_recorder()
        self.recorder = Recorder()
        self.stop_recorder = weakref.finalize(self, self.recorder.stop)
        self.recorder.follow(self.cluster, self.namespace)

    def apply(self, base: str = "manifests") -> None:
        """Apply manifests/, or another kustomization."""
        apply(self.cluster, self.settings, base)

    def remove(self) -> bool:
        """Delete the namespace and wait until it is gone."""
        return remove(self.cluster, self.namespace, self.settings.timeout_s)

    def close(self) -> None:
        """End the recording and delete the clone."""
        self.stop_recorder()
        self.repository.close()

    def finish(self) -> None:
        """Remove the deployment at the end of the run, unless --keep or scripts/notebook keeps it."""
        if not self.settings.keep and SESSION not in os.environ:
            self.close()
            if watchdog.RUN in os.environ:  # scripts/evaluate waits, and reports a namespace that does not terminate
                with suppress(ApiError):
                    ask_to_remove(self.cluster, self.namespace)
            else:
                remove_or_report(self.cluster, self.namespace, self.settings.timeout_s)

    # Its commits

    @property
    def head(self) -> str:
        """The last commit that was pushed; empty before the first."""
        return self.repository.pushed[-1] if self.repository.pushed else ""

    def push(self, text: str) -> str:
        """Push a commit whose FILE has this text. Returns its id. Raises GitError."""
        self.repository.push(self.repository.commit(f"{text}\n"))
        return self.head

    # Its state

    @property
    def namespace(self) -> str:
        return self.settings.namespace

    def path(self, kind: str, name: str = "") -> str:
        """The API's path of an object in the app's namespace, or of all objects of this kind."""
        return api_path(kind, self.namespace, name)

    def published(self) -> str:
        """The commit in the ConfigMap git-commit."""
        data = (self.recorder.get("ConfigMap", "git-commit") or {}).get("data", {})
        return str(data.get("commit", NOT_PUBLISHED))

    def pods(self, name: str = "app") -> list[Object]:
        """The pods of a Deployment that are not being deleted."""
        return pods_of(self.recorder, name)

    def pod_names(self, name: str = "app") -> set[str]:
        return {str(pod["metadata"]["name"]) for pod in self.pods(name)}

    def uids(self, name: str = "app") -> set[str]:
        return {str(pod["metadata"]["uid"]) for pod in self.pods(name)}

    @property
    def template(self) -> Object:
        """The app's pod template; empty before the Deployment exists."""
        return dict((self.recorder.get("Deployment", "app") or {"spec": {"template": {}}})["spec"]["template"])

    def answers(self) -> dict[str, tuple[str, bytes]]:
        """The commit and the file that each app pod serves. Raises Unreachable."""
        return {name: served_commit(self.cluster, self.namespace, name) for name in sorted(self.pod_names())}

    def served(self) -> dict[str, str]:
        """The commit that each app pod serves, or "wrong content" if the file is not that commit's."""
        return {pod: self.verified(*answer) for pod, answer in self.answers().items()}

    def verified(self, commit: str, body: bytes) -> str:
        expected = self.repository.contents.get(commit, b"")
        return commit if not expected or body == expected else f"wrong content for {commit}"

    def served_if_reachable(self) -> dict[str, str]:
        """As `served`; empty if the API server or a pod does not answer."""
        with suppress(ApiError, Unreachable):
            return self.served()
        return {}

    def serves(self, commit: str) -> bool:
        """Whether every app pod serves this commit."""
        return set(self.served().values()) == {commit}

    def is_settled(self) -> bool:
        """Whether no rollout of the app is under way."""
        return settled(self.recorder, "app", self.settings.replicas)

    def is_normal(self) -> bool:
        """Whether every pod serves the branch's commit and no rollout of any Deployment is under way."""
        complete = all(is_complete(self.recorder.get("Deployment", name)) for name in deployments())
        quiet = complete and self.published() == self.head and self.is_settled()
        return quiet and set(self.served_if_reachable().values()) == {self.head}

    def described(self) -> list[str]:
        """What is published and the state of each Deployment, for a timeout's message."""
        return [f"published: {self.published()[:8]}", *(described(self.recorder, name) for name in deployments())]

    # Waits

    def wait_deployed(self) -> None:
        """Wait until all Deployments are complete and the app's pods run the published commit."""

        def up() -> bool:
            commit = self.head
            # Until Reloader has patched the app for this commit, another rollout follows.
            stamped = stamp(commit) in str(self.recorder.get("Deployment", "app"))
            complete = stamped and all(is_complete(self.recorder.get("Deployment", name)) for name in deployments())
            return complete and self.published() == commit and self.is_settled()

        def last_seen() -> str:
            published, *states = self.described()
            endpoints = ", ".join(serving(self.recorder, "app")) or "no pod"
            return "; ".join([published, f"in the Service: {endpoints}", *states])

        def others() -> bool:
            """Whether a commit is published that is not this run's."""
            return self.published() not in (self.head, NOT_PUBLISHED)

        what, began = f"manifests/ deployed to {self.namespace}, serving {self.head[:8]}", self.recorder.clock()
        while not up():
            self.recorder.wait_for(what, lambda: up() or others(), self.settings.timeout_s, last_seen, began)
            if others():  # someone else has pushed
                self.repository.take_over()
                pause(0.2)

    def wait_published(self, timeout_s: float = 30) -> None:
        """Wait until the branch's commit is published."""
        is_published = lambda: self.published() == self.head  # noqa: E731
        self.recorder.wait_for(f"{self.head[:8]} published", is_published, timeout_s, self.published)

    def wait_served(self, commit: str, timeout_s: float | None = None) -> None:
        """Wait until no rollout is under way and every pod serves this commit."""
        wait_for(
            f"{self.namespace} serving {commit[:8]}",
            lambda: self.is_settled() and self.serves(commit),
            timeout_s or self.settings.timeout_s,
            lambda: f"published: {self.published()[:8]}; {described(self.recorder, 'app')}",
            pause_s=0.1,
        )

    def take_over(self) -> bool:
        """Whether someone else has pushed to the branch. If so, wait until every pod serves their commit.

        Raises GitError, TimedOut, and NamespaceGone if someone has deleted the namespace.
        """
        found = self.cluster.find(api_path("Namespace", name=self.namespace))
        if found is None or "deletionTimestamp" in found["metadata"]:
            raise NamespaceGone(f"namespace {self.namespace} is gone: someone has deleted it during the run")
        if not self.repository.take_over():
            return False
        self.wait_served(self.head)
        return True

    def wait_normal(self, limit_s: float) -> float:
        """Wait until is_normal() holds and lasts. Returns the instant at which that began."""

        def last_seen() -> str:
            pods = ", ".join(f"{pod} serves {commit[:8]}" for pod, commit in self.served_if_reachable().items())
            return "; ".join(filter(None, [*self.described(), pods]))

        limit = time.monotonic() + limit_s
        while True:
            left = max(limit - time.monotonic(), 0)
            wait_for(f"{self.head[:8]} served by every pod", self.is_normal, left, last_seen, pause_s=0.1)
            reached, template = time.monotonic(), self.template
            pause(NEXT_PATCH_S)
            if self.template == template and self.is_normal():
                return reached

    # Changes by kubectl

    def set_replicas(self, name: str, replicas: int) -> None:
        self.cluster.patch(self.path("Deployment", name), {"spec": {"replicas": replicas}})

    def scale(self, name: str, replicas: int) -> None:
        """Set a Deployment's replicas and wait until it has as many pods, all Ready."""
        self.set_replicas(name, replicas)
        wait_for(
            f"{name} has {replicas} pods",
            lambda: self.is_scaled(name, replicas),
            self.settings.timeout_s,
            partial(described, self.recorder, name),
        )

    def is_scaled(self, name: str, replicas: int) -> bool:
        """Whether as many pods exist, and all are Ready. Pods that terminate count as existing."""
        existing = len(self.recorder.all("Pod", app=name))
        return existing == replicas == self.ready_replicas(name)

    def ready_replicas(self, name: str) -> int:
        """From the API server: the recorder's Deployment may lag behind its pods."""
        return int(self.cluster.get(self.path("Deployment", name))["status"].get("readyReplicas", 0))

    def restart(self, *names: str) -> None:
        """`kubectl rollout restart` of these Deployments, without waiting."""
        for name in names:
            restart(self.cluster, self.namespace, name)


def deploy(cluster: Cluster, repository: Repository, settings: Settings) -> App:
    """Deploy the app to an empty namespace, and wait until it serves a first commit."""
    app = App(cluster, settings, repository)
    app.deploy()
    return app


def deployments() -> tuple[str, ...]:
    """The Deployments of manifests/, in the order in which they must become complete."""
    return ("git-poller", *(["reloader"] if has_reloader() else []), "app")


def restart(cluster: Cluster, namespace: str, name: str) -> None:
    """Restart a Deployment as `kubectl rollout restart` does, by an annotation with the time."""
    annotations = {"kubectl.kubernetes.io/restartedAt": datetime.now(UTC).isoformat()}
    template: dict[str, Any] = {"metadata": {"annotations": annotations}}
    cluster.patch(api_path("Deployment", namespace, name), {"spec": {"template": template}})


def served_commit(cluster: Cluster, namespace: str, pod: str) -> tuple[str, bytes]:
    """The commit and the file that one pod serves, through the API server's proxy."""
    response = cluster.request("GET", proxy_path(namespace, pod, FILE))
    return response.headers.get("X-Git-Commit", f"HTTP {response.status}"), bytes(response.data)
