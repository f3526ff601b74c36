"""scripts/evaluate, without a cluster: the text at its end."""

from __future__ import annotations

from git_to_pod.cli.evaluate import image_lines


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
