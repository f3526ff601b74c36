"""The parts of the report that are computed: the answer at its head, the tables, the verdict."""

# ruff: noqa: RUF001

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from html import escape
from pathlib import Path
from typing import ClassVar

from IPython import get_ipython
from IPython.core.interactiveshell import ExecutionResult

from git_to_pod import plots
from git_to_pod.findings import CONSTRAINTS, REQUIREMENTS, EvaluationFailed, Findings, html_table, in_words, names
from git_to_pod.progress import Display

STYLE = Path(__file__).parent / "templates" / "report" / "style.css"
SHORT = {  # the requirements, on the first screen
    "R1": "content reaches the application",
    "R2": "changes are noticed",
    "R3": "the application restarts",
    "R4": "the version can be seen",
}
SOURCES = {"archive": "from an archive", "built": "built here"}
EXPLAINED = {
    "push_to_polled": "push → git-sync's next poll",
    "polled_to_published": "poll → commit published in the cluster",
    "published_to_requested": "published → Reloader asks for the restart",
    "polled_to_requested": "poll → restart asked for: what the two tools add",
    "requested_to_restarted": "restart asked for → all replicas restarted",
    "push_to_restarted": "push → all replicas restarted",
    "push_to_served": "push → every pod answers with the new commit",
    "rollout_restart": "baseline: restart of the same Deployment by hand",
    "plain_rollout_restart": "baseline: restart of the same nginx without git-sync",
    "mixed_commits": "time in which visitors may get the old or the new commit",
}


@dataclass(frozen=True)
class Html:
    """HTML as a cell's output."""

    text: str

    def _repr_html_(self) -> str:
        return self.text


class Answer:
    """The first thing on the page, filled when the last cell has run."""

    following: ClassVar[Callable[[ExecutionResult], None] | None] = None

    def __init__(self) -> None:
        self.display = Display()
        self.show('<p class="headline">The answer is computed by this notebook: run all of its cells.</p>')

    def follow(self, findings: Findings) -> None:
        """From now on tell also of a cell that fails: the ones after it are not run."""
        if shell := get_ipython():
            if Answer.following:  # an earlier run in the same kernel
                shell.events.unregister("post_run_cell", Answer.following)
            Answer.following = partial(self.after_cell, findings)
            shell.events.register("post_run_cell", Answer.following)

    def after_cell(self, findings: Findings, result: ExecutionResult) -> None:
        error = result.error_in_exec or result.error_before_exec
        if isinstance(error, EvaluationFailed):
            return
        findings.error = f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ") if error else ""
        if error:  # a cell that succeeds after it, in Jupyter, takes it back: someone went on
            findings.write()
            self.fill(findings)

    def fill(self, findings: Findings) -> None:
        self.show(answer_html(findings))

    def show(self, text: str) -> None:
        self.display.show(f'<style>{STYLE.read_text()}</style><div class="answer">{text}</div>')


def answer_html(findings: Findings) -> str:
    """What a manager reads, on one screen."""
    parts = [
        stand_ins_banner(findings.stand_ins),
        f'<p class="headline">{escape(headline(findings))}</p>',
        verdict_row(findings),
    ]
    if math.isfinite(findings.figures["push_to_restarted"].median):
        parts.append(f'<div class="key">{key_figure(findings)}<div>{plots.strip(findings).small()}</div></div>')
    parts.append(f'<p class="decide"><strong>What to decide.</strong> {escape(recommendation(findings))}</p>')
    parts.append(measured_on(findings.kubernetes, findings.images, bool(findings.settings.lab)))
    return "".join(parts)


def stand_ins_banner(refs: Sequence[str]) -> str:
    """Said before anything else."""
    if not refs:
        return ""
    return (
        '<p class="banner"><strong>Made with stand-ins, no conclusion about git-sync or Reloader.</strong> '
        f"Small programs of this project took the place of {escape(names([short(ref) for ref in refs]))}: the run "
        "shows that everything around them works, measuring included, and nothing about the products.</p>"
    )


def key_figure(findings: Findings) -> str:
    """How fast: one figure with its interval, and what the two words mean."""
    found, settings = findings.figures["push_to_restarted"], findings.settings
    interval = f"is {found.low:.2f}–{found.high:.2f} s: the true median is in there with that probability"
    if math.isnan(found.low):
        interval = "would need more pushes"
    slow = f"{found.timeouts} of them" if found.timeouts else "None"
    return (
        f'<div><p class="number">{found.median:.2f}&thinsp;s</p><p>from a push until all {settings.replicas} copies of '
        f"the application run the new content: the <dfn>median</dfn>, half of the {found.n} pushes took longer. Its "
        f"<dfn>95% interval</dfn> {interval}. {slow} took longer than {settings.timeout_s:g} s. "
        f"git-sync asks for news every {settings.period_s:g} s.</p></div>"
    )


