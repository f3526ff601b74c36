"""The architectural constraints: each tried on the running system where this machine can try it."""

from __future__ import annotations

import math
import re
import time
from urllib.parse import urlsplit

from git_to_pod.access import Access, pod_reading
from git_to_pod.cluster import Cluster, TimedOut, wait_for
from git_to_pod.findings import Check
from git_to_pod.observe import Recorder, pods_of
from git_to_pod.repository import Account, GitError, Repository, account, explained
from git_to_pod.settings import Credentials, Settings
from git_to_pod.trials import served_commit

UNROUTED = "198.19.255.1"  # of the range reserved for benchmarks: the lab's node knows no way to it
REFUSED = "refused this account"


def no_way_out(cluster: Cluster, settings: Settings) -> Check:
    """Nothing but the git host can be reached from a pod."""
    if not settings.lab:
        return Check(None, "Not tried: on a cluster that is not the lab, no traffic is sent to other addresses.")
    route = settings.lab.run_in("node", "ip", "route", "show", "default").stdout
    said, seconds = curl_in_poller(cluster, settings.namespace, f"http://{UNROUTED}/")
    rows = [
        {"tried": "the node's default route", "found": route.strip() or "none"},
        {"tried": f"from a pod: http://{UNROUTED}/", "found": f"{said} ({seconds:.2f} s)"},
    ]
    cut_off = not route.strip() and "curl: (7)" in said and seconds < 1
    reached = "is unreachable at once" if cut_off else "was not refused at once"
    return Check(cut_off, f"The node has no default route; an address outside the cluster {reached}.", rows)


def nothing_reaches_in(cluster: Cluster, settings: Settings) -> Check:
    """No object opens a door, and on the lab the git host knocks in vain."""
    doors = open_doors(cluster, settings.namespace)
    rows = [{"tried": "NodePort, LoadBalancer, Ingress, hostPort, hostNetwork", "found": ", ".join(doors) or "none"}]
    closed = not doors
    if settings.lab:
        api = cluster.server
        knock = ("curl", "--silent", "--show-error", "--insecure", "--max-time", "3", f"{api}/version")
        said = settings.lab.run_in("git-host", *knock)
        rows.append({"tried": f"from the git host: {api}", "found": (said.stdout + said.stderr).strip()})
        closed = closed and said.returncode in (7, 28)  # no connection
    evidence = "No object in the namespace can be reached from outside"
    evidence += ", and the git host cannot connect to the cluster." if settings.lab else "."
    return Check(closed, evidence if closed else "There is a way in.", rows)


