"""The recommendation: criteria and weights that no figure of a run changes, each candidate's score, and sentences.

No rule here knows which candidate manifests/ deploys, except for the sentences that answer whether that one works.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from git_to_pod.experiments.alternatives import break_even
from git_to_pod.experiments.alternatives.comparison import GAP_S, by_replicas, limit_in_words, size_in_words
from git_to_pod.experiments.effort import effort
from git_to_pod.experiments.faults.catalogue import LARGE_FILE
from git_to_pod.experiments.results import ExperimentResults, ResultRow
from git_to_pod.experiments.scale.linear_fit import LinearFit
from git_to_pod.settings import duration_s
from git_to_pod.timing.medians import difference
from git_to_pod.wording import counted, millicores, names, quoted

MANY = 3  # deciding weights; more are counted, not named
PATIENCE_S = 60.0  # within which the last Deployment should follow a commit
REQUIRED: dict[str, Callable[[ResultRow], bool]] = {
    "restarts the pods (R3) in time": lambda r: finite(median(r["polled_to_restarted_s"])),
    "fails no request": lambda r: r["requests"]["failed"] == 0,
    "never publishes an older commit": lambda r: not any(r["regressions"].values()),
    "changes files only with a restart": lambda r: r["changed_before_restart"] == 0,
    "catches up on a change made while its controller is down": lambda r: r["recovers_missed_change"] is not False,
    "was measured to the end": lambda r: not r.get("failed"),
}


@dataclass(frozen=True)
class Criterion:
    """A criterion and its weight. Of `value`, less is better and NaN means not measured. `cell` is for the table."""

    name: str
    weight: int
    reason: str
    value: Callable[[ResultRow], float]
    cell: Callable[[ResultRow], str]
    equal_within: float = 0.0  # relative: a difference up to this is noise


def median(estimate: dict[str, Any]) -> float:
    """A figure's median from a row of this run, or from JSON, where null is a timeout or not measured."""
    value = estimate["median"]
    if value is None:
        return math.inf if estimate.get("timeouts") else math.nan
    return float(value)


def finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def seconds(value: float) -> str:
    return "not measured" if math.isnan(value) else "timed out" if math.isinf(value) else f"{value:.2f} s"


def yes(holds: bool | None) -> str:
    return "not measured" if holds is None else "yes" if holds else "no"


CONTENT = "largest content"
VISIBLE = "kinds of object, or responses, in which the commit is visible"
LATENCY = "poll → all replicas restarted, median"
CRITERIA = (
    Criterion(
        CONTENT, 3, "models are part of the task",
        lambda r: math.nan if r.get("failed") else float(bool(r["content_limit_bytes"])),
        lambda r: limit_in_words(r["content_limit_bytes"], not r.get("failed")),
    ),
    Criterion(
        LATENCY, 2, "only differences that the data show count",
        lambda r: median(r["polled_to_restarted_s"]), lambda r: seconds(median(r["polled_to_restarted_s"])),
    ),
    Criterion(
        VISIBLE, 2, "R4; fields of one kind count once",
        lambda r: -float(len(places(r))), lambda r: ", ".join(places(r)) or "none",
    ),
    Criterion(
        "kubectl rollout undo brings the content back", 2, "the rollback that operators know",
        lambda r: math.nan if r["undo_restores_content"] is None else float(not r["undo_restores_content"]),
        lambda r: yes(r["undo_restores_content"]),
    ),
    Criterion(
        "a new pod starts while the git host is down", 2, "a crash or a drained node must not wait for git",
        lambda r: math.nan if r["starts_without_git_host"] is None else float(not r["starts_without_git_host"]),
        lambda r: yes(r["starts_without_git_host"]),
    ),
    Criterion(
        "the pod that polls the git host cannot change workloads", 2, "least privilege where untrusted input arrives",
        lambda r: float(r["git_pod_changes_workloads"]), lambda r: yes(not r["git_pod_changes_workloads"]),
    ),
    Criterion(
        "another workload can follow without a new right", 2, "several applications can share a repository",
        lambda r: float(r["names_each_workload"]), lambda r: yes(not r["names_each_workload"]),
    ),
    Criterion(
        "restarts for a burst of pushes", 1, "each one restarts every pod",
        lambda r: math.nan if r.get("failed") else float(sum(r["rollouts_per_burst"].values())),
        lambda r: by_replicas(r["rollouts_per_burst"]), equal_within=0.1,
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
        lambda r: "not measured" if math.isnan(cores(r)) else millicores(cores(r)), equal_within=0.1,
    ),
    Criterion(
        "memory, idle", 1, "for each repository",
        lambda r: float(r["memory_bytes"] or math.nan),
        lambda r: f"{r['memory_bytes'] / 2**20:.0f} MiB" if r["memory_bytes"] else "not measured", equal_within=0.1,
    ),
)  # fmt: skip
TOTAL = sum(criterion.weight for criterion in CRITERIA)


