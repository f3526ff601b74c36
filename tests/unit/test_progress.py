"""Progress in the notebook: the updates that a cell displays."""

from __future__ import annotations

from typing import Any

import pytest

from git_to_pod import progress as module
from git_to_pod.progress import MIME, Progress, progress_line


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the displays show, one after another."""
    bundles: list[dict[str, Any]] = []

    class Handle:
        def display(self, bundle: dict[str, Any], raw: bool) -> None:
            assert raw
            bundles.append(bundle)

        update = display

    monkeypatch.setattr(module, "DisplayHandle", Handle)
    return bundles


def updates(shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [bundle[MIME] for bundle in shown]


def test_a_wait_is_shown_with_its_bar(shown: list[dict[str, Any]]) -> None:
    progress = Progress()
    progress.bar(3, 60, "push; last 3.35 s")
    progress.awaits("the new pods to be Ready")
    progress.bar(4, 60, "push; last 3.10 s")
    assert [update.get("awaits", "") for update in updates(shown)] == ["", "the new pods to be Ready", ""]
    assert updates(shown)[1] == updates(shown)[0] | {"awaits": "the new pods to be Ready"}
    assert "3/60 · push; last 3.35 s · waiting for the new pods to be Ready" in shown[1]["text/html"]


def test_the_same_wait_is_shown_once(shown: list[dict[str, Any]]) -> None:
    progress = Progress()
    for _ in range(3):
        progress.awaits("the old pods to terminate")
    assert len(shown) == 1


def test_a_stage_is_timed_and_its_text_goes_when_it_ends(shown: list[dict[str, Any]]) -> None:
    progress = Progress()
    with progress.stage("deploy", "deploying <manifests>"):
        assert "deploying &lt;manifests&gt;" in shown[-1]["text/html"]
        assert shown[-1]["text/plain"] == "deploying <manifests>"
    assert shown[-1]["text/html"] == ""
    assert 0 <= progress.timings_s["deploy"] < 1


def test_a_finished_bar_stays_below_its_cell(shown: list[dict[str, Any]]) -> None:
    progress = Progress()
    with progress.stage("trials", "60 trials"):
        progress.bar(60, 60, "all done")
    assert "all done (60/60)" in shown[-1]["text/html"]


def test_what_is_said_is_for_the_terminal_alone(shown: list[dict[str, Any]]) -> None:
    Progress().say("checking the constraints")
    assert shown[-1]["text/html"] == ""
    assert updates(shown) == [{"text": "checking the constraints"}]


def test_a_progress_line_has_bar_text_and_wait() -> None:
    line = progress_line({"done": 30, "of": 60, "text": "push", "awaits": "nginx"})
    assert line == ["█" * 6 + "░" * 6 + " 30/60", "push", "waiting for nginx"]
