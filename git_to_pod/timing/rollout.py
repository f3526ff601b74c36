"""The phases of one rollout, from the recorded events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from git_to_pod.cluster.api import Object
from git_to_pod.cluster.recorder import Event
from git_to_pod.cluster.status import container_statuses, is_complete, is_ready

POD_PHASES = ("scheduled", "git_sync_running", "app_running", "ready")


@dataclass
class Rollout:
    """A rollout, followed event by event. `instants` holds the phases reached so far, in monotonic seconds."""

    app: str
    template: Object  # the Deployment's, before the rollout
    old: set[str]  # the names of its pods before the rollout
    commit: str = ""  # the commit whose publication triggers the rollout; empty for a restart
    instants: dict[str, float] = field(default_factory=dict)
    pods: dict[str, dict[str, float]] = field(default_factory=dict)  # the instants of each new pod's phases
    left: set[str] = field(default_factory=set)  # the old pods that are being deleted or gone
    replicas: int = 0
    complete: bool = False
    rollouts: int = 0  # the number of template changes

    def see(self, event: Event) -> None:
        if event.kind == "ConfigMap" and event.name == "git-commit":
            self.see_commit(event)
        elif event.kind == "Deployment" and event.name == self.app:
            self.see_deployment(event)
        elif event.kind == "Pod" and event.object["metadata"].get("labels", {}).get("app") == self.app:
            self.see_pod(event)
        if self.complete and self.left >= self.old and "ready" in self.instants:
            self.reach("restarted", event.instant)

    def reach(self, phase: str, instant: float) -> None:
        self.instants.setdefault(phase, instant)

    def see_commit(self, event: Event) -> None:
        if self.commit and event.object.get("data", {}).get("commit") == self.commit:
            self.reach("published", event.instant)

    def see_deployment(self, event: Event) -> None:
        template = event.object["spec"]["template"]
        if template != self.template:
            self.template = template
            self.rollouts += 1
            self.reach("requested", event.instant)
        self.replicas = event.object["spec"]["replicas"]
        self.complete = "requested" in self.instants and is_complete(event.object)

    def see_pod(self, event: Event) -> None:
        leaving = event.type == "DELETED" or "deletionTimestamp" in event.object["metadata"]
        if event.name in self.old:
            if leaving:
                self.left.add(event.name)
        elif leaving:  # replaced by a later rollout
            self.pods.pop(event.name, None)
        else:
            reached = self.pods.setdefault(event.name, {})
            for phase in pod_phases(event.object):
                reached.setdefault(phase, event.instant)
            self.see_all_pods()

    def see_all_pods(self) -> None:
        """The rollout reaches a phase when its last new pod does."""
        if self.replicas and len(self.pods) >= self.replicas:
            for phase in POD_PHASES:
                instants = [reached[phase] for reached in self.pods.values() if phase in reached]
                if len(instants) == len(self.pods):
                    self.reach(phase, max(instants))


def count_rollouts(events: Iterable[Event], app: str, template: Object) -> int:
    """How often the Deployment's template changes. Its first template, after an empty one, is no change.

    Changes while the Deployment is paused make one rollout, when it is resumed.
    """
    changes = 0
    for spec in (event.object["spec"] for event in events if event.kind == "Deployment" and event.name == app):
        if spec["template"] != template and not spec.get("paused"):
            changes, template = changes + bool(template), spec["template"]
    return changes


def pod_phases(pod: Object) -> Iterable[str]:
    """The phases that a pod has reached, by its status."""
    if pod["spec"].get("nodeName"):
        yield "scheduled"
    running = {c["name"] for c in container_statuses(pod) if "running" in c.get("state", {})}
    if "git-sync" in running:
        yield "git_sync_running"
    if "nginx" in running:
        yield "app_running"
    if is_ready(pod):
        yield "ready"
