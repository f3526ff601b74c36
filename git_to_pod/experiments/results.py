"""The results of the second notebook: each experiment's rows, added to the first notebook's summary."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any

import pandas as pd

from git_to_pod.evaluation.claims import EvaluationFailed
from git_to_pod.evaluation.summary import write_json
from git_to_pod.progress import Progress
from git_to_pod.settings import Settings
from git_to_pod.wording import names

ResultRow = dict[str, Any]
# In the order of the notebook; also the keys of summary.json.
EXPERIMENTS = {
    "faults": "faults",
    "providers": "git hosts and authentication",
    "alternatives": "alternatives",
    "restart": "how a pod waits for its content",
    "scale": "cost and size",
}


def section(name: str) -> str:
    """The id of the section that an experiment has on the page."""
    return EXPERIMENTS[name].capitalize().replace(" ", "-")


@dataclass
class ExperimentResults:
    """Filled experiment by experiment and written after each, so that an aborted run keeps its results."""

    settings: Settings
    progress: Progress
    rows: dict[str, list[ResultRow]] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)  # models and sentences
    error: str = ""

    def stage(self, name: str) -> Any:  # noqa: ANN401  # a context manager, as Progress.stage
        """Show which experiment begins."""
        number = list(EXPERIMENTS).index(name) + 1
        return self.progress.stage(name, f"experiment {number} of {len(EXPERIMENTS)}: {EXPERIMENTS[name]}")

    def add(self, name: str, rows: Sequence[Any], finding: str, **extra: object) -> None:
        """Add an experiment's rows, dataclasses or dictionaries, and the finding that titles its table."""
        self.extra["findings"] = self.extra.get("findings", {}) | {name: finding}
        self.rows[name] = [row if isinstance(row, dict) else asdict(row) for row in rows]
        self.settings.output.mkdir(parents=True, exist_ok=True)
        self.frame(name).to_csv(self.settings.output / f"{name}.csv", index=False)
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
        return found | {"stand_ins": self.stand_ins} | self.rows | self.extra | {"timings_s": timings}

    def write(self) -> None:
        self.settings.output.mkdir(parents=True, exist_ok=True)
        write_json(self.settings.output / "summary.json", self.summary)

    def verify(self) -> None:
        """Fail the run if an experiment is missing. Its results, good or bad, do not fail the run."""
        if missing := [name for name in EXPERIMENTS if name not in self.rows]:
            raise EvaluationFailed(f"no results of {names(missing)}")


def plain(value: Any) -> Any:  # noqa: ANN401  # any JSON value or dataclass
    """A dictionary with its dataclasses as dictionaries."""
    if isinstance(value, dict):
        return {key: asdict(item) if is_dataclass(item) else item for key, item in value.items()}  # type: ignore[arg-type]
    return value
