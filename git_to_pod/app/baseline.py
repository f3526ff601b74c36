"""The baseline: the sample app without git-sync, restarted in the same run."""

from __future__ import annotations

import copy
from typing import Any

from git_to_pod.app.pod_template import container_of, metadata_of
from git_to_pod.cluster.api import Cluster, Object
from git_to_pod.cluster.paths import api_path
from git_to_pod.cluster.recorder import Recorder
from git_to_pod.cluster.status import containers, described, is_complete
from git_to_pod.settings import Settings

APP = "app-without-git-sync"
WORKTREE = "/git/" + "0" * 40  # nginx.conf reads the commit from the folder's name


def baseline_deployment(app: Object) -> Object:
    """The app's Deployment without git-sync and its credentials. nginx serves a ConfigMap instead."""
    spec = copy.deepcopy(app["spec"])
    spec["selector"]["matchLabels"] = {"app": APP}
    spec["template"]["metadata"] = metadata_of(spec["template"], app=APP)
    remove_git_sync(spec["template"]["spec"])
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": APP}, "spec": spec}


def remove_git_sync(pod: dict[str, Any]) -> None:
    """Change a pod's spec in place."""
    if others := [container for container in pod.pop("initContainers") if container["name"] != "git-sync"]:
        pod["initContainers"] = others
    for mount in container_of(pod, "nginx")["volumeMounts"]:
        if mount["name"] == "git":
            mount["mountPath"] = WORKTREE
    used = {mount["name"] for container in containers(pod) for mount in container.get("volumeMounts", [])}
    pod["volumes"] = [baseline_volume(v) for v in pod["volumes"] if v["name"] in used]


def baseline_volume(volume: dict[str, Any]) -> dict[str, Any]:
    sources = {
        "git": {"configMap": {"name": f"{APP}-content"}},
        "nginx-conf": {"configMap": {"name": f"{APP}-nginx-conf"}},
    }
    return {"name": volume["name"], **sources[volume["name"]]} if volume["name"] in sources else volume


def deploy_baseline(cluster: Cluster, recorder: Recorder, settings: Settings) -> None:
    """Deploy the baseline beside the app and wait until it is Ready."""
    app = recorder.get("Deployment", "app")
    assert app, "the app is deployed first"
    deployment = baseline_deployment(app)
    volumes = app["spec"]["template"]["spec"]["volumes"]
    conf = next(v["configMap"]["name"] for v in volumes if v["name"] == "nginx-conf")
    text = recorder.get("ConfigMap", conf)["data"]["nginx.conf"]  # type: ignore[index]  # the app runs with it
    path = api_path("ConfigMap", settings.namespace)
    cluster.apply(path, config_map(f"{APP}-content", {"index.html": "plain nginx\n"}))
    cluster.apply(path, config_map(f"{APP}-nginx-conf", {"nginx.conf": text.replace("/git/current", WORKTREE)}))
    cluster.apply(api_path("Deployment", settings.namespace), deployment)
    recorder.wait_for(
        f"baseline deployment/{APP}",
        lambda: is_complete(recorder.get("Deployment", APP)),
        settings.timeout_s,
        lambda: described(recorder, APP),
    )


def config_map(name: str, data: dict[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
