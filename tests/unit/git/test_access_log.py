"""The start of git-sync's poll, from the git host's access log."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_to_pod.git.access_log import AccessLog, Request, parse, poll_that_brought

REFS = "/content.git/info/refs?service=git-upload-pack"


def poll(started: float) -> Request:
    return Request(started, started + 0.01, "198.18.0.2", "reader", 200, "GET", REFS)


def push(started: float, ended: float) -> Request:
    return Request(started, ended, "198.18.0.1", "writer", 200, "POST", "/content.git/git-receive-pack")


def test_a_line_becomes_a_request_on_the_monotonic_clock() -> None:
    line = f"1700000010.500 0.250 198.18.0.2 reader 200 GET {REFS}"
    request = parse(line, offset=1700000000.0)
    assert request == Request(10.25, 10.5, "198.18.0.2", "reader", 200, "GET", REFS)
    assert request.is_poll


@pytest.mark.parametrize("line", ["", "half a line", "x 0.1 a - 200 GET /"])
def test_any_other_line_is_no_request(line: str) -> None:
    assert parse(line, 0.0) is None


def test_the_first_poll_after_the_push_brought_it() -> None:
    requests = [poll(9.0), push(9.9, 9.95), poll(10.4), poll(11.4)]
    assert poll_that_brought(requests, pushed=10.0, seen=10.5) == 10.4


def test_a_poll_while_git_push_returns_is_a_wait_of_zero() -> None:
    requests = [push(9.9, 9.95), poll(9.97), poll(10.97)]
    assert poll_that_brought(requests, pushed=10.0, seen=10.1) == 10.0


def test_a_poll_during_the_push_counts_if_the_commit_was_published_before_the_next_one() -> None:
    requests = [push(9.9, 9.97), poll(9.96), poll(10.96)]
    assert poll_that_brought(requests, pushed=10.0, seen=10.1) == 10.0


def test_a_slow_publish_does_not_move_the_poll() -> None:
    requests = [push(9.9, 9.95), poll(10.4), poll(11.4), poll(12.4)]
    assert poll_that_brought(requests, pushed=10.0, seen=12.6) == 10.4


def test_a_push_over_ssh_is_not_in_the_log_so_the_return_of_git_push_counts() -> None:
    assert poll_that_brought([poll(9.99), poll(10.6)], pushed=10.0, seen=10.7) == 10.6


def test_without_a_poll_there_is_no_instant() -> None:
    assert poll_that_brought([push(9.9, 9.95)], pushed=10.0, seen=10.5) is None


def test_a_refused_push_is_no_push() -> None:
    assert not Request(1.0, 1.1, "a", "reader", 403, "POST", "/content.git/git-receive-pack").is_push


def test_the_log_is_read_from_now_on_and_in_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text(f"1.000 0.001 a - 200 GET {REFS}\n")
    log = AccessLog(path)
    with path.open("a") as file:
        file.write(f"2.000 0.001 a - 200 GET {REFS}\n3.000 0.0")
    assert len(log.read()) == 1
    with path.open("a") as file:
        file.write(f"01 a - 200 GET {REFS}\n")
    assert len(log.read()) == 2
