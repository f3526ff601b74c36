"""git as an account: real git on a local repository, and what its refusals are called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from git_to_pod.repository import Account, GitError, account, explained, last_words
from git_to_pod.settings import Credentials

URL = "https://git.example.test/a.git"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("fatal: Authentication failed for 'https://...'", "refused this account"),
        ("fatal: could not read Username for 'https://...': terminal prompts disabled", "refused this account"),
        ("git@git.example.test: Permission denied (publickey).", "refused this account"),
        ("fatal: unable to access '...': The requested URL returned error: 403", "refused this account"),
        ("fatal: repository 'https://...' not found", "no repository at"),
        ("fatal: unable to access '...': SSL certificate problem: unable to get local issuer", "is not trusted"),
        ("Host key verification failed.", "not in the file known_hosts"),
        ("fatal: unable to access '...': Could not resolve host: git.example.test", "cannot be reached"),
    ],
)
def test_each_refusal_says_what_to_do(error: str, said: str) -> None:
    assert said in explained(error, URL, "--credentials")


def test_the_line_that_tells_is_taken() -> None:
    assert last_words("Cloning into 'x'...\nfatal: repository not found\n") == "fatal: repository not found"
    assert last_words("") == "no word of why"


def test_secrets_are_in_private_files_only() -> None:
    with account(Credentials("reader", "hunter2")) as reader:
        assert "hunter2" not in " ".join(reader.environment.values())
        assert (reader.folder / "password").stat().st_mode & 0o777 == 0o600
        assert reader.folder.stat().st_mode & 0o777 == 0o700
        folder = reader.folder
    assert not folder.exists()


def test_the_callers_own_git_settings_do_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_ASKPASS", "/bin/true")
    monkeypatch.setenv("GIT_TO_POD_PASSWORD", "hunter2")
    nobody = Account(Credentials())
    assert "GIT_ASKPASS" not in nobody.environment
    assert "GIT_TO_POD_PASSWORD" not in nobody.environment
    assert nobody.environment["GIT_CONFIG_GLOBAL"] == os.devnull
    nobody.close()


def test_gits_own_words_are_the_error(tmp_path: Path) -> None:
    with account(Credentials()) as someone, pytest.raises(GitError, match="does not appear to be a git repository"):
        someone.git("ls-remote", str(tmp_path))
