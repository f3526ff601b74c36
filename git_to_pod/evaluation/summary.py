"""The results of a run: filled cell by cell and written to summary.json and trials.csv."""

# ruff: noqa: RUF001  # dashes and signs as a reader expects them in print

from __future__ import annotations

import json
import math
import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from git_to_pod.app.deployment import other_reloaders
from git_to_pod.app.load import Response
from git_to_pod.cluster.api import ApiError, Cluster
from git_to_pod.cluster.recorder import container_statuses, containers, is_ready
from git_to_pod.progress import Progress
from git_to_pod.settings import ROOT, Settings
from git_to_pod.timing.medians import Figure
from git_to_pod.timing.trials import PUSH, Trial, figures, measure_mixed_commits, table

REQUIREMENTS = {
    "R1": "A git repository is synced into running pods",
    "R2": "Changes are detected and pulled automatically",
    "R3": "Pods restart when the content changes",
    "R4": "The deployed commit is observable",
}
CONSTRAINTS = {
    "no_way_out": "Air-gapped: the cluster reaches the git host and nothing else",
    "nothing_reaches_in": "Pull-based: nothing outside connects to the cluster",
    "private": "The repository is private",
    "read_only": "The cluster's credentials are read-only",
    "provider_agnostic": "Any git provider, over HTTPS and SSH",
    "no_api_token": "The app's pods hold no Kubernetes API token",
}


SCHEMA = 2  # of summary.json; it changes when a key is removed or gets another meaning


@dataclass
class Check:
    """A requirement or constraint: whether it is met, and the evidence. None: this cluster does not let the run try."""

    holds: bool | None
    evidence: str
    rows: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Target:
    """A limit for a figure, set before measuring."""

    name: str
    what: str
    how: str
    value: float
    limit: float
    unit: str = "s"

    @property
    def met(self) -> bool | None:
        return None if math.isnan(self.value) or math.isnan(self.limit) else self.value <= self.limit


class EvaluationFailed(AssertionError):
    """A requirement or a constraint is not met."""


