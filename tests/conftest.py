"""What the tests share: one lab for the session, the choice of its images, and one short run on it."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from lab import LabError, client
from tests.one_run import Run, evaluate

UPSTREAM_IMAGES = "GIT_TO_POD_UPSTREAM_IMAGES"  # a folder with archives of the upstream git-sync and Reloader
TESTS = Path(__file__).parent


@pytest.fixture(scope="session")
def lab(pytestconfig: pytest.Config) -> Iterator[dict[str, Any]]:
    """The fields of lab.json of a running lab: one that is up already, else one started for the session."""
    try:
        yield asdict(client.find())
        return
    except LabError:
        pass
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    folder = os.environ.get(UPSTREAM_IMAGES)

    def report(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{line}", end="", flush=True)

    with client.running(Path(folder) if folder else None, report, extras=True) as running:
        yield asdict(running)


@pytest.fixture(scope="session")
def short_run(lab: dict[str, Any]) -> Run:  # it must be up
    """Two commits, for the tests of the notebook and of the page."""
    return evaluate("--commits", "2")


def pytest_report_header() -> str:
    """Say which programs the run is about."""
    folder = os.environ.get(UPSTREAM_IMAGES)
    return f"images: {folder or f'stand-ins for git-sync and Reloader (set {UPSTREAM_IMAGES} for the upstream ones)'}"


@pytest.fixture(scope="session")
def summary_of_upstream() -> dict[str, Any]:
    """The recorded run with the upstream images."""
    path = Path(__file__).parent.parent / "reports" / "upstream" / "summary.json"
    return dict(json.loads(path.read_text()))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is quick comes first; the lab's own tests start and end labs, so they come before the one that all share."""
    order = ["unit", "lab", "contract", "e2e", "notebook", "browser"]
    items.sort(key=lambda item: order.index(item.path.relative_to(TESTS).parts[0]))
