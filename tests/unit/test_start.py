"""How the app's git-sync is started: the script in manifests/app-deployment.yaml, its paths replaced."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from git_to_pod.deploy import STAMP, stamp
from tests.contract.kubectl import manifest

OLD, NEW = "0" * 40, "1" * 40


@dataclass
class Pod:
    folder: Path

    def start(self, stamped_for: str = "") -> tuple[int, str]:
        """The exit status, and the commit and arguments that git-sync was started with; git-commit says OLD."""
        containers = manifest("app-deployment.yaml")["spec"]["template"]["spec"]["containers"]
        shell, option, script, name = next(c["command"] for c in containers if c["name"] == "git-sync")
        script = re.sub("/(git-sync|git/|tmp/)", lambda path: f"{self.folder}{path[0].removeprefix('/tmp')}", script)
        environment = {"PATH": "/usr/bin:/bin", "GITSYNC_REF": OLD}
        if stamped_for:
            environment[STAMP] = stamp(stamped_for)
        command = [shell, option, script, name, "--root=/git"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert ("saw another commit" in done.stderr) == (done.stderr != "")
        return done.returncode, done.stdout.strip()


STARTED = (0, f"{OLD} --root=/git")
ENDED = (1, "")


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    git_sync = tmp_path / "git-sync"
    git_sync.write_text('#!/bin/sh\necho "$GITSYNC_REF $*"\n')
    git_sync.chmod(0o755)
    (tmp_path / "git").mkdir()
    return Pod(tmp_path)


def test_it_starts_where_reloader_has_stamped_nothing_yet(pod: Pod) -> None:
    assert pod.start() == STARTED


def test_it_starts_with_the_commit_that_reloader_saw(pod: Pod) -> None:
    assert pod.start(stamped_for=OLD) == STARTED


def test_it_ends_with_another_commit_than_reloader_saw_until_that_is_there(pod: Pod) -> None:
    assert [pod.start(stamped_for=NEW), pod.start(stamped_for=NEW)] == [ENDED, ENDED]
    assert pod.start(stamped_for=OLD) == STARTED


@pytest.mark.parametrize("since", ["a minute ago", "from a clock since set back"])
def test_it_goes_on_after_a_minute(pod: Pod, since: str) -> None:
    seconds = {"a minute ago": -61, "from a clock since set back": 600}[since]
    (pod.folder / "behind-since").write_text(f"{time.time() + seconds:.0f}\n")
    assert pod.start(stamped_for=NEW) == STARTED


def test_a_file_that_a_full_disk_left_empty_is_written_again(pod: Pod) -> None:
    (pod.folder / "behind-since").touch()
    assert pod.start(stamped_for=NEW) == ENDED
    assert (pod.folder / "behind-since").read_text().strip().isdigit()


def test_a_pod_that_serves_a_commit_keeps_to_it(pod: Pod) -> None:
    (pod.folder / "git" / ".worktrees" / NEW).mkdir(parents=True)
    (pod.folder / "git" / "current").symlink_to(f".worktrees/{NEW}")
    assert pod.start(stamped_for=OLD) == (0, f"{NEW} --root=/git")
