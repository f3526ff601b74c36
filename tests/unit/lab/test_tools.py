"""lab.tools: programs of the build end when the build is interrupted or fails."""

import time
from concurrent.futures import Future
from pathlib import Path

import pytest

from lab import images
from lab.build import Built
from lab.errors import LabError
from lab.tools import Runner

LONG = ["sh", "-c", "echo begun; sleep 60"]


@pytest.fixture
def runner() -> Runner:
    return Runner(lambda line: None)


def wait_until_running(runner: Runner, count: int) -> None:
    deadline = time.monotonic() + 20
    while len(runner._running) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_output_of_a_program_is_returned(runner: Runner) -> None:
    assert runner.run("greeting", ["sh", "-c", "echo hello; echo world >&2"]) == "hello\nworld\n"


def test_a_program_that_fails_is_reported_with_its_last_lines(runner: Runner) -> None:
    with pytest.raises(LabError, match=r"compiling failed \(sh -c .* exited with 3\): no such file"):
        runner.run("compiling", ["sh", "-c", "echo no such file; exit 3"])


def fail_during_a_long_build(runner: Runner, builds: list[Future[str]]) -> None:
    with runner.pool() as pool:
        builds.append(pool.submit(runner.run, "a long build", LONG))
        wait_until_running(runner, 1)
        raise ZeroDivisionError


def test_an_error_in_the_block_ends_the_programs_of_its_pool(runner: Runner) -> None:
    builds: list[Future[str]] = []
    began = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        fail_during_a_long_build(runner, builds)
    assert time.monotonic() - began < 20
    assert str(builds[0].exception()) == "a long build: interrupted"


def test_after_the_stop_no_program_keeps_running(runner: Runner) -> None:
    runner.stop()
    began = time.monotonic()
    with pytest.raises(LabError, match="a long build: interrupted"):
        runner.run("a long build", LONG)
    assert time.monotonic() - began < 20


def test_an_interrupted_search_for_images_ends_the_pulls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    messages: list[str] = []
    runner = Runner(messages.append)

    def skopeo(built: Built, runner: Runner, title: str, *_arguments: object) -> None:
        if title == "pulling registry.example.test/tool:0":
            wait_until_running(runner, 3)
            raise KeyboardInterrupt  # reaches the main thread as a signal does
        runner.run(title, LONG)

    monkeypatch.setattr(images, "IMAGES", tmp_path / "images")
    monkeypatch.setattr(images, "_reachable", lambda host: True)
    monkeypatch.setattr(images, "_skopeo", skopeo)
    monkeypatch.setattr(images, "references", lambda: [f"registry.example.test/tool:{n}" for n in range(40)])
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        images.resolve(Built(tmp_path, tmp_path), None, runner)
    assert time.monotonic() - began < 20
    assert not runner._running
    assert list((tmp_path / "images").iterdir()) == []
    assert not any("substitute" in message for message in messages)