@dataclass
class Evaluation:
    settings: Settings
    kubernetes: dict[str, str] = field(default_factory=dict)
    images: list[dict[str, str]] = field(default_factory=list)
    requirements: dict[str, Check] = field(default_factory=dict)
    constraints: dict[str, Check] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)
    cost: dict[str, Any] = field(default_factory=dict)
    timings_s: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # what a reader must know of this cluster
    error: str = ""  # what aborted the run
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def look_at(self, cluster: Cluster) -> None:
        """Record the cluster and the images, once they run."""
        self.kubernetes = environment(cluster)
        if self.settings.git_host_inside:
            self.kubernetes["git_host"] = "in this cluster"
        self.images = images(cluster, self.settings)
        self.timings_s |= {f"lab_{name}": seconds for name, seconds in self.lab_timings.items()}

    def note_other_reloaders(self, cluster: Cluster, progress: Progress) -> None:
        """Say before the deployment that another Reloader may also roll the app."""
        for name in other_reloaders(cluster, self.settings.namespace):
            self.notes.append(f"This cluster has another Reloader, {name}. It may also roll the app at each commit.")
            progress.say(self.notes[-1])

    @property
    def lab_timings(self) -> dict[str, float]:
        return self.settings.lab.timings_s if self.settings.lab else {}

    def require(self, name: str, check: Check) -> Shown:
        self.requirements[name] = check
        self.write()  # an aborted run keeps its results
        return Shown(name, f"{name}: {REQUIREMENTS[name]}", check)

    def constrain(self, name: str, check: Check) -> Shown:
        self.constraints[name] = check
        self.write()
        return Shown(name, CONSTRAINTS[name], check)

    def measured(self, trials: list[Trial], responses: list[Response], error: str = "") -> None:
        """Add the trials. R2 and R3 are met only if every push was published and restarted the pods."""
        self.trials, self.responses = trials, responses
        self.notes += [error] if error else []
        measure_mixed_commits(self.trials, self.responses)
        pushes = [trial for trial in self.trials if trial.kind == PUSH]
        expected = max(len(pushes), self.settings.commits)
        rollouts = sum(trial.rollouts for trial in pushes)
        texts = {
            "R2": ("published", "published"),
            "R3": ("restarted", f"followed by a restart ({counted(rollouts, 'rollout')})"),
        }
        for name, (phase, text) in texts.items():
            happened = sum(phase in trial.instants for trial in pushes)
            check = self.requirements.setdefault(name, Check(True, ""))
            check.holds = bool(check.holds) and happened == expected
            of_the_first = check.evidence.partition(" In the trials,")[0]  # this cell may be run again
            commits = f"{happened} of {counted(expected, 'pushed commit')} {'was' if happened == 1 else 'were'}"
            check.evidence = f"{of_the_first} In the trials, {commits} {text}."
        self.write()

    @property
    def stand_ins(self) -> list[str]:
        return [image["ref"] for image in self.images if image["source"] == "stand-in"]

    @property
    def failing(self) -> list[str]:
        """The requirements and constraints that are not met or were never checked, without those in `not_tried`."""
        missing = [name for name in REQUIREMENTS if name not in self.requirements]
        missing += [name for name in CONSTRAINTS if name not in self.constraints]
        checks = self.requirements | self.constraints
        return [*missing, *(name for name, check in checks.items() if check.holds is False)]

    @property
    def not_tried(self) -> list[str]:
        """The constraints that this cluster does not let the run try."""
        return [name for name, check in self.constraints.items() if check.holds is None]

    @property
    def holds(self) -> bool:
        return not self.failing and not self.error

    @property
    def figures(self) -> dict[str, Figure]:
        return figures(self.trials)

    @property
    def failed_requests(self) -> list[Response]:
        return [response for response in self.responses if response.failed]

    @property
    def targets(self) -> list[Target]:
        """The limits, each with its measured figure."""
        median = {name: figure.median for name, figure in self.figures.items()}
        wait_and_restart = median["push_to_polled"] + median["rollout_restart"]
        return [
            Target(
                "chain_overhead",
                "overhead of git-sync and Reloader",
                "from the poll until Reloader patches the Deployment",
                median["polled_to_requested"],
                0.15,
            ),
            Target(
                "push_to_restarted",
                "push to all replicas restarted",
                "at most 1.15 × (wait for the poll + kubectl rollout restart)",
                median["push_to_restarted"],
                1.15 * wait_and_restart,
            ),
            Target(
                "restart",
                "kubectl rollout restart of the app",
                "at most 1.5 × the same nginx without git-sync",
                median["rollout_restart"],
                1.5 * median["plain_rollout_restart"],
            ),
            Target(
                "failed_requests",
                "failed requests",
                "during all rollouts",
                len(self.failed_requests) if self.responses else math.nan,
                0,
                "",
            ),
        ]

    @property
    def answer(self) -> str:
        """Two plain sentences, computed. A run with stand-ins says so first."""
        prefix = ""
        if self.stand_ins:
            prefix = f"Made with stand-ins for {names(self.stand_ins)}: no conclusion about git-sync or Reloader. "
        if self.error:
            return f"{prefix}No. The run was aborted: {self.error}"
        if self.failing:
            return f"{prefix}No. Not met: {names(self.failing)}."
        sent, failed = len(self.responses), len(self.failed_requests)
        replicas = all_of(self.settings.replicas, "replica")
        return (
            f"{prefix}Yes. All four requirements are met within the constraints{self.exceptions}. With a poll "
            f"interval of {self.settings.period_s:g} s, a push is live on {replicas} after a median of "
            f"{in_words(self.figures['push_to_restarted'])}; {failed or 'none'} of {sent:,} requests failed."
        )

    @property
    def exceptions(self) -> str:
        """What follows "met within the constraints"."""
        return f", except not tried: {names(self.not_tried)}" if self.not_tried else ""

    def summary(self) -> dict[str, Any]:
        """summary.json: its keys are documented in the README."""
        failed = self.failed_requests
        return {
            "schema": SCHEMA,
            "project": project_version(),
            "answer": self.answer,
            "holds": self.holds,
            "not_tried": self.not_tried,
            "started": self.started,
            "notes": self.notes,
            "stand_ins": self.stand_ins,
            "kubernetes": self.kubernetes,
            "images": self.images,
            "parameters": {
                name: getattr(self.settings, name)
                for name in ("ref", "period", "replicas", "commits", "seed", "timeout_s")
            },
            "requirements": {name: as_result(check) for name, check in self.requirements.items()},
            "constraints": {name: as_result(check) for name, check in self.constraints.items()},
            "latency_s": {name: asdict(figure) for name, figure in self.figures.items()},
            "trials": {
                "ok": sum(trial.outcome == "ok" for trial in self.trials),
                "timed_out": sum(trial.timed_out for trial in self.trials),
                "failed": sum(trial.outcome.startswith("failed") for trial in self.trials),
            },
            "targets": [
                {"name": t.name, "value": t.value, "limit": t.limit, "met": t.met, "text": f"{t.what}: {t.how}"}
                for t in self.targets
            ],
            "requests": {
                "sent": len(self.responses),
                "failed": len(failed),
                "failures": [f"{r.error or f'HTTP {r.status}'}" for r in failed[:20]],
            },
            "cost": self.cost,
            "timings_s": self.timings_s,
        }

    def write(self) -> None:
        """Write summary.json and trials.csv to the run's folder."""
        self.settings.output.mkdir(parents=True, exist_ok=True)
        write_json(self.settings.output / "summary.json", self.summary())
        table(self.trials).to_csv(self.settings.output / "trials.csv", index=False)

    def verify(self) -> None:
        """Fail the run if a requirement or a constraint is not met."""
        if not self.holds:
            raise EvaluationFailed(self.answer)


