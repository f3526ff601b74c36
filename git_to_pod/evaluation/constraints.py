"""The architectural constraints: each tried on the running system, where this cluster allows it."""

from __future__ import annotations

import math
import re
import secrets
import time
from pathlib import Path
from urllib.parse import urlsplit

from git_to_pod.app.app import served_commit
from git_to_pod.app.pod_with_access import Access, pod_reading
from git_to_pod.cluster.api import Cluster
from git_to_pod.cluster.paths import api_path
from git_to_pod.cluster.recorder import Recorder
from git_to_pod.cluster.status import containers, pods_of
from git_to_pod.cluster.waiting import TimedOut, wait_for
from git_to_pod.evaluation.claims import Check
from git_to_pod.git.errors import GitError
from git_to_pod.git.refusals import Refusal
from git_to_pod.git.repository import PROBE, Account, Repository, account, git_limit_s
from git_to_pod.settings import Credentials, Settings
from git_to_pod.wording import counted

UNROUTED = "198.19.255.1"  # reserved for benchmarks (RFC 2544); the lab's node has no route to it
# Only these are answers of the git host. An unreachable or a slow host proves nothing.
REFUSED_READ = (Refusal.AUTHENTICATION, Refusal.NOT_AUTHORIZED, Refusal.NO_REPOSITORY)
REFUSED_PUSH = (Refusal.AUTHENTICATION, Refusal.NOT_AUTHORIZED)


def no_way_out(cluster: Cluster, settings: Settings) -> Check:
    """A pod reaches the git host and nothing else outside the cluster."""
    if not settings.lab:
        return Check(None, "Not tried: outside the lab, the run sends no traffic to other addresses.", tried=False)
    route = settings.lab.run_in("node", "ip", "route", "show", "default").stdout
    message, seconds = curl_in_poller(cluster, settings.namespace, f"http://{UNROUTED}/")
    took = f" ({seconds:.2f} s)" if math.isfinite(seconds) else ""
    rows = [
        {"check": "the node's default route", "result": route.strip() or "none"},
        {"check": f"from a pod: http://{UNROUTED}/", "result": f"{message}{took}"},
    ]
    if not route.strip() and "curl: (7)" in message and seconds < 1:
        evidence = "The node has no default route, and a pod's connection to an address outside failed at once."
        return Check(True, evidence, rows)
    return Check(False, "A pod may be able to reach other addresses than the git host's.", rows)


def nothing_reaches_in(cluster: Cluster, settings: Settings) -> Check:
    """No object exposes a pod to the outside. In the lab, the git host also fails to connect to the cluster."""
    exposed = exposed_objects(cluster, settings.namespace)
    kinds = "NodePort, LoadBalancer, Ingress, hostPort, hostNetwork"
    rows = [{"check": f"in the namespace: {kinds}", "result": ", ".join(exposed) or "none"}]
    connected = False
    if settings.lab:
        api = cluster.server
        request = ("curl", "--silent", "--show-error", "--insecure", "--max-time", "3", f"{api}/version")
        done = settings.lab.run_in("git-host", *request)
        rows.append({"check": f"from the git host: {api}", "result": (done.stdout + done.stderr).strip()})
        connected = done.returncode not in (7, 28)  # curl's statuses without a connection
    if exposed:
        return Check(False, f"These objects expose pods to the outside: {', '.join(exposed)}.", rows)
    if connected:
        return Check(False, "The git host can connect to the cluster's API server.", rows)
    evidence = "No object in the namespace exposes a pod to the outside"
    evidence += ", and the git host cannot connect to the API server." if settings.lab else "."
    return Check(True, evidence, rows)


def exposed_objects(cluster: Cluster, namespace: str) -> list[str]:
    """Objects through which something outside the cluster could connect to a pod."""
    services = cluster.items(api_path("Service", namespace))
    exposed = [
        f"service/{s['metadata']['name']}" for s in services if s["spec"]["type"] in ("NodePort", "LoadBalancer")
    ]
    ingresses = cluster.items(api_path("Ingress", namespace))
    exposed += [f"ingress/{i['metadata']['name']}" for i in ingresses]
    for pod in cluster.items(api_path("Pod", namespace)):
        ports = [port for container in containers(pod["spec"]) for port in container.get("ports", [])]
        if pod["spec"].get("hostNetwork") or any("hostPort" in port for port in ports):
            exposed.append(f"pod/{pod['metadata']['name']}")
    return exposed


def private(settings: Settings) -> Check:
    """The git host refuses a client without credentials."""
    nobody = Credentials(ca_crt=settings.reader.ca_crt, known_hosts=settings.reader.known_hosts)
    url, limit_s = settings.reader_url, git_limit_s(settings)
    with account(nobody, limit_s) as stranger, account(settings.reader, limit_s) as reader:
        error = attempt(stranger, "ls-remote", url)
        readable = attempt(reader, "ls-remote", url)
    rows = [
        {"check": f"read without credentials: {url}", "result": str(error or "it succeeded")},
        {"check": "read with the cluster's credentials", "result": str(readable or "it succeeded")},
    ]
    if not error:
        return Check(False, "The git host lets a client without credentials read the repository.", rows)
    if error.kind not in REFUSED_READ:
        evidence = "Not shown: reading without credentials failed, but the git host did not refuse it"
        return Check(None, f"{evidence} ({error.kind.value}).", rows)
    if readable:
        return Check(None, "Not shown: reading failed without credentials, but also with the cluster's.", rows)
    return Check(True, "The git host refuses a client without credentials.", rows)


