"""The stand-ins' unit tests in Go."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

STANDINS = Path(__file__).parents[2] / "lab" / "go" / "standins"


def go(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}  # local: download no toolchain
    return subprocess.run(
        ["go", *arguments], cwd=STANDINS, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.skipif(not shutil.which("go"), reason="no Go on PATH; the lab uses one from PyPI")
def test_the_standins_pass_their_own_tests() -> None:
    if (known := go("list", "-m")).returncode:
        pytest.skip(f"this machine's Go cannot build the stand-ins: {known.stderr.strip()}")
    for command in ("vet", "test"):
        done = go(command, "./...")
        assert done.returncode == 0, done.stdout + done.stderr