def open_doors(cluster: Cluster, namespace: str) -> list[str]:
    """Objects by which something outside the cluster could connect to a pod."""
    services = cluster.items(f"/api/v1/namespaces/{namespace}/services")
    doors = [f"service/{s['metadata']['name']}" for s in services if s["spec"]["type"] in ("NodePort", "LoadBalancer")]
    ingresses = cluster.items(f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses")
    doors += [f"ingress/{i['metadata']['name']}" for i in ingresses]
    for pod in cluster.items(f"/api/v1/namespaces/{namespace}/pods"):
        ports = [port for container in pod["spec"]["containers"] for port in container.get("ports", [])]
        if pod["spec"].get("hostNetwork") or any("hostPort" in port for port in ports):
            doors.append(f"pod/{pod['metadata']['name']}")
    return doors


def private(settings: Settings) -> Check:
    """A clone without credentials is refused."""
    nobody = Credentials(ca_crt=settings.reader.ca_crt, known_hosts=settings.reader.known_hosts)
    with account(nobody) as stranger:
        said = refused(stranger, "clone", "--quiet", settings.reader_url, "cloned")
    counts = bool(said) and REFUSED in explained(said, settings.reader_url, "")
    return refusal(counts, said, "A clone without credentials", settings.reader_url)


def read_only(settings: Settings, repository: Repository) -> Check:
    """A push with the cluster's own credentials is refused."""
    with account(settings.reader) as reader:
        target = "HEAD:refs/heads/git-to-pod-evaluation-denied"
        push = ("-C", str(repository.clone), "push", "--quiet", settings.reader_url, target)
        said = refused(reader, *push)
        let_in = not refused(reader, "ls-remote", settings.reader_url)  # so it was the push that was refused
    if not said:  # it was let through: leave nothing behind
        repository.account.git("push", "--quiet", settings.push_url, f":{target.partition(':')[2]}")
    return refusal(bool(said) and let_in, said, "A push with the cluster's credentials", settings.reader_url)


def refused(who: Account, *arguments: str) -> str:
    """How the host refused it; empty if it did not."""
    try:
        who.git(*arguments)
    except GitError as error:
        return str(error)
    return ""


def refusal(holds: bool, said: str, what: str, url: str) -> Check:
    """Only the host's refusal counts: an unreachable host proves nothing."""
    rows = [{"tried": f"{what}: {url}", "found": said or "it was let through"}]
    return Check(holds, f"{what} is refused by the git host." if holds else f"{what} was not refused.", rows)


def no_api_token(recorder: Recorder) -> Check:
    """No volume of an app pod, as admitted, carries a token."""
    with_token = [
        pod["metadata"]["name"]
        for pod in pods_of(recorder, "app")
        for volume in pod["spec"].get("volumes", [])
        for source in volume.get("projected", {}).get("sources", [])
        if "serviceAccountToken" in source
    ]
    seen = len(pods_of(recorder, "app"))
    evidence = f"None of the {seen} app pods has a token mounted." if not with_token else f"With one: {with_token}."
    return Check(seen > 0 and not with_token, evidence)


def provider_agnostic(cluster: Cluster, recorder: Recorder, settings: Settings) -> Check:
    """The deployment uses one way in; where the repository has an SSH URL too, one more pod uses that."""
    scheme = urlsplit(settings.repository).scheme
    ways = {"https": "HTTPS with user name and password", "ssh": "SSH with a deploy key"}
    rows = [{"way in": ways[scheme], "shown by": "the deployment itself"}]
    if not settings.lab or scheme == "ssh":
        return Check(None, f"The deployment fetches over {ways[scheme]}; the other way was not tried here.", rows)
    try:
        seconds = fetch_over_ssh(cluster, recorder, settings)
    except TimedOut as error:
        return Check(False, f"The same pod did not get the content over SSH: {error}.", rows)
    rows.append({"way in": ways["ssh"], "shown by": f"a pod of the same containers, serving after {seconds:.1f} s"})
    return Check(True, "The same pods get the same commit over HTTPS and over SSH; only settings differ.", rows)


def fetch_over_ssh(cluster: Cluster, recorder: Recorder, settings: Settings) -> float:
    """An app pod whose repository is the SSH URL; the seconds until it serves the published commit."""
    assert settings.lab
    app, git_commit = recorder.get("Deployment", "app"), recorder.get("ConfigMap", "git-commit")
    assert app, "the app is deployed first"
    assert git_commit, "and the commit published"
    commit, name = git_commit["data"]["commit"], "app-over-ssh"
    access = Access(settings.lab.ssh_repository, settings.reader, commit)
    last = "nothing"

    def serves() -> bool:
        nonlocal last
        last = served_commit(cluster, settings.namespace, name)[0]
        return bool(last == commit)

    started = time.monotonic()
    with pod_reading(cluster, settings.namespace, app["spec"]["template"], name, access):
        wait_for(f"pod {name} serving {commit[:8]}", serves, settings.timeout_s, lambda: last)
        return time.monotonic() - started


def curl_in_poller(cluster: Cluster, namespace: str, url: str) -> tuple[str, float]:
    """What curl said in the poller's pod, and the seconds that it took by its own account."""
    curl = ("curl", "--silent", "--show-error", "--output", "/dev/null", "--max-time", "5")
    took = ("--write-out", "%{stderr}\\n%{time_total}\\n")  # of curl alone: kubectl takes a while to get there
    try:
        cluster.kubectl(f"--namespace={namespace}", "exec", "deploy/git-poller", "--", *curl, *took, url)
    except RuntimeError as error:
        lines = str(error).splitlines()
        said = next((line for line in lines if "curl: (" in line), lines[0])
        seconds = next((float(line) for line in lines if re.fullmatch(r"[0-9.]+", line)), math.inf)
        return said[max(said.find("curl: ("), 0) :], seconds
    return "it answered", math.inf