def candidate_rows(rows: Mapping[str, Sequence[ResultRow]]) -> list[ResultRow]:
    """The alternatives' rows, each with what became of a new pod while the git host was down; None: not measured."""
    starts = {row["key"]: row["starts"] for row in rows.get("starts", [])}
    return [row | {"starts_without_git_host": starts.get(row["key"])} for row in rows.get("alternatives", [])]


def places(row: ResultRow) -> list[str]:
    """The kinds of object in which the commit is visible; "response" for the header of every response."""
    return sorted({seen.removeprefix("every ").split()[0].rstrip(":") for seen in row["commit_seen_in"]})


def cores(row: ResultRow) -> float:
    return math.nan if row["cpu_cores"] is None else float(row["cpu_cores"])


def failed(row: ResultRow) -> list[str]:
    """The names of the required criteria that a candidate does not meet."""
    return [name for name, met in REQUIRED.items() if not met(row)]


def as_good(criterion: Criterion, row: ResultRow, rows: Sequence[ResultRow]) -> bool:
    """Whether no other candidate that meets the required criteria is better.

    Medians that the data do not show to differ count as equal.
    """
    if math.isnan(criterion.value(row)):
        return False
    sound = [other for other in rows if other is row or not failed(other)]
    known = [other for other in sound if not math.isnan(criterion.value(other))]
    best = min(known, key=criterion.value)
    if criterion.name == LATENCY and row is not best:
        return difference(row["samples_s"], best["samples_s"])[0] <= 0
    return criterion.value(row) - criterion.value(best) <= criterion.equal_within * abs(criterion.value(best))


def attainable(rows: Sequence[ResultRow], criteria: Sequence[Criterion] = CRITERIA) -> int:
    """The weights of the criteria that were measured with at least one candidate."""
    return sum(each.weight for each in criteria if not all(math.isnan(each.value(row)) for row in rows))


def score(row: ResultRow, rows: Sequence[ResultRow], criteria: Sequence[Criterion] = CRITERIA) -> int:
    """The weights of the criteria in which no other candidate is better."""
    return sum(criterion.weight for criterion in criteria if as_good(criterion, row, rows))


def recommended(rows: Sequence[ResultRow], criteria: Sequence[Criterion] = CRITERIA) -> list[ResultRow]:
    """The candidates with the highest score among those that meet every required criterion; several if they tie."""
    sound = [row for row in rows if not failed(row)]
    highest = max((score(row, rows, criteria) for row in sound), default=0)
    return [row for row in sound if score(row, rows, criteria) == highest]


def deciding(rows: Sequence[ResultRow]) -> list[str]:
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


def reach(line: LinearFit) -> int:
    """The number of Deployments, to one digit, that Reloader patches for one commit within PATIENCE_S."""
    exact = max(0, int((PATIENCE_S - line.intercept) / line.slope)) if line.slope > 0 else 0
    return round(exact, 1 - len(str(exact)))


def recommendation(results: ExperimentResults, fan_out: LinearFit | None = None) -> list[str]:
    """At most nine points, each from measured rows. With stand-ins: one point, about the experiments alone."""
    if results.stand_ins:
        return ["This run used stand-ins, so it recommends nothing. It shows only that the experiments work."]
    rows = candidate_rows(results.rows)
    if not rows:
        return ["Nothing is recommended: no candidate was measured."]
    by_key = {row["key"]: row for row in rows}
    deployed = by_key.get("deployed")
    sentences = [
        does_it_work(results.summary),
        choice(rows),
        git_sync(results.rows.get("faults", [])),
        without_restart(by_key.get("no-restart")),
        reloader(deployed, by_key.get("patching"), rows, fan_out),
        flux(deployed, by_key.get("flux")),
        none_of_them(deployed),
        settings(),
        what_would_change(results.rows.get("faults", []), deployed, rows),
    ]
    return [sentence for sentence in sentences if sentence]


