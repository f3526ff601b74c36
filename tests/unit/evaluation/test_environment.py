"""What a report says of the cluster and its images."""

import subprocess
from pathlib import Path
from typing import Any, cast

import pytest

from git_to_pod.cluster.api import Unreachable
from git_to_pod.evaluation import environment
from git_to_pod.evaluation.environment import nginx_version, project_version
from tests.samples import SETTINGS


def test_the_version_of_a_pod_that_does_not_answer_is_unknown() -> None:
    class Silent:
        def request(self, *_: str) -> None:
            raise Unreachable("https://127.0.0.1", OSError("read timed out"))

    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    pod = {"metadata": {"name": "app-1", "labels": {"app": "app"}}, "status": ready}
    assert nginx_version(cast(Any, Silent()), SETTINGS, [pod]) == "unknown"


def test_a_recording_does_not_make_the_version_dirty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only changes outside of reports/ do."""
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
    recorded, code = tmp_path / "reports" / "summary.json", tmp_path / "code.py"
    recorded.parent.mkdir()
    for file in (recorded, code):
        file.write_text("before")
    for arguments in (("init", "--quiet"), ("add", "."), (*who, "commit", "--quiet", "--message", "first")):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    clean = project_version()
    recorded.write_text("after")
    assert project_version() == clean
    code.write_text("after")
    assert project_version() == f"{clean}-dirty"