def read_only(settings: Settings, repository: Repository) -> Check:
    """The git host refuses a push with the cluster's credentials."""
    url, branch = settings.reader_url, f"refs/heads/{PROBE}-{secrets.token_hex(4)}"
    with account(settings.reader, git_limit_s(settings)) as reader:
        error = attempt(reader, "push", "--quiet", url, f"HEAD:{branch}", folder=repository.clone)
        readable = attempt(reader, "ls-remote", url)
        rows = [
            {"check": f"push with the cluster's credentials: {url}", "result": str(error or "it succeeded")},
            {"check": "read with the cluster's credentials", "result": str(readable or "it succeeded")},
        ]
        if error and error.kind in REFUSED_PUSH and not readable:
            return Check(True, "The git host refuses a push with the cluster's credentials.", rows)
        # It is there after a push that succeeded, and perhaps after one that did not end.
        left = remove_branch(branch, {settings.push_url: repository.account, url: reader}, repository.clone)
    rows.append({"check": "remove the branch of this check", "result": left or "it is not on the git host"})
    if not error:
        evidence = "The git host accepts a push with the cluster's credentials."
        remains = f" The branch {branch} of this check may still be there; delete it." if left else ""
        return Check(False, f"{evidence}{remains}", rows)
    if error.kind in REFUSED_PUSH:
        return Check(None, "Not shown: the cluster's credentials could not push, but could not read either.", rows)
    evidence = "Not shown: a push with the cluster's credentials failed, but not because the account may only read"
    return Check(None, f"{evidence} ({error.kind.value}).", rows)


def remove_branch(branch: str, accounts: dict[str, Account], clone: Path) -> str:
    """Delete the branch with the first account that may do so. Return git's error if it may still be on the host."""
    left = ""
    for url, who in accounts.items():
        attempt(who, "push", "--quiet", url, f":{branch}", folder=clone)
        try:
            left = f"still on {url}" if who.git("ls-remote", url, branch) else ""
        except GitError as error:
            left = str(error)
        if not left:
            return ""
    return left


def attempt(who: Account, *arguments: str, folder: Path | None = None) -> GitError | None:
    """git's error, or None if git succeeded."""
    try:
        who.git(*arguments, folder=folder)
    except GitError as error:
        return error
    return None


def no_api_token(recorder: Recorder) -> Check:
    """No volume of a running app pod holds an API token."""
    with_token = [
        pod["metadata"]["name"]
        for pod in pods_of(recorder, "app")
        for volume in pod["spec"].get("volumes", [])
        for source in volume.get("projected", {}).get("sources", [])
        if "serviceAccountToken" in source
    ]
    seen = len(pods_of(recorder, "app"))
    if not seen:
        return Check(False, "There was no app pod to check.")
    if with_token:
        return Check(False, f"These app pods have an API token mounted: {', '.join(sorted({*with_token}))}.")
    return Check(True, f"{counted(seen, 'app pod')} checked: none mounts an API token.")


def provider_agnostic(cluster: Cluster, recorder: Recorder, settings: Settings) -> Check:
    """The deployment uses one transport. In the lab, one more pod uses the other."""
    scheme = urlsplit(settings.repository).scheme
    transports = {"https": "HTTPS with user name and password", "ssh": "SSH with a deploy key"}
    rows = [{"transport": transports[scheme], "shown by": "the deployment itself"}]
    if not settings.lab or scheme == "ssh":
        evidence = f"The deployment fetches over {transports[scheme]}. The run did not try the other transport."
        return Check(None, evidence, rows, tried=False)
    try:
        seconds = fetch_over_ssh(cluster, recorder, settings)
    except TimedOut as error:
        return Check(False, f"A pod did not get the content over SSH: {error}.", rows)
    rows.append(
        {"transport": transports["ssh"], "shown by": f"a pod of the same template, serving after {seconds:.1f} s"}
    )
    return Check(True, "Pods get the same commit over HTTPS and over SSH. Only git-sync's settings differ.", rows)


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
    """Run curl in the poller's pod; return its message and the seconds that it reports."""
    curl = ("curl", "--silent", "--show-error", "--output", "/dev/null", "--max-time", "5")
    took = ("--write-out", "%{stderr}\\n%{time_total}\\n")  # without the time that kubectl exec takes
    try:
        cluster.kubectl(f"--namespace={namespace}", "exec", "deploy/git-poller", "--", *curl, *took, url)
    except RuntimeError as error:
        lines = str(error).splitlines()
        message = next((line for line in lines if "curl: (" in line), lines[0])
        seconds = next((float(line) for line in lines if re.fullmatch(r"[0-9.]+", line)), math.inf)
        return message[max(message.find("curl: ("), 0) :], seconds
    return "it answered", math.inf