@dataclass(frozen=True)
class Shown:
    """A check as HTML."""

    name: str
    title: str
    check: Check

    def _repr_html_(self) -> str:
        word = {True: "met", False: "not met", None: "not tried"}[self.check.holds]
        kind = {True: "good", False: "bad", None: "open"}[self.check.holds]
        return (
            f'<div class="check {kind}" id="{self.name}"><p class="claim"><span class="badge">{word}</span> '
            f"{escape(self.title)}</p><p>{escape(self.check.evidence)}</p>"
            f"{html_table(self.check.rows, label=self.title)}</div>"
        )


def project_version() -> str:
    """`git describe` of this project, or the version in pyproject.toml if it is no git checkout."""
    pyproject = ROOT / "pyproject.toml"
    version = re.search(r'^version = "(.*)"', pyproject.read_text(), re.MULTILINE) if pyproject.exists() else None
    described = ("git", "-C", str(ROOT), "describe", "--always", "--dirty")
    try:
        done = subprocess.run(described, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return version[1] if version else "unknown"
    return done.stdout.strip() or (version[1] if version else "unknown")


def as_result(check: Check) -> dict[str, Any]:
    return {"pass": check.holds, "evidence": check.evidence}


def html_table(rows: Sequence[dict[str, str]], caption: str = "", label: str = "Table") -> str:
    """A table that scrolls by itself on a narrow page. `label` names a table without a caption."""
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{escape(name)}</th>' if name else "<td></td>" for name in rows[0])
    title = f'<p class="caption">{escape(caption)}</p>' if caption else ""  # not in the table: it would scroll too
    return (
        f'{title}<div class="table" tabindex="0" role="group" aria-label="{escape(caption or label)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(map(html_row, rows))}</tbody></table></div>"
    )


def html_row(row: dict[str, str]) -> str:
    """The first cell names the row."""
    name, *values = row.values()
    return f'<tr><th scope="row"{kind_of(name)}</th>{"".join(f"<td{kind_of(value)}</td>" for value in values)}</tr>'


def kind_of(text: str) -> str:
    """The rest of a cell. Short texts stay on one line; ids and digests may break anywhere."""
    kind = "long" if any(len(word) > 24 for word in text.split()) else "short" if len(text) <= 16 else ""
    return f' class="{kind}">{escape(text)}' if kind else f">{escape(text)}"


def in_words(figure: Figure) -> str:
    """A figure with its interval, the number of samples, and the timeouts if there are any."""
    if not figure.n:
        return "not measured"
    timeouts = f", {counted(figure.timeouts, 'timeout')}" if figure.timeouts else ""
    if math.isinf(figure.median):
        return f"timed out (n = {figure.n}{timeouts})"
    interval = f"95% CI {figure.low:.2f}–{figure.high:.2f} s, " if math.isfinite(figure.high) else ""
    if math.isinf(figure.high):
        interval = f"95% CI from {figure.low:.2f} s to beyond the timeout, "
    return f"{figure.median:.2f} s ({interval}n = {figure.n}{timeouts})"


def names(listed: Sequence[str]) -> str:
    return " and ".join([", ".join(listed[:-1]), listed[-1]] if len(listed) > 1 else listed)


def quoted(listed: Sequence[str]) -> str:
    """Names that contain commas or "and" themselves."""
    return names([f"“{name}”" for name in listed])


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun in the singular or the plural."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def all_of(number: int, noun: str) -> str:
    """As in "the pod", "both pods", "all 3 pods"."""
    return {1: f"the {noun}", 2: f"both {noun}s"}.get(number, f"all {number} {noun}s")


def write_json(path: Path, value: object) -> None:
    """JSON has neither infinity (a timeout) nor NaN (not measured). Both become null; `timeouts` tells them apart."""
    path.write_text(json.dumps(finite(value), indent=2, ensure_ascii=False) + "\n")


def finite(value: object) -> object:
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def environment(cluster: Cluster) -> dict[str, str]:
    """The cluster, as far as this user may see it."""
    found = {"context": cluster.context, "version": str(cluster.get("/version")["gitVersion"])}
    try:
        nodes = cluster.items("/api/v1/nodes")
    except ApiError:  # a user of a shared cluster may not list the nodes
        return found
    if nodes:
        info = nodes[0]["status"]["nodeInfo"]
        found |= {
            "nodes": str(len(nodes)),
            "container_runtime": info["containerRuntimeVersion"],
            "node_os": info["osImage"],
            "architecture": info["architecture"],
            "cpus": str(nodes[0]["status"]["capacity"]["cpu"]),
        }
    return found


def images(cluster: Cluster, settings: Settings) -> list[dict[str, str]]:
    """Each image that ran, with its origin. The lab knows the origin; any other cluster pulled the image.

    `ran` is the version that nginx itself names in the header Server.
    """
    pods = cluster.items(f"/api/v1/namespaces/{settings.namespace}/pods")
    statuses = [status for pod in pods for status in container_statuses(pod)]
    used = {container["image"] for pod in pods for container in containers(pod["spec"])}
    digests = {status["image"]: status["imageID"].rpartition("@")[2] for status in statuses}
    found = [
        {"ref": ref, "source": "pulled", "digest": digests.get(ref, ""), "note": "pulled by this cluster"}
        for ref in sorted(used)
    ]
    if settings.lab:
        found = [dict(image) for image in settings.lab.images if image["ref"] in used]
    ran = nginx_version(cluster, settings, pods)
    return [image | ({"ran": ran} if "/nginx" in image["ref"] else {}) for image in found]


def nginx_version(cluster: Cluster, settings: Settings, pods: Sequence[dict[str, Any]]) -> str:
    """The version that a pod of the app names in its responses; "unknown" if no pod answers."""
    for pod in pods:
        if pod["metadata"].get("labels", {}).get("app") == "app" and is_ready(pod):
            path = f"/api/v1/namespaces/{settings.namespace}/pods/{pod['metadata']['name']}:8080/proxy/"
            return str(cluster.request("GET", path).headers.get("Server", "unknown"))
    return "unknown"
