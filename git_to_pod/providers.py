"""Git hosts and ways to prove who asks: each tried with an app pod that reads from it, and with a push that must fail.

The outcome of a try is read off the running pod: the commit that it serves, or git's own words in git-sync's log.
"""

from __future__ import annotations

import math
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from git_to_pod.access import Access, pod_reading
from git_to_pod.cluster import Cluster, Object, TimedOut, wait_for
from git_to_pod.constraints import refused
from git_to_pod.findings import html_table
from git_to_pod.progress import Progress
from git_to_pod.provider_content import Content
from git_to_pod.repository import Repository, account
from git_to_pod.settings import Credentials, Settings
from git_to_pod.trials import served_commit
from lab.client import Lab
from lab.pki import new_ssh_key, new_tls_ca

SERVED = "serves the commit"
AT_ONCE = 4  # pods; more would only wait for the node's two cores
LIMIT_S = 40.0
# What a host's refusal looks like in git's words; anything else is no refusal but a failure.
REFUSALS = {
    "no way in": r"Authentication failed|could not read Username|Permission denied|HTTP 40[13]|returned error: 40[13]",
    "not trusted": r"certificate|Host key verification failed",
    "no such commit": r"unadvertised object|not our ref",
    "may not push": r"returned error: 403|may not run|denied|not allowed|(not |un)authori[sz]ed",
    "no such host": r"Could not resolve host",
}


@dataclass(frozen=True)
class Server:
    """A git host, and how its clients prove who they are."""

    name: str
    authentication: str
    repository: str  # the URL for pods
    push_url: str  # the same for this machine
    reader: Credentials
    older: str = SERVED  # whether a pod may ask for a commit that no branch points at any more
    way_in: str = SERVED


@dataclass(frozen=True)
class Try:
    """One cell of the matrix: what is tried, and what must come of it."""

    server: Server
    what: str
    expected: str  # SERVED or a key of REFUSALS
    access: Access
    commit: str = ""  # that a pod must serve
    file: str = ""  # beside FILE, one whose content is told


@dataclass
class Row:
    """What came of it. `seconds`: until the outcome was seen; infinite where none was, nan where no pod was needed."""

    server: str
    authentication: str
    tried: str
    expected: str
    found: str
    held: bool
    seconds: float
    said: str = field(default="")


def servers(lab: Lab, reader: Credentials) -> Iterator[Server]:
    """Every host and every way to prove who asks that this lab has."""
    https, ssh = lab.repository, lab.ssh_repository
    here, base = lab.push_url, https.removesuffix("content.git")
    own = "git http-backend, HTTPS with a private CA"
    yield Server(own, "password", https, here, reader)
    yield Server("the same behind a redirect", "password", f"{base}moved/content.git", here, reader)
    elsewhere = f"{base}elsewhere/content.git"
    yield Server("redirect to another port", "password", elsewhere, here, reader, "no way in", "no way in")
    old = here.replace("/content.git", "/v0/content.git")
    yield Server("git protocol v0 only", "password", f"{base}v0/content.git", old, reader, "no such commit")
    yield Server("OpenSSH", "deploy key", ssh, lab.ssh_push_url, reader)
    if lab.gitea:
        told = lab.gitea
        token = replace(reader, password=Path(told["token"]).read_text())
        yield Server("Gitea 1.27.3, HTTPS", "password", told["repository"], told["push_url"], reader)
        yield Server("Gitea 1.27.3, HTTPS", "token", told["repository"], told["push_url"], token)
        yield Server("Gitea 1.27.3, SSH", "deploy key", told["ssh_repository"], told["ssh_push_url"], reader)


def tries(server: Server, content: Content) -> Iterator[Try]:
    """Right by branch and by commit; then everything wrong in turn."""

    def reading(ref: str, reader: Credentials = server.reader) -> Access:
        return Access(server.repository, reader, ref)

    way_in, branch, tip = server.way_in, content.branch, content.tip
    yield Try(server, "by branch, as the poller", way_in, reading(branch), tip)
    yield Try(server, "by commit, as the app's pods", way_in, reading(tip), tip)
    yield Try(server, "by a commit that is no longer the newest", server.older, reading(content.older), content.older)
    if way_in != SERVED:
        return
    for what, (expected, reader) in wrong(server.reader, server.authentication).items():
        yield Try(server, what, expected, reading(tip, reader), tip)


