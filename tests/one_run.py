"""An evaluation on the lab, as a command of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
NAMESPACE = "git-to-pod-test"


@dataclass(frozen=True)
class Run:
    """What `python -m git_to_pod.cli.evaluate` left and said."""

    folder: Path
    status: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "summary.json").read_text()))

    @property
    def page(self) -> Path:
        return self.folder / "evaluation.html"


def evaluate(*options: str, folder: Path | None = None, timeout_s: float = 420, **variables: str) -> Run:
    """Against the lab that is up, in a namespace of its own. Without a folder, into a new one."""
    folder = folder or Path(tempfile.mkdtemp(prefix="git-to-pod-test-"))
    command = [
        sys.executable,
        "-m",
        "git_to_pod.cli.evaluate",
        "--namespace",
        NAMESPACE,
        "--output",
        str(folder),
        *options,
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return Run(folder, done.returncode, done.stdout, done.stderr)
