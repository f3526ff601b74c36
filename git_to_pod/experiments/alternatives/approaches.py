"""The candidates that are measured, and the reasons why others are not."""

from __future__ import annotations

import re

from git_to_pod.cluster.api import Cluster
from git_to_pod.cluster.recorder import Event
from git_to_pod.experiments.alternatives import flux
from git_to_pod.experiments.alternatives.candidate import Approach
from git_to_pod.experiments.alternatives.in_place import InPlaceTrials, NoRestartTrials, restarts
from git_to_pod.settings import Settings


def commit_of_config_map(event: Event) -> str:
    if event.kind == "ConfigMap" and event.name == "git-commit":
        return str(event.object.get("data", {}).get("commit", ""))
    return ""


def commit_of_template(event: Event) -> str:
    if event.kind == "Deployment" and event.name == "app":
        annotations = event.object["spec"]["template"]["metadata"].get("annotations", {})
        return str(annotations.get("git-to-pod/commit", ""))
    return ""


def without_real_reloader(_cluster: Cluster, settings: Settings) -> str:
    """Why an option of Reloader cannot be measured here; empty if it can."""
    images = settings.lab.images if settings.lab else []
    stand_in = any("/reloader:" in image["ref"] and image["source"] == "stand-in" for image in images)
    return "Reloader's stand-in does not have this option" if stand_in else ""


def before_1_36(cluster: Cluster, _settings: Settings) -> str:
    """Why the kubelet cannot restart all containers here; empty if it can."""
    minor = int(re.sub(r"\D", "", cluster.get("/version")["minor"]))
    return "" if minor >= 36 else f"Kubernetes 1.{minor} does not have it; 1.36 does"


DEPLOYED = Approach(
    key="deployed",
    name="one poller, Reloader",
    base="manifests",
    controller="reloader",
    git_account="git-poller",
    published=commit_of_config_map,
)
ANNOTATIONS = Approach(
    key="annotations",
    name="one poller, Reloader with the strategy “annotations”",
    base="alternatives/reloader-annotations",
    controller="reloader",
    git_account="git-poller",
    published=commit_of_config_map,
    unavailable=without_real_reloader,
)
PAUSE = Approach(
    key="pause",
    name="one poller, Reloader with a pause of 5 s",
    base="alternatives/reloader-pause",
    controller="reloader",
    git_account="git-poller",
    published=commit_of_config_map,
    unavailable=without_real_reloader,
)
POLLING = Approach(
    key="polling",
    name="git-sync polls in every pod, Reloader",
    base="alternatives/polling-pods",
    controller="reloader",
    git_account="git-poller",
    published=commit_of_config_map,
)
PATCHING = Approach(
    key="patching",
    name="one poller, its hook patches the pod template",
    base="alternatives/template-patch",
    controller="git-poller",
    git_account="git-poller",
    published=commit_of_template,
)
IN_PLACE = Approach(
    key="in-place",
    name="git-sync polls in every pod, the kubelet restarts all containers",
    base="alternatives/restart-in-place",
    trials=InPlaceTrials,
    count=restarts,
    unavailable=before_1_36,
)
NO_RESTART = Approach(
    key="no-restart",
    name="git-sync polls in every pod, nothing restarts",
    base="alternatives/no-restart",
    restarts=False,
    trials=NoRestartTrials,
)
FLUX = Approach(
    key="flux",
    name="Flux",
    base="alternatives/flux",
    controller="kustomize-controller",
    git_account="source-controller",
    published=flux.commit,
    put=flux.put,
    prepare=flux.prepare,
    unavailable=flux.unavailable,
)
# The first ones show each kind of restart, for a run that measures only some.
APPROACHES = (DEPLOYED, PATCHING, IN_PLACE, NO_RESTART, POLLING, ANNOTATIONS, PAUSE, FLUX)

NOT_MEASURED = {
    "Argo CD": "like Flux, it applies objects from git, so content travels in ConfigMaps of at most 1 MiB; it was not "
    "built here, and its core installation has an application controller, a repository server and Redis",
    "Flux without pruning": "kubectl rollout undo would find the ConfigMap of the previous content, but those of all "
    "commits would stay",
    "Flux's source-watcher": "it composes artifacts for Flux; pods still need another way to get them",
    "wave and SAP's pod-reloader": "they do Reloader's part, with the right to read Secrets, and need the same poller",
    "image volumes": "each commit would need an OCI image, so a builder and a registry; then the kubelet pulls the "
    "content once for each node, and no git-sync runs in the pods",
    "a reload in place": "git-sync's hook would ask the app to read its files again; the app must be able to, and R3 "
    "asks for a restart",
    "a webhook": "the git host would have to reach into the cluster; the constraint is to pull",
}
