"""Write an OCI image archive from a tar of files. Read the reference, platform and digest of any archive.

The layout is that of https://github.com/opencontainers/image-spec, image-layout.md.
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
    """The references, the manifest's digest and the platform ("linux/amd64") of an archive."""

    refs: list[str]
    digest: str
    platform: str


def write(target: Path, ref: str, layer: Path, config: dict[str, Any]) -> None:
    """Write an archive of one image with one layer. The layer is uncompressed, which makes the local import faster."""
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
    """Describe an OCI archive of one image. Raise OSError, tarfile.TarError, KeyError or ValueError if invalid."""
    with tarfile.open(path) as archive:
        index = json.loads(_member(archive, "index.json"))["manifests"][0]
        manifest = json.loads(_member(archive, _blob(index["digest"])))
        image = json.loads(_member(archive, _blob(manifest["config"]["digest"])))
    name = index.get("annotations", {}).get(_NAME)
    return Described([name] if name else [], index["digest"], f"{image['os']}/{image['architecture']}")


def names(path: Path) -> tuple[str, list[str]]:
    """The kind of an archive ("oci-archive" or "docker-archive") and its references, at least one.

    Raise OSError, tarfile.TarError or ValueError if the archive is invalid or names no image.
    """
    try:
        with tarfile.open(path) as archive:
            members = {member.name.removeprefix("./") for member in archive}
            if "manifest.json" in members:
                kind = "docker-archive"
                entries = json.loads(_member(archive, "manifest.json"))
                refs = [tag for entry in entries for tag in entry["RepoTags"] or []]
            else:
                kind = "oci-archive"
                entries = json.loads(_member(archive, "index.json"))["manifests"]
                refs = [entry["annotations"][_NAME] for entry in entries if _NAME in entry.get("annotations", {})]
    except (LookupError, TypeError, AttributeError, EOFError) as error:
        reason = error.args[0] if isinstance(error, LookupError) else error  # str of a KeyError has quotes
        raise ValueError(f"unexpected content: {reason}") from error
    if not refs:
        raise ValueError("it names no image")
    return kind, refs


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    for path in (name, f"./{name}"):
        try:
            found = archive.extractfile(path)
        except KeyError:
            continue
        if found:
            return found.read()
    raise KeyError(f"{name} is missing")


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
