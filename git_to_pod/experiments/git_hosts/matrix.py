"""Checks of git hosts and credentials: app pods fetch from each host, and the host must deny a push from the cluster.

The result of a check comes from the running pod: the commit that it serves, or git's error message in git-sync's log.
"""

from __future__ import annotations

import copy
import math
import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from git_to_pod.app.app import served_commit
from git_to_pod.app.pod_proxy import proxy_path
from git_to_pod.app.pod_with_access import Access, pod_reading
from git_to_pod.cluster.api import Cluster, Object
from git_to_pod.cluster.paths import api_path
from git_to_pod.cluster.status import containers
from git_to_pod.cluster.waiting import TimedOut, wait_for
from git_to_pod.evaluation.constraints import attempt
from git_to_pod.experiments.effort import effort
from git_to_pod.experiments.git_hosts.branches import POINTER, Content
from git_to_pod.git.refusals import Refusal, excerpt, kinds
from git_to_pod.git.repository import Repository, account
from git_to_pod.progress import Progress
from git_to_pod.settings import Credentials, Settings
from lab.pki import new_ssh_key, new_tls_ca
from lab.state import Lab

AT_ONCE = 4  # pods in parallel; more would only compete for the node's two cores
LIMIT_S = 40.0
SERVED = "serves the commit"
UNAUTHENTICATED = "authentication failed"
UNTRUSTED = "host not trusted"
NO_COMMIT = "commit not available"
PUSH_DENIED = "push denied"
NO_HOST = "host name not resolved"
PUSHED = "push accepted"
NO_RESULT = "no result"
# What each of these results may be called by refusals.py. Any other reason is a failure of the check.
REFUSALS = {
    UNAUTHENTICATED: {Refusal.AUTHENTICATION, Refusal.NOT_AUTHORIZED},
    UNTRUSTED: {Refusal.CERTIFICATE, Refusal.HOST_KEY},
    NO_COMMIT: {Refusal.NO_COMMIT},
    PUSH_DENIED: {Refusal.NOT_AUTHORIZED},
    NO_HOST: {Refusal.NO_HOST},
}


class Case(StrEnum):
    """What a check does. Rows carry it as their key; conclusions and the matrix use it."""

    BRANCH = "branch"
    COMMIT = "commit"
    OLD_COMMIT = "old commit"
    WRONG_SECRET = "wrong secret"
    WRONG_HOST = "wrong host"
    PUSH = "push"
    LFS = "lfs"
    SUBMODULE_OFF = "submodule off"
    SUBMODULE = "submodule"
    SUBMODULE_ELSEWHERE = "submodule elsewhere"


class File(StrEnum):
    """How a pod serves one more file of the commit."""

    NOT_CHECKED = ""
    CONTENT = "content"
    POINTER = "pointer"
    MISSING = "missing"


# The matrix: a column for each of these cases. The other cases run on one host only.
COLUMNS = {
    Case.BRANCH: "fetch a branch, as the poller does",
    Case.COMMIT: "fetch a commit, as app pods do",
    Case.OLD_COMMIT: "fetch a commit that is no longer a branch tip",
    Case.WRONG_SECRET: "wrong password, token or key",
    Case.WRONG_HOST: "wrong CA or host key",
    Case.PUSH: "push with the cluster's credentials",
}


@dataclass(frozen=True)
class Server:
    """A git host with one kind of credentials, as the checks use it."""

    name: str
    authentication: str
    repository: str  # the URL for pods
    push_url: str  # the URL for this machine
    reader: Credentials
    older: str = SERVED  # expected when a pod fetches a commit that is no longer a branch tip
    way_in: str = SERVED  # expected with the right credentials; UNAUTHENTICATED after a redirect to another port


@dataclass(frozen=True)
class HostCheck:
    """One check: what a pod fetches, and the expected result."""

    server: Server
    case: Case
    what: str
    expected: str  # SERVED or a key of REFUSALS
    access: Access
    commit: str = ""  # the commit that the pod must serve
    file: str = ""  # one more file to request from the pod


@dataclass
class GitHostResult:
    """The result of one check. `seconds`: until the result was seen; NaN without a result, and for pushes."""

    server: str
    authentication: str
    case: Case
    tried: str
    expected: str
    found: str
    held: bool
    seconds: float
    message: str = field(default="")  # git's error message, or how the pod answers a request for the file
    file: File = File.NOT_CHECKED


