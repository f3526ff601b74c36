"""The lab's shell scripts."""

import subprocess
from pathlib import Path

import pytest

from lab.build import ROOT_HOOK
from lab.images import SCRIPTS, SUBSTITUTES
from lab.paths import CONFIG


@pytest.mark.parametrize("script", sorted(CONFIG.rglob("*.sh")), ids=lambda path: path.name)
def test_a_script_has_no_syntax_error(script: Path) -> None:
    done = subprocess.run(["sh", "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_hooks_exist() -> None:
    assert ROOT_HOOK.is_file()
    assert all((SCRIPTS / substitute.hook).is_file() for substitute in SUBSTITUTES.values() if substitute.hook)


def test_the_repository_begins_with_one_page_on_main(tmp_path: Path) -> None:
    repository = tmp_path / "content.git"
    subprocess.run(["sh", CONFIG / "git" / "first-commit.sh", repository], check=True)

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", repository, *arguments], capture_output=True, text=True, check=True).stdout

    assert git("log", "--format=%an %s", "--all") == "lab First content\n"
    assert git("ls-tree", "--name-only", "HEAD") == "index.html\n"
    assert git("show", "main:index.html") == "<h1>content</h1>\n"
    assert git("fsck", "--strict") == ""
