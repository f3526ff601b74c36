"""The recommendation: criteria and weights fixed before the figures, each candidate's score, and sentences.

No rule here knows which candidate manifests/ deploys, except for the sentences that answer whether that one works.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from git_to_pod import sizes
from git_to_pod.alternatives import BURST, GAP_S
from git_to_pod.evidence import EXPERIMENTS, Evidence, Row, section
from git_to_pod.faults_list import LARGE_FILE
from git_to_pod.findings import html_table, names
from git_to_pod.model import Line
from git_to_pod.statistics import difference

PATIENCE_S = 60.0  # within which the last Deployment should follow a commit
REQUIRED: dict[str, Callable[[Row], bool]] = {
    "restarts within the timeout": lambda r: finite(median(r["polled_to_restarted_s"])) or not r["samples_s"],
    "fails no request": lambda r: r["requests"]["failed"] == 0,
    "never publishes an older commit": lambda r: not any(r["regressions"].values()),
    "changes files only with a restart": lambda r: r["changed_before_restart"] == 0,
    "catches up on a change made while its controller is down": lambda r: bool(r["recovers_missed_change"]),
}


@dataclass(frozen=True)
class Criterion:
    """What counts, and how much. `value`: less is better, NaN is not measured; `cell`: as the table shows it."""

    name: str
    weight: int
    reason: str
    value: Callable[[Row], float]
    cell: Callable[[Row], str]
    equal_within: float = 0.0  # relative: a difference up to this is noise


def median(figure: dict[str, Any]) -> float:
    """A figure's median from a row of this run, or from JSON, where null is a timeout or not measured."""
    value = figure["median"]
    if value is None:
        return math.inf if figure.get("timeouts") else math.nan
    return float(value)


def finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def seconds(value: float) -> str:
    return "not measured" if math.isnan(value) else "timed out" if math.isinf(value) else f"{value:.2f} s"


def yes(holds: bool) -> str:
    return "yes" if holds else "no"


LATENCY = "poll → all replicas restarted, median"
CRITERIA = (
    Criterion(
        "largest content", 3, "models are part of the task",
        lambda r: float(bool(r["content_limit_bytes"])),
        lambda r: f"{r['content_limit_bytes']:,} bytes" if r["content_limit_bytes"] else "no limit found",
    ),
    Criterion(
        LATENCY, 2, "only differences that the data show count",
        lambda r: median(r["polled_to_restarted_s"]), lambda r: seconds(median(r["polled_to_restarted_s"])),
    ),
    Criterion(
        "objects in which the commit is visible", 2, "R4",
        lambda r: -float(len(r["commit_seen_in"])), lambda r: str(len(r["commit_seen_in"])),
    ),
    Criterion(
        "kubectl rollout undo brings the content back", 2, "the rollback that operators know",
        lambda r: float(not r["undo_restores_content"]), lambda r: yes(r["undo_restores_content"]),
    ),
    Criterion(
        "the pod with the git credentials may not change workloads", 2, "least privilege where untrusted input arrives",
        lambda r: float(r["git_pod_changes_workloads"]), lambda r: yes(not r["git_pod_changes_workloads"]),
    ),
    Criterion(
        "one more workload follows without one more right", 2, "several applications can share a repository",
        lambda r: float(r["names_each_workload"]), lambda r: yes(not r["names_each_workload"]),
    ),
    Criterion(
        "rollouts for a burst of pushes", 1, "each one replaces all pods",
        lambda r: float(sum(r["rollouts_per_burst"].values())),
        lambda r: " and ".join(str(count) for count in r["rollouts_per_burst"].values()), equal_within=0.1,
    ),
    Criterion(
        "objects", 1, "to write and to maintain",
        lambda r: float(sum(r["objects"].values())), lambda r: str(sum(r["objects"].values())),
    ),
    Criterion(
        "rights, pairs of verb and resource", 1, "to review",
        lambda r: float(r["rights_pairs"]), lambda r: str(r["rights_pairs"]),
    ),
    Criterion(
        "CPU, idle", 1, "for each repository", lambda r: cores(r),
        lambda r: "not measured" if math.isnan(cores(r)) else sizes.millicores(cores(r)), equal_within=0.1,
    ),
    Criterion(
        "memory, idle", 1, "for each repository",
        lambda r: float(r["memory_bytes"] or math.nan),
        lambda r: f"{r['memory_bytes'] / 2**20:.0f} MiB" if r["memory_bytes"] else "not measured", equal_within=0.1,
    ),
)  # fmt: skip
TOTAL = sum(criterion.weight for criterion in CRITERIA)


def cores(row: Row) -> float:
    return math.nan if row["cpu_cores"] is None else float(row["cpu_cores"])


def failed(row: Row) -> list[str]:
    """The required criteria that a candidate does not meet."""
    return [name for name, met in REQUIRED.items() if not met(row)]


