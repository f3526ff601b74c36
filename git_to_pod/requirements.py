"""R1 to R4: each checked on the running system, with its evidence."""

from __future__ import annotations

import math

from git_to_pod.cluster import Cluster
from git_to_pod.findings import Check
from git_to_pod.observe import Recorder, pods_of
from git_to_pod.repository import Repository, remote_commit
from git_to_pod.settings import Settings
from git_to_pod.trials import Trial, served_commit


def synchronised(cluster: Cluster, recorder: Recorder, repository: Repository, settings: Settings) -> Check:
    """R1: every pod serves the file as a checkout of the pushed commit gives it, byte for byte."""
    rows, whole = [], 0
    for pod in pods_of(recorder, "app"):
        name = pod["metadata"]["name"]
        commit, body = served_commit(cluster, settings.namespace, name)
        same = repository.contents.get(commit) == body
        whole += same and commit == repository.pushed[-1]
        rows.append({"pod": name, "commit": commit, "file": "identical to the pushed one" if same else "differs"})
    evidence = f"{whole} of {settings.replicas} pods serve the file of the last pushed commit, byte for byte."
    return Check(whole == len(rows) == settings.replicas, evidence, rows)


def detected(change: Trial) -> Check:
    """R2: a pushed commit was published, and nothing was done but the push."""
    if "published" not in change.instants:
        return Check(False, f"Commit {change.commit[:8]} was pushed but not published: {change.outcome}.")
    polled = change.latency_s("pushed", "polled")
    published = change.latency_s("pushed", "published")
    evidence = f"git-sync published commit {change.commit[:8]} {published:.2f} s after the push"
    if math.isfinite(polled):
        evidence += f", with the poll that came {polled:.2f} s after it"
    return Check(True, f"{evidence}. Nothing was done but the push.")


def restarted(change: Trial) -> Check:
    """R3: every pod was replaced after the commit was published."""
    new = [{"new pod": pod, "Ready after the push": f"{at - change.began:.2f} s"} for pod, at in change.pods.items()]
    if "restarted" not in change.instants:
        return Check(False, f"The rollout after commit {change.commit[:8]} did not complete: {change.outcome}.", new)
    seconds = change.latency_s("pushed", "restarted")
    evidence = f"All {len(new)} pods were replaced {seconds:.2f} s after the push of {change.commit[:8]}. "
    replaced = len(change.pods) == len(change.old_pods) > 0
    return Check(replaced, f"{evidence}The old pods were {', '.join(sorted(change.old_pods))}.", new)


def observable(cluster: Cluster, recorder: Recorder, settings: Settings) -> Check:
    """R4: the ConfigMap, every pod's responses and the git host all name the same commit."""
    git_commit = recorder.get("ConfigMap", "git-commit") or {"metadata": {}}
    pods = [str(pod["metadata"]["name"]) for pod in pods_of(recorder, "app")]
    seen = {f"git host, branch {settings.ref}": remote_commit(settings.reader, settings.reader_url, settings.ref)}
    seen["ConfigMap git-commit, data.commit"] = git_commit.get("data", {}).get("commit", "none")
    seen |= {f"pod {pod}, header X-Git-Commit": served_commit(cluster, settings.namespace, pod)[0] for pod in pods}
    published = git_commit["metadata"].get("annotations", {}).get("git-to-pod/published", "at an unknown time")
    agreed = len(set(seen.values())) == 1 and len(pods) == settings.replicas
    rows = [{"where": where, "commit": commit} for where, commit in seen.items()]
    if not agreed:
        return Check(False, "The git host, the ConfigMap and the pods do not name the same commit.", rows)
    evidence = "The git host, the ConfigMap and every pod name the same commit"
    return Check(True, f"{evidence}, published at {published}.", rows)