def servers(lab: Lab, reader: Credentials) -> Iterator[Server]:
    """Every combination of git host and credentials that this lab has."""
    https, ssh = lab.repository, lab.ssh_repository
    here, base = lab.push_url, https.removesuffix("content.git")
    yield Server("git http-backend (HTTPS, private CA)", "password", https, here, reader)
    yield Server("git http-backend (redirect, same host)", "password", f"{base}moved/content.git", here, reader)
    elsewhere, refused_there = f"{base}elsewhere/content.git", (UNAUTHENTICATED, UNAUTHENTICATED)
    yield Server("git http-backend (redirect, other port)", "password", elsewhere, here, reader, *refused_there)
    old = here.replace("/content.git", "/v0/content.git")
    yield Server("git http-backend (protocol v0 only)", "password", f"{base}v0/content.git", old, reader, NO_COMMIT)
    yield Server("OpenSSH", "deploy key", ssh, lab.ssh_push_url, reader)
    if lab.gitea:
        gitea = lab.gitea
        token = replace(reader, password=Path(gitea["token"]).read_text())
        yield Server("Gitea 1.27.3 (HTTPS)", "password", gitea["repository"], gitea["push_url"], reader)
        yield Server("Gitea 1.27.3 (HTTPS)", "token", gitea["repository"], gitea["push_url"], token)
        yield Server("Gitea 1.27.3 (SSH)", "deploy key", gitea["ssh_repository"], gitea["ssh_push_url"], reader)


def checks(server: Server, content: Content) -> Iterator[HostCheck]:
    """Fetches with the right credentials, then fetches with one wrong credential at a time."""

    def reading(ref: str, reader: Credentials = server.reader) -> Access:
        return Access(server.repository, reader, ref)

    way_in, branch, tip, older = server.way_in, content.branch, content.tip, content.older
    yield HostCheck(server, Case.BRANCH, COLUMNS[Case.BRANCH], way_in, reading(branch), tip)
    yield HostCheck(server, Case.COMMIT, COLUMNS[Case.COMMIT], way_in, reading(tip), tip)
    yield HostCheck(server, Case.OLD_COMMIT, COLUMNS[Case.OLD_COMMIT], server.older, reading(older), older)
    if way_in != SERVED:
        return
    for case, (what, expected, reader) in wrong(server.reader, server.authentication).items():
        yield HostCheck(server, case, what, expected, reading(tip, reader), tip)


def wrong(reader: Credentials, authentication: str) -> dict[Case, tuple[str, str, Credentials]]:
    """Credentials with one wrong part each: what is wrong, the expected refusal, the credentials."""
    if authentication == "deploy key":
        hosts, key = reader.known_hosts.split()[0], replace(reader, ssh_privatekey=new_ssh_key()[0])
        host_key = replace(reader, known_hosts=f"{hosts} {new_ssh_key()[1]}\n")
        return {
            Case.WRONG_SECRET: ("wrong key", UNAUTHENTICATED, key),
            Case.WRONG_HOST: ("wrong host key", UNTRUSTED, host_key),
        }
    secret = replace(reader, password=secrets.token_urlsafe())
    return {
        Case.WRONG_SECRET: (f"wrong {authentication}", UNAUTHENTICATED, secret),
        Case.WRONG_HOST: ("wrong CA", UNTRUSTED, replace(reader, ca_crt=new_tls_ca())),
    }


def special(server: Server, content: Content, with_stand_in: bool) -> Iterator[HostCheck]:
    """Commits with a Git LFS file or a submodule."""

    def reading(branch: str, submodules: str = "off") -> Access:
        return Access(server.repository, server.reader, content.branches[branch], submodules)

    of = content.branches
    yield HostCheck(server, Case.LFS, "file in Git LFS", SERVED, reading("lfs"), of["lfs"], content.file_in_lfs)
    off, inside = "submodule, GITSYNC_SUBMODULES=off", "submodule on the same host, GITSYNC_SUBMODULES=recursive"
    outside = "submodule on an unknown host, GITSYNC_SUBMODULES=recursive"
    submodule, file = of["submodule"], content.file_in_submodule
    yield HostCheck(server, Case.SUBMODULE_OFF, off, SERVED, reading("submodule"), submodule, file)
    if with_stand_in:
        return  # the stand-in does not implement submodules
    yield HostCheck(server, Case.SUBMODULE, inside, SERVED, reading("submodule", "recursive"), submodule, file)
    elsewhere = reading("submodule elsewhere", "recursive")
    yield HostCheck(server, Case.SUBMODULE_ELSEWHERE, outside, NO_HOST, elsewhere, of["submodule elsewhere"])


def run_providers(
    cluster: Cluster, template: Object, repository: Repository, settings: Settings, progress: Progress | None = None
) -> list[GitHostResult]:
    """Run all checks: the fetches a few at a time, then the pushes. Without the lab there are no hosts and no rows.

    `template` is the pod template of the app.
    """
    if not settings.lab:
        return []
    template = with_readable_log(template)
    available = list(servers(settings.lab, settings.reader))[: effort().git_hosts]
    with_stand_in = any(i["source"] == "stand-in" and "git-sync" in i["ref"] for i in settings.lab.images)
    with pushed(repository, available) as content:
        planned = [check for server in available for check in checks(server, content)] + list(
            special(available[0], content, with_stand_in)
        )
        with ThreadPoolExecutor(AT_ONCE) as pool:
            running = [
                pool.submit(check_reading, cluster, settings.namespace, template, f"reading-{number}", check)
                for number, check in enumerate(planned)
            ]
            rows = []
            for number, (check, future) in enumerate(zip(planned, running, strict=True)):
                if progress:
                    progress.bar(number, len(planned), f"{check.server.name}: {check.what}")
                rows.append(future.result())
        to_push = {(server.push_url, server.authentication): server for server in reversed(available)}.values()
        rows += [check_pushing(server, repository, content) for server in reversed(to_push)]
    if progress:
        progress.bar(len(planned), len(planned), "all git hosts checked")
    return rows


