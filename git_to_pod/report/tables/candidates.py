"""The table of the candidates: a column for each, since there are more questions than candidates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from git_to_pod.experiments.alternatives.comparison import (
    GAP_S,
    CandidateResult,
    by_replicas,
    limit_in_words,
)
from git_to_pod.experiments.effort import effort
from git_to_pod.report.html import html_table, paragraphs
from git_to_pod.timing.medians import difference, in_words
from git_to_pod.wording import millicores, names, quoted


def candidates_finding(rows: Sequence[CandidateResult]) -> str:
    """The title, computed."""
    if not rows:
        return "No candidate was measured."
    quickest = min(rows, key=median_or_last)
    words = (
        f"“{quickest.name}” has the lowest median from the poll until all replicas are restarted: "
        f"{in_words(quickest.polled_to_restarted_s)}."
    )
    if math.isinf(median_or_last(quickest)):
        words = "No candidate has a median from the poll until all replicas are restarted."
    behind = {row.name: difference(row.samples_s, quickest.samples_s) for row in rows if row is not quickest}
    alike = [f"“{name}” (95% CI {low:+.2f} to {high:+.2f} s)" for name, (low, high) in behind.items() if low <= 0]
    if alike:
        words += f" The data do not show a difference of the medians from {names(alike)}."
    regressed = [
        f"“{row.name}” ({times(sum(row.regressions.values()))})" for row in rows if any(row.regressions.values())
    ]
    if regressed:
        words += f" In bursts, the published commit regressed with {names(regressed)}."
    lost = quoted([row.name for row in rows if not row.recovers_missed_change])
    return words + (f" A change made while the controller is down is lost with {lost}." if lost else "")


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def median_or_last(row: CandidateResult) -> float:
    median = row.polled_to_restarted_s.median
    return math.inf if math.isnan(median) else median


def noise(rows: Sequence[CandidateResult]) -> str:
    """The noise that a difference must exceed, and how many pushes would show a difference of 0.1 s."""
    repeated = next((row for row in rows if row.repeated_s), None)
    if not repeated:
        return ""
    low, high = difference(repeated.repeated_s, repeated.samples_s)
    if not math.isfinite(high - low):
        return ""
    n, half = len(repeated.samples_s), (high - low) / 2
    needed = math.ceil(n * (half / 0.1) ** 2)
    return (
        f"Noise: “{repeated.name}” was measured twice, with n = {n} each. The 95% CI of the difference between the two "
        f"medians is {low:+.2f} to {high:+.2f} s. To show a difference of 0.1 s, each candidate would need about "
        f"{needed:,} pushes."
    )


def candidates_table(rows: Sequence[CandidateResult], skipped: Sequence[str]) -> Markup:
    """The table as HTML: a column for each candidate, since there are more questions than candidates."""
    questions: dict[str, Callable[[CandidateResult], str]] = {
        "poll → all replicas restarted": lambda r: in_words(r.polled_to_restarted_s),
        "poll → rollout triggered": lambda r: in_words(r.polled_to_requested_s),
        "rollout triggered → all replicas restarted": lambda r: in_words(r.requested_to_restarted_s),
        f"rollouts for {effort().burst} pushes {GAP_S} s apart": lambda r: by_replicas(r.rollouts_per_burst),
        "times that the published commit regressed": lambda r: by_replicas(r.regressions),
        "change made while the controller is down": lambda r: "caught up" if r.recovers_missed_change else "lost",
        "kubectl rollout undo": lambda r: (
            "brings the content back" if r.undo_restores_content else "does not bring it back"
        ),
        "time in which clients get both commits": lambda r: in_words(r.mixed_commit_s),
        "files changed before the restart": lambda r: f"{r.changed_before_restart} of {r.pushes} pushes",
        "failed requests": lambda r: f"{r.requests['failed']} of {r.requests['sent']:,}",
        "largest content": lambda r: limit_in_words(r.content_limit_bytes),
        "objects": lambda r: f"{sum(r.objects.values())} ({listed(r.objects)})",
        "rights": lambda r: f"{r.rights_pairs} pairs of verb and resource: {'; '.join(r.rights)}",
        "the pod with the git credentials can change workloads": lambda r: (
            "yes" if r.git_pod_changes_workloads else "no"
        ),
        "another workload needs a new right": lambda r: "yes" if r.names_each_workload else "no",
        "CPU, idle": lambda r: "not measured" if math.isnan(r.cpu_cores) else millicores(r.cpu_cores),
        "memory, idle": lambda r: f"{r.memory_bytes / 2**20:.0f} MiB" if r.memory_bytes else "not measured",
        "the commit is visible in": lambda r: "; ".join(r.commit_seen_in) or "nothing",
    }
    table = [{"": name} | {row.name: cell(row) for row in rows} for name, cell in questions.items()]
    notes = [*filter(None, [noise(rows)]), *(f"Not measured: {line}." for line in skipped)]
    return html_table(table, candidates_finding(rows)) + paragraphs(*notes)


def listed(objects: dict[str, int]) -> str:
    return ", ".join(f"{kind}: {count}" for kind, count in sorted(objects.items()))