def as_good(criterion: Criterion, row: Row, rows: Sequence[Row]) -> bool:
    """Whether no other candidate is better. Medians that the data do not show to differ count as equal."""
    if math.isnan(criterion.value(row)):
        return False
    known = [other for other in rows if not math.isnan(criterion.value(other))]
    best = min(known, key=criterion.value)
    if criterion.name == LATENCY and row is not best:
        return difference(row["samples_s"], best["samples_s"])[0] <= 0
    return criterion.value(row) - criterion.value(best) <= criterion.equal_within * abs(criterion.value(best))


def score(row: Row, rows: Sequence[Row], criteria: Sequence[Criterion] = CRITERIA) -> int:
    """The weights of the criteria in which no other candidate is better."""
    return sum(criterion.weight for criterion in criteria if as_good(criterion, row, rows))


def recommended(rows: Sequence[Row], criteria: Sequence[Criterion] = CRITERIA) -> list[Row]:
    """The candidates with the highest score among those that meet every required criterion; several if they tie."""
    sound = [row for row in rows if not failed(row)]
    highest = max((score(row, rows, criteria) for row in sound), default=0)
    return [row for row in sound if score(row, rows, criteria) == highest]


def deciding(rows: Sequence[Row]) -> list[str]:
    """The criteria whose weight decides: another candidate would be recommended if it were doubled or dropped."""
    found = recommended(rows)
    return [
        changed.name
        for changed in CRITERIA
        if any(
            recommended(rows, [replace(c, weight=factor * c.weight) if c is changed else c for c in CRITERIA]) != found
            for factor in (0, 2)
        )
    ]


def reach(line: Line) -> int:
    """How many Deployments can follow one commit before the last waits longer than PATIENCE_S, to one digit."""
    exact = max(0, int((PATIENCE_S - line.intercept) / line.slope)) if line.slope > 0 else 0
    return round(exact, 1 - len(str(exact)))


def recommendation(evidence: Evidence, fan_out: Line | None = None) -> list[str]:
    """At most eight sentences, each from what was measured. With stand-ins: one, about the experiments alone."""
    if evidence.stand_ins:
        return ["This run used stand-ins, so it recommends nothing; it shows that the experiments themselves work."]
    rows = evidence.rows.get("alternatives", [])
    if not rows:
        return ["Nothing is recommended: no candidate was measured."]
    by_key = {row["key"]: row for row in rows}
    deployed = by_key.get("deployed")
    sentences = [
        does_it_work(evidence.summary),
        git_sync(evidence.rows.get("faults", [])),
        choice(rows),
        reloader(deployed, by_key.get("patching"), rows, fan_out),
        flux(deployed, by_key.get("flux")),
        none_of_them(deployed),
        settings(),
        what_would_change(evidence.rows.get("faults", []), deployed, rows),
    ]
    return [sentence for sentence in sentences if sentence]


def does_it_work(summary: dict[str, Any]) -> str:
    """From the first notebook's summary."""
    if not summary.get("holds"):
        return f"Does it work? {summary['answer']}." if summary.get("answer") else ""
    figure, requests = summary["latency_s"]["push_to_restarted"], summary["requests"]
    return (
        f"It works: a push is live on all replicas after a median of {figure['median']:.2f} s with a poll interval of "
        f"{summary['parameters']['period']} (n = {figure['n']}), and {requests['failed'] or 'no'} request"
        f"{'s' if requests['failed'] > 1 else ''} of {requests['sent']:,} failed."
    )


def git_sync(faults: Sequence[Row]) -> str:
    """For what content."""
    large = next((row for row in faults if row["name"] == LARGE_FILE), None)
    words = "Use git-sync for files that an application reads when it starts"
    if large is None:
        return f"{words}; large files were not tried in this run."
    if not large["held"]:
        return f"{words}, but not for large files: {LARGE_FILE} did not arrive within the limit."
    took = f"{large['recovery_s']:.0f} s after the push"
    return f"{words}: {LARGE_FILE} is on all replicas {took}, within 256 MiB of memory."


def choice(rows: Sequence[Row]) -> str:
    """Which candidate the weighted criteria favour."""
    best = recommended(rows)
    out = [f"“{row['name']}” (required: {names(failed(row))})" for row in rows if failed(row)]
    ruled_out = f" Ruled out: {names(out)}." if out else ""
    if not best:
        return f"No candidate meets every required criterion, so none is recommended.{ruled_out}"
    others = [row for row in rows if row not in best and not failed(row)]
    scores = ", ".join(f"“{row['name']}” {score(row, rows)}" for row in others)
    rest = f" ({scores})" if scores else ""
    named = names([f"“{row['name']}”" for row in best])
    verb = "scores" if len(best) == 1 else "score"
    return (
        f"For one application, {named} {verb} highest on the weighted criteria with {score(best[0], rows)} of {TOTAL} "
        f"points{rest}.{ruled_out}"
    )


