"""The computed parts of the first page: the answer at its head, tables, findings and recommendation."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import ClassVar

from IPython import get_ipython
from IPython.core.interactiveshell import ExecutionResult
from markupsafe import Markup

from git_to_pod.evaluation.claims import CONSTRAINTS, REQUIREMENTS, EvaluationFailed
from git_to_pod.evaluation.environment import project_version
from git_to_pod.evaluation.summary import ABORTED, Evaluation, undecided
from git_to_pod.progress import Display
from git_to_pod.report.charts import trial_charts
from git_to_pod.report.html import Html, html_table, paragraphs, render
from git_to_pod.report.latencies import EXPLAINED, in_seconds, latencies_table
from git_to_pod.settings import Parameters
from git_to_pod.timing.medians import in_words
from git_to_pod.timing.trial import BASELINE
from git_to_pod.wording import all_of, counted, millicores, names, quoted

STYLE = Path(__file__).parent / "templates" / "report" / "style.css"
SHORT = {  # the requirements, on the first screen
    "R1": "git content in running pods",
    "R2": "changes are pulled automatically",
    "R3": "pods restart on a change",
    "R4": "the commit is observable",
}


class Answer:
    """The first thing on the page, filled when the last cell has run."""

    following: ClassVar[Callable[[ExecutionResult], None] | None] = None

    def __init__(self) -> None:
        self.display = Display()
        self.show(paragraphs("This notebook computes the answer. Run all of its cells.", kind="headline"))

    def follow(self, evaluation: Evaluation) -> None:
        """Show the failure of any cell from now on, because papermill does not run the cells after it."""
        if shell := get_ipython():
            if Answer.following:  # an earlier run in the same kernel
                shell.events.unregister("post_run_cell", Answer.following)
            Answer.following = partial(self.after_cell, evaluation)
            shell.events.register("post_run_cell", Answer.following)

    def after_cell(self, evaluation: Evaluation, result: ExecutionResult) -> None:
        error = result.error_in_exec or result.error_before_exec
        if isinstance(error, EvaluationFailed):
            return
        evaluation.error = f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ") if error else ""
        if error:  # in Jupyter a later cell that succeeds clears it
            evaluation.write()
            self.fill(evaluation)

    def fill(self, evaluation: Evaluation) -> None:
        self.show(answer_html(evaluation))

    def show(self, answer: Markup) -> None:
        self.display.show(f'<style>{STYLE.read_text()}</style><div class="answer">{answer}</div>')


def answer_html(evaluation: Evaluation) -> Markup:
    """What a manager reads, on one screen."""
    in_lab = bool(evaluation.settings.lab)
    return render(
        "first_answer",
        banner=stand_ins_banner(evaluation.stand_ins),
        headline=headline(evaluation),
        notes=evaluation.notes,
        tiles=verdict_row(evaluation),
        recommendation=recommendation(evaluation),
        measured_on=measured_on(evaluation.kubernetes, evaluation.images, in_lab, evaluation.started),
        **key_figure(evaluation),
    )


def stand_ins_banner(refs: Sequence[str]) -> Markup:
    """The warning at the head of a page about a run with stand-ins."""
    return render("banner", images=names([short(ref) for ref in refs])) if refs else Markup("")


def key_figure(evaluation: Evaluation) -> dict[str, object]:
    """How fast: one figure with its interval, the slowest push and the chart. No `median` if there is none."""
    found, settings = evaluation.estimates["push_to_restarted"], evaluation.settings
    if not math.isfinite(found.median):
        return {"median": ""}
    bounds = f"{found.low:.2f}–{found.high:.2f} s" if math.isfinite(found.high) else f"from {found.low:.2f} s"
    slowest = f"The slowest took {found.max:.2f} s. " if found.n > 1 else ""
    if found.timeouts:
        slowest = f"{counted(found.timeouts, 'push', 'pushes')} timed out after {settings.timeout_s:g} s. "
    return {
        "median": f"{found.median:.2f}",
        "pods": f"{all_of(settings.replicas, 'pod')} run{'s' if settings.replicas == 1 else ''}",
        "pushes": counted(found.n, "push", "pushes"),
        "bounds": "" if math.isnan(found.low) else bounds,
        "slowest": slowest,
        "poll_interval": f"{settings.period_s:g} s",
        "chart": Markup(trial_charts.strip(evaluation).small()),
    }


def headline(evaluation: Evaluation) -> str:
    if evaluation.error:
        return f"{ABORTED}{evaluation.error}"
    if evaluation.failing:
        failing = [(REQUIREMENTS | CONSTRAINTS)[name] for name in evaluation.failing]
        return f"No. Not met: {quoted(failing)}."
    if evaluation.stand_ins:
        return f"With stand-ins, all four requirements are met within the constraints{untried(evaluation)}."
    return f"Yes. All four requirements are met within the constraints{untried(evaluation)}."


def untried(evaluation: Evaluation) -> str:
    """What follows "within the constraints" in the headline."""
    of = [quoted([CONSTRAINTS[name] for name in found]) for found in (evaluation.not_tried, evaluation.not_shown)]
    return undecided(*of)


def verdict_row(evaluation: Evaluation) -> Markup:
    """One tile for each requirement, one for the constraints, one for the load, each a link to its evidence."""
    tiles = []
    for name in REQUIREMENTS:
        if check := evaluation.requirements.get(name):
            tiles.append(tile(name, check.holds, f"{name} {'met' if check.holds else 'not met'}", SHORT[name]))
        else:
            tiles.append(tile("Does-it-work?", None, f"{name} not tried", SHORT[name]))
    tried = [evaluation.constraints[name].holds for name in CONSTRAINTS if name in evaluation.constraints]
    met, total = sum(bool(holds) for holds in tried), len(CONSTRAINTS)
    state = False if False in tried else (True if met == total else None)
    tiles.append(tile("The-constraints", state, f"{met} of {total} met", "constraints"))
    if sent := len(evaluation.responses):
        failed = len(evaluation.failed_requests)
        tiles.append(tile("load", not failed, f"{failed} failed", f"of {sent:,} requests"))
    return render("tiles", tiles=tiles)


def tile(anchor: str, holds: bool | None, verdict: str, what: str) -> dict[str, str]:
    """A tile of the template `tiles`, with a link to the section that has the evidence."""
    kind, sign = {True: ("good", "✓"), False: ("bad", "✕"), None: ("open", "–")}[holds]
    return {"kind": kind, "sign": sign, "anchor": anchor, "verdict": verdict, "what": what}


def recommendation(evaluation: Evaluation) -> str:
    """One text for each outcome."""
    if not evaluation.holds:
        return "Nothing yet. The headline names what failed, and the sections below have the evidence."
    if evaluation.stand_ins:
        return "Nothing from this run, because it used stand-ins. Repeat it with the upstream git-sync and Reloader."
    missed = [target.what for target in evaluation.targets if target.met is False]
    words = (
        "The design is feasible: one git-sync polls the repository, every pod checks out exactly the commit that this "
        "git-sync publishes, and Reloader restarts the pods. To choose, read the second page, which scripts/evaluate "
        "--full writes; it compares other tools."
    )
    return words if not missed else f"{words} Look first at what missed its target: {names(missed)}."


def measured_on(
    kubernetes: dict[str, str], images: Sequence[dict[str, str]], in_lab: bool, started: str = "", parts: str = ""
) -> Markup:
    """When, on what, and which programs really ran. `started`: ISO 8601. `parts`: sentences, if it was several runs."""
    if not kubernetes:
        return Markup("")  # the run was aborted before it looked
    when = f" on {datetime.fromisoformat(started):%-d %B %Y}," if started else ""
    text = f"Measured{when} on {cluster_in_words(kubernetes, in_lab)}, Kubernetes {kubernetes.get('version', '?')}."
    if "git_host" in kubernetes:
        text += " The run deployed its own git host into the cluster."
    text += f" {parts}" if parts else ""
    return render("measured_on", text=text, images=[provenance(image) for image in images])


def cluster_in_words(kubernetes: dict[str, str], in_lab: bool) -> str:
    cpus, nodes = kubernetes.get("cpus"), kubernetes.get("nodes")
    if in_lab:
        return f"one real node with {cpus or '?'} CPUs and no route to the outside"
    if not cpus:  # this user may not list the nodes
        return "an existing cluster"
    if nodes == "1":
        return f"an existing cluster of one node with {cpus} CPUs"
    return f"an existing cluster of {nodes} nodes, the first with {cpus} CPUs"


def provenance(image: dict[str, str]) -> str:
    """An image, the version that the running nginx names, and the image's origin."""
    ran = f" ran as {image['ran']}" if "ran" in image else ""
    return f"{short(image['ref'])}{ran}: {image.get('note') or image['source']}"


