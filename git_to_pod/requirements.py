"""R1 to R4: each looked at on the running system, with what shows it."""

from __future__ import annotations

import math

from git_to_pod.cluster import Cluster
from git_to_pod.findings import Check
from git_to_pod.observe import Recorder, pods_of
from git_to_pod.repository import Repository, remote_commit
from git_to_pod.settings import Settings
from git_to_pod.trials import Trial, served_commit


def synchronised(cluster: Cluster, recorder: Recorder, repository: Repository, settings: Settings) -> Check:
    """R1: every pod serves the file as it was pushed, byte for byte."""
    rows, whole = [], 0
    for pod in pods_of(recorder, "app"):
        name = pod["metadata"]["name"]
        commit, body = served_commit(cluster, settings.namespace, name)
        same = repository.contents.get(commit) == body
        whole += same and commit == repository.pushed[-1]
        rows.append(
            {"pod": name, "serves commit": commit, "the pushed file": "byte for byte" if same else "not the same"}
        )
    evidence = f"{whole} of {settings.replicas} pods serve the file of the last pushed commit as it was pushed."
    return Check(whole == len(rows) == settings.replicas, evidence, rows)


def detected(change: Trial) -> Check:
    """R2: a pushed commit was fetched and published, with nothing done but the push."""
    if "published" not in change.instants:
        return Check(False, f"Commit {change.commit[:8]} was pushed and never published: {change.outcome}.")
    polled = change.latency_s("pushed", "polled")
    asked = "" if math.isnan(polled) else f"git-sync asked the git host {polled:.2f} s after the push, and "
    published = change.latency_s("pushed", "published")
    evidence = f"Commit {change.commit[:8]} was pushed; {asked}it was published {published:.2f} s after the push. "
    return Check(True, evidence + "Nothing was done but the push.")


def restarted(change: Trial) -> Check:
    """R3: the published commit was followed by a restart of every pod."""
    new = [{"new pod": pod, "Ready, after the push": f"{at - change.began:.2f} s"} for pod, at in change.pods.items()]
    if "restarted" not in change.instants:
        return Check(False, f"No complete restart followed commit {change.commit[:8]}: {change.outcome}.", new)
    seconds = change.latency_s("pushed", "restarted")
    evidence = f"All {len(new)} pods were replaced {seconds:.2f} s after the push of {change.commit[:8]}; before it "
    replaced = len(change.pods) == len(change.old_pods) > 0
    return Check(replaced, f"{evidence}there were {', '.join(sorted(change.old_pods))}.", new)


def observable(cluster: Cluster, recorder: Recorder, settings: Settings) -> Check:
    """R4: the ConfigMap, every pod's responses and the git host all name the same commit."""
    git_commit = recorder.get("ConfigMap", "git-commit") or {"metadata": {}}
    pods = [str(pod["metadata"]["name"]) for pod in pods_of(recorder, "app")]
    seen = {f"the git host: {settings.ref}": remote_commit(settings.reader, settings.reader_url, settings.ref)}
    seen["ConfigMap git-commit: data.commit"] = git_commit.get("data", {}).get("commit", "none")
    seen |= {f"pod {pod}: X-Git-Commit": served_commit(cluster, settings.namespace, pod)[0] for pod in pods}
    published = git_commit["metadata"].get("annotations", {}).get("git-to-pod/published", "at an unknown time")
    agreed = len(set(seen.values())) == 1 and len(pods) == settings.replicas
    evidence = "The git host, the ConfigMap and every pod name the same commit" if agreed else "They do not all agree"
    rows = [{"asked": where, "commit": commit} for where, commit in seen.items()]
    return Check(agreed, f"{evidence}; it was published {published}.", rows)
