"""scripts/evaluate, without a cluster: the text at its end."""

from __future__ import annotations

import os
import subprocess
import sys

from git_to_pod.cli.evaluate import image_lines
from tests.one_run import ROOT


def test_each_image_is_shown_with_its_source_and_its_note() -> None:
    images = [
        {"ref": "docker.io/library/nginx:1.30.7", "source": "built", "digest": "sha256:1", "note": "Debian's nginx"},
        {"ref": "ghcr.io/stakater/reloader:v1.4.21", "source": "archive", "digest": "sha256:2", "note": ""},
        {"ref": "registry.k8s.io/git-sync/git-sync:v4.7.1", "source": "pulled", "digest": "sha256:3"},
    ]
    assert image_lines(images) == [
        "docker.io/library/nginx:1.30.7 (built: Debian's nginx)",
        "ghcr.io/stakater/reloader:v1.4.21 (archive)",
        "registry.k8s.io/git-sync/git-sync:v4.7.1 (pulled)",
    ]


def test_a_reader_of_the_output_that_has_gone_away_is_no_failure() -> None:
    code = "from git_to_pod.cli.evaluate import print_lines; print_lines(['a page'] * 9999)"
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
