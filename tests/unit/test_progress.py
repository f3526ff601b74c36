"""Progress: the notebook sends it, and the command's terminal shows it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from git_to_pod.progress import ERASE, PIPE, Progress, Terminal


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command's named pipe; here an ordinary file."""
    monkeypatch.setenv(PIPE, str(tmp_path / "pipe"))
    return tmp_path / "pipe"


def update(pipe: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in pipe.read_text().splitlines()]


def test_a_wait_is_sent_with_its_bar(pipe: Path) -> None:
    progress = Progress()
    progress.bar(3, 60, "push; last 3.35 s")
    progress.awaits("the new pods to be Ready")
    progress.bar(4, 60, "push; last 3.10 s")
    assert [each.get("awaits", "") for each in update(pipe)] == ["", "the new pods to be Ready", ""]
    assert update(pipe)[1] | {"awaits": ""} == update(pipe)[0] | {"awaits": ""}


def test_the_same_wait_is_sent_once(pipe: Path) -> None:
    progress = Progress()
    for _ in range(3):
        progress.awaits("the old pods to be let go")
    assert len(update(pipe)) == 1


def test_a_stage_is_timed() -> None:
    progress = Progress()
    with progress.stage("deploy", "deploying"):
        pass
    assert 0 <= progress.timings_s["deploy"] < 1


def test_a_terminal_redraws_bar_last_latency_and_wait_in_one_line() -> None:
    terminal = Terminal(out := Tty())
    terminal.draw({"done": 30, "of": 60, "text": "push; last 3.35 s", "awaits": "nginx"})
    assert out.getvalue().startswith(ERASE)
    line = out.getvalue().removeprefix(ERASE)
    assert "\n" not in line
    assert "█" * 6 + "░" * 6 + " 30/60  push; last 3.35 s  waiting for nginx" in line


def test_a_bar_stays_and_a_wait_without_a_bar_is_erased() -> None:
    terminal = Terminal(out := Tty())
    terminal.draw({"done": 60, "of": 60, "text": "all done"})
    terminal.stage("cleaning up")
    assert "all done\n" in out.getvalue()
    terminal.draw({"awaits": "the commit"})
    terminal.stage("writing the report")
    assert out.getvalue().count(f"waiting for the commit{ERASE}") == 1


def test_without_a_terminal_a_line_is_printed_every_ten_seconds() -> None:
    terminal = Terminal(out := io.StringIO())
    terminal.line_at = terminal.started
    for done in range(61):
        terminal.draw({"done": done, "of": 60, "text": "under way", "awaits": "nginx"})
    assert len(out.getvalue().splitlines()) == 1
    assert "60/60" in out.getvalue()


def test_updates_are_shown_until_an_empty_line() -> None:
    terminal = Terminal(out := io.StringIO())
    terminal.read(io.StringIO('{"text": "deploying"}\n{"done": 1, "of": 1, "text": "all done"}\n\n{"text": "never"}\n'))
    assert "deploying" in out.getvalue()
    assert "1/1  all done" in out.getvalue()
    assert "never" not in out.getvalue()
