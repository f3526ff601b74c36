"""Find each image: the user's archive, else a pull from the registry, else a substitute that the lab builds."""

import contextlib
import inspect
import platform
import re
import socket
import tarfile
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lab import oci
from lab.build import Built, debian, digest_of, remove, whole
from lab.errors import LabError
from lab.paths import CACHE, CONFIG, MANIFESTS, OWN_IMAGES
from lab.tools import Runner

IMAGES = CACHE / "images"
SCRIPTS = CONFIG / "build"
_REACH_S = 2.0


@dataclass(frozen=True)
class Image:
    """An image of the lab. `note` is one line that says where it is from.

    `source` is archive, pulled, built (the real program, from packages) or stand-in (a small program of this project).
    """

    ref: str
    source: str
    digest: str
    note: str
    archive: Path

    def public(self) -> dict[str, str]:
        """The image's entry in lab.json and summary.json: ref, source, digest and note."""
        return {key: value for key, value in asdict(self).items() if key != "archive"}


@dataclass(frozen=True)
class Substitute:
    """How to build an image from Debian `packages` and a `program` of the Go parts, with the image's `config`."""

    source: str
    note: str  # {distribution}: this machine's, for example "Debian bookworm"
    config: dict[str, object]
    packages: tuple[str, ...] = ()
    program: tuple[str, str] | None = None  # (binary, path in the image)
    hook: str = ""  # a script in config/build that finishes the root of packages


