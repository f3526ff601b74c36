"""lab.build: several processes can build the same part at the same time, and each module has its own way."""

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lab import build
from lab.tools import Runner


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
    other = tmp_path / f"part.making-{os.getppid()}-0"
    make(other, "another process is building this")

    def failing(temporary: Path) -> None:
        make(temporary, "partial")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        build.whole(tmp_path / "part", failing)
    assert list(tmp_path.iterdir()) == [other]


@pytest.mark.parametrize("make", [make_file, make_folder])
def test_what_a_killed_build_left_is_removed(tmp_path: Path, make: Callable[[Path, str], None]) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    make(tmp_path / f"other.making-{ended.pid}-0", "partial")
    build.whole(tmp_path / "part", Path.touch)
    assert list(tmp_path.iterdir()) == [tmp_path / "part"]


def test_a_rename_that_fails_for_another_reason_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        build.whole(tmp_path / "part", lambda temporary: None)  # makes nothing


def test_an_existing_part_is_not_built_again(tmp_path: Path) -> None:
    (tmp_path / "part").touch()
    assert build.whole(tmp_path / "part", lambda temporary: pytest.fail("built again")) == tmp_path / "part"


class FakeGo(Runner):
    """Records the commands of Go. `go build` makes the programs, and the module's source has two files and a folder."""

    def __init__(self, source: Path) -> None:
        super().__init__(lambda line: None)
        self.source = source
        self.commands: list[list[str]] = []
        self.files_when_built: set[str] = set()

    def run(self, title: str, command: Sequence[str | Path], *, cwd: Path | None = None, **_settings: object) -> str:
        assert cwd
        words = [str(word) for word in command]
        self.commands.append(words)
        if words[0] == "cp":
            shutil.copytree(words[-2], words[-1])
        if words[1] == "build":
            self.files_when_built = {str(path.relative_to(cwd)) for path in cwd.rglob("*") if path.is_file()}
            Path(words[words.index("-o") + 1]).touch()
        return f"{self.source}\n" if words[1] == "list" else ""


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGo:
    monkeypatch.setattr(build, "GO", tmp_path / "go")
    monkeypatch.setattr(build, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(build, "_go", lambda runner: "go")
    (tmp_path / "go" / "server").mkdir(parents=True)
    (tmp_path / "go" / "server" / "go.mod").write_text("module lab/server")
    source = tmp_path / "module"
    (source / "public").mkdir(parents=True)
    for name in ("main.go", "importer.go", "public/logo.svg"):
        (source / name).touch()
    return FakeGo(source)


def test_a_module_is_compiled_where_it_is(go: FakeGo) -> None:
    module = build.GoModule("server", {"server": "example.test/cmd/main"}, {"main.Version": "v1"})
    folder = build._build_module(module, go)
    (command,) = go.commands
    assert command[:2] == ["go", "build"]
    assert "-s -w -X main.Version=v1" in command
    assert command[-1] == "example.test/cmd/main"
    assert [path.name for path in folder.iterdir()] == ["server"]
    assert go.files_when_built == {"go.mod"}


def test_an_altered_module_is_compiled_from_a_copy_without_some_files(go: FakeGo) -> None:
    module = build.AlteredModule("server", {"server": "example.test"}, without=("importer.go",), data=("public",))
    folder = build._build_module(module, go)
    assert [command[1] for command in go.commands] == ["mod", "list", "--recursive", "mod", "build"]
    assert go.files_when_built == {"go.mod", "altered/main.go", "altered/public/logo.svg"}
    assert ["go", "mod", "edit", "-replace=example.test=./altered"] in go.commands
    assert sorted(path.name for path in folder.iterdir()) == ["public", "server"]
    assert (folder / "public" / "logo.svg").exists()
    assert (go.source / "importer.go").exists(), "the module cache must stay as it is"
