"""git with an account: real git on local repositories, and the messages for git's errors."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from git_to_pod.repository import FILE, Account, GitError, Repository, account, explained, last_words, open_repository
from git_to_pod.settings import Credentials, InputError, Settings
from tests.samples import SETTINGS

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
def test_each_error_of_git_says_what_to_do(error: str, said: str) -> None:
    assert said in explained(error, URL, "--credentials")


def test_the_line_that_gives_the_reason_is_taken() -> None:
    assert last_words("Cloning into 'x'...\nfatal: repository not found\n") == "fatal: repository not found"
    ssh = "Host key verification failed.\r\nfatal: Could not read from remote repository.\n\nPlease make sure...\n"
    assert last_words(ssh) == "Host key verification failed."
    assert last_words("") == "git gave no reason"


def test_secrets_are_in_private_files_only() -> None:
    with account(Credentials("reader", "hunter2")) as reader:
        assert "hunter2" not in " ".join(reader.environment.values())
        assert (reader.folder / "password").stat().st_mode & 0o777 == 0o600
        assert reader.folder.stat().st_mode & 0o777 == 0o700
        folder = reader.folder
    assert not folder.exists()


def test_the_users_own_git_settings_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_ASKPASS", "/bin/true")
    monkeypatch.setenv("GIT_TO_POD_PASSWORD", "hunter2")
    nobody = Account(Credentials())
    assert "GIT_ASKPASS" not in nobody.environment
    assert "GIT_TO_POD_PASSWORD" not in nobody.environment
    assert nobody.environment["GIT_CONFIG_GLOBAL"] == os.devnull
    nobody.close()


def test_the_error_is_gits_own_line(tmp_path: Path) -> None:
    with account(Credentials()) as someone, pytest.raises(GitError, match="does not appear to be a git repository"):
        someone.git("ls-remote", str(tmp_path))


@pytest.fixture(params=["blank here", "single'quote", 'double"quote', "$HOME", "per%cent", "${HOME}; `x` \\"])
def odd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files whose name means something to a shell or to ssh."""
    folder = tmp_path / request.param
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_git_gets_user_and_password_whatever_the_folder_is_called(odd: Path) -> None:
    with account(Credentials("reader", "hunter2")) as reader:
        assert odd in reader.folder.parents
        for question, answer in {
            "Username for 'https://x': ": "reader",
            "Password for 'https://x': ": "hunter2",
        }.items():
            asked = subprocess.run([reader.environment["GIT_ASKPASS"], question], capture_output=True, text=True)
            assert (asked.stdout, asked.stderr) == (answer, "")


def test_git_gets_key_and_known_hosts_whatever_the_folder_is_called(
    odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a program in place of ssh, which shows the files that its arguments name."""
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n{\n"
        'for word; do case $word in UserKnownHostsFile=*) cat "${word#*=}" ;; esac; done\n'
        'while [ "$1" != -i ]; do shift; done\ncat "$2"\nshift 2\necho "$@"\n} >&2\n'
    )
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    with account(Credentials(ssh_privatekey="the key\n", known_hosts="the host\n")) as reader:
        done = subprocess.run(
            ["git", "ls-remote", "ssh://git@git.example.test/a.git"],
            cwd=odd, env=reader.environment, capture_output=True, text=True,
        )  # fmt: skip
    assert done.stderr.splitlines()[:2] == ["the host", "the key"]
    assert done.stderr.splitlines()[2].endswith("git@git.example.test git-upload-pack '/a.git'")


def test_bytes_are_gits_own_and_text_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"one\r\ntwo\n\xff")
    with account(Credentials()) as someone:
        someone.git("init", "--quiet", folder=tmp_path)
        blob = someone.git("hash-object", "-w", "--no-filters", "file", folder=tmp_path).strip()
        assert someone.git_bytes("cat-file", "blob", blob, folder=tmp_path) == b"one\r\ntwo\n\xff"
        assert someone.git("cat-file", "blob", blob, folder=tmp_path) == "one\r\ntwo\n\ufffd"


def hosted(folder: Path, *options: str, attributes: str = "") -> Settings:
    """Settings for a bare repository on this machine, with one commit on main."""
    author = ("-c", "user.name=test", "-c", "user.email=test@example.test")
    seed, bare = folder / "seed", folder / "content.git"
    with account(Credentials()) as someone:
        for made in (("--bare", str(bare)), (str(seed),)):
            someone.git("init", "--quiet", "--initial-branch=main", *options, *made)
        (seed / ".gitattributes").write_text(attributes)
        someone.git("add", ".gitattributes", folder=seed)
        someone.git(*author, "commit", "--quiet", "--message=First", folder=seed)
        someone.git("push", "--quiet", str(bare), "main", folder=seed)
    return replace(SETTINGS, repository=str(bare), push_url=str(bare))


@pytest.fixture
def converting(tmp_path: Path) -> Iterator[Repository]:
    """A clone of a repository that converts line ends."""
    repository = open_repository(hosted(tmp_path, attributes="* text eol=crlf\n"))
    yield repository
    repository.close()


def test_the_content_of_a_commit_is_what_a_checkout_gives(converting: Repository, tmp_path: Path) -> None:
    commits = [converting.commit(text) for text in ("First line\nsecond\n", "Another\n", "Another\n")]
    assert list(converting.contents) == commits
    assert [converting.contents[commit] for commit in commits] == [b"First line\r\nsecond\r\n"] + 2 * [b"Another\r\n"]
    for commit, content in converting.contents.items():
        converting.push(commit)
        converting.account.git("clone", "--quiet", "--branch=main", converting.url, str(tmp_path / commit))
        assert (tmp_path / commit / FILE).read_bytes() == content


def test_without_attributes_the_content_is_the_text(tmp_path: Path) -> None:
    repository = open_repository(hosted(tmp_path))
    assert repository.object_format() == "sha1"
    assert repository.contents[repository.commit("one\ntwo\n")] == b"one\ntwo\n"
    repository.close()


def test_a_repository_in_sha256_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = hosted(tmp_path, "--object-format=sha256")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    with pytest.raises(InputError) as caught:
        open_repository(settings)
    error = str(caught.value)
    assert error.startswith(f"--repository {settings.repository}: expected object format SHA-1, found SHA-256")
    assert "git-sync 4.7.1" in error
    assert "\n" not in error
    assert not list((tmp_path / "tmp").iterdir())