def headline(findings: Findings) -> str:
    if findings.error:
        return f"No: the run broke off. {findings.error}"
    if findings.failing:
        failing = [(REQUIREMENTS | CONSTRAINTS)[name] for name in findings.failing]
        return f"No. Not shown to hold: {'; '.join(failing)}."
    if findings.stand_ins:
        return "The pipeline works: all four requirements hold within the constraints, with stand-ins."
    return "Yes, it works: all four requirements hold within the constraints."


def verdict_row(findings: Findings) -> str:
    """One tile for each requirement, one for the constraints, one for the load, each a link to its evidence."""
    tiles = []
    for name in REQUIREMENTS:
        if check := findings.requirements.get(name):
            tiles.append(tile(name, check.holds, f"{name} {'holds' if check.holds else 'does not hold'}", SHORT[name]))
        else:
            tiles.append(tile("Does-it-work?", None, f"{name} not tried", SHORT[name]))
    tried = [findings.constraints[name].holds for name in CONSTRAINTS if name in findings.constraints]
    held, of = sum(bool(holds) for holds in tried), len(CONSTRAINTS)
    state = False if False in tried else (True if held == of else None)
    tiles.append(tile("The-constraints", state, f"{held} of {of} hold", "constraints"))
    if sent := len(findings.responses):
        failed = len(findings.failed_requests)
        tiles.append(tile("load", not failed, f"{failed} failed", f"of {sent:,} visits meanwhile"))
    return f'<ul class="verdicts">{"".join(tiles)}</ul>'


def tile(anchor: str, holds: bool | None, verdict: str, what: str) -> str:
    kind, sign = {True: ("good", "✓"), False: ("bad", "✕"), None: ("open", "–")}[holds]
    return (
        f'<li class="{kind}"><a href="#{anchor}"><strong><span class="sign" aria-hidden="true">{sign}</span> '
        f"{escape(verdict)}</strong> <span>{escape(what)}</span></a></li>"
    )


def recommendation(findings: Findings) -> str:
    """Follows from what was found, and from nothing else."""
    if not findings.holds:
        return "Nothing yet: what failed is named above, with its evidence below."
    if findings.stand_ins:
        return "Nothing from this run: it was made with stand-ins. Repeat it with the real git-sync and Reloader."
    missed = [target.what for target in findings.targets if target.met is False]
    words = (
        "Go on with git-sync and Reloader in this shape: one git-sync looks for news on behalf of all, every copy of "
        "the application fetches exactly the version that it announced, and Reloader is started so that it catches up "
        "on what it missed."
    )
    return words if not missed else f"{words} Above its target, and to be looked at first: {names(missed)}."


def measured_on(kubernetes: dict[str, str], images: Sequence[dict[str, str]], in_lab: bool) -> str:
    """One line; the tables at the end of the page say more."""
    if not kubernetes:
        return ""  # the run broke off before it looked
    where = "a real cluster of one machine, cut off from outside," if in_lab else "an existing cluster"
    cpus = f" with {kubernetes['cpus']} CPUs" if "cpus" in kubernetes else ""  # not every user may see them
    host = ", a git server in it deployed for this run" if "git_host" in kubernetes else ""
    text = f"Measured on {date.today():%-d %B %Y} on {where}{cpus}{host}"
    ran = [f"{short(image['ref'])} ({SOURCES.get(image['source'], image['source'])})" for image in images]
    programs = names([f"Kubernetes {kubernetes.get('version', '?')}", *ran])
    return f'<p class="note">{escape(f"{text}: {programs}.")}</p>'


def short(ref: str) -> str:
    return ref.rpartition("/")[2].partition("@")[0].replace(":", " ")


def environment_table(findings: Findings) -> Html:
    """What the run was made on, and which images it ran."""
    rows = [{"what": name.replace("_", " "), "found": value} for name, value in findings.kubernetes.items()]
    images = [{"image": i["ref"], "source": i["source"], "digest": i["digest"]} for i in findings.images]
    return Html(html_table(rows, "The cluster") + html_table(images, "The images"))


