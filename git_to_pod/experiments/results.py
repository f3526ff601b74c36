"""The results of the second notebook: each experiment's rows, added to the first notebook's summary."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from git_to_pod.evaluation.claims import EvaluationFailed
from git_to_pod.evaluation.environment import project_version
from git_to_pod.evaluation.summary import SCHEMA, write_json
from git_to_pod.experiments import earlier_rows
from git_to_pod.experiments.earlier_rows import Row
from git_to_pod.experiments.effort import EXPERIMENTS, selected
from git_to_pod.files import write_whole
from git_to_pod.progress import Progress
from git_to_pod.settings import InputError, Settings
from git_to_pod.wording import counted, names, sentence_case
from lab.paths import OWN_IMAGES

ResultRow = dict[str, Any]
NOT_STATED = "origin not stated"  # the end of the note of an archive without a text file beside it (lab/images.py)


def section(name: str) -> str:
    """The id of the section that an experiment has on the page."""
    return sentence_case(EXPERIMENTS[name].title).replace(" ", "-")


@dataclass
class ExperimentResults:
    """Filled experiment by experiment and written after each, so that an aborted run keeps its results."""

    settings: Settings
    progress: Progress
    rows: dict[str, list[ResultRow]] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)  # models and sentences
    error: str = ""
    selected: list[str] = field(default_factory=selected)
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)  # of each experiment: when and with what it was run

    def of(self, name: str, kind: type[Row], measure: Callable[[], Sequence[Row]]) -> Sequence[Row]:
        """Measure an experiment that is selected. Of another one, return the rows that the folder has, if it has any.

        Raises InputError if the folder's rows cannot be joined with this run's.
        """
        if name not in self.selected:
            return self.earlier(name, kind)
        left = [EXPERIMENTS[other] for other in self.selected[self.selected.index(name) :]]
        text = (
            f"experiment {len(self.selected) - len(left) + 1} of {len(self.selected)}: {left[0].title} "
            f"(about {counted(sum(each.minutes for each in left), 'minute')} left in a full run)"
        )
        part: dict[str, Any] = {
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "project": project_version(),
        }
        part |= {"images": self.images, "kubernetes": self.kubernetes}
        began = time.monotonic()
        with self.progress.stage(name, text):
            rows = measure()
        self.parts[name] = part | {"seconds": time.monotonic() - began}
        return rows

    def earlier(self, name: str, kind: type[Row]) -> Sequence[Row]:
        """The rows of an earlier run into the same folder. Raises InputError if its images or its Kubernetes differ."""
        found = self.summary
        if name not in found:
            return []
        whole = {key: found.get(key) for key in ("started", "project", "images")}  # an earlier --full
        part = found.get("parts", {}).get(name, whole)
        ours = {image["ref"]: image for image in self.images}
        others = [image for image in part["images"] or [] if not is_like(image, ours.get(image["ref"], image))]
        where = f"--only: {self.settings.output} has {EXPERIMENTS[name].title} of an earlier run"
        advice = f"choose another --output, or add {name} to --only"
        if others:
            raise InputError(f"{where} with another {others[0]['ref']}; {advice}")
        version = part.get("kubernetes") or found.get("kubernetes", {}).get("version", "")
        if self.kubernetes and version not in ("", self.kubernetes):
            raise InputError(f"{where} with Kubernetes {version}; {advice}")
        try:
            rows = earlier_rows.read(found[name], kind)
        except ValueError as error:
            raise InputError(f"{where} of another version ({error}); {advice}") from None
        self.parts[name] = part
        return rows

    def beside(self, name: str, key: str, compute: Callable[[], list[str]]) -> list[str]:
        """What belongs to an experiment's rows: computed if it is selected, else as the folder has it."""
        return compute() if name in self.selected else list(self.summary.get(key, []))

    def add(self, name: str, rows: Sequence[Any], finding: str, **extra: object) -> None:
        """Add an experiment's rows, dataclasses or dictionaries, and the finding that titles its table."""
        self.extra["findings"] = self.extra.get("findings", {}) | {name: finding}
        self.rows[name] = [row if isinstance(row, dict) else asdict(row) for row in rows]
        write_whole(self.settings.output / f"{name}.csv", self.frame(name).to_csv(index=False))
        self.add_extra(**{key: plain(value) for key, value in extra.items()})

    def frame(self, name: str) -> pd.DataFrame:
        """An experiment's rows. A nested value has a column of its own, as `requests.failed`."""
        return pd.json_normalize(self.rows[name])

    def add_extra(self, **extra: object) -> None:
        """Add other results."""
        self.extra |= extra
        self.write()

    @property
    def images(self) -> list[dict[str, str]]:
        return self.settings.lab.images if self.settings.lab else []

    @property
    def kubernetes(self) -> str:
        return self.settings.lab.kubernetes if self.settings.lab else ""

    @property
    def ran(self) -> list[dict[str, str]]:
        """The images of the first notebook's run, and those that only the alternatives use."""
        known: list[dict[str, str]] = self.summary.get("images", [])
        refs = {image["ref"] for image in known}
        return [*known, *(image for image in self.images if "/fluxcd/" in image["ref"] and image["ref"] not in refs)]

    @property
    def stand_ins(self) -> list[str]:
        return [image["ref"] for image in self.images if image["source"] == "stand-in"]

    @property
    def summary(self) -> dict[str, Any]:
        """summary.json as the first notebook left it, with the results so far."""
        path = self.settings.output / "summary.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        timings = found.get("timings_s", {}) | {f"full_{k}": v for k, v in self.progress.timings_s.items()}
        if not found:  # a run of the second notebook alone
            found = {"schema": SCHEMA, "project": project_version(), "images": self.images}
        parts = {"parts": found.get("parts", {}) | self.parts}
        return found | {"stand_ins": self.stand_ins} | parts | self.rows | self.extra | {"timings_s": timings}

    def write(self) -> None:
        write_json(self.settings.output / "summary.json", self.summary)

    def verify(self) -> None:
        """Fail the run if a selected experiment is missing. Its results, good or bad, do not fail the run."""
        if missing := [name for name in self.selected if name not in self.rows]:
            raise EvaluationFailed(f"no results of {names(missing)}")


def is_like(image: dict[str, str], other: dict[str, str]) -> bool:
    """Whether two images of one reference are the same, archives that state the same origin, or the lab's own.

    lab/go pins what the lab's own are built from. Their digest differs by machine.
    """
    if image["ref"].startswith(OWN_IMAGES):
        return True
    origins = [(each["source"], each.get("note", "")) for each in (image, other)]
    source, note = origins[0]
    stated = source == "archive" and bool(note) and not note.endswith(NOT_STATED)
    return image["digest"] == other["digest"] or (stated and origins[0] == origins[1])


def plain(value: Any) -> Any:  # noqa: ANN401  # any JSON value or dataclass
    """A dictionary with its dataclasses as dictionaries."""
    if isinstance(value, dict):
        return {key: asdict(item) if is_dataclass(item) else item for key, item in value.items()}  # type: ignore[arg-type]
    return value
