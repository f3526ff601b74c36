"""Parameters become Settings; invalid ones are refused with one line that names the value and what was expected."""

from __future__ import annotations

import json
import os
import subprocess
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from git_to_pod.cli.evaluate import main
from git_to_pod.settings import Credentials, InputError, Parameters, duration_s, file_content, resolve
from lab import Lab


@pytest.fixture
def given(tmp_path: Path) -> Parameters:
    """Valid parameters for a cluster of the user's own."""
    (tmp_path / "username").write_text("reader\n")
    (tmp_path / "password").write_text("hunter2\n")
    return Parameters(context="mine", repository="https://git.example.test/a.git", credentials=str(tmp_path))


@pytest.fixture(autouse=True)
def no_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("git_to_pod.settings.running_lab", lambda: None)
    monkeypatch.delenv("GIT_TO_POD_PASSWORD", raising=False)


def test_valid_parameters_become_settings(given: Parameters) -> None:
    settings = resolve(given)
    assert settings.push_url == settings.repository
    assert settings.reader.username == "reader"
    assert settings.reader.password == settings.writer.password == "hunter2"
    assert settings.lab is None


BAD = {
    "zero commits": ({"commits": 0}, "--commits 0: expected 1 or more"),
    "negative replicas": ({"replicas": -1}, "--replicas -1: expected 1 or more"),
    "too many commits": ({"commits": 10**20}, "--commits 1" + "0" * 20 + ": expected at most 10,000"),
    "too many replicas": ({"replicas": 100_000}, "--replicas 100000: expected at most 1,000"),
    "no timeout": ({"timeout": 0}, "--timeout 0: expected 1 or more"),
    "no duration": ({"period": "fast"}, "--period 'fast': expected a duration such as 500ms, 10s or 1m30s"),
    "a number alone": ({"period": "10"}, "--period '10': expected a duration"),
    "a negative duration": ({"period": "-1s"}, "--period '-1s': expected a duration"),
    "a zero duration": ({"period": "0s"}, "--period 0s: expected 100ms or longer"),
    "an endless duration": ({"period": f"1{'0' * 30}h"}, "expected a duration such as 500ms, 10s or 1m30s"),
    "a month": ({"period": "720h"}, "--period 720h: expected at most 24h"),
    "other bytes": ({"context": "a\udcff"}, "--context 'a\\udcff': expected text in UTF-8"),
    "no DNS label": ({"namespace": "Git_To_Pod"}, "--namespace 'Git_To_Pod': expected a DNS label"),
    "no branch name": ({"ref": "a b"}, "--ref 'a b': expected a branch name such as main"),
    "an option as branch": ({"ref": "--upload-pack=x"}, "expected a branch name"),
    "a wrong type": ({"commits": "20"}, "--commits '20': expected int"),
    "plain http": ({"repository": "http://git.example.test/a.git"}, "expected https://HOST/PATH or ssh://"),
    "half an address": ({"repository": "https://[::1/a.git"}, "--repository https://[::1/a.git: expected https://"),
    "no port": ({"repository": "https://git.example.test:abc/a.git"}, "expected https://HOST/PATH"),
    "no such port": ({"repository": "https://git.example.test:99999/a.git"}, "expected https://HOST/PATH"),
    "two lines": ({"repository": "https://git.example.test/a\nb.git"}, "test/a b.git: expected https://HOST/PATH"),
    "a user without https": ({"repository": "git@git.example.test:a.git"}, "--repository git@git.example.test:a.git: "),
    "a missing repository": ({"repository": ""}, "--repository is missing"),
    "no such folder": ({"credentials": "/nonexistent"}, "--credentials /nonexistent: no such folder"),
    "no such kubeconfig": ({"kubeconfig": "/nonexistent"}, "--kubeconfig /nonexistent: no such file"),
    "no key for ssh": ({"repository": "ssh://git@git.example.test/a.git"}, "put `ssh-privatekey` and `known_hosts`"),
    "no password": ({"credentials": ""}, "no user name and password for https://git.example.test/a.git"),
    "no cluster": ({"context": ""}, "no cluster: start the lab"),
}


