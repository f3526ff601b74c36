"""The table of the candidates: a column for each, since there are more questions than candidates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from git_to_pod.experiments.alternatives.approaches import NOT_MEASURED
from git_to_pod.experiments.alternatives.comparison import (
    GAP_S,
    CandidateResult,
    by_replicas,
    limit_in_words,
)
from git_to_pod.experiments.effort import effort
from git_to_pod.report.html import html_table, paragraphs
from git_to_pod.timing.medians import difference, estimate, in_words
from git_to_pod.wording import millicores, names, quoted

NOTICEABLE_S = 0.5  # half the poll interval of the comparison
CAUGHT_UP = {True: "caught up", False: "lost", None: "it has no controller"}
UNDO = {True: "brings the content back", False: "does not bring it back", None: "not measured"}


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
    lost = quoted([row.name for row in rows if row.recovers_missed_change is False])
    return words + (f" A change made while the controller is down is lost with {lost}." if lost else "")


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def median_or_last(row: CandidateResult) -> float:
    median = row.polled_to_restarted_s.median
    return math.inf if math.isnan(median) else median


def differences_table(rows: Sequence[CandidateResult]) -> Markup:
    """Each candidate compared with the first one, which was measured twice: its own difference is noise."""
    first = rows[0] if rows else None
    if first is None or not first.repeated_s:
        return Markup("")
    own = f"{first.name}, a second time"
    whole = {own: first.repeated_s} | {row.name: row.samples_s for row in rows[1:]}
    rollout = {row.name: row.requested_samples_s for row in rows[1:]}
    table = [
        {
            "": name,
            "poll → all replicas restarted": difference_in_words(samples, first.samples_s),
            "restart triggered → all replicas restarted": difference_in_words(
                rollout.get(name, []), first.requested_samples_s
            ),
        }
        for name, samples in whole.items()
    ]
    caption = (
        f"Differences of the medians from “{first.name}”, with their 95% CI. The first row is that candidate measured "
        f"again, so it is noise. Less than {NOTICEABLE_S:g} s, half the poll interval, counts as too small to notice"
    )
    return html_table(table, caption)


def difference_in_words(samples: Sequence[float], others: Sequence[float]) -> str:
    """The difference of two medians, and whether the data show one; if not, how many samples would decide."""
    low, high = difference(samples, others)
    if not math.isfinite(high - low):
        return "not measured" if math.isnan(high) else "not known, by timeouts"
    apart = estimate(samples).median - estimate(others).median
    shown = f"{apart:+.2f} s ({low:+.2f} to {high:+.2f} s)"
    if low > 0 or high < 0:
        return f"{shown}, {'noticeable' if abs(apart) >= NOTICEABLE_S else 'too small to notice'}"
    n = max(len(samples), len(others))
    needed = math.ceil(n * ((high - low) / 2 / max(abs(apart), 0.01)) ** 2)
    return f"{shown}, no difference shown; about n = {needed:,} would decide"


def candidates_table(rows: Sequence[CandidateResult], skipped: Sequence[str]) -> Markup:
    """The table as HTML: a column for each candidate, since there are more questions than candidates."""
    questions: dict[str, Callable[[CandidateResult], str]] = {
        "poll → all replicas restarted": lambda r: in_words(r.polled_to_restarted_s),
        "poll → all replicas serve the commit": lambda r: in_words(r.polled_to_served_s),
        "poll → restart triggered": lambda r: in_words(r.polled_to_requested_s),
        "restart triggered → all replicas restarted": lambda r: in_words(r.requested_to_restarted_s),
        f"restarts for {effort().burst} pushes {GAP_S} s apart": lambda r: by_replicas(r.rollouts_per_burst),
        "times that the published commit regressed": lambda r: by_replicas(r.regressions),
        "change made while the controller is down": lambda r: (
            "not measured" if r.failed and r.recovers_missed_change is None else CAUGHT_UP[r.recovers_missed_change]
        ),
        "kubectl rollout undo": lambda r: UNDO[r.undo_restores_content],
        "time in which clients get both commits": lambda r: in_words(r.mixed_commit_s),
        "files changed before the restart": lambda r: f"{r.changed_before_restart} of {r.pushes} pushes",
        "failed requests": lambda r: f"{r.requests['failed']} of {r.requests['sent']:,}",
        "largest content": lambda r: limit_in_words(r.content_limit_bytes, not r.failed),
        "objects": lambda r: f"{sum(r.objects.values())} ({listed(r.objects)})",
        "rights": lambda r: f"{r.rights_pairs} pairs of verb and resource: {'; '.join(r.rights)}",
        "the pod that polls the git host can change workloads": lambda r: (
            "yes" if r.git_pod_changes_workloads else "no"
        ),
        "another workload needs a new right": lambda r: "yes" if r.names_each_workload else "no",
        "CPU, idle": lambda r: "not measured" if math.isnan(r.cpu_cores) else millicores(r.cpu_cores),
        "memory, idle": lambda r: f"{r.memory_bytes / 2**20:.0f} MiB" if r.memory_bytes else "not measured",
        "the commit is visible in": lambda r: "; ".join(r.commit_seen_in) or "nothing",
    }
    table = [{"": name} | {row.name: cell(row) for row in rows} for name, cell in questions.items()]
    missing = [f"Not measured to the end: {row.name} ({row.failed})." for row in rows if row.failed]
    missing += [f"Not in this run: {line}." for line in skipped]
    return html_table(table, candidates_finding(rows)) + paragraphs(*missing) + differences_table(rows)


def not_measured_table() -> Markup:
    """Other ways that a team would weigh, and why this page has no figures of them."""
    rows = [{"": name, "why it is not measured": reason} for name, reason in NOT_MEASURED.items()]
    return html_table(rows, "Not measured")


def listed(objects: dict[str, int]) -> str:
    return ", ".join(f"{kind}: {count}" for kind, count in sorted(objects.items()))