def short(ref: str) -> str:
    return ref.rpartition("/")[2].partition("@")[0].replace(":", " ")


def environment_table(evaluation: Evaluation) -> Html:
    """The cluster and the images."""
    rows = [{"property": name.replace("_", " "), "value": value} for name, value in evaluation.kubernetes.items()]
    images = [
        {"image": i["ref"], "what ran": provenance(i).partition(short(i["ref"]))[2].lstrip(": "), "digest": i["digest"]}
        for i in evaluation.images
    ]
    return Html(html_table(rows, "The cluster") + html_table(images, "The images"))


def parameters_table(evaluation: Evaluation) -> Html:
    settings = evaluation.settings
    rows = [
        {"parameter": "repository", "value": settings.repository},
        {"parameter": "branch", "value": settings.ref},
        {"parameter": "poll interval", "value": settings.period},
        {"parameter": "replicas of the app", "value": str(settings.replicas)},
        {"parameter": "commits pushed", "value": str(settings.commits)},
        {"parameter": "seed", "value": str(settings.seed)},
        {"parameter": "timeout", "value": f"{settings.timeout_s:.0f} s"},
        {"parameter": "version of the project", "value": project_version()},
        {"parameter": "command that repeats it", "value": repeats(evaluation)},
    ]
    return Html(html_table(rows, "The run"))


