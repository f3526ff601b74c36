"""What a fault bench resets in the lab before its first fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from git_to_pod.experiments.faults.bench import delete_branches
from git_to_pod.experiments.faults.lab_operations import LabOperations

WRITER = "writer:{SSHA}abc\n"
AS_CREATED = f"reader:{{SSHA}}def\n{WRITER}"


class FakeLab:
    def __init__(self, folder: Path, accounts: str) -> None:
        self.git_passwords = str(folder / "passwords")
        Path(self.git_passwords).write_text(accounts)


def operations(folder: Path, accounts: str, monkeypatch: pytest.MonkeyPatch) -> tuple[LabOperations, list[str]]:
    requests: list[str] = []
    found = LabOperations(cast(Any, FakeLab(folder, accounts)), "the-password")
    monkeypatch.setattr(found, "proxy", lambda method, path: requests.append(f"{method} {path}"))
    return found, requests


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (AS_CREATED, AS_CREATED),
        (WRITER, f"{WRITER}reader:{{PLAIN}}the-password\n"),
        (f"{WRITER}reader:{{PLAIN}}rotated\n", f"{WRITER}reader:{{PLAIN}}the-password\n"),
        (f"{WRITER}reader:{{PLAIN}}the-password\n", f"{WRITER}reader:{{PLAIN}}the-password\n"),
    ],
    ids=["as the lab created it", "revoked", "rotated", "restored"],
)
def test_the_readers_account_is_reset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str, expected: str
) -> None:
    lab, requests = operations(tmp_path, left, monkeypatch)
    lab.reset()
    assert lab.accounts() == expected
    assert requests == ["POST reset"]


def test_a_rotated_password_is_reset_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab, _ = operations(tmp_path, AS_CREATED, monkeypatch)
    lab.rotate_password()
    assert lab.password != "the-password"
    assert f"reader:{{PLAIN}}{lab.password}\n" in lab.accounts()
    lab.reset()
    assert lab.accounts() == f"{WRITER}reader:{{PLAIN}}the-password\n"


def test_the_git_host_can_still_read_the_accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab, _ = operations(tmp_path, AS_CREATED, monkeypatch)
    Path(lab.lab.git_passwords).chmod(0o644)
    lab.revoke_reader()
    assert Path(lab.lab.git_passwords).stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["passwords"]


def test_branches_of_an_interrupted_run_are_deleted_and_the_runs_own_is_kept() -> None:
    commands: list[tuple[str, ...]] = []

    def git(*arguments: str, folder: Path | None = None) -> str:
        commands.append(arguments)
        return "1\trefs/heads/git-to-pod-flux\n2\trefs/heads/git-to-pod-mine\n3\trefs/heads/git-to-pod-scale\n"

    repository = type("Repository", (), {"url": "https://git", "clone": Path("clone")})()
    repository.account = type("Account", (), {"git": staticmethod(git)})
    delete_branches(repository, "git-to-pod-*", kept="git-to-pod-mine")
    pushed = (":refs/heads/git-to-pod-flux", ":refs/heads/git-to-pod-scale")
    assert commands[1] == ("push", "--quiet", "https://git", *pushed)
