"""The verdict: every criterion with its measured figure and where it comes from, then what follows from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from git_to_pod.alternatives import BURST, GAP_S
from git_to_pod.evidence import EXPERIMENTS, Evidence, Row, section
from git_to_pod.fanout import SIZES
from git_to_pod.findings import html_table, names
from git_to_pod.model import Line
from git_to_pod.sizes import sizes
from git_to_pod.statistics import difference

DEPLOYED = "one poller, pinned pods, Reloader"
PATIENCE_S = 60.0  # within which the last Deployment should be told of a commit


def seconds(figure: dict[str, Any]) -> str:
    median = figure["median"]
    if median is None or math.isnan(median):
        return "not measured"
    return "timed out" if math.isinf(median) else f"{median:.2f} s"


LATENCY = "push → all replicas restarted, median"
# Each criterion: how its cell reads, and how little of it there is; less is better.
CRITERIA: dict[str, tuple[Callable[[Row], str], Callable[[Row], float]]] = {
    LATENCY: (
        lambda r: seconds(r["push_to_restarted_s"]),
        lambda r: float(r["push_to_restarted_s"]["median"]),
    ),
    "failed requests while restarting": (
        lambda r: f"{r['requests']['failed']} of {r['requests']['sent']:,}",
        lambda r: float(r["requests"]["failed"]),
    ),
    "times the published commit went back under fast pushes": (
        lambda r: str(sum(r["went_backwards"].values())),
        lambda r: float(sum(r["went_backwards"].values())),
    ),
    "rollouts for a burst": (
        lambda r: ", ".join(f"{count} with {pods} pods" for pods, count in r["rollouts_per_burst"].items()),
        lambda r: float(sum(r["rollouts_per_burst"].values())),
    ),
    "a change while its controller is away": (
        lambda r: "deployed after all" if r["recovers_missed_change"] else "lost",
        lambda r: float(not r["recovers_missed_change"]),
    ),
    "pushes that changed files before the restart": (
        lambda r: r["files_changed_before_restart"],
        lambda r: float(r["files_changed_before_restart"].split()[0]),
    ),
    "content limit": (
        lambda r: f"{r['content_limit_bytes']:,} bytes" if r["content_limit_bytes"] else "none found",
        lambda r: 1.0 if r["content_limit_bytes"] else 0.0,
    ),
    "objects to write": (lambda r: str(sum(r["objects"].values())), lambda r: float(sum(r["objects"].values()))),
    "rights, pairs of verb and resource": (lambda r: str(r["rights_pairs"]), lambda r: float(r["rights_pairs"])),
    "CPU at rest, thousandths of a core": (lambda r: f"{1000 * r['cpu_cores']:.0f}", lambda r: float(r["cpu_cores"])),
    "memory at rest": (lambda r: f"{r['memory_bytes'] / 2**20:.0f} MiB", lambda r: float(r["memory_bytes"])),
    "places that show the commit": (
        lambda r: str(len(r["commit_seen_in"])),
        lambda r: -float(len(r["commit_seen_in"])),
    ),
}
# What a way must not do, as a reader would say it; from this the recommendation is drawn.
FAULTS: dict[str, Callable[[Row], bool]] = {
    "loses a change while its controller is away": lambda r: not r["recovers_missed_change"],
    "lets the published commit go back": lambda r: any(r["went_backwards"].values()),
    "changes files under a running app": lambda r: not r["files_changed_before_restart"].startswith("0 "),
    "drops requests": lambda r: r["requests"]["failed"] > 0,
    "takes no content over {content_limit_bytes:,} bytes": lambda r: bool(r["content_limit_bytes"]),
    "did not restart in time": lambda r: not math.isfinite(r["push_to_restarted_s"]["median"]),
}


def faults_of(row: Row) -> list[str]:
    return [words.format_map(row) for words, has in FAULTS.items() if has(row)]


def recommended(rows: Sequence[Row]) -> Row | None:
    """Of the ways without a fault the one deployed, if it is among them; else the quickest. None: all have one."""
    sound = [row for row in rows if not faults_of(row)]
    sound.sort(key=lambda row: (row["name"] != DEPLOYED, row["push_to_restarted_s"]["median"]))
    return sound[0] if sound else None


def reach(line: Line) -> int:
    """How many Deployments can follow one commit before the last waits too long."""
    return max(0, int((PATIENCE_S - line.intercept) / line.slope)) if line.slope > 0 else 0


def recommendation(evidence: Evidence, fan_out: Line | None = None) -> list[str]:
    """Five sentences, each from what was measured; with stand-ins one, about the pipeline."""
    rows = evidence.rows.get("alternatives", [])
    if evidence.stand_ins:
        tried = names([name for name, found in evidence.rows.items() if found]) if evidence.rows else "nothing"
        return [
            f"The experiments run and their figures come out ({tried}); made with stand-ins, they recommend nothing."
        ]
    best = recommended(rows)
    if best is None:
        return ["Nothing is recommended yet: " + "; ".join(f"{r['name']} {names(faults_of(r))}" for r in rows) + "."]
    return [use(best), size(fan_out), settings(), instead(best, rows), change(evidence, best)]


def use(best: Row) -> str:
    deployed = best["name"] == DEPLOYED
    what = "git-sync and Reloader, with one poller and pinned pods," if deployed else f"“{best['name']}”"
    return (
        f"Use {what} for files that an application reads at its start: a push is on all replicas after "
        f"{seconds(best['push_to_restarted_s'])}, {best['requests']['failed']} of {best['requests']['sent']:,} "
        "requests failed meanwhile, and no published commit went back or was lost."
    )


def size(fan_out: Line | None) -> str:
    if fan_out is None:
        return "Up to what size was not measured in this run."
    return (
        f"Use it up to about {reach(fan_out):,} Deployments that follow one repository: the last of so many is told "
        f"{PATIENCE_S:.0f} s after a commit (measured up to {SIZES[-1]}); the number of pods costs the git host "
        "nothing but their restarts."
    )


def settings() -> str:
    return (
        "Three settings must not stay at their defaults: git-sync's --max-failures and --init-max-failures (-1, or a "
        "git outage ends it), Reloader's --reload-on-create with --sync-after-restart (or what is published while it "
        "is away is never deployed), and git-sync's --period (10 s, half of which each push waits on average)."
    )


def instead(best: Row, rows: Sequence[Row]) -> str:
    """At what size each of the others costs less, and what speaks against it."""
    others = [row for row in rows if row is not best]
    cheaper = {line["way"]: line["costs less"] for line in sizes([best, *others])}
    said = []
    for row in others:
        words = f"“{row['name']}” costs less {cheaper.get(row['name'], 'at a size that was not looked at')}"
        said.append(f"{words}, but {names(against)}" if (against := faults_of(row)) else words)
    return f"Of the others, {'; '.join(said)}." if said else "Nothing else was tried."


def change(evidence: Evidence, best: Row) -> str:
    """What would turn the answer."""
    broken = [row["name"] for row in evidence.rows.get("faults", []) if not row["held"]]
    bursts = max(best["rollouts_per_burst"].values())
    words = "The answer changes if pushes come faster than restarts and each restart counts "
    words += f"({BURST} pushes {GAP_S} s apart made up to {bursts})"
    return words + (f", or if what it does not mend by itself must not happen: {names(broken)}." if broken else ".")


def table(rows: Sequence[Row]) -> list[dict[str, str]]:
    """A line for each criterion: every way's figure, the best of them marked."""
    found = []
    for name, (cell, less) in CRITERIA.items():
        best = min(rows, key=less, default={})
        cells = {row["name"]: cell(row) + (" ✓" if as_good(name, row, best) else "") for row in rows}
        found.append({"criterion": name, **cells})
    return found


def as_good(criterion: str, row: Row, best: Row) -> bool:
    """Medians that are not shown to differ count as equal."""
    if criterion == LATENCY:
        return difference(row["samples_s"], best["samples_s"])[0] <= 0
    _, less = CRITERIA[criterion]
    return less(row) == less(best)


def shown(evidence: Evidence) -> str:
    """Findings and recommendation, apart."""
    rows = evidence.rows.get("alternatives", [])
    faults = evidence.rows.get("faults", [])
    held = f"{sum(row['held'] for row in faults)} of {len(faults)} faults held" if faults else "faults were not tried"
    title = f"The criteria: each measured in this run; marked: the best, and what is not shown to be worse; {held}"
    listed = "".join(f"<li>{escape(sentence)}</li>" for sentence in evidence.extra.get("recommendation", []))
    sources = ", ".join(f'<a href="#{section(name)}">{text}</a>' for name, text in EXPERIMENTS.items())
    return (
        f"<h3>Findings</h3>{html_table(table(rows), title)}<p>Where the figures are from: {sources}.</p>"
        f'<h3>Recommendation</h3><ol class="decide">{listed}</ol>'
    )