def repeats(evaluation: Evaluation) -> str:
    """The command of a run with the same parameters. What only this user has is a word in capitals."""
    settings, defaults = evaluation.settings, Parameters()
    given = {name: getattr(settings, name) for name in ("namespace", "ref", "period", "replicas", "commits", "seed")}
    given["timeout"] = int(settings.timeout_s)
    options = [
        f"--{name} {shlex.quote(str(value))}" for name, value in given.items() if value != getattr(defaults, name)
    ]
    where = [] if settings.lab else ["--context NAME"]
    if settings.repository != (settings.lab.repository if settings.lab else "") and not settings.git_host_inside:
        where += ["--repository URL --credentials DIR --push-credentials DIR"]
    images = ["--images DIR"] if any(image["source"] == "archive" for image in evaluation.images) else []
    return " ".join(["scripts/evaluate", *where, *images, *options])


def latency_table(evaluation: Evaluation) -> Html:
    """Every latency of summary.json."""
    return Html(latencies_table(evaluation.estimates, "Latencies in seconds"))


def changes_table(evaluation: Evaluation) -> Html:
    """The medians of this run and of the last one into the same folder, if it had the same parameters and programs."""
    summary = evaluation.own_summary()
    alike = all(evaluation.earlier.get(key) == summary[key] for key in ("parameters", "stand_ins"))
    before = evaluation.earlier.get("latency_s", {}) if alike else {}
    rows = []
    for name, now in evaluation.estimates.items():
        then = before.get(name, {})
        if (
            math.isfinite(now.median)
            and math.isfinite(now.low)
            and None not in (then.get("median"), then.get("low"), then.get("high"))
        ):
            apart = now.high < then["low"] or then["high"] < now.low
            rows.append(
                {
                    "from → to": EXPLAINED[name],
                    "last run": f"{then['median']:.2f} ({then['low']:.2f}–{then['high']:.2f})",
                    "this run": f"{now.median:.2f} ({in_seconds(now.low)}–{in_seconds(now.high)})",
                    "intervals": "do not overlap" if apart else "overlap",
                }
            )
    when = evaluation.earlier.get("started", "")
    day = f" of {datetime.fromisoformat(when):%-d %B %Y}" if when else ""
    return Html(html_table(rows, f"Medians in seconds with their 95% CI, beside those of the last run{day}"))


