"""lab.images: the note says where each image is from, and an unusable archive is reported in one line."""

import gzip
import inspect
import io
import json
import platform
import shutil
import tarfile
from pathlib import Path

import pytest

from lab import images, oci
from lab.build import Built
from lab.errors import LabError
from lab.tools import Runner

REF = "registry.example.test/team/tool:v1"
GIT_SYNC, RELOADER = "registry.k8s.io/git-sync/git-sync:v4.7.1", "ghcr.io/stakater/reloader:v1.4.21"
NGINX = "docker.io/library/nginx:1.30.7"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for --images. The lab copies archives without skopeo, which needs root, and reaches no registry."""

    def copy(built: Built, runner: Runner, title: str, source: str, target: Path, ref: str, archives: Path) -> None:
        shutil.copy(archives / source.split(":")[1].rpartition("/")[2], target)

    monkeypatch.setattr(images, "IMAGES", tmp_path / "cache")
    monkeypatch.setattr(images, "_skopeo", copy)
    monkeypatch.setattr(images, "_reachable", lambda host: False)
    monkeypatch.setattr(images, "references", list)
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


@pytest.fixture
def built(tmp_path: Path) -> Built:
    parts = tmp_path / "parts"
    parts.mkdir()
    for program in ("git-sync", "reloader", "coredns", "pause"):
        (parts / program).write_text(program)
    return Built(parts, tmp_path / "root")


def archive(folder: Path, name: str = "tool", ref: str = REF) -> Path:
    layer = folder / "layer"
    tarfile.open(layer, "w").close()
    oci.write(folder / f"{name}.tar", ref, layer, {})
    layer.unlink()
    return folder / f"{name}.tar"


def docker_archive(folder: Path, manifest: object) -> None:
    content = json.dumps(manifest).encode()
    entry = tarfile.TarInfo("manifest.json")
    entry.size = len(content)
    with tarfile.open(folder / "tool.tar", "w") as file:
        file.addfile(entry, io.BytesIO(content))


def resolved(built: Built, folder: Path | None) -> images.Image:
    (image,) = images.resolve(built, folder, Runner(lambda line: None))
    return image


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (
            "built from the v4.7.1 source, not the published image\n",
            "built from the v4.7.1 source, not the published image",
        ),
        ("\n  \n  saved\tfrom  here \nand a second line\n", "saved from here"),
        ("", "archive tool.tar, origin not stated"),
        (" \n\n", "archive tool.tar, origin not stated"),
        (None, "archive tool.tar, origin not stated"),
    ],
)
def test_the_note_of_an_archive_is_the_first_line_beside_it(
    folder: Path, built: Built, text: str | None, note: str
) -> None:
    archive(folder)
    if text is not None:
        (folder / "tool.txt").write_text(text)
    image = resolved(built, folder)
    assert (image.ref, image.source, image.note) == (REF, "archive", note)


def test_the_note_is_in_the_state_file_and_in_the_table(folder: Path, built: Built) -> None:
    archive(folder)
    (folder / "tool.txt").write_text("from the build server")
    image = resolved(built, folder)
    assert image.public() == {"ref": REF, "source": "archive", "digest": image.digest, "note": "from the build server"}
    assert images.listed([image]).split(maxsplit=3)[0::3] == [REF, "from the build server"]


def test_a_changed_origin_is_shown_for_an_archive_that_was_copied_before(folder: Path, built: Built) -> None:
    archive(folder)
    before = resolved(built, folder)
    (folder / "tool.txt").write_text("from the build server")
    after = resolved(built, folder)
    assert (after.note, after.archive) == ("from the build server", before.archive)


def test_the_note_of_an_archive_with_dots_in_its_name(folder: Path, built: Built) -> None:
    archive(folder, "library-nginx-1.30.7")
    (folder / "library-nginx-1.30.7.txt").write_text("from the registry")
    assert resolved(built, folder).note == "from the registry"


@pytest.fixture
def packages(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Substitutes are built without mmdebstrap; the list has what each was built from."""
    layers: list[str] = []

    def debian(runner: Runner, target: Path, packages: tuple[str, ...], variant: str, *hooks: Path) -> None:
        layers.append(target.name)
        tarfile.open(target, "w").close()

    monkeypatch.setattr(images, "debian", debian)
    monkeypatch.setattr(inspect, "getsource", lambda function: "")
    release(monkeypatch, "bookworm")
    return layers