def with_readable_log(template: Object) -> Object:
    """The template without git-sync's hooks: while a postStart hook runs, the container's log cannot be read."""
    template = copy.deepcopy(template)
    for container in containers(template["spec"]):
        if container["name"] == "git-sync":
            container.pop("lifecycle", None)
    return template


@contextmanager
def pushed(repository: Repository, available: Sequence[Server]) -> Iterator[Content]:
    """Push the same commits to every host, on test branches that are deleted at the end of the block."""
    urls = list(dict.fromkeys(server.push_url for server in available if "ssh:" not in server.push_url))
    content = Content(repository)
    try:
        for url in urls:
            content.push(url)
        yield content
    finally:
        for url in urls:
            content.delete(url)


def check_reading(cluster: Cluster, namespace: str, template: Object, name: str, check: HostCheck) -> GitHostResult:
    """Start a pod, and wait until it serves the commit or git-sync's log has the expected refusal."""
    row = row_of(check.server, check.case, check.what, check.expected)
    served = log = ""

    def outcome() -> bool:
        nonlocal served, log
        served = served_commit(cluster, namespace, name)[0]
        log = git_sync_log(cluster, namespace, name)
        refusal = kind_of(log, check.expected) if check.expected != SERVED else ""
        return served == check.commit or refusal == check.expected

    started = time.monotonic()
    try:
        with pod_reading(cluster, namespace, template, name, check.access):
            wait_for(f"{check.server.name}: {check.what}", outcome, LIMIT_S, pause_s=0.2)
            row.seconds = round(time.monotonic() - started, 3)
            if served == check.commit:
                row.found = SERVED
                row.file, row.message = served_file(cluster, namespace, name, check.file)
            else:
                row.found, row.message = kind_of(log, check.expected), shortened(log, check.expected)
    except TimedOut:
        row.found, row.message = NO_RESULT, log[-200:]
    row.held = row.found == row.expected
    return row


def check_pushing(server: Server, repository: Repository, content: Content) -> GitHostResult:
    """Push from this machine with the cluster's credentials. The host must deny it."""
    row = row_of(server, Case.PUSH, COLUMNS[Case.PUSH], PUSH_DENIED)
    with account(server.reader) as reader:
        branch = f"{content.tip}:refs/heads/{content.branch}-denied"
        error = attempt(reader, "push", "--quiet", server.push_url, branch, folder=repository.clone)
    row.found, row.message = PUSHED, ""
    if error:
        row.found, row.message = kind_of(error.stderr, PUSH_DENIED, server.push_url) or NO_RESULT, str(error)
    row.held = row.found == row.expected
    return row


def row_of(server: Server, case: Case, what: str, expected: str) -> GitHostResult:
    return GitHostResult(server.name, server.authentication, case, what, expected, "", False, math.nan)


def kind_of(message: str, expected: str, url: str = "") -> str:
    """The refusal that git's message stands for: `expected` if it matches, else the first that does, else empty."""
    found = kinds(message, url)
    for kind in (expected, *REFUSALS):
        if REFUSALS[kind] & {*found}:
            return kind
    return ""


def git_sync_log(cluster: Cluster, namespace: str, pod: str) -> str:
    """git-sync's log so far; empty if it cannot be read yet."""
    path = f"{api_path('Pod', namespace, pod)}/log"
    answer = cluster.request("GET", path, query={"container": "git-sync"})
    return answer.data.decode(errors="replace").replace("\\n", "\n") if answer.status == 200 else ""


def shortened(log: str, expected: str) -> str:
    """The part of the log that matches the refusal, at most 160 characters."""
    return excerpt(log, REFUSALS[expected])[:160]


def served_file(cluster: Cluster, namespace: str, pod: str, file: str) -> tuple[File, str]:
    """How a pod serves one more file, and the first line of its response."""
    if not file:
        return File.NOT_CHECKED, ""
    answer = cluster.request("GET", proxy_path(namespace, pod, file))
    first = (answer.data.decode(errors="replace").splitlines() or [""])[0]
    return file_of(answer.status, first), f"{file}: HTTP {answer.status}, {first}"


def file_of(status: int, first_line: str) -> File:
    """Any other status than 200 and 404 says nothing about the file."""
    if status == 200:
        return File.POINTER if first_line == POINTER.splitlines()[0] else File.CONTENT
    return File.MISSING if status == 404 else File.NOT_CHECKED
