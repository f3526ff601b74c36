"""Four ways to keep the same app up to date, side by side in one run on the same content."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from html import escape

from git_to_pod import cost, flux
from git_to_pod.cluster import Cluster, TimedOut, wait_for
from git_to_pod.findings import html_table, in_words
from git_to_pod.inventory import all_objects, applied, rights, where_seen
from git_to_pod.load import mixed_commits
from git_to_pod.observe import Event, pods_of
from git_to_pod.progress import Progress
from git_to_pod.rival import BIG_BYTES, Kind, Rival
from git_to_pod.settings import Settings
from git_to_pod.statistics import Figure, difference, figure
from git_to_pod.trials import overtaken, pause, served_commit

PUSHES, BURST, GAP_S, IDLE_S = 16, 12, 0.7, 25.0
REPLICAS = (2, 6)
NOT_SYNCING = ("nginx", "curl")  # containers that every way needs alike


@dataclass(frozen=True)
class Row:
    """One way to do it. The first eleven names are summary.json's; NaN or None: not measured, or no limit found."""

    name: str
    push_to_restarted_s: Figure
    rollouts_per_burst: dict[str, int]  # by replicas
    recovers_missed_change: bool
    mixed_commit_s: Figure
    content_limit_bytes: int | None
    objects: dict[str, int]  # by kind
    rights: list[str]
    cpu_cores: float
    memory_bytes: int
    commit_seen_in: list[str]
    rights_pairs: int  # of a verb and a resource
    went_backwards: dict[str, int]  # by replicas
    files_changed_before_restart: str  # in how many pushes
    requests: dict[str, int]
    samples_s: list[float]
    # What push → restarted is made of.
    push_to_requested_s: Figure
    requested_to_restarted_s: Figure


def commit_of_config_map(event: Event) -> str:
    if event.kind == "ConfigMap" and event.name == "git-commit":
        return str(event.object.get("data", {}).get("commit", ""))
    return ""


def commit_of_template(event: Event) -> str:
    if event.kind == "Deployment" and event.name == "app":
        annotations = event.object["spec"]["template"]["metadata"].get("annotations", {})
        return str(annotations.get("git-to-pod/commit", ""))
    return ""


DEPLOYED = Kind("deployed", "one poller, pinned pods, Reloader", "manifests", "reloader", commit_of_config_map)
POLLING = Kind(
    "polling",
    "git-sync polling in every pod, Reloader",
    "notebooks/alternatives/polling-pods",
    "reloader",
    commit_of_config_map,
)
PATCHING = Kind(
    "patching",
    "one poller that patches the pod template, no Reloader",
    "notebooks/alternatives/template-patch",
    "git-poller",
    commit_of_template,
)
FLUX = Kind(
    "flux",
    "Flux's source and kustomize controllers",
    "notebooks/alternatives/flux",
    "kustomize-controller",
    flux.commit,
    flux.put,
    flux.prepare,
)


def run_alternatives(cluster: Cluster, settings: Settings, progress: Progress) -> tuple[list[Row], list[str]]:
    """Deploy them all, try them in turn, count; the rows, and why a way is missing."""
    kinds, skipped = [DEPLOYED, POLLING, PATCHING], []
    if why := flux.unavailable(cluster, settings):
        skipped.append(f"{FLUX.name}: {why}")
    else:
        kinds.append(FLUX)
    with ExitStack() as stack:
        rivals = []
        if FLUX in kinds:
            stack.enter_context(flux.definitions(cluster))
        for number, kind in enumerate(kinds):
            progress.bar(number, len(kinds), f"deploying: {kind.name}")
            rivals.append(Rival(kind, cluster, settings, progress))
            stack.callback(rivals[-1].close)
            rivals[-1].deploy()
        like = rivals[0].recorder.get("Deployment", "git-poller")
        assert like, "the first way has a poller"
        for rival in rivals:
            rival.start_load(like)
        push_in_turn(rivals, progress)
        for rival in rivals:  # from here on pods are seen by their names alone
            rival.stop_load()
        idle = idle_cost(cluster, rivals, progress)
        return [row_of(cluster, rival, idle[rival.kind.key], progress) for rival in rivals], skipped


