"""scripts/evaluate, without a cluster: the text at its end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from git_to_pod.cli import evaluate
from git_to_pod.cli.evaluate import complete_summary, image_lines, run_notebook
from git_to_pod.cli.session import EVALUATION
from git_to_pod.cli.terminal import Terminal
from git_to_pod.evaluation.summary import Evaluation
from git_to_pod.settings import Parameters
from tests.one_run import ROOT
from tests.samples import a_run


def test_each_image_is_shown_with_its_source_and_its_note() -> None:
    images = [
        {"ref": "docker.io/library/nginx:1.30.7", "source": "built", "digest": "sha256:1", "note": "Debian's nginx"},
        {"ref": "ghcr.io/stakater/reloader:v1.4.21", "source": "archive", "digest": "sha256:2", "note": ""},
        {"ref": "registry.k8s.io/git-sync/git-sync:v4.7.1", "source": "pulled", "digest": "sha256:3"},
    ]
    assert image_lines(images) == [
        "docker.io/library/nginx:1.30.7 (built: Debian's nginx)",
        "ghcr.io/stakater/reloader:v1.4.21 (archive)",
        "registry.k8s.io/git-sync/git-sync:v4.7.1 (pulled)",
    ]


def test_a_reader_of_the_output_that_has_gone_away_is_no_failure() -> None:
    code = "from git_to_pod.cli.terminal import print_line; [print_line('a page' * 99) for _ in range(999)]"
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_summary_and_the_page_of_a_kernel_killed_in_its_trials_have_their_figures(tmp_path: Path) -> None:
    done = a_run(tmp_path)
    done.trials_table.to_csv(tmp_path / "trials.csv", index=False)
    killed = Evaluation(done.settings)
    killed.write()
    executed = tmp_path / "evaluation.ipynb"
    answer = nbformat.v4.new_code_cell("", metadata={"tags": ["answer"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[answer]), executed)
    summary = complete_summary(done.settings, executed, "the notebook's kernel died")
    assert summary["answer"] == "No. The run was aborted: the notebook's kernel died"
    assert sum(summary["trials"].values()) == len(done.trials)
    expected = done.estimates["push_to_restarted"]
    assert summary["latency_s"]["push_to_restarted"]["median"] == pytest.approx(expected.median, abs=1e-3)
    (output,) = nbformat.read(executed, as_version=4).cells[0].outputs
    page = output.data["text/html"]
    assert f"of the {len(done.trials)} trials in trials.csv" in page
    assert f"{expected.median:.2f}" in page


def test_papermill_that_somebody_kills_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(subprocess.Popen[bytes]):
        """In place of papermill: it warns, and is killed."""

        def __init__(self, _command: list[str], **options: Any) -> None:  # noqa: ANN401  # as Popen
            code = "import os, signal; print('a warning', flush=True); os.kill(os.getpid(), signal.SIGKILL)"
            super().__init__([sys.executable, "-c", code], **options)

    monkeypatch.setattr(subprocess, "Popen", Killed)
    with (tmp_path / "terminal").open("w") as out:
        message = run_notebook(Parameters(), EVALUATION, tmp_path / "evaluation.ipynb", Terminal(out))
    assert message == "papermill was ended by SIGKILL"


def test_the_newest_report_is_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "ROOT", tmp_path)
    for name in ("first", "second"):
        (tmp_path / "reports" / name).mkdir(parents=True)
        evaluate.point_latest_at(tmp_path / "reports" / name)
    assert (tmp_path / "reports" / "latest").readlink() == Path("second")
    assert {path.name for path in (tmp_path / "reports").iterdir()} == {"first", "second", "latest"}
