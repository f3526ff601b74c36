"""OCI image archives: one is written from a tar of files, any is read for its name, platform and digest.

Layout: https://github.com/opencontainers/image-spec, image-layout.md.
"""

import hashlib
import io
import json
import platform
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
_NAME = "org.opencontainers.image.ref.name"
_TYPE = "application/vnd.oci.image."


@dataclass(frozen=True)
class Described:
    """What an archive says of itself. `digest` is its manifest's."""

    refs: list[str]
    digest: str
    platform: str


def write(target: Path, ref: str, layer: Path, config: dict[str, Any]) -> None:
    """Write an archive of one image with one uncompressed layer: a local import need not spend time on gzip."""
    layer_digest = _sha256(layer)
    created = {"architecture": ARCHITECTURE, "os": "linux", "config": config}
    image = _json(created | {"rootfs": {"type": "layers", "diff_ids": [layer_digest]}})
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": f"{_TYPE}manifest.v1+json",
            "config": _descriptor(f"{_TYPE}config.v1+json", image),
            "layers": [
                {"mediaType": f"{_TYPE}layer.v1.tar", "digest": layer_digest, "size": layer.stat().st_size},
            ],
        }
    )
    index = _descriptor(f"{_TYPE}manifest.v1+json", manifest) | {"annotations": {_NAME: ref}}
    with tarfile.open(target, "w") as archive:
        _add(archive, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(archive, "index.json", _json({"schemaVersion": 2, "manifests": [index]}))
        for blob in (image, manifest):
            _add(archive, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)
        archive.add(layer, f"blobs/{layer_digest.replace(':', '/')}")


def read(path: Path) -> Described:
    """Describe an OCI archive of one image. Raises OSError, tarfile.TarError, KeyError or ValueError if it is none."""
    with tarfile.open(path) as archive:
        index = json.loads(_member(archive, "index.json"))["manifests"][0]
        manifest = json.loads(_member(archive, _blob(index["digest"])))
        image = json.loads(_member(archive, _blob(manifest["config"]["digest"])))
    name = index.get("annotations", {}).get(_NAME)
    return Described([name] if name else [], index["digest"], f"{image['os']}/{image['architecture']}")


def names(path: Path) -> tuple[str, list[str]]:
    """The kind of an archive ("oci-archive" or "docker-archive") and the references in it."""
    with tarfile.open(path) as archive:
        members = {member.name.removeprefix("./") for member in archive}
        if "manifest.json" in members:
            return "docker-archive", json.loads(_member(archive, "manifest.json"))[0]["RepoTags"] or []
        index = json.loads(_member(archive, "index.json"))["manifests"]
        return "oci-archive", [entry["annotations"][_NAME] for entry in index if _NAME in entry.get("annotations", {})]


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    for spelled in (name, f"./{name}"):
        try:
            found = archive.extractfile(spelled)
        except KeyError:
            continue
        if found:
            return found.read()
    raise KeyError(f"no {name} in it")


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _descriptor(media_type: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{hashlib.sha256(blob).hexdigest()}", "size": len(blob)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