@pytest.mark.parametrize(("wrong", "message"), BAD.values(), ids=BAD.keys())
def test_an_invalid_parameter_is_refused_in_one_line_that_names_it(
    given: Parameters, wrong: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        resolve(replace(given, **wrong))  # type: ignore[arg-type]  # that is the point
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "repository",
    [
        "https://reader:hunter2@git.example.test/a.git",
        "https://hunter2@git.example.test/a.git",
        "https://git.example.test/a.git?token=hunter2",
        "https://git.example.test/a.git#hunter2",
        "https://git@x:hunter2@git.example.test/a.git",
        "http://reader:hunter2@git.example.test/a.git",
        "reader:hunter2@git.example.test:a.git",
        "https://reader:hun/ter2@git.example.test:x/a.git",
        "ssh://git:hunter2@git.example.test/a.git",
    ],
)
def test_a_password_in_the_url_is_refused_and_not_repeated(given: Parameters, repository: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve(replace(given, repository=repository))
    assert "git.example.test" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "hun/ter2" not in str(caught.value)


def test_the_environment_takes_precedence_over_the_file(given: Parameters, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TO_POD_PASSWORD", "rotated")
    settings = resolve(given)
    assert settings.reader.password == "rotated"
    assert settings.writer.password == "hunter2"


def test_a_key_may_come_from_the_environment_without_its_last_line_end(
    given: Parameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TO_POD_SSH_PRIVATEKEY", "a key")
    monkeypatch.setenv("GIT_TO_POD_KNOWN_HOSTS", "a host")
    monkeypatch.setenv("GIT_TO_POD_PUSH_SSH_PRIVATEKEY", "another key\n")
    monkeypatch.setenv("GIT_TO_POD_PUSH_KNOWN_HOSTS", "a host\n")
    settings = resolve(replace(given, repository="ssh://git@git.example.test/a.git"))
    assert (settings.reader.ssh_privatekey, settings.writer.ssh_privatekey) == ("a key\n", "another key\n")
    assert settings.reader.known_hosts == settings.writer.known_hosts == "a host\n"


KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk=\n-----END OPENSSH PRIVATE KEY-----\n"
ENCODED = {
    "UTF-8": lambda text: text.encode(),
    "a BOM": lambda text: text.encode("utf-8-sig"),
    "UTF-16 as PowerShell writes it": lambda text: text.encode("utf-16"),
    "big-endian UTF-16": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "a BOM and CRLF": lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
    "no last line end": lambda text: text.rstrip("\n").encode(),
}


@pytest.mark.parametrize("encoded", ENCODED.values(), ids=ENCODED.keys())
def test_credential_files_may_be_of_any_editor(given: Parameters, encoded: Callable[[str], bytes]) -> None:
    folder = Path(given.credentials)
    for name, text in {
        "username": "reader\n", "password": "pässword\n", "ca.crt": KEY, "ssh-privatekey": KEY,
        "known_hosts": "a ssh-ed25519 AAAA\n[b]:2222 ssh-ed25519 AAAA\n",
    }.items():  # fmt: skip
        (folder / name).write_bytes(encoded(text))
    reader = resolve(given).reader
    assert (reader.username, reader.password) == ("reader", "pässword")
    assert reader.ca_crt == reader.ssh_privatekey == KEY
    assert reader.known_hosts == "a ssh-ed25519 AAAA\n[b]:2222 ssh-ed25519 AAAA\n"


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\\n", "\\r\\n"])
def test_a_key_in_a_variable_may_have_any_line_ends(
    given: Parameters, monkeypatch: pytest.MonkeyPatch, line_end: str
) -> None:
    monkeypatch.setenv("GIT_TO_POD_SSH_PRIVATEKEY", KEY.replace("\n", line_end))
    monkeypatch.setenv("GIT_TO_POD_CA_CRT", KEY.replace("\n", line_end).removesuffix(line_end))
    monkeypatch.setenv("GIT_TO_POD_PASSWORD", "with\\n in it")
    reader = resolve(given).reader
    assert reader.ssh_privatekey == reader.ca_crt == KEY
    assert reader.password == "with\\n in it"


@pytest.mark.parametrize("raw", ["hunter2 \xfc".encode("latin-1"), "hunter2".encode("utf-16-le"), b"hunter2\0"])
def test_a_file_in_an_unknown_encoding_is_named_and_not_repeated(given: Parameters, raw: bytes) -> None:
    path = Path(given.credentials, "password")
    path.write_bytes(raw)
    with pytest.raises(InputError) as caught:
        resolve(given)
    assert str(caught.value) == (
        f"--credentials {path}: expected text in UTF-8, or in UTF-16 with a byte order mark; save it as UTF-8"
    )
    assert "hunter" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None  # a decoder's error would hold the password


def test_a_variable_in_an_unknown_encoding_is_named(given: Parameters, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environb, b"GIT_TO_POD_PUSH_PASSWORD", b"hunter2\xff")
    with pytest.raises(InputError, match="^GIT_TO_POD_PUSH_PASSWORD: expected text in UTF-8"):
        resolve(given)


@pytest.mark.parametrize("in_a_variable", [True, False])
def test_a_key_without_its_line_breaks_is_named(
    given: Parameters, monkeypatch: pytest.MonkeyPatch, in_a_variable: bool
) -> None:
    where, key = f"--credentials {given.credentials}/ssh-privatekey", KEY.replace("\n", " ")
    if in_a_variable:
        where = "GIT_TO_POD_SSH_PRIVATEKEY"
        monkeypatch.setenv(where, key)
    else:
        Path(given.credentials, "ssh-privatekey").write_text(key)
    with pytest.raises(InputError) as caught:
        resolve(given)
    assert str(caught.value).startswith(f"{where}: the line breaks are missing; ")
    assert "b3Blb" not in str(caught.value)


def test_an_empty_file_is_no_credential(given: Parameters) -> None:
    Path(given.credentials, "ca.crt").write_text("\n")
    Path(given.credentials, "known_hosts").touch()
    assert sorted(resolve(given).reader.files()) == ["password"]


def test_a_file_that_cannot_be_read_is_named(given: Parameters, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(InputError) as caught:
        resolve(given)
    assert str(caught.value) == (
        f"--credentials {given.credentials}/username: cannot be read (Permission denied); check its permissions"
    )


@pytest.mark.parametrize("option", ["--push-url", "--credentials", "--push-username"])
def test_an_option_of_a_repository_needs_a_repository(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--context", "mine", option, "x"]) == 2
    assert f"{option} without --repository: add the URL of the repository" in capsys.readouterr().err


def test_a_password_in_the_environment_needs_a_repository(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GIT_TO_POD_PUSH_PASSWORD", "hunter2")
    assert main(["--context", "mine"]) == 2
    assert "GIT_TO_POD_PUSH_PASSWORD without --repository" in (message := capsys.readouterr().err)
    assert "hunter2" not in message


def test_secrets_are_not_in_a_representation(given: Parameters) -> None:
    assert "hunter2" not in repr(resolve(given))
    assert "hunter2" not in repr(Credentials(password="hunter2"))


@pytest.fixture
def running_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    folder = tmp_path / "git"
    folder.mkdir()
    for name in ("username", "password"):
        (folder / name).write_text(name)
    (tmp_path / "config").touch()
    lab = Lab(
        context="git-to-pod-lab",
        kubeconfig=str(tmp_path / "config"),
        repository="https://git.example.test/content.git",
        push_url="https://198.18.0.6/content.git",
        ssh_repository="ssh://git@git.example.test/srv/git/content.git",
        ssh_push_url="ssh://git@198.18.0.6/srv/git/content.git",
        git_credentials=str(folder),
        push_credentials=str(folder),
        proxied_repository="https://git.example.test:8443/content.git",
        proxy_api="http://198.18.0.6:8474",
        git_passwords=str(tmp_path / "passwords"),
        access_log=str(tmp_path / "access.log"),
        gitea={},
        simulated_nodes={},
        kubernetes="v1.37.2",
        images=[],
        timings_s={},
        node_pid=0,
        git_pid=0,
    )
    monkeypatch.setattr("git_to_pod.settings.running_lab", lambda: lab)
    return lab


def test_empty_parameters_are_taken_from_the_running_lab(running_lab: Lab) -> None:
    settings = resolve(Parameters())
    assert settings.lab is running_lab
    assert settings.repository == running_lab.repository
    assert settings.reader_url == settings.push_url == "https://198.18.0.6/content.git"
    assert settings.kubeconfig == Path(running_lab.kubeconfig)
    assert settings.reader.password == settings.writer.password == "password"


def test_the_labs_credentials_are_not_sent_to_another_git_host(running_lab: Lab) -> None:
    repository = "https://git.example.org/r.git"
    with pytest.raises(InputError, match=f"no user name and password for {repository}"):
        resolve(Parameters(repository=repository))
    settings = resolve(Parameters(repository=repository, credentials=running_lab.git_credentials))
    assert settings.lab is running_lab
    assert settings.push_url == repository


LEGAL = [
    *("main", "feature/a'b", 'fix"x', "$x", "a$$b", "a`b", "a;b|c&d", "a-b", "a/-b", "a./b", "a.lock.b", "a@"),
    *("{a}", "a%b!#", "heads/HEAD", "refs/heads/main", "ä", "a\u00a0b"),
]
ILLEGAL = [
    *("", "-a", "--upload-pack=x", "HEAD", "a b", "a\tb", "a\nb", "a\x7fb", "a..b", "a~1", "a^", "a:b", "a?", "a*"),
    *("a[b", "a\\b", "a@{1}", "@{-1}", "/a", "a/", "a//b", ".a", "a/.b", "a.", "a.lock", "a.lock/b", ".lock"),
]


@pytest.mark.parametrize("ref", LEGAL)
def test_a_branch_name_that_git_allows_is_accepted(given: Parameters, ref: str, tmp_path: Path) -> None:
    assert allowed_by_git(ref, tmp_path)
    assert resolve(replace(given, ref=ref)).ref == ref


@pytest.mark.parametrize("ref", ILLEGAL)
def test_a_branch_name_that_git_refuses_is_refused(given: Parameters, ref: str, tmp_path: Path) -> None:
    assert not allowed_by_git(ref, tmp_path)
    with pytest.raises(InputError, match="expected a branch name such as main") as caught:
        resolve(replace(given, ref=ref))
    assert "\n" not in str(caught.value)


def allowed_by_git(ref: str, folder: Path) -> bool:
    return subprocess.run(["git", "check-ref-format", "--branch", ref], cwd=folder, capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("10s", 10.0), ("1m30s", 90.0), ("1.5s", 1.5), ("1h", 3600.0)]
)
def test_durations_are_in_gos_notation(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--commits", "many"], "argument --commits: invalid int value: 'many'"),
        (["--commits", "0"], "--commits 0: expected 1 or more"),
        (["--only", ""], "--only : '' is no experiment"),
        (["--no-such-option"], "unrecognized arguments: --no-such-option"),
        (["--images", "/nonexistent"], "--images /nonexistent: expected a folder"),
    ],
)
def test_invalid_input_exits_with_2_and_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_an_unknown_context_is_refused_with_the_known_ones(
    given: Parameters, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {
        "contexts": [{"name": "known", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {}}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    own = [
        "--kubeconfig",
        str(tmp_path / "config"),
        "--repository",
        given.repository,
        "--credentials",
        given.credentials,
    ]
    assert main([*own, "--context", "unknown"]) == 2
    assert "--context unknown: not found in" in (message := capsys.readouterr().err)
    assert "known contexts: known" in message
    assert main([*own, "--context", "known"]) == 2
    message = capsys.readouterr().err
    assert "--context known: no answer from https://127.0.0.1:1" in message


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_a_credential_that_is_no_file_is_refused_at_once(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "password")
    with pytest.raises(InputError, match="password: expected a file"):
        file_content(tmp_path / "password", "password")
