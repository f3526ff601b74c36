"""lab.client: how it starts a supervisor, and what it reports when that fails."""

import os
import subprocess
from pathlib import Path

import pytest

from lab import client, paths, versions
from lab.errors import LabError

UP = "print('lab up', flush=True); Path('lab.json').touch()"


class FakeProject:
    """A project whose `lab.supervisor` is a few lines. No lab starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reported: list[str] = []
        (folder / "lab").mkdir()

    def up(self, supervisor: str) -> subprocess.Popen[str]:
        (self.folder / "lab" / "supervisor.py").write_text(f"import sys\nfrom pathlib import Path\n{supervisor}\n")
        return client.up(None, self.reported.append, owned=False)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeProject:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(client, "PROJECT", tmp_path)
    monkeypatch.setattr(client, "STATE", tmp_path / "lab.json")
    monkeypatch.setattr(client, "LOCK", tmp_path / "cache" / "lock")
    return FakeProject(tmp_path)


def test_a_minor_that_the_lab_does_not_have_is_refused_in_one_line(project: FakeProject) -> None:
    with pytest.raises(LabError, match=r"^--kubernetes 1\.34: expected one of 1\.37, 1\.36, 1\.35$"):
        client.up(None, project.reported.append, owned=False, kubernetes="1.34")


@pytest.mark.parametrize(("minor", "version"), versions.KUBERNETES.items())
def test_each_minor_is_built_from_the_version_that_it_names(minor: str, version: str) -> None:
    modules = (paths.GO / f"kubernetes-{minor}" / "go.mod").read_text()
    assert f"require k8s.io/kubernetes {version}\n" in modules
    assert f"k8s.io/kubelet => k8s.io/kubelet v0{version.removeprefix('v1')}\n" in modules
    assert version.startswith(f"v{minor}.")


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  the listing must not keep one open


def test_the_supervisors_progress_is_reported_and_no_file_is_left_open(project: FakeProject) -> None:
    before = open_files()
    supervisor = project.up(UP)
    assert (supervisor.wait(), project.reported) == (0, ["lab up"])
    assert open_files() == before


def test_an_error_is_raised_as_it_is_and_not_reported_as_progress(project: FakeProject) -> None:
    with pytest.raises(LabError, match="^a lab is running already$"):
        project.up("print('lab starting'); print('error: a lab is running already')")
    assert project.reported == ["lab starting"]


def test_a_supervisor_that_crashes_is_reported_with_its_last_error(project: FakeProject) -> None:
    with pytest.raises(LabError, match="^the lab did not start: ZeroDivisionError: division by zero; logs are in "):
        project.up("1 / 0")
    log = project.folder / "cache" / "supervisor.log"
    assert log.stat().st_mode & 0o777 == 0o600


def test_an_earlier_error_is_not_reported_again(project: FakeProject) -> None:
    with pytest.raises(LabError, match="division by zero"):
        project.up("1 / 0")
    with pytest.raises(LabError, match="the supervisor printed no error"):
        project.up("")
