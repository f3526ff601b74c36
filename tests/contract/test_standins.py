"""The stand-ins' own tests, in Go: what is refused, hashes, names, patterns."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

STANDINS = Path(__file__).parents[2] / "lab" / "go" / "standins"


def go(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}  # nothing is downloaded for this
    return subprocess.run(
        ["go", *arguments], cwd=STANDINS, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.skipif(not shutil.which("go"), reason="no Go on this machine; the lab takes its own from a package")
def test_the_standins_pass_their_own_tests() -> None:
    if (known := go("list", "-m")).returncode:
        pytest.skip(f"this machine's Go is not for the stand-ins: {known.stderr.strip()}")
    for command in ("vet", "test"):
        done = go(command, "./...")
        assert done.returncode == 0, done.stdout + done.stderr