def wrong(reader: Credentials, authentication: str) -> dict[str, tuple[str, Credentials]]:
    """Each with one thing wrong, and the words in which it must be refused."""
    if authentication == "deploy key":
        hosts = reader.known_hosts.split()[0]
        return {
            "wrong key": ("no way in", replace(reader, ssh_privatekey=new_ssh_key()[0])),
            "wrong host key": ("not trusted", replace(reader, known_hosts=f"{hosts} {new_ssh_key()[1]}\n")),
        }
    return {
        f"wrong {authentication}": ("no way in", replace(reader, password=secrets.token_urlsafe())),
        "wrong CA": ("not trusted", replace(reader, ca_crt=new_tls_ca())),
    }


def special(server: Server, content: Content, with_stand_in: bool) -> Iterator[Try]:
    """What repositories may hold beside files."""

    def reading(branch: str, submodules: str = "off") -> Access:
        return Access(server.repository, server.reader, content.branches[branch], submodules)

    of = content.branches
    yield Try(server, "file in Git LFS", SERVED, reading("lfs"), of["lfs"], content.file_in_lfs)
    left, inside = "submodule, not asked for", "submodule, same host and account"
    yield Try(server, left, SERVED, reading("submodule"), of["submodule"], content.file_in_submodule)
    if with_stand_in:
        return  # it has no submodules
    asked = reading("submodule", "recursive")
    yield Try(server, inside, SERVED, asked, of["submodule"], content.file_in_submodule)
    outside = "submodule on a host that cannot be reached"
    asked_in_vain = reading("submodule elsewhere", "recursive")
    yield Try(server, outside, "no such host", asked_in_vain, of["submodule elsewhere"])


def run_providers(
    cluster: Cluster, template: Object, repository: Repository, settings: Settings, progress: Progress | None = None
) -> list[Row]:
    """The whole matrix: the reads a few at a time, then the pushes. `template`: of the app's pods."""
    if not settings.lab:
        return []  # the hosts are the lab's
    there = list(servers(settings.lab, settings.reader))
    with_stand_in = any(i["source"] == "stand-in" and "git-sync" in i["ref"] for i in settings.lab.images)
    with pushed(repository, there) as content:
        planned = [one for server in there for one in tries(server, content)] + list(
            special(there[0], content, with_stand_in)
        )
        with ThreadPoolExecutor(AT_ONCE) as pool:
            running = [
                pool.submit(try_reading, cluster, settings.namespace, template, f"reading-{number}", one)
                for number, one in enumerate(planned)
            ]
            rows = []
            for number, (one, future) in enumerate(zip(planned, running, strict=True)):
                if progress:
                    progress.bar(number, len(planned), f"{one.server.name}: {one.what}")
                rows.append(future.result())
        to_push = {(server.push_url, server.authentication): server for server in reversed(there)}.values()
        rows += [try_pushing(server, repository, content) for server in reversed(to_push)]
    if progress:
        progress.bar(len(planned), len(planned), "all hosts tried")
    return rows


@contextmanager
def pushed(repository: Repository, there: Sequence[Server]) -> Iterator[Content]:
    """The same commits on every host, on branches of their own, for as long as the block lasts."""
    urls = list(dict.fromkeys(server.push_url for server in there if "ssh:" not in server.push_url))
    content = Content(repository)
    try:
        for url in urls:
            content.push(url)
        yield content
    finally:
        for url in urls:
            content.delete(url)


def try_reading(cluster: Cluster, namespace: str, template: Object, name: str, one: Try) -> Row:
    """A pod with this access: until it serves the commit, or git-sync's log has what is expected."""
    row = row_of(one.server, one.what, one.expected)
    served = log = ""

    def outcome() -> bool:
        nonlocal served, log
        served = served_commit(cluster, namespace, name)[0]
        log = words_of_git(cluster, namespace, name)
        refusal = kind_of(log, one.expected) if one.expected != SERVED else ""
        return served == one.commit or refusal == one.expected

    started = time.monotonic()
    try:
        with pod_reading(cluster, namespace, template, name, one.access):
            wait_for(f"{one.server.name}: {one.what}", outcome, LIMIT_S, pause_s=0.2)
            row.seconds = round(time.monotonic() - started, 3)
            if served == one.commit:
                row.found, row.said = SERVED, told_of(cluster, namespace, name, one.file)
            else:
                row.found, row.said = kind_of(log, one.expected), shortened(log, one.expected)
    except TimedOut:
        row.found, row.said = "neither", log[-200:]
    row.held = row.found == row.expected
    return row


