"""Tables of the first page, with made-up trials."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from pathlib import Path

from git_to_pod.evaluation.summary import Evaluation
from git_to_pod.report.data_files import data_files
from git_to_pod.report.first_page import changes_table, repeats
from git_to_pod.report.phases import PHASES, phases_table
from git_to_pod.timing.trial import PHASES as ALL_PHASES
from tests.samples import SETTINGS, a_run


def test_every_phase_of_a_push_has_its_median(tmp_path: Path) -> None:
    evaluation = a_run(tmp_path)
    text = phases_table(evaluation).text
    pushes = evaluation.trials_table[evaluation.trials_table["kind"] == "push"]
    for phase in PHASES:
        assert phase.what in text
    wait = (pushes["polled_s"] - pushes["pushed_s"]).median()
    assert f'<td class="short">{wait:.2f} s</td>' in text
    assert [phase.start for phase in PHASES] == [name for name in ALL_PHASES if name not in ("restarted", "served")]


def test_phases_that_were_not_measured_have_no_row(tmp_path: Path) -> None:
    assert phases_table(Evaluation(replace(SETTINGS, output=tmp_path))).text == ""


def test_the_last_run_into_the_folder_is_compared(tmp_path: Path) -> None:
    a_run(tmp_path).write()
    again = a_run(tmp_path)
    assert changes_table(again).text == ""
    again.begin()
    text = changes_table(again).text
    assert "beside those of the last run of " in text
    assert "do not overlap" not in text
    slower = {"median": 100.0, "low": 99.0, "high": 101.0}
    again.earlier["latency_s"]["push_to_restarted"] |= slower
    assert "100.00 (99.00\N{EN DASH}101.00)" in changes_table(again).text
    assert changes_table(again).text.count("do not overlap") == 1


def test_a_page_holds_the_rows_as_files(tmp_path: Path) -> None:
    (tmp_path / "trials.csv").write_bytes(b"number,kind\n1,push\n2,push\n")
    text = data_files(tmp_path, ["trials.csv", "responses.csv"]).text
    (content,) = re.findall(r'<a download="trials.csv" href="data:text/csv;base64,([^"]+)">trials.csv</a>', text)
    assert base64.b64decode(content) == (tmp_path / "trials.csv").read_bytes()
    assert hashlib.sha256((tmp_path / "trials.csv").read_bytes()).hexdigest() in text
    assert ">2</td>" in text
    assert "responses.csv" not in text


def test_the_command_names_what_differs_from_the_defaults(tmp_path: Path) -> None:
    evaluation = Evaluation(replace(SETTINGS, output=tmp_path, commits=7, ref="a b", lab=None))
    assert repeats(evaluation) == (
        "scripts/evaluate --context NAME --repository URL --credentials DIR --push-credentials DIR "
        "--ref 'a b' --commits 7"
    )
    evaluation.images = [{"source": "archive"}]
    assert "--images DIR" in repeats(evaluation)
