"""The terminal of the commands."""

from __future__ import annotations

import io
import os
import re

from git_to_pod.cli.terminal import Terminal


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def last_drawn(out: io.StringIO) -> str:
    return out.getvalue().rpartition("\r")[2]


def test_a_terminal_redraws_bar_last_latency_and_wait_in_one_line() -> None:
    terminal = Terminal(out := Tty())
    terminal.show({"done": 29, "of": 60, "text": "push; last 3.10 s"})
    terminal.show({"done": 30, "of": 60, "text": "push; last 3.35 s", "awaits": "nginx"})
    assert "\n" not in out.getvalue()
    assert "30/60  push; last 3.35 s  waiting for nginx" in last_drawn(out)
    assert re.search("[#█]{6}", last_drawn(out))  # tqdm draws with what the terminal can show


def test_a_bar_stays_and_a_wait_without_a_bar_is_erased() -> None:
    terminal = Terminal(out := Tty())
    terminal.show({"done": 60, "of": 60, "text": "all done"})
    terminal.show({"text": "cleaning up"})
    assert out.getvalue().count("\n") == 2
    assert "all done" in out.getvalue().split("\n")[0]
    terminal.show({"awaits": "the commit"})
    assert "waiting for the commit" in last_drawn(out)
    terminal.show({"text": "writing the report"})
    assert "waiting for the commit" not in last_drawn(out)
    assert out.getvalue().count("\n") == 3


def test_without_a_terminal_a_line_is_printed_every_ten_seconds() -> None:
    terminal = Terminal(out := io.StringIO())
    terminal.line_at = terminal.started
    for done in range(61):
        terminal.show({"done": done, "of": 60, "text": "under way", "awaits": "nginx"})
    assert len(out.getvalue().splitlines()) == 1
    assert "60/60" in out.getvalue()


def test_a_reader_that_has_gone_away_ends_the_output_and_not_the_run() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1) as out:
        terminal = Terminal(out)
        terminal.stage("deploying")
        terminal.show({"done": 1, "of": 1, "text": "all done"})
        assert terminal.error(RuntimeError("no cluster"), 2) == 2
        os.dup2(os.open(os.devnull, os.O_WRONLY), writing)  # what is buffered must go somewhere at the end


def test_without_a_terminal_a_short_wait_is_not_printed() -> None:
    terminal = Terminal(out := io.StringIO())
    terminal.line_at = terminal.started
    for wait in ("the commit", "new pods", ""):
        terminal.show({"text": "pushing", "awaits": wait})
    assert out.getvalue() == ""