def parameters_table(findings: Findings) -> Html:
    settings = findings.settings
    rows = [
        {"parameter": "repository", "value": settings.repository},
        {"parameter": "branch", "value": settings.ref},
        {"parameter": "git-sync asks every", "value": settings.period},
        {"parameter": "replicas of the app", "value": str(settings.replicas)},
        {"parameter": "commits pushed", "value": str(settings.commits)},
        {"parameter": "seed of the order", "value": str(settings.seed)},
        {"parameter": "a wait may take", "value": f"{settings.timeout_s:.0f} s"},
    ]
    return Html(html_table(rows, "The run"))


def latency_table(findings: Findings) -> Html:
    """Every figure of summary.json."""
    rows = []
    for name, found in findings.figures.items():
        interval = "–" if math.isnan(found.low) else f"{found.low:.2f}–{found.high:.2f}"
        rows.append(
            {
                "from → until": EXPLAINED[name],
                "median": f"{found.median:.2f}" if found.n else "not measured",
                "95% interval": interval,
                "least": f"{found.min:.2f}" if found.n else "–",
                "most": f"{found.max:.2f}" if found.n else "–",
                "n": str(found.n),
                "timeouts": str(found.timeouts),
            }
        )
    return Html(html_table(rows, "Seconds; medians with their exact 95% interval"))


def targets_table(findings: Findings) -> Html:
    """The figures set before measuring, met or missed."""
    rows = []
    for target in findings.targets:
        word = {True: "met", False: "missed", None: "not measured"}[target.met]
        figure = "–" if math.isnan(target.value) else number(target.value, target.unit)
        limit = "–" if math.isnan(target.limit) else number(target.limit, target.unit)
        rows.append({"figure": f"{target.what}: {target.how}", "measured": figure, "at most": limit, "result": word})
    return Html(html_table(rows, "Targets"))


def number(value: float, unit: str) -> str:
    return f"{value:.2f} {unit}" if unit else f"{value:.0f}"


def load_shown(findings: Findings) -> Html:
    """Requests sent and failed, and why they failed."""
    failed, sent = findings.failed_requests, len(findings.responses)
    kind = "good" if sent and not failed else "bad"
    origin = findings.trials[0].began if findings.trials else 0.0
    rows = [
        {"seconds into the trials": f"{r.instant - origin:.1f}", "why": r.error or f"HTTP {r.status}"}
        for r in failed[:20]
    ]
    seconds = findings.responses[-1].instant - findings.responses[0].instant if sent else 0.0
    rollouts = sum(trial.rollouts for trial in findings.trials)
    return Html(
        f'<div class="check {kind}" id="load"><p class="claim"><span class="badge">{len(failed)} failed</span> '
        f"{len(failed)} of {sent:,} requests failed in {seconds:.0f} s</p>"
        f"<p>Sent to the app's Service from inside the cluster, each on a new connection, while {rollouts} restarts "
        f"replaced every pod.</p>{html_table(rows, label='Failed requests')}</div>"
    )


def cost_table(findings: Findings) -> Html:
    """What the parts cost while the trials ran."""
    if "note" in findings.cost:
        return Html(f"<p>{escape(str(findings.cost['note']))}</p>")
    rows = []
    for name, cost in findings.cost.items():
        cores = cost["cpu_cores"]
        rows.append(
            {
                "container": name,
                "CPU, share of a core": "replaced meanwhile" if cores is None else f"{100 * cores:.1f} %",
                "CPU seconds since its start": f"{cost['cpu_seconds']:.2f}",
                "memory": f"{cost['memory_bytes'] / 2**20:.0f} MiB",
            }
        )
    return Html(html_table(rows, "One pod of each, as Kubernetes counts"))


def verdict(findings: Findings) -> Html:
    """Findings and recommendation, apart."""
    found = findings.figures
    lines = [f"{name}: {check.evidence}" for name, check in findings.requirements.items()]
    held = [CONSTRAINTS[name] for name, check in findings.constraints.items() if check.holds]
    lines.append(f"{len(held)} of {len(CONSTRAINTS)} constraints were tried and hold.")
    lines.append(f"Push to all replicas restarted: {in_words(found['push_to_restarted'])}.")
    lines.append(f"Of that, added by git-sync and Reloader: {in_words(found['polled_to_requested'])}.")
    listed = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return Html(
        f"<h3>Findings</h3><ul>{listed}</ul>"
        f'<h3>Recommendation</h3><p class="decide">{escape(recommendation(findings))}</p>'
    )