def push_in_turn(rivals: Sequence[Rival], progress: Progress) -> None:
    """Each push goes to one of them, in a shuffled order, at a random moment of its poll period."""
    chance = random.Random(rivals[0].settings.seed)
    order = [rival for rival in rivals for _ in range(PUSHES)]
    chance.shuffle(order)
    for number, rival in enumerate(order):
        progress.bar(number, len(order), f"a push for: {rival.kind.name}")
        rival.done.append(rival.trials.push(number, chance.uniform(0, rival.settings.period_s)))
    progress.bar(len(order), len(order), "pushes done")


def idle_cost(cluster: Cluster, rivals: Sequence[Rival], progress: Progress) -> dict[str, tuple[float, int]]:
    """Cores and memory of what keeps the app up to date, while nothing is pushed: all at the same time."""
    pause(12)  # the kubelet's figures are up to ten seconds old
    before = {rival.kind.key: cost.sample(cluster, rival.settings) for rival in rivals}
    progress.say(f"what each costs while nothing happens: {IDLE_S:.0f} s")
    pause(IDLE_S)
    found = {}
    for rival in rivals:
        early, late = before[rival.kind.key], cost.sample(cluster, rival.settings)
        found[rival.kind.key] = (math.nan, 0)
        if not isinstance(early, str) and not isinstance(late, str):
            found[rival.kind.key] = total(early, late)
    return found


def total(early: cost.Sample, late: cost.Sample) -> tuple[float, int]:
    """Over all containers but the app's own."""
    kept = [(early[key], late[key]) for key in late if key in early and key[1] not in NOT_SYNCING]
    cores = sum((b.cpu_s - a.cpu_s) / (b.time_s - a.time_s) for a, b in kept if b.time_s > a.time_s)
    return cores, sum(b.memory_bytes for _, b in kept)


def row_of(cluster: Cluster, rival: Rival, idle: tuple[float, int], progress: Progress) -> Row:
    """Count what is there, then try what else is to be tried with this one."""
    name = rival.kind.name
    namespace = rival.settings.namespace
    objects, held = all_objects(cluster, namespace), rights(cluster, namespace)
    seen_in = where_seen(objects, rival.repository.pushed[-1]) + header(rival)
    kinds = dict(applied(objects)) | (flux.cluster_objects(cluster) if rival.kind is FLUX else {})
    pushed = list(rival.done)
    rollouts, backwards = {}, {}
    for replicas in REPLICAS:
        progress.say(f"{BURST} pushes {GAP_S} s apart, {replicas} replicas: {name}")
        rival.scale("app", replicas)
        rollouts[str(replicas)], backwards[str(replicas)] = rival.burst(BURST, GAP_S)
    rival.scale("app", REPLICAS[0])
    progress.say(f"a push while {rival.kind.controller} is away: {name}")
    recovers = rival.misses_a_change()
    progress.say(f"a file of {BIG_BYTES >> 20} MiB: {name}")
    limit = None if rival.takes_big_content() else limit_of(cluster, rival)
    samples = [trial.latency_s("pushed", "restarted") for trial in pushed]
    mixed, early = seen_by_visitors(rival)
    return Row(
        name=name,
        push_to_restarted_s=figure(samples),
        rollouts_per_burst=rollouts,
        recovers_missed_change=recovers,
        mixed_commit_s=figure(mixed),
        content_limit_bytes=limit,
        objects=kinds,
        rights=[str(one) for one in held],
        cpu_cores=idle[0],
        memory_bytes=idle[1],
        commit_seen_in=seen_in,
        rights_pairs=sum(one.pairs for one in held),
        went_backwards=backwards,
        files_changed_before_restart=f"{early} of {len(pushed)}",
        requests={"sent": len(rival.responses), "failed": sum(r.failed for r in rival.responses)},
        samples_s=samples,
        push_to_requested_s=figure([trial.latency_s("pushed", "requested") for trial in pushed]),
        requested_to_restarted_s=figure([trial.latency_s("requested", "restarted") for trial in pushed]),
    )


def limit_of(cluster: Cluster, rival: Rival) -> int:
    """What it says itself, as soon as it does; else the size of the file that it did not take."""
    if rival.kind is FLUX:
        with suppress(TimedOut):
            return wait_for("Flux's complaint", lambda: flux.limit(cluster, rival.settings.namespace), 60)
    return BIG_BYTES


