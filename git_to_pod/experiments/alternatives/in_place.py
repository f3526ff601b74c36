"""Trials of candidates that keep their pods: all containers of each pod restart, or nothing restarts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from git_to_pod.cluster.api import Object
from git_to_pod.cluster.recorder import Event
from git_to_pod.cluster.status import container_statuses, is_ready
from git_to_pod.experiments.alternatives.candidate import ContentTrials
from git_to_pod.timing.rollout import Rollout
from git_to_pod.timing.trial import Observation

APP, GIT_SYNC = "nginx", "git-sync"  # the containers of the app's pods


@dataclass
class RestartInPlace(Rollout):
    """All containers of each pod restart. `old` stays empty, because no pod is replaced.

    It is requested when the first git-sync has ended, and complete when the last pod is Ready with new containers.
    """

    before: dict[str, dict[str, str]] = field(default_factory=dict)  # the ids of each pod's containers

    def see(self, event: Event) -> None:
        if event.kind == "Pod" and event.name in self.before and event.type != "DELETED":
            self.see_pod(event)

    def see_pod(self, event: Event) -> None:
        before, now = self.before[event.name], container_ids(event.object)
        if ended(event.object, GIT_SYNC) or now.get(GIT_SYNC) != before.get(GIT_SYNC):
            self.reach("requested", event.instant)
        reached = self.pods.setdefault(event.name, {})
        if new(GIT_SYNC, before, now):
            reached.setdefault("git_sync_running", event.instant)
        if new(APP, before, now):
            reached.setdefault("app_running", event.instant)
            if is_ready(event.object):
                reached.setdefault("ready", event.instant)
        self.see_all_pods()
        if "ready" in self.instants:
            self.reach("restarted", event.instant)


def container_ids(pod: Object) -> dict[str, str]:
    """The id of each running container of a pod, by the container's name."""
    return {c["name"]: c["containerID"] for c in container_statuses(pod) if "running" in c.get("state", {})}


def ended(pod: Object, name: str) -> bool:
    return any("terminated" in c.get("state", {}) for c in container_statuses(pod) if c["name"] == name)


def new(name: str, before: dict[str, str], now: dict[str, str]) -> bool:
    return name in now and now[name] != before.get(name)


class InPlaceTrials(ContentTrials):
    """Each push restarts the containers of all pods, and replaces no pod."""

    def begin(self, seen: Observation, app: str) -> tuple[Rollout, int]:
        with self.recorder.heard:
            pods = self.recorder.all("Pod", app=app)
            before = {str(pod["metadata"]["name"]): container_ids(pod) for pod in pods}
            seen.rollout = RestartInPlace(app, {}, set(), seen.commit, replicas=len(pods), before=before)
            return seen.rollout, len(self.recorder.events)


class NoRestartTrials(ContentTrials):
    """Nothing restarts: a trial ends when every pod serves the commit."""

    def follow(self, seen: Observation, rollout: Rollout, position: int) -> None:  # noqa: ARG002  # no events to see
        self.progress.awaits("all pods to serve the commit")
        seen.instants["served"] = self.served(seen.commit, sorted(rollout.old))


def restarts(events: Sequence[Event], _template: Object) -> int:
    """How often the app's containers restarted, in the pod that restarted most often."""
    counts: dict[str, list[int]] = {}
    for event in events:
        if event.kind == "Pod" and event.object["metadata"].get("labels", {}).get("app") == "app":
            found = [int(c["restartCount"]) for c in container_statuses(event.object) if c["name"] == APP]
            counts.setdefault(event.name, []).extend(found)
    return max((max(seen) - seen[0] for seen in counts.values() if seen), default=0)