def targets_table(evaluation: Evaluation) -> Html:
    """The limits set before measuring, met or missed."""
    rows = []
    for target in evaluation.targets:
        word = {True: "met", False: "missed", None: "not measured"}[target.met]
        estimate = "–" if math.isnan(target.value) else number(target.value, target.unit)
        limit = "–" if math.isnan(target.limit) else number(target.limit, target.unit)
        rows.append({"target": f"{target.what}, {target.how}", "measured": estimate, "limit": limit, "result": word})
    return Html(html_table(rows, "Targets"))


def number(value: float, unit: str) -> str:
    if math.isinf(value):
        return "timed out"
    return f"{value:.2f} {unit}" if unit else f"{value:.0f}"


def load_shown(evaluation: Evaluation) -> Html:
    """Requests sent and failed, with the reasons. The baseline's rollouts replace no pod of the Service."""
    failed, sent = evaluation.failed_requests, len(evaluation.responses)
    kind = "good" if sent and not failed else "bad"
    first, last = (evaluation.responses[end].instant if sent else 0.0 for end in (0, -1))
    rows = [
        {"seconds since the first request": f"{r.instant - first:.1f}", "reason": r.error or f"HTTP {r.status}"}
        for r in failed[:20]
    ]
    rollouts = counted(sum(trial.rollouts for trial in evaluation.trials if trial.kind != BASELINE), "rollout")
    title = f"{len(failed):,} of {counted(sent, 'request')} failed in {last - first:.0f} s"
    caption = "Failed requests" if len(failed) == len(rows) else f"The first {len(rows)} failed requests"
    return Html(
        render(
            "load",
            kind=kind,
            failed=f"{len(failed):,}",
            title=title if sent else "No request was sent",
            rollouts=rollouts,
            table=html_table(rows, caption),
        )
    )


def cost_table(evaluation: Evaluation) -> Html:
    """CPU and memory of each container during the trials."""
    if "note" in evaluation.cost:
        return Html(paragraphs(str(evaluation.cost["note"])))
    rows = []
    for name, cost in evaluation.cost.items():
        cores = cost["cpu_cores"]
        rows.append(
            {
                "container": name,
                "CPU": "–" if cores is None else millicores(cores),
                "CPU time since its start": f"{cost['cpu_seconds']:.2f} s",
                "memory": f"{cost['memory_bytes'] / 2**20:.0f} MiB",
            }
        )
    caption = "One pod of each Deployment, as the kubelet reports it. – means that the trials replaced the pod"
    return Html(html_table(rows, caption))


def verdict(evaluation: Evaluation) -> Html:
    """Findings and recommendation, labelled apart."""
    found = evaluation.estimates
    lines = [f"{name}: {check.evidence}" for name, check in evaluation.requirements.items()]
    met = sum(bool(check.holds) for check in evaluation.constraints.values())
    lines.append(f"{met} of {len(CONSTRAINTS)} constraints {'is' if met == 1 else 'are'} met.")
    lines += [f"Not tried: {CONSTRAINTS[name]}." for name in evaluation.not_tried]
    lines += [f"Not shown: {CONSTRAINTS[name]}." for name in evaluation.not_shown]
    lines.append(f"Median time from the push until all replicas are restarted: {in_words(found['push_to_restarted'])}.")
    lines.append(
        "Median overhead of git-sync and Reloader, from the poll until the Deployment is patched: "
        f"{in_words(found['polled_to_requested'])}."
    )
    return Html(render("findings", lines=lines, recommendation=recommendation(evaluation)))