def does_it_work(summary: dict[str, Any]) -> str:
    """From the first notebook's summary."""
    if not summary.get("holds"):
        return f"Does it work? {summary['answer'].rstrip('.')}." if summary.get("answer") else ""
    estimate, requests = summary["latency_s"]["push_to_restarted"], summary["requests"]
    return (
        f"It works. With a poll interval of {duration_s(summary['parameters']['period']):g} s, a push is live on all "
        f"replicas after a median of {estimate['median']:.2f} s (n = {estimate['n']}). "
        f"{requests['failed'] or 'None'} of {counted(requests['sent'], 'request')} failed."
    )


def git_sync(faults: Sequence[ResultRow]) -> str:
    """The content for which git-sync is the right tool."""
    large = next((row for row in faults if row["key"] == LARGE_FILE), None)
    words = "Use git-sync for files that an application reads when it starts"
    if large is None:
        return f"{words}. This run did not try large files."
    if not large["held"]:
        return f"{words}, but not for large files: the test with {large['name']} failed."
    took = f"{large['recovery_s']:.0f} s after the push"
    return f"{words}: {large['name']} is on all replicas {took}, with a memory limit of 256 MiB."


def without_restart(row: ResultRow | None) -> str:
    """What an application gains that needs no restart."""
    took = median(row["polled_to_served_s"]) if row else math.nan
    if row is None or not finite(took):
        return ""
    return (
        "An application that reads its files at each request needs neither Reloader nor a poller: with git-sync alone, "
        f"every replica serves a commit {took:.1f} s after the first poll that sees it. That gives up R3: files change "
        "under a running process."
    )


def choice(rows: Sequence[ResultRow]) -> str:
    """Which candidate the weighted criteria favour."""
    best = recommended(rows)
    out = [f"“{row['name']}” (not met: {quoted(failed(row))})" for row in rows if failed(row)]
    ruled_out = f" Ruled out: {names(out)}." if out else ""
    if not best:
        return f"No candidate meets every required criterion, so none is recommended.{ruled_out}"
    others = [row for row in rows if row not in best and not failed(row)]
    scores = ", ".join(f"“{row['name']}”: {score(row, rows)}" for row in others)
    rest = f" ({scores})" if scores else ""
    verb, each = ("scores", "") if len(best) == 1 else ("score", " each")
    return (
        f"For one application, {quoted([row['name'] for row in best])} {verb} highest on the weighted criteria, with "
        f"{score(best[0], rows)} of {attainable(rows)} points{each}{rest}.{for_small_content(rows, best)}{ruled_out}"
    )


def for_small_content(rows: Sequence[ResultRow], best_of_all: Sequence[ResultRow]) -> str:
    """The best candidates for content that all of them take, if one of them has a limit and they are others."""
    limits = [row["content_limit_bytes"] for row in rows if row["content_limit_bytes"] and not failed(row)]
    others = [criterion for criterion in CRITERIA if criterion.name != CONTENT]
    best = recommended(rows, others)
    if not limits or best == best_of_all:
        return ""
    verb = "scores" if len(best) == 1 else "score"
    points = f"{score(best[0], rows, others)} of {attainable(rows, others)} points"
    return (
        f" If the content stays under {size_in_words(min(limits))}, so that the criterion “{CONTENT}” does not matter, "
        f"{quoted([row['name'] for row in best])} {verb} highest, with {points}."
    )


def reloader(
    deployed: ResultRow | None, patching: ResultRow | None, rows: Sequence[ResultRow], fan_out: LinearFit | None
) -> str:
    """What Reloader gains, and how it compares with a hook that patches the pod template."""
    if deployed is None:
        return "Reloader was not measured in this run."
    if failed(deployed):
        return f"Do not use Reloader as deployed here: it does not meet {quoted(failed(deployed))}."
    gains = []
    if not deployed["names_each_workload"]:
        gains.append("another workload can follow without a new right")
    if not deployed["git_pod_changes_workloads"]:
        gains.append("the pod that holds the git credentials cannot change Deployments")
    words = f"With Reloader, {', and '.join(gains)}." if gains else "Reloader gains nothing on these criteria."
    if most := reach(fan_out) if fan_out else 0:
        words += f" It patches about {counted(most, 'Deployment')} within a minute; no other candidate had many."
    if patching is None:
        return f"{words} The hook that patches the pod template was not measured, so nothing is compared."
    if failed(patching):
        return f"{words} The hook that patches the pod template is ruled out."
    mine, its = score(deployed, rows), score(patching, rows)
    compared = "the same as" if mine == its else "more than" if mine > its else "less than"
    why = its_advantages(deployed, patching) if mine < its else ""
    return f"{words} For a single Deployment, it scores {compared} the hook that patches the pod template{why}."


