"""The architectural constraints: each tried on the running system, where this cluster allows it."""

from __future__ import annotations

import math
import re
import time
from urllib.parse import urlsplit

from git_to_pod.access import Access, pod_reading
from git_to_pod.cluster import Cluster, TimedOut, wait_for
from git_to_pod.findings import Check
from git_to_pod.observe import Recorder, containers, pods_of
from git_to_pod.repository import Account, GitError, Repository, account, explained
from git_to_pod.settings import Credentials, Settings
from git_to_pod.trials import served_commit

UNROUTED = "198.19.255.1"  # reserved for benchmarks (RFC 2544); the lab's node has no route to it
REFUSED = "refused this account"


def no_way_out(cluster: Cluster, settings: Settings) -> Check:
    """A pod reaches nothing outside the cluster but the git host."""
    if not settings.lab:
        return Check(None, "Not tried: the run sends no traffic to other addresses, except in the lab.")
    route = settings.lab.run_in("node", "ip", "route", "show", "default").stdout
    message, seconds = curl_in_poller(cluster, settings.namespace, f"http://{UNROUTED}/")
    rows = [
        {"check": "the node's default route", "result": route.strip() or "none"},
        {"check": f"from a pod: http://{UNROUTED}/", "result": f"{message} ({seconds:.2f} s)"},
    ]
    if not route.strip() and "curl: (7)" in message and seconds < 1:
        return Check(True, "The node has no default route. A pod cannot reach an address outside the cluster.", rows)
    return Check(False, "A pod may reach addresses outside the cluster.", rows)


def nothing_reaches_in(cluster: Cluster, settings: Settings) -> Check:
    """No object exposes a pod to the outside. In the lab, the git host also fails to connect to the cluster."""
    exposed = exposed_objects(cluster, settings.namespace)
    kinds = "NodePort, LoadBalancer, Ingress, hostPort, hostNetwork"
    rows = [{"check": f"in the namespace: {kinds}", "result": ", ".join(exposed) or "none"}]
    closed = not exposed
    if settings.lab:
        api = cluster.server
        request = ("curl", "--silent", "--show-error", "--insecure", "--max-time", "3", f"{api}/version")
        done = settings.lab.run_in("git-host", *request)
        rows.append({"check": f"from the git host: {api}", "result": (done.stdout + done.stderr).strip()})
        closed = closed and done.returncode in (7, 28)  # no connection
    if not closed:
        return Check(False, "Something outside can connect to the cluster.", rows)
    evidence = "No object in the namespace exposes a pod to the outside"
    evidence += ", and the git host cannot connect to the cluster." if settings.lab else "."
    return Check(True, evidence, rows)


