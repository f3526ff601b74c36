"""pyproject.toml lists the dependencies; the files that scripts/pin writes agree with it."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize(
    ("file", "pins"),
    [
        ("requirements.txt", PROJECT["dependencies"]),
        ("requirements-test.txt", PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]),
    ],
)
def test_requirements_are_pinned_as_the_project_says(file: str, pins: list[str]) -> None:
    text = (ROOT / file).read_text()
    missing = [pin for pin in pins if not re.search(rf"^{re.escape(pin.lower())} ", text.lower(), re.MULTILINE)]
    assert not missing, f"{file} lacks {missing}: run scripts/pin"
    packages = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    entries = re.split(r"\n(?=[a-z0-9])", packages.strip(), flags=re.IGNORECASE)
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text, "the requirements must not name a registry's host"


def test_the_conda_environment_has_the_same_pins() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["dependencies"][-1]["pip"] == PROJECT["dependencies"], "run scripts/pin"