def header(rival: Rival) -> list[str]:
    """Whether the app's visitors are told the commit."""
    pod = pods_of(rival.recorder, "app")[0]["metadata"]["name"]
    said, _ = served_commit(rival.cluster, rival.settings.namespace, pod)
    return ["every response: X-Git-Commit"] if said == rival.repository.pushed[-1] else []


def seen_by_visitors(rival: Rival) -> tuple[list[float], int]:
    """For each push how long visitors got the old or the new commit; how often before any new pod was Ready."""
    mixed, early = [], 0
    for trial, end in zip(rival.done, [*map(overtaken, rival.done[1:]), math.inf], strict=True):
        seen = mixed_commits(rival.responses, trial.commit, trial.began, end) if "pushed" in trial.instants else None
        mixed.append(seen.seconds if seen else math.nan)
        early += bool(seen and trial.pods and seen.started < min(trial.pods.values()))
    return mixed, early


def finding(rows: Sequence[Row]) -> str:
    """The title, computed."""
    quickest = min(rows, key=lambda row: row.push_to_restarted_s.median)
    words = f"Quickest from push to restarted: {quickest.name}, {in_words(quickest.push_to_restarted_s)}"
    behind = {row.name: difference(row.samples_s, quickest.samples_s) for row in rows if row is not quickest}
    alike = [f"{name} ({low:+.2f} to {high:+.2f} s, 95% CI)" for name, (low, high) in behind.items() if low <= 0]
    words += f", but not shown to be quicker than {', '.join(alike)}" if alike else ""
    steps = {row.name: sum(row.went_backwards.values()) for row in rows}
    back = [f"{name} ({count} time{'' if count == 1 else 's'})" for name, count in steps.items() if count]
    words += f"; under fast pushes the published commit went back with {', '.join(back)}" if back else ""
    lost = [row.name for row in rows if not row.recovers_missed_change]
    return words + (f"; a change is lost with {', '.join(lost)}" if lost else "; none loses a change")


def shown(rows: Sequence[Row], skipped: Sequence[str]) -> str:
    """The table as HTML: a column for each way, since there are more questions than ways."""
    questions: dict[str, Callable[[Row], str]] = {
        "push → all replicas restarted": lambda r: in_words(r.push_to_restarted_s),
        "of it, until the restart is asked for": lambda r: in_words(r.push_to_requested_s),
        "of it, the restart": lambda r: in_words(r.requested_to_restarted_s),
        f"rollouts for {BURST} fast pushes (2, 6 replicas)": lambda r: both(r.rollouts_per_burst),
        "published commit went back (2, 6 replicas)": lambda r: both(r.went_backwards),
        "a change while its controller is away": lambda r: "deployed after all" if r.recovers_missed_change else "lost",
        "visitors get either commit for": lambda r: in_words(r.mixed_commit_s),
        "files changed before the restart": lambda r: f"in {r.files_changed_before_restart} pushes",
        "failed requests": lambda r: f"{r.requests['failed']} of {r.requests['sent']:,}",
        "content may have": lambda r: (
            f"{r.content_limit_bytes:,} bytes" if r.content_limit_bytes else f"no limit found up to {BIG_BYTES:,} bytes"
        ),
        "objects to write": lambda r: f"{sum(r.objects.values())}: {listed(r.objects)}",
        "rights": lambda r: f"{r.rights_pairs} verbs on resources: {'; '.join(r.rights)}",
        "CPU while nothing happens": lambda r: f"{1000 * r.cpu_cores:.0f} thousandths of a core",
        "memory": lambda r: f"{r.memory_bytes / 2**20:.0f} MiB",
        "the commit can be seen in": lambda r: "; ".join(r.commit_seen_in) or "nothing",
    }
    table = [{"": name} | {row.name: cell(row) for row in rows} for name, cell in questions.items()]
    return html_table(table, finding(rows)) + "".join(f"<p>Not tried: {escape(line)}.</p>" for line in skipped)


def both(by_replicas: dict[str, int]) -> str:
    return ", ".join(str(count) for count in by_replicas.values())


def listed(objects: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(objects.items()))