def reloader(deployed: Row | None, patching: Row | None, rows: Sequence[Row], fan_out: Line | None) -> str:
    """When it earns its place beside a hook that patches the pod template."""
    if deployed is None:
        return "Reloader was not measured in this run."
    if failed(deployed):
        return f"Do not use Reloader as deployed here: it misses what is required ({names(failed(deployed))})."
    size = f" (one instance patches about {reach(fan_out):,} within a minute)" if fan_out and reach(fan_out) else ""
    when = f"when several workloads follow one repository{size} or when the pod that holds the git credentials must "
    when += "not change Deployments"
    if patching is None:
        return f"Use Reloader {when}; the hook that patches the pod template was not measured, so nothing is compared."
    if failed(patching) or score(deployed, rows) >= score(patching, rows):
        return f"Use Reloader, and above all {when}: the hook that patches the pod template does not score higher."
    objects, rights, _ = sizes.saved(deployed, patching)
    undo = ", and kubectl rollout undo brings its content back" if patching["undo_restores_content"] else ""
    return (
        f"Use Reloader {when}; for a single Deployment, the hook that patches the pod template is the better choice: "
        f"it needs {objects} fewer objects and {rights} fewer rights{undo}."
    )


def flux(deployed: Row | None, measured: Row | None) -> str:
    if measured is None:
        return "Flux was not measured in this run."
    if failed(measured):
        return f"Do not use Flux for this: it misses what is required ({names(failed(measured))})."
    limit = measured["content_limit_bytes"]
    words = "Use Flux where it already applies the manifests"
    words += f" and the content of each application fits into {limit:,} bytes" if limit else ""
    if deployed is None or not deployed["memory_bytes"] or not measured["memory_bytes"]:
        return f"{words}."
    count = sizes.namespaces(deployed, measured)
    from_where = f"from about {count} namespaces" if count > 1 else "from one namespace on"
    return f"{words}; {from_where}, each with its own repository, its controllers also need less memory."


def none_of_them(deployed: Row | None) -> str:
    took = median(deployed["requested_to_restarted_s"]) if deployed else math.nan
    rollout = f", which takes {took:.1f} s and room for twice the pods" if finite(took) else ""
    return (
        "Use none of them for Git LFS (pods get the pointer files), for models so large that every new pod should not "
        f"fetch them again, or for an application that cannot afford a rollout for each commit{rollout}."
    )


def settings() -> str:
    return (
        "Change these defaults: git-sync's max-failures and init-max-failures to -1, its period, and git's "
        "core.bigFileThreshold; Reloader's --reload-on-create and --sync-after-restart to true."
    )


def what_would_change(faults: Sequence[Row], deployed: Row | None, rows: Sequence[Row]) -> str:
    """What would lead to another answer."""
    broken = [row["name"] for row in faults if not row["held"]]
    if deployed is None:
        return ""
    most = max(deployed["rollouts_per_burst"].values(), default=0)
    words = f"The answer changes if pushes come faster than rollouts ({BURST} pushes {GAP_S} s apart made up to {most})"
    if broken:
        words += f", or if nobody can repair by hand what did not recover by itself ({names(broken)})"
    if weights := deciding(rows):
        words += f", or if one of these weights is doubled or dropped: {names(weights)}"
    return f"{words}."


def weights_table() -> list[dict[str, str]]:
    """The criteria as they were fixed before the figures."""
    required = [{"criterion": name, "weight": "required", "reason": ""} for name in REQUIRED]
    weighted = [{"criterion": c.name, "weight": str(c.weight), "reason": c.reason} for c in CRITERIA]
    return required + weighted


def table(rows: Sequence[Row]) -> list[dict[str, str]]:
    """A line for each criterion with every candidate's figure, ✓ where no other is better; the last is the score."""
    found = [
        {"criterion": name, "weight": "required", **{row["name"]: "✓" if met(row) else "no" for row in rows}}
        for name, met in REQUIRED.items()
    ]
    for criterion in CRITERIA:
        cells = {r["name"]: criterion.cell(r) + (" ✓" if as_good(criterion, r, rows) else "") for r in rows}
        found.append({"criterion": criterion.name, "weight": str(criterion.weight), **cells})
    scores = {r["name"]: "ruled out" if failed(r) else str(score(r, rows)) for r in rows}
    return [*found, {"criterion": "score", "weight": str(TOTAL), **scores}]


def weights_shown() -> str:
    """The criteria and their weights, without figures."""
    return html_table(weights_table(), "Criteria and weights, fixed before the candidates were measured")


def shown(evidence: Evidence) -> str:
    """Findings and recommendation, apart."""
    rows = evidence.rows.get("alternatives", [])
    title = "Each candidate by the criteria. ✓: required and met, or no other candidate is better"
    listed = "".join(f"<li>{escape(sentence)}</li>" for sentence in evidence.extra.get("recommendation", []))
    sources = ", ".join(f'<a href="#{section(name)}">{text}</a>' for name, text in EXPERIMENTS.items())
    return (
        f"<h3>Findings</h3>{html_table(table(rows), title) if rows else '<p>No candidate was measured.</p>'}"
        f"<p>The figures are from the sections above: {sources}.</p>"
        f'<h3>Recommendation</h3><ol class="decide">{listed}</ol>'
    )