def exposed_objects(cluster: Cluster, namespace: str) -> list[str]:
    """Objects through which something outside the cluster could connect to a pod."""
    services = cluster.items(f"/api/v1/namespaces/{namespace}/services")
    exposed = [
        f"service/{s['metadata']['name']}" for s in services if s["spec"]["type"] in ("NodePort", "LoadBalancer")
    ]
    ingresses = cluster.items(f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses")
    exposed += [f"ingress/{i['metadata']['name']}" for i in ingresses]
    for pod in cluster.items(f"/api/v1/namespaces/{namespace}/pods"):
        ports = [port for container in containers(pod["spec"]) for port in container.get("ports", [])]
        if pod["spec"].get("hostNetwork") or any("hostPort" in port for port in ports):
            exposed.append(f"pod/{pod['metadata']['name']}")
    return exposed


def private(settings: Settings) -> Check:
    """The host refuses a clone without credentials."""
    nobody = Credentials(ca_crt=settings.reader.ca_crt, known_hosts=settings.reader.known_hosts)
    with account(nobody) as stranger:
        said = refused(stranger, "clone", "--quiet", settings.reader_url, "cloned")
    counts = bool(said) and REFUSED in explained(said, settings.reader_url, "")
    return refusal(counts, said, "A clone without credentials", settings.reader_url)


def read_only(settings: Settings, repository: Repository) -> Check:
    """The host refuses a push with the cluster's own credentials."""
    with account(settings.reader) as reader:
        target = "HEAD:refs/heads/git-to-pod-evaluation-denied"
        push = ("-C", str(repository.clone), "push", "--quiet", settings.reader_url, target)
        said = refused(reader, *push)
        may_read = not refused(
            reader, "ls-remote", settings.reader_url
        )  # so the host refused the push, not the account
    if not said:  # the push succeeded: leave nothing behind
        repository.account.git("push", "--quiet", settings.push_url, f":{target.partition(':')[2]}")
    return refusal(bool(said) and may_read, said, "A push with the cluster's credentials", settings.reader_url)


def refused(who: Account, *arguments: str) -> str:
    """git's error message; empty if git succeeded."""
    try:
        who.git(*arguments)
    except GitError as error:
        return str(error)
    return ""


def refusal(holds: bool, said: str, what: str, url: str) -> Check:
    """The result as a Check. An unreachable host proves nothing."""
    rows = [{"check": f"{what}: {url}", "result": said or "it succeeded"}]
    verb = "refuses" if holds else "did not refuse"
    return Check(holds, f"The git host {verb} {what[0].lower()}{what[1:]}.", rows)


def no_api_token(recorder: Recorder) -> Check:
    """No volume of an admitted app pod holds a token."""
    with_token = [
        pod["metadata"]["name"]
        for pod in pods_of(recorder, "app")
        for volume in pod["spec"].get("volumes", [])
        for source in volume.get("projected", {}).get("sources", [])
        if "serviceAccountToken" in source
    ]
    seen = len(pods_of(recorder, "app"))
    evidence = f"None of the {seen} app pods has a token mounted."
    return Check(seen > 0 and not with_token, evidence if not with_token else f"Mounted in: {', '.join(with_token)}.")


def provider_agnostic(cluster: Cluster, recorder: Recorder, settings: Settings) -> Check:
    """The deployment uses one transport. In the lab, one more pod uses the other."""
    scheme = urlsplit(settings.repository).scheme
    transports = {"https": "HTTPS with user name and password", "ssh": "SSH with a deploy key"}
    rows = [{"transport": transports[scheme], "shown by": "the deployment itself"}]
    if not settings.lab or scheme == "ssh":
        return Check(
            None, f"The deployment fetches over {transports[scheme]}. The other transport was not tried.", rows
        )
    try:
        seconds = fetch_over_ssh(cluster, recorder, settings)
    except TimedOut as error:
        return Check(False, f"A pod did not get the content over SSH: {error}.", rows)
    rows.append(
        {"transport": transports["ssh"], "shown by": f"a pod of the same template, serving after {seconds:.1f} s"}
    )
    return Check(True, "Pods get the same commit over HTTPS and over SSH; only settings differ.", rows)


def fetch_over_ssh(cluster: Cluster, recorder: Recorder, settings: Settings) -> float:
    """Start an app pod with the SSH URL; the seconds until it serves the published commit."""
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
    """Run curl in the poller's pod: its message, and its own count of seconds."""
    curl = ("curl", "--silent", "--show-error", "--output", "/dev/null", "--max-time", "5")
    took = ("--write-out", "%{stderr}\\n%{time_total}\\n")  # without the time that kubectl exec takes
    try:
        cluster.kubectl(f"--namespace={namespace}", "exec", "deploy/git-poller", "--", *curl, *took, url)
    except RuntimeError as error:
        lines = str(error).splitlines()
        said = next((line for line in lines if "curl: (" in line), lines[0])
        seconds = next((float(line) for line in lines if re.fullmatch(r"[0-9.]+", line)), math.inf)
        return said[max(said.find("curl: ("), 0) :], seconds
    return "it answered", math.inf
