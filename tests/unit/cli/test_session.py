"""What scripts/evaluate and scripts/notebook share: the parameters on the command line."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest

from git_to_pod import watchdog
from git_to_pod.cli.session import exit_status, parameters, parser
from git_to_pod.cli.terminal import Terminal
from git_to_pod.settings import InputError, Parameters


def given(*arguments: str) -> Parameters:
    return parameters(parser("scripts/evaluate", None).parse_args(arguments))


def test_a_full_disk_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def write(_terminal: Terminal) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", "report/summary.json")

    assert exit_status(write) == 1
    assert capsys.readouterr().err == "error: report/summary.json: No space left on device\n"


def test_a_signal_while_an_error_is_reported_does_not_end_the_clean_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_terminal: Terminal) -> int:
        raise InputError("--commits 0")

    ended: list[bool] = []

    def end() -> None:
        signal.raise_signal(signal.SIGTERM)
        ended.append(True)

    monkeypatch.setattr(watchdog, "end", end)
    assert exit_status(refuse) == 2
    assert ended
    assert capsys.readouterr().err == "error: --commits 0\n"


def test_paths_are_relative_to_the_folder_in_which_the_user_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = ("--kubeconfig", "config", "--credentials", "./read", "--push-credentials", "push/", "--output", "out")
    assert given(*paths) == Parameters(
        kubeconfig=f"{tmp_path}/config",
        credentials=f"{tmp_path}/read",
        push_credentials=f"{tmp_path}/push",
        output=f"{tmp_path}/out",
    )
    assert given() == Parameters()


def test_the_kernel_finds_the_files_of_a_relative_kubeconfig_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", f"one{os.pathsep}{os.pathsep}/two")
    given()
    assert os.environ["KUBECONFIG"].split(os.pathsep) == [f"{tmp_path}/one", "", "/two"]