def try_pushing(server: Server, repository: Repository, content: Content) -> Row:
    """A push with the cluster's own credentials, from this machine, must be refused by the host."""
    row = row_of(server, "push with the cluster's credentials", "may not push")
    with account(server.reader) as reader:
        push = ("-C", str(repository.clone), "push", "--quiet", server.push_url)
        said = refused(reader, *push, f"{content.tip}:refs/heads/{content.branch}-denied")
    row.found, row.said = kind_of(said, "may not push") or ("let through" if not said else "neither"), said
    row.held = row.found == row.expected
    return row


def row_of(server: Server, what: str, expected: str) -> Row:
    return Row(server.name, server.authentication, what, expected, "", False, math.nan)


def kind_of(said: str, expected: str) -> str:
    """`expected` if git said so, else whatever refusal it was, else nothing."""
    for kind in (expected, *REFUSALS):
        if re.search(REFUSALS[kind], said):
            return kind
    return ""


def words_of_git(cluster: Cluster, namespace: str, pod: str) -> str:
    """git-sync's log so far, as one text; empty while it has none."""
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
    answer = cluster.request("GET", path, query={"container": "git-sync"})
    return answer.data.decode(errors="replace").replace("\\n", "\n") if answer.status == 200 else ""


def shortened(log: str, expected: str) -> str:
    """The words of the refusal alone."""
    found = re.search(rf"[^\n\"\\:']*(?:{REFUSALS[expected]})[^\n\"\\]*", log)
    return found[0].strip()[:160] if found else ""


def told_of(cluster: Cluster, namespace: str, pod: str, file: str) -> str:
    """What a pod answers when it is asked for one more file."""
    if not file:
        return ""
    answer = cluster.request("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}:8080/proxy/{file}")
    first = (answer.data.decode(errors="replace").splitlines() or [""])[0]
    return f"{file}: HTTP {answer.status}, {first}"


def finding(rows: Sequence[Row]) -> str:
    """What the table says, in one sentence."""
    hosts = len({(row.server, row.authentication) for row in rows})
    held = sum(row.held for row in rows)
    words = f"{held} of {len(rows)} tries on {hosts} kinds of git host and account ended as they must"
    return "; ".join([words, *conclusions(rows)])


def shown(rows: Sequence[Row]) -> str:
    """A table of every try."""
    if not rows:
        return "<p>Git hosts are compared on the embedded lab only; this run was on another cluster.</p>"
    cells = [
        {
            "git host": row.server,
            "account": row.authentication,
            "tried": row.tried,
            "found": row.found,
            "as it must": "yes" if row.held else f"no: expected “{row.expected}”",
            "after": f"{row.seconds:.1f} s" if math.isfinite(row.seconds) else "",
            "in the tools' words": row.said,
        }
        for row in rows
    ]
    return html_table(cells, finding(rows))


def conclusions(rows: Sequence[Row]) -> list[str]:
    """What a user has to know, drawn from the rows that say so."""
    found = {(row.server, row.tried): row.found for row in rows}
    said = {row.tried: row.said for row in rows}
    older = [
        server for (server, tried), outcome in found.items() if "no longer" in tried and outcome == "no such commit"
    ]
    away = [server for (server, tried), outcome in found.items() if "as the poller" in tried and outcome == "no way in"]
    parts = []
    if older:
        parts.append(f"a pod cannot get a commit that is no longer a branch's newest from {', '.join(older)}")
    if away:
        parts.append(f"credentials do not follow a redirect to another host or port ({', '.join(away)})")
    if "git-lfs" in said.get("file in Git LFS", ""):
        parts.append("Git LFS is not supported: pods serve the pointer in place of the file")
    if "HTTP 404" in said.get("submodule, not asked for", ""):
        parts.append("submodules stay empty unless GITSYNC_SUBMODULES asks for them")
    if found.get((rows[0].server, "submodule on a host that cannot be reached")) == "no such host":
        parts.append("a submodule that is asked for and cannot be fetched keeps the whole commit from the pods")
    return parts
