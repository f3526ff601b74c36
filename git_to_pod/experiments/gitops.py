"""GitOps: Flux owns the app's Deployment, and Reloader patches it. Does Flux take Reloader's patch away?"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import yaml

from git_to_pod.app.deployment import STAMP
from git_to_pod.cluster.api import Cluster, Object
from git_to_pod.cluster.waiting import TimedOut, pause, wait_for
from git_to_pod.experiments.alternatives import flux
from git_to_pod.experiments.alternatives.approaches import ANNOTATIONS, DEPLOYED
from git_to_pod.experiments.alternatives.candidate import Candidate
from git_to_pod.experiments.effort import effort
from git_to_pod.files import write_yaml
from git_to_pod.git.repository import Repository, open_repository
from git_to_pod.progress import Progress
from git_to_pod.settings import ROOT, Settings
from git_to_pod.timing.rollout import count_rollouts

INTERVAL_S = 5.0  # in which Flux compares and corrects the Deployment
OWNER = "git-to-pod-owner"  # the branch from which Flux applies the Deployment
STAMPS = (STAMP, "reloader.stakater.com/last-reloaded-from")  # what the strategies write into the template
CHANGED = "git-to-pod/changed"  # an annotation of the template


@dataclass(frozen=True)
class OwnedResult:
    """One strategy of Reloader, with a Deployment that Flux owns. `corrected_s` is infinite if Flux did not."""

    strategy: str
    pushes: int
    rollouts: int  # for the pushes, and in the intervals after each
    stamp_stays: bool  # after the pushes, and after Flux has applied a change of the Deployment
    served: bool  # the last commit, by every pod, at the end
    corrected_s: float  # until Flux takes back a change by kubectl: the proof that it owns the Deployment


def run_gitops(cluster: Cluster, settings: Settings, progress: Progress) -> list[OwnedResult]:
    """Measure both strategies of Reloader; no rows if the lab lacks Flux or the real Reloader."""
    if not_tried(cluster, settings):
        return []
    strategies, found = {"env-vars": DEPLOYED, "annotations": ANNOTATIONS}, list[OwnedResult]()
    with flux.definitions(cluster):
        for strategy, approach in strategies.items():
            progress.bar(len(found), len(strategies), f"Flux owns the Deployment; Reloader's strategy: {strategy}")
            candidate = Candidate(approach, cluster, settings, progress)
            try:
                found.append(measure(candidate, strategy))
            finally:
                candidate.close()
    progress.bar(len(found), len(strategies), "Flux and Reloader measured")
    return found


def not_tried(cluster: Cluster, settings: Settings) -> str:
    """Why this cannot be measured; empty if it can."""
    return flux.unavailable(cluster, settings) or ANNOTATIONS.unavailable(cluster, settings)


def measure(candidate: Candidate, strategy: str) -> OwnedResult:
    """Push, wait a few of Flux's intervals after each push, then let Flux apply a change of the Deployment."""
    candidate.deploy()
    with owner_branch(candidate) as owner:
        flux.put_controllers(candidate.cluster, candidate.settings, OWNER, f"{INTERVAL_S:g}s")
        corrected_s = corrects(candidate)
        position, template = len(candidate.recorder.events), candidate.template
        for number in range(effort().owned_pushes):
            candidate.wait_served(candidate.push(f"owned {number}"))
            pause(3 * INTERVAL_S)
        rollouts = count_rollouts(candidate.recorder.events[position:], "app", template)
        stays = is_stamped(candidate)
        change(owner, candidate)
        pause(3 * INTERVAL_S)
        served = candidate.is_settled() and candidate.serves(candidate.head)
        return OwnedResult(
            strategy, effort().owned_pushes, rollouts, stays and is_stamped(candidate), served, corrected_s
        )


@contextmanager
def owner_branch(candidate: Candidate) -> Iterator[Repository]:
    """A branch that holds the app's Deployment, as the candidate's manifests have it."""
    repository = open_repository(candidate.settings)
    repository.ref = OWNER
    try:
        write(repository, deployment(candidate))
        yield repository
    finally:
        git = repository.account.git
        git("push", "--quiet", repository.url, f":refs/heads/{OWNER}", folder=repository.clone)
        repository.close()


def deployment(candidate: Candidate) -> Object:
    built = yaml.safe_load_all(candidate.cluster.kubectl("kustomize", str(ROOT / candidate.approach.base)))
    found = next(item for item in built if item["kind"] == "Deployment" and item["metadata"]["name"] == "app")
    del found["metadata"]["namespace"]
    return dict(found)


def write(repository: Repository, app: Object) -> None:
    """Push a commit that holds this Deployment."""
    write_yaml(repository.clone / "app.yaml", app)
    write_yaml(repository.clone / "kustomization.yaml", {"resources": ["app.yaml"]})
    git = repository.account.git
    git("add", "app.yaml", "kustomization.yaml", folder=repository.clone)
    commit = repository.commit(f"The Deployment at {time.time():.3f}\n")
    git("push", "--quiet", "--force", repository.url, f"{commit}:refs/heads/{OWNER}", folder=repository.clone)


def corrects(candidate: Candidate) -> float:
    """Change a field that Flux applies, and return the seconds until Flux takes the change back; infinite if never."""
    cluster, path, limit_s = candidate.cluster, candidate.path("Deployment", "app"), candidate.settings.timeout_s

    def surge() -> str:
        return str(cluster.get(path)["spec"]["strategy"]["rollingUpdate"]["maxSurge"])

    wait_for(
        "Flux has applied the Deployment",
        lambda: "kustomize-controller" in managers(cluster.get(path)),
        limit_s,
        lambda: flux.message(cluster, candidate.namespace),
        pause_s=0.2,
    )
    own, began = surge(), time.monotonic()
    cluster.patch(path, {"spec": {"strategy": {"rollingUpdate": {"maxSurge": "50%"}}}})
    try:
        wait_for("Flux takes the change back", lambda: surge() == own, limit_s, surge, pause_s=0.2)
    except TimedOut:
        return math.inf
    return time.monotonic() - began


def managers(item: Object) -> set[str]:
    return {str(entry["manager"]) for entry in item["metadata"].get("managedFields", [])}


def is_stamped(candidate: Candidate) -> bool:
    """Whether the template has what Reloader writes into it."""
    return any(stamp in json.dumps(candidate.template) for stamp in STAMPS)


def change(owner: Repository, candidate: Candidate) -> None:
    """Change the Deployment in the owner's branch, and wait until Flux has applied it and the rollout is complete."""
    app = deployment(candidate)
    app["spec"]["template"]["metadata"].setdefault("annotations", {})[CHANGED] = "yes"
    write(owner, app)
    candidate.recorder.wait_for(
        "Flux's change rolled out",
        lambda: CHANGED in candidate.template["metadata"].get("annotations", {}) and candidate.is_settled(),
        candidate.settings.timeout_s,
        lambda: flux.message(candidate.cluster, candidate.namespace),
    )
