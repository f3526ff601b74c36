"""The results of a run: filled cell by cell and written to summary.json and trials.csv."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from git_to_pod.app.deployment import other_reloaders
from git_to_pod.app.load import Load, Response
from git_to_pod.cluster.api import Cluster
from git_to_pod.evaluation.claims import CONSTRAINTS, REQUIREMENTS, Check, EvaluationFailed
from git_to_pod.evaluation.environment import environment, images, project_version
from git_to_pod.evaluation.targets import LIMITS, Target
from git_to_pod.files import write_whole
from git_to_pod.git.repository import Repository
from git_to_pod.progress import Progress
from git_to_pod.settings import Settings
from git_to_pod.timing.medians import Estimate, in_words
from git_to_pod.timing.trial import PUSH, Outcome, Trial
from git_to_pod.timing.trials import Trials
from git_to_pod.timing.trials_table import Tables, tables_of
from git_to_pod.wording import all_of, counted, names

ABORTED = "No. The run was aborted: "
SCHEMA = 3  # of summary.json; it changes when a key is removed or gets another meaning


@dataclass
class Evaluation:
    settings: Settings
    kubernetes: dict[str, str] = field(default_factory=dict)
    images: list[dict[str, str]] = field(default_factory=list)
    requirements: dict[str, Check] = field(default_factory=dict)
    constraints: dict[str, Check] = field(default_factory=dict)
    trials: Sequence[Trial] = ()
    responses: Sequence[Response] = ()
    tables: Tables | None = None  # of the trials and responses so far
    cost: dict[str, Any] = field(default_factory=dict)
    timings_s: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # what a reader must know of this cluster
    error: str = ""  # what aborted the run
    earlier: dict[str, Any] = field(default_factory=dict)  # the summary of the last run into the same folder
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def begin(self) -> None:
        """Read the summary of an earlier run in the output folder, and remove its rows."""
        with contextlib.suppress(OSError, ValueError):
            self.earlier = json.loads((self.settings.output / "summary.json").read_text())
        for name in ("trials.csv", "responses.csv"):
            (self.settings.output / name).unlink(missing_ok=True)

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

    def require(self, name: str, check: Check) -> Check:
        check.name, check.claim = name, f"{name}: {REQUIREMENTS[name]}"
        self.requirements[name] = check
        self.write()  # an aborted run keeps its results
        return check

    def constrain(self, name: str, check: Check) -> Check:
        check.name, check.claim = name, CONSTRAINTS[name]
        self.constraints[name] = check
        self.write()
        return check

    @contextlib.contextmanager
    def measuring(self, trials: Trials, load: Load, repository: Repository) -> Iterator[None]:
        """Add the set of trials that runs in this block when it ends, also if an error or an interrupt ends it."""
        before, trials.responses = trials.done, load.responses
        try:
            yield
        finally:
            if trials.done is not before:
                self.measured(trials.done, load.responses, load.error, repository.overtaken)

    def measured(
        self, trials: Sequence[Trial], responses: Sequence[Response], error: str = "", overtaken: int = 0
    ) -> None:
        """Add the trials. R2 and R3 are met only if every push was published and restarted the pods.

        `overtaken`: how often someone else had pushed.
        """
        self.trials, self.responses = trials, responses
        self.tables = None
        self.notes += [error] if error else []
        self.note_other_pushes(overtaken)
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
            check.verdict_of_trials = happened == expected
            commits = f"{happened} of {counted(expected, 'pushed commit')} {'was' if happened == 1 else 'were'}"
            check.evidence_of_trials = f"In the trials, {commits} {text}."
        self.write()
        write_whole(self.settings.output / "trials.csv", self.trials_table.to_csv(index=False))
        write_whole(self.settings.output / "responses.csv", self.responses_table.to_csv(index=False))

    def note_other_pushes(self, overtaken: int) -> None:
        """Say that someone else pushed to the branch during the run."""
        if overtaken:
            times = counted(overtaken, "time")
            self.notes.append(
                f"Someone else pushed to the branch {self.settings.ref} {times} during the run, which went on from "
                "their commit. Rollouts to their commits may have delayed its own."
            )

    @property
    def stand_ins(self) -> list[str]:
        return [image["ref"] for image in self.images if image["source"] == "stand-in"]

    @property
    def failing(self) -> list[str]:
        """The requirements and constraints that are not met or were never checked."""
        missing = [name for name in REQUIREMENTS if name not in self.requirements]
        missing += [name for name in CONSTRAINTS if name not in self.constraints]
        checks = self.requirements | self.constraints
        return [*missing, *(name for name, check in checks.items() if check.holds is False)]

    @property
    def not_tried(self) -> list[str]:
        """The constraints that this cluster does not let the run try."""
        return [name for name, check in self.constraints.items() if check.holds is None and not check.tried]

    @property
    def not_shown(self) -> list[str]:
        """The constraints that the run tried and could not decide."""
        return [name for name, check in self.constraints.items() if check.holds is None and check.tried]

    @property
    def holds(self) -> bool:
        return bool(self.trials) and not self.failing and not self.error

    def measurements(self) -> Tables:
        """The tables and their figures: computed once, and again if a trial is added in Jupyter."""
        if not self.tables or self.tables.of != (len(self.trials), len(self.responses)):
            self.tables = tables_of(self.trials, self.responses, self.settings.period_s)
        return self.tables

    @property
    def trials_table(self) -> pd.DataFrame:
        """The rows of trials.csv."""
        return self.measurements().trials

    @property
    def responses_table(self) -> pd.DataFrame:
        """The rows of responses.csv."""
        return self.measurements().responses

    @property
    def estimates(self) -> Mapping[str, Estimate]:
        return self.measurements().estimates

    @property
    def failed_requests(self) -> list[Response]:
        return [response for response in self.responses if response.failed]

    @property
    def targets(self) -> list[Target]:
        """The limits, each with its measured figure."""
        median = {name: estimate.median for name, estimate in self.estimates.items()}
        median["failed_requests"] = len(self.failed_requests) if self.responses else math.nan
        return [Target(limit.name, limit.what, limit.how, *limit.of(median), limit.unit) for limit in LIMITS]

    @property
    def answer(self) -> str:
        """Two plain sentences, computed. A run with stand-ins says so first."""
        prefix = ""
        if self.stand_ins:
            prefix = f"Made with stand-ins for {names(self.stand_ins)}: no conclusion about git-sync or Reloader. "
        if self.error:
            return f"{prefix}{ABORTED}{self.error}"
        if self.failing:
            return f"{prefix}No. Not met: {names(self.failing)}."
        if not self.trials:
            return f"{prefix}No answer: the run was ended before the end of its trials."
        sent, failed = len(self.responses), len(self.failed_requests)
        replicas = all_of(self.settings.replicas, "replica")
        return (
            f"{prefix}Yes. All four requirements are met within the constraints{self.exceptions}. With a poll "
            f"interval of {self.settings.period_s:g} s, a push is live on {replicas} after a median of "
            f"{in_words(self.estimates['push_to_restarted'])}; {failed or 'none'} of {sent:,} requests failed."
        )

    @property
    def exceptions(self) -> str:
        """What follows "met within the constraints"."""
        return undecided(names(self.not_tried), names(self.not_shown))

    def summary(self) -> dict[str, Any]:
        """summary.json: its keys are documented in the README. The second notebook's stay, with their `parts`."""
        own = self.own_summary()
        others = self.earlier if "parts" in self.earlier else {}
        return own | {key: value for key, value in others.items() if key not in own and key != "full_error"}

    def own_summary(self) -> dict[str, Any]:
        failed = self.failed_requests
        return {
            "schema": SCHEMA,
            "project": project_version(),
            "answer": self.answer,
            "holds": self.holds,
            "not_tried": self.not_tried,
            "not_shown": self.not_shown,
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
            **figures_of(self.trials_table, self.estimates),
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
        """Write summary.json to the run's folder."""
        write_json(self.settings.output / "summary.json", self.summary())

    def verify(self) -> None:
        """Fail the run if a requirement or a constraint is not met."""
        if not self.holds:
            raise EvaluationFailed(self.answer)


def figures_of(trials: pd.DataFrame, estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    """`latency_s` and `trials` of summary.json, from the rows of trials.csv and the figures computed from them."""
    return {
        "latency_s": {name: asdict(estimate) for name, estimate in estimates.items()},
        "trials": {outcome.name.lower(): int(trials["outcome"].eq(str(outcome)).sum()) for outcome in Outcome},
    }


def undecided(not_tried: str, not_shown: str) -> str:
    """What follows "met within the constraints": the constraints without an answer."""
    listed = {"not tried": not_tried, "not shown": not_shown}
    found = [f"{outcome}: {constraints}" for outcome, constraints in listed.items() if constraints]
    return f", except {'; '.join(found)}" if found else ""


def as_result(check: Check) -> dict[str, Any]:
    return {"pass": check.holds, "evidence": check.evidence}


def write_json(path: Path, value: object) -> None:
    """JSON has neither infinity (a timeout) nor NaN (not measured). Both become null; `timeouts` tells them apart."""
    write_whole(path, json.dumps(finite(value), indent=2, ensure_ascii=False) + "\n")


def finite(value: object) -> object:
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
