"""scripts/notebook with its own lab: when either ends, for whatever reason, the other ends too."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import paths
from tests.lab.traces import traces, until
from tests.one_run import ROOT
from tests.processes import started_with

pytestmark = pytest.mark.usefixtures("no_lab")


class Command:
    """The command, started and read up to JupyterLab's URL and token."""

    def __init__(self, folder: Path) -> None:
        self.mark = f"GIT_TO_POD_TEST={folder}"  # all its children inherit it
        self.process = subprocess.Popen(
            [sys.executable, "-m", "git_to_pod.cli.jupyterlab", "--no-browser", "--output", str(folder)],
            cwd=ROOT,
            env=os.environ | {"GIT_TO_POD_TEST": str(folder)},
            stdout=subprocess.PIPE,
            stderr=(folder / "message").open("w"),
            text=True,
        )
        assert self.process.stdout
        self.page = self.process.stdout.readline().strip()
        self.token = Path(self.process.stdout.readline().split()[-1]).read_text()

    def shut_down_from_the_page(self) -> None:
        url = self.page.partition("lab/tree")[0] + "api/shutdown"
        headers = {"Authorization": f"token {self.token}"}
        urllib.request.urlopen(urllib.request.Request(url, method="POST", headers=headers)).close()

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        self.process.kill()

    def kill_jupyterlab(self) -> None:
        found = [pid for pid, words in started_with(self.mark).items() if "-m jupyterlab" in words]
        os.kill(found[0], signal.SIGKILL)

    def kill_the_lab(self) -> None:
        os.kill(int(paths.LOCK.read_text()), signal.SIGKILL)


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    started = Command(tmp_path)
    yield started
    started.process.kill()


@pytest.mark.parametrize(
    ("what", "status", "message"),
    [
        ("shut_down_from_the_page", 0, "stopping the lab"),
        ("interrupt", 130, "stopped by SIGINT; clean-up is complete"),
        ("kill", -signal.SIGKILL, ""),
        ("kill_jupyterlab", 1, "error: JupyterLab exited with status -9"),
        ("kill_the_lab", 1, "error: the lab ended, so JupyterLab was stopped"),
    ],
)
def test_both_end_together(command: Command, tmp_path: Path, what: str, status: int, message: str) -> None:
    assert (tmp_path / "evaluation.ipynb").exists()
    assert traces()
    getattr(command, what)()
    assert command.process.wait(60) == status, (tmp_path / "message").read_text()
    assert message in (tmp_path / "message").read_text()
    until("all its processes have ended", lambda: not started_with(command.mark))
    until("the lab left nothing", lambda: not traces())