def release(monkeypatch: pytest.MonkeyPatch, codename: str) -> None:
    described = {"ID": "debian", "VERSION_CODENAME": codename}
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: described)


@pytest.mark.parametrize(
    ("ref", "source", "note"),
    [
        (NGINX, "built", "nginx from Debian bookworm's packages, in place of this image"),
        (GIT_SYNC, "stand-in", "stand-in: a small program of this project over Debian bookworm's git, not git-sync"),
        (RELOADER, "stand-in", "stand-in: a small program of this project, not Reloader"),
    ],
)
def test_the_note_of_a_substitute(
    packages: list[str], built: Built, monkeypatch: pytest.MonkeyPatch, ref: str, source: str, note: str
) -> None:
    monkeypatch.setattr(images, "references", lambda: [ref])
    image = resolved(built, None)
    assert (image.ref, image.source, image.note) == (ref, source, note)


def test_a_substitute_is_built_once_for_each_release(
    packages: list[str], built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "references", lambda: [NGINX])
    first, again = resolved(built, None), resolved(built, None)
    assert (first, len(packages)) == (again, 1)
    release(monkeypatch, "trixie")
    other = resolved(built, None)
    assert other.note == "nginx from Debian trixie's packages, in place of this image"
    assert (other.archive != first.archive, len(packages)) == (True, 2)


def test_every_substitute_has_a_note_and_nothing_of_a_build_is_left(
    packages: list[str], built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    refs = [f"{name}:1" for name in images.SUBSTITUTES]
    monkeypatch.setattr(images, "references", lambda: refs)
    found = images.resolve(built, None, Runner(lambda line: None))
    assert all(image.note and "{" not in image.note for image in found)
    assert {image.archive for image in found} == set(images.IMAGES.iterdir())
    assert len(packages) == len(set(packages)) == 2


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        ([], "it names no image"),
        ([{"RepoTags": None}], "it names no image"),
        ([{"RepoTags": []}], "it names no image"),
        ([{}], "unexpected content: RepoTags"),
        ([None], "unexpected content: "),
        (None, "unexpected content: "),
        (7, "unexpected content: "),
    ],
)
def test_a_docker_archive_without_a_name_is_refused_in_one_line(
    folder: Path, built: Built, manifest: object, reason: str
) -> None:
    docker_archive(folder, manifest)
    with pytest.raises(LabError, match=f"tool.tar is corrupt or incomplete \\({reason}.*copy it again") as raised:
        resolved(built, folder)
    assert "\n" not in str(raised.value)


def test_a_damaged_archive_is_refused_in_one_line(folder: Path, built: Built) -> None:
    file = archive(folder)
    whole, empty = file.read_bytes(), io.BytesIO()
    tarfile.open(fileobj=empty, mode="w").close()
    cut = gzip.compress(whole)[:-40]
    for content in (b"", b"text", whole[:700], cut, empty.getvalue(), whole.replace(b'"manifests"', b'"manyfests"')):
        file.write_bytes(content)
        with pytest.raises(LabError, match="tool.tar is corrupt or incomplete .*: copy it again") as raised:
            resolved(built, folder)
        assert "\n" not in str(raised.value)


def test_an_archive_of_two_images_is_refused_in_one_line(folder: Path, built: Built) -> None:
    docker_archive(folder, [{"RepoTags": ["a:1"]}, {"RepoTags": ["b:1"]}])
    with pytest.raises(LabError, match=r"contains 2 names \(a:1, b:1\); expected one: save each to a file of its own"):
        resolved(built, folder)
