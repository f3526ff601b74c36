"""lab.build.whole: several processes can build the same part at the same time."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import build


def make_file(path: Path, text: str) -> None:
    path.write_text(text)


def make_folder(path: Path, text: str) -> None:
    path.mkdir()
    (path / "content").write_text(text)


def content(path: Path) -> str:
    return (path / "content" if path.is_dir() else path).read_text()


@pytest.mark.parametrize("make", [make_file, make_folder])
def test_the_first_complete_result_stays(tmp_path: Path, make: Callable[[Path, str], None]) -> None:
    path = tmp_path / "part"
    begun, finish = threading.Event(), threading.Event()
    temporaries: list[Path] = []
    results: list[Path] = []

    def slow(temporary: Path) -> None:
        temporaries.append(temporary)
        make(temporary, "slow")
        begun.set()
        assert finish.wait(5)
        assert content(temporary) == "slow", "the other build destroyed this one"

    def fast(temporary: Path) -> None:
        temporaries.append(temporary)
        make(temporary, "fast")

    thread = threading.Thread(target=lambda: results.append(build.whole(path, slow)))
    thread.start()
    assert begun.wait(5)
    results.append(build.whole(path, fast))
    finish.set()
    thread.join(5)
    assert len(set(temporaries)) == 2
    assert all(temporary.parent == path.parent for temporary in temporaries), "a rename across folders can be a copy"
    assert results == [path, path]
    assert content(path) == "fast"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("make", [make_file, make_folder])
def test_a_build_that_fails_removes_only_its_own_temporary_path(
    tmp_path: Path, make: Callable[[Path, str], None]
) -> None:
    other = tmp_path / "part.making-0"
    make(other, "another process is building this")

    def failing(temporary: Path) -> None:
        make(temporary, "partial")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        build.whole(tmp_path / "part", failing)
    assert list(tmp_path.iterdir()) == [other]


def test_a_rename_that_fails_for_another_reason_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        build.whole(tmp_path / "part", lambda temporary: None)  # makes nothing


def test_an_existing_part_is_not_built_again(tmp_path: Path) -> None:
    (tmp_path / "part").touch()
    assert build.whole(tmp_path / "part", lambda temporary: pytest.fail("built again")) == tmp_path / "part"