SUBSTITUTES = {
    "docker.io/library/nginx": Substitute(
        "built", "nginx from {distribution}'s packages, in place of this image",
        {"Entrypoint": [], "Cmd": ["nginx"], "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]},
        packages=("nginx", "dash", "coreutils"), hook="nginx.sh",
    ),
    "registry.k8s.io/git-sync/git-sync": Substitute(
        "stand-in", "stand-in: a small program of this project over {distribution}'s git, not git-sync",
        {"Entrypoint": ["/git-sync"], "User": "65533:65533", "WorkingDir": "/tmp",
         "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "GITSYNC_ROOT=/git"]},
        packages=(
            "git", "openssh-client", "curl", "ca-certificates", "dash", "coreutils", "grep", "sed", "gzip", "socat",
        ),
        program=("git-sync", "/git-sync"), hook="git-sync.sh",
    ),
    "ghcr.io/stakater/reloader": Substitute(
        "stand-in", "stand-in: a small program of this project, not Reloader",
        {"Entrypoint": ["/manager"], "User": "65532:65532"}, program=("reloader", "/manager"),
    ),
    "lab.git-to-pod.test/coredns": Substitute(
        "built", "CoreDNS from its Go module", {"Entrypoint": ["/coredns"]}, program=("coredns", "/coredns"),
    ),
    "lab.git-to-pod.test/pause": Substitute(
        "built", "the first process of every pod, a small program of this project",
        {"Entrypoint": ["/pause"], "User": "65535:65535"}, program=("pause", "/pause"),
    ),
}  # fmt: skip


def references() -> list[str]:
    """All image references in the manifests and in the lab's own configuration."""
    files = [*MANIFESTS.glob("*.yaml"), CONFIG / "coredns.yaml"]
    found = {ref for file in files for ref in re.findall(r"^\s*(?:- )?image: *(\S+)", file.read_text(), re.MULTILINE)}
    pause = re.search(r'sandbox = "(.+)"', (CONFIG / "containerd.toml").read_text())
    assert pause, "config/containerd.toml names the sandbox image"
    return sorted({*found, pause[1]})


def resolve(built: Built, archives: Path | None, runner: Runner) -> list[Image]:
    """Find or build an archive for every reference. Include all other archives in the user's folder."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    given = _from_archives(archives, built, runner) if archives else {}
    missing = [ref for ref in references() if ref not in given]
    with runner.pool() as pool:
        found = pool.map(lambda ref: _pulled(ref, built, runner) or _substitute(ref, built, runner), missing)
        return [*given.values(), *found]


def _from_archives(folder: Path, built: Built, runner: Runner) -> dict[str, Image]:
    """The images of the user's archives by their reference."""
    if not folder.is_dir():
        raise LabError(f"--images {folder} is not a folder; expected a folder of OCI or docker archives (*.tar)")
    images = [_from_archive(file, built, runner) for file in sorted(folder.glob("*.tar"))]
    return {image.ref: image for image in images}


def _from_archive(file: Path, built: Built, runner: Runner) -> Image:
    """Copy the user's archive, once, into an OCI archive. The copying also checks every digest in it."""
    kind, ref = _name(file)
    stat = file.stat()
    key = digest_of(str(file.resolve()), str(stat.st_mtime_ns), str(stat.st_size))

    def copy(path: Path) -> None:
        source = f"{kind}:/srv/archives/{file.name}:{ref}"
        _skopeo(built, runner, f"checking {file.name}", source, path, ref, file.parent)

    archive = whole(IMAGES / f"archive-{key}.tar", copy)
    described = oci.read(archive)
    if described.platform != f"linux/{oci.ARCHITECTURE}":
        remove(archive)
        raise LabError(
            f"image archive {file} is for {described.platform}; this machine is linux/{oci.ARCHITECTURE}: "
            f"copy it again with skopeo --override-arch {oci.ARCHITECTURE}"
        )
    return Image(ref, "archive", described.digest, _origin(file), archive)


def _name(archive: Path) -> tuple[str, str]:
    """The kind of an archive ("oci-archive" or "docker-archive") and its reference."""
    try:
        kind, refs = oci.names(archive)
    except (OSError, tarfile.TarError, ValueError) as error:
        reason = str(error).partition("\n")[0].rstrip(":")  # tarfile adds a line for each compression that it tries
        message = f"image archive {archive} is corrupt or incomplete ({reason}): copy it again with skopeo"
        raise LabError(message) from error
    if len(refs) != 1:
        raise LabError(
            f"image archive {archive} contains {len(refs)} names ({', '.join(refs)}); expected one: "
            "save each to a file of its own"
        )
    return kind, refs[0]


def _origin(archive: Path) -> str:
    """The first line with text of NAME.txt beside NAME.tar, which says where the image is from."""
    try:
        lines = archive.with_suffix(".txt").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    stated = (" ".join(line.split()) for line in lines if line.strip())
    return next(stated, f"archive {archive.name}, origin not stated")


def _pulled(ref: str, built: Built, runner: Runner) -> Image | None:
    """Pull the image. Return None if the registry is unreachable or the pull fails."""
    host = ref.split("/")[0].replace("docker.io", "registry-1.docker.io")
    if ref.startswith(OWN_IMAGES) or not _reachable(host):
        return None

    def pull(path: Path) -> None:
        runner.report(f"pulling {ref}")
        _skopeo(built, runner, f"pulling {ref}", f"docker://{ref}", path, ref, IMAGES)

    try:
        archive = whole(IMAGES / f"pulled-{digest_of(ref)}.tar", pull)
    except LabError as error:
        if runner.stopped:
            raise
        runner.report(f"{error}; the lab uses its substitute")
        return None
    return Image(ref, "pulled", oci.read(archive).digest, f"pulled from {host}", archive)


def _reachable(host: str) -> bool:
    """Whether the registry accepts a connection in time."""
    connected = threading.Event()

    def connect() -> None:
        with contextlib.suppress(OSError):
            socket.create_connection((host, 443), _REACH_S).close()
            connected.set()

    # A DNS lookup without an answer outlasts the timeout of the connection. It must not delay the end of this process.
    attempt = threading.Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(_REACH_S)
    return connected.is_set()


def _substitute(ref: str, built: Built, runner: Runner) -> Image:
    """Build the image's substitute, once."""
    name = ref.rpartition(":")[0]
    if name not in SUBSTITUTES:
        raise LabError(
            f"image {ref} is in no archive and its registry is unreachable: put an archive of it into --images DIR"
        )
    substitute = SUBSTITUTES[name]
    key = digest_of(ref, *_ingredients(substitute, built))
    path = IMAGES / f"{substitute.source}-{Path(name).name}-{key}.tar"
    archive = whole(path, lambda temporary: _build_substitute(ref, substitute, built, runner, temporary))
    note = substitute.note.format(distribution=_distribution())
    return Image(ref, substitute.source, oci.read(archive).digest, note, archive)


def _ingredients(substitute: Substitute, built: Built) -> list[str]:
    """All that the image is made from. It is built again when one of these changes."""
    ingredients = [repr(replace(substitute, note="")), inspect.getsource(debian)]
    if substitute.packages:
        ingredients.append(_distribution())
    if substitute.hook:
        ingredients.append((SCRIPTS / substitute.hook).read_text())
    if substitute.program:
        program = (built.parts / substitute.program[0]).stat()
        ingredients.append(f"{program.st_size} {program.st_mtime_ns}")
    return ingredients


def _distribution() -> str:
    """This machine's distribution and release, for example "Debian bookworm". Its apt provides the packages."""
    release = platform.freedesktop_os_release()
    return f"{release['ID'].capitalize()} {release.get('VERSION_CODENAME', '')}".rstrip()


def _build_substitute(ref: str, substitute: Substitute, built: Built, runner: Runner, target: Path) -> None:
    layer = target.with_name(f"{target.name}.layer.tar")
    hooks = [SCRIPTS / substitute.hook] if substitute.hook else []
    try:
        if substitute.packages:
            debian(runner, layer, substitute.packages, "extract", *hooks)
        with tarfile.open(layer, "a") as files:
            if substitute.program:
                program, path = substitute.program
                files.add(built.parts / program, path.lstrip("/"))
        oci.write(target, ref, layer, dict(substitute.config))
    finally:
        remove(layer)


def _skopeo(built: Built, runner: Runner, title: str, source: str, target: Path, ref: str, archives: Path) -> None:
    """Copy an image into an OCI archive with skopeo from the lab's root, in a mount namespace."""
    runner.run(
        title,
        ["unshare", "--mount", "sh", SCRIPTS / "skopeo.sh", built.root, archives, IMAGES, "copy", "--quiet",
         "--insecure-policy", "--tmpdir=/srv/images", source, f"oci-archive:/srv/images/{target.name}:{ref}"],
        timeout_s=600,
    )  # fmt: skip


def listed(images: list[Image]) -> str:
    """A table of the images: reference, source, digest, note."""
    return "\n".join(f"{image.ref:<46} {image.source:<9} {image.digest[:19]}…  {image.note}" for image in images)
