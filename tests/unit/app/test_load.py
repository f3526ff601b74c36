"""The log of the load: its responses, and what they show."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any, cast

import pandas as pd

from git_to_pod.app.load import COLUMNS, Load, Mixed, Response, load_pod, mixed_commits, parse, table
from git_to_pod.cluster.api import Unreachable
from git_to_pod.cluster.recorder import BEGAN, Recorder
from git_to_pod.watchdog import run_id
from tests.samples import SETTINGS


def test_a_response_with_its_commit() -> None:
    assert parse(1.0, "0|200|abc|") == Response(1.0, 200, "abc", "")


def test_an_error_status_and_a_refused_connection_are_failures() -> None:
    unavailable, refused = parse(1.0, "0|503|abc|"), parse(1.0, "7|000||Failed to connect | port 80")
    assert unavailable
    assert unavailable.failed
    assert refused
    assert refused.failed
    assert refused.error == "curl 7: Failed to connect | port 80"


def test_the_lines_before_it_are_the_body() -> None:
    assert parse(1.0, "0|200|abc|", "a text\n") == Response(1.0, 200, "abc", "", "a text\n")


def test_any_other_line_is_skipped() -> None:
    assert parse(1.0, "curl: option --rate: is unknown") is None


def test_mixed_is_from_the_first_new_to_the_last_old_response() -> None:
    told = [(1.0, "old"), (1.1, "new"), (1.2, "old"), (1.3, "old"), (1.4, "new"), (9.0, "newer")]
    responses = [Response(instant, 200, commit, "") for instant, commit in told]
    assert mixed_commits(responses, "new", since=0.5, until=5.0) == Mixed(1.1, 1.3)


def test_a_clean_switch_is_not_mixed() -> None:
    responses = [Response(1.0, 200, "old", ""), Response(1.1, 200, "new", "")]
    mixed = mixed_commits(responses, "new", since=0.5, until=5.0)
    assert mixed
    assert mixed.seconds == 0


def test_a_commit_that_was_never_served_has_no_mixed_time() -> None:
    assert mixed_commits([Response(1.0, 200, "old", "")], "new", since=0.5, until=5.0) is None


def test_the_pod_has_the_security_context_of_the_poller() -> None:
    git_sync = {"name": "git-sync", "image": "i", "securityContext": {"a": 1}}
    like = {"securityContext": {"runAsNonRoot": True}, "containers": [git_sync]}
    pod = load_pod({"spec": like}, 20)
    assert pod["spec"]["securityContext"] == like["securityContext"]
    assert pod["spec"]["containers"][0]["securityContext"] == {"a": 1}
    assert pod["spec"]["automountServiceAccountToken"] is False


def test_after_a_lost_connection_no_response_is_taken_twice_and_none_is_lost() -> None:
    """The kubelet may have rotated the log meanwhile, so lines cannot be counted."""
    at = "2026-01-01T00:00:0{}.000000000Z {}".format
    first = [at(1, "0|200|a|"), at(2, "0|200|b|")]
    second = [at(2, "0|200|b|"), at(3, "a body"), at(4, "0|200|c|")]

    asked: list[dict[str, str]] = []

    class Cluster:
        def lines(self, _path: str, timeout_s: float, **query: str) -> Iterator[tuple[float, bytes]]:
            asked.append(query)
            for number, line in enumerate(first if len(asked) == 1 else second):
                yield float(number), line.encode()
            if len(asked) == 1:
                raise Unreachable("https://127.0.0.1", OSError("reset by peer"))
            load.stopped.set()

    load = Load(cast(Any, Cluster()), Recorder(), SETTINGS)
    load.read()
    assert [response.commit for response in load.responses] == ["a", "b", "c"]
    assert load.responses[-1].body == "a body\n"
    assert asked[1]["sinceTime"] == "2026-01-01T00:00:02.000000000Z"


def test_each_response_is_in_the_csv_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "report" / "responses.csv"
    load = Load(cast(Any, None), Recorder(), SETTINGS, csv_file=path)
    load.write([COLUMNS], "w")
    load.take(BEGAN + 1.5, "0|200|abc|", "")
    load.take(BEGAN + 2.0, "7|000||Failed to connect, port 80", "")
    assert path.read_text().splitlines()[1:] == [
        f"{run_id()},1.5,200,abc,",
        f'{run_id()},2.0,0,,"curl 7: Failed to connect, port 80"',
    ]
    assert pd.read_csv(path).equals(pd.read_csv(StringIO(table(load.responses).to_csv(index=False))))


def test_a_file_that_cannot_be_written_does_not_end_the_load(tmp_path: Path) -> None:
    (tmp_path / "report").touch()
    load = Load(cast(Any, None), Recorder(), SETTINGS, csv_file=tmp_path / "report" / "responses.csv")
    load.take(1.0, "0|200|abc|", "")
    load.take(1.1, "0|200|abc|", "")
    assert len(load.responses) == 2
    assert load.error.startswith("responses.csv was not written as the responses came: ")