def its_advantages(deployed: ResultRow, patching: ResultRow) -> str:
    """What speaks for the hook, after a colon; empty if nothing does."""
    objects, rights, _ = break_even.saved(deployed, patching)
    fewer = [counted(n, f"fewer {noun}") for n, noun in ((objects, "object"), (rights, "right")) if n > 0]
    reasons = [f"the hook needs {names(fewer)}"] if fewer else []
    if patching["undo_restores_content"]:
        reasons.append("kubectl rollout undo brings its content back")
    return f": {', and '.join(reasons)}" if reasons else ""


def flux(deployed: ResultRow | None, measured: ResultRow | None) -> str:
    if measured is None:
        return "Flux was not measured in this run."
    if failed(measured):
        return f"Do not use Flux for this: it does not meet {quoted(failed(measured))}."
    limit = measured["content_limit_bytes"]
    words = f"Flux needs content under {size_in_words(limit)} for each application." if limit else "Flux can do it."
    without = " and start while the git host is down" if measured["starts_without_git_host"] else ""
    words += f" Its pods hold no git credentials{without}."
    if deployed is None:
        return words
    mine, its = cores(deployed), cores(measured)
    if finite(mine) and finite(its):
        words += f" Idle, it takes {millicores(its)} of CPU; the deployed design takes {millicores(mine)}."
    if deployed["memory_bytes"] and measured["memory_bytes"]:
        count = break_even.namespaces(deployed, measured)
        needs = "need no more memory" if count == 1 else f"need less memory from about {count} namespaces on"
        words += f" Extrapolated from one repository and namespace, Flux's controllers {needs}."
    return words


def none_of_them(deployed: ResultRow | None) -> str:
    took = median(deployed["requested_to_restarted_s"]) if deployed else math.nan
    room = "with maxSurge 100%, needs room for twice the pods"
    rollout = f" A rollout takes {took:.1f} s here and, {room}." if finite(took) else ""
    return (
        "Use none of the candidates for content in Git LFS (with git-sync, pods get the pointer files), for models too "
        "large to be fetched again by every new pod, or for an application that cannot afford a rollout for each "
        f"commit.{rollout}"
    )


def settings() -> str:
    return (
        "Change these defaults of git-sync, as manifests/ does: the poll interval (period), max-failures and "
        "init-max-failures to -1, and git's core.bigFileThreshold. Change these defaults of Reloader: "
        "--reload-on-create and --sync-after-restart to true."
    )


def what_would_change(faults: Sequence[ResultRow], deployed: ResultRow | None, rows: Sequence[ResultRow]) -> str:
    """What would lead to another recommendation."""
    broken = [row["name"] for row in faults if not row["held"]]
    if deployed is None:
        return ""
    most = max(deployed["rollouts_per_burst"].values(), default=0)
    words = (
        f"Reconsider if pushes come faster than rollouts: {effort().burst} pushes {GAP_S} s apart made up to "
        f"{counted(most, 'rollout')}."
    )
    if broken:
        words += f" Reconsider also if nobody can repair by hand what did not recover by itself: {quoted(broken)}."
    if weights := deciding(rows):
        words += f" {lead(weights)}"
    return words


def lead(weights: Sequence[str]) -> str:
    """How much the result depends on the weights."""
    if len(weights) > MANY:
        return (
            f"The scores lie close together: if any one of {len(weights)} of the {len(CRITERIA)} weights is doubled or "
            "dropped, another candidate scores highest or draws level."
        )
    one = quoted(weights) if len(weights) == 1 else f"one of {quoted(weights)}"
    return f"Another candidate scores highest or draws level if the weight of {one} is doubled or dropped."
