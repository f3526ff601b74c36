"""Find each image: the user's archive, else a pull from the registry, else a substitute that the lab builds."""

import contextlib
import inspect
import platform
import re
import socket
import tarfile
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lab import oci
from lab.build import Built, debian, digest_of, remove, whole
from lab.errors import LabError
from lab.paths import CACHE, MANIFESTS
from lab.tools import Runner

IMAGES = CACHE / "images"
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
    hooks: tuple[str, ...] = ()


_ACCOUNTS = (
    'mkdir -p "$1/git" "$1/tmp" && chmod 1777 "$1/tmp" && chown 65533:65533 "$1/git" && '
    'echo "root:x:0:0::/root:/bin/sh\ngit-sync:x:65533:65533::/tmp:/sbin/nologin" > "$1/etc/passwd" && '
    'echo "root:x:0:\ngit-sync:x:65533:" > "$1/etc/group"'
)
SUBSTITUTES = {
    "docker.io/library/nginx": Substitute(
        "built", "nginx from {distribution}'s packages, in place of this image",
        {"Entrypoint": [], "Cmd": ["nginx"], "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]},
        packages=("nginx", "dash", "coreutils"), hooks=('mkdir -p "$1/tmp" && chmod 1777 "$1/tmp"',),
    ),
    "registry.k8s.io/git-sync/git-sync": Substitute(
        "stand-in", "stand-in: a small program of this project over {distribution}'s git, not git-sync",
        {"Entrypoint": ["/git-sync"], "User": "65533:65533", "WorkingDir": "/tmp",
         "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "GITSYNC_ROOT=/git"]},
        packages=(
            "git", "openssh-client", "curl", "ca-certificates", "dash", "coreutils", "grep", "sed", "gzip", "socat",
        ),
        program=("git-sync", "/git-sync"), hooks=(_ACCOUNTS,),
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
    files = [*MANIFESTS.glob("*.yaml"), Path(__file__).parent / "config" / "coredns.yaml"]
    found = {ref for file in files for ref in re.findall(r"^\s*(?:- )?image: *(\S+)", file.read_text(), re.MULTILINE)}
    pause = re.search(r'sandbox = "(.+)"', (Path(__file__).parent / "config" / "containerd.toml").read_text())
    assert pause, "config/containerd.toml names the sandbox image"
    return sorted({*found, pause[1]})


def resolve(built: Built, archives: Path | None, runner: Runner) -> list[Image]:
    """Find or build an archive for every reference. Include all other archives in the user's folder."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    given = _given(built, archives, runner) if archives else {}
    missing = [ref for ref in references() if ref not in given]
    with runner.pool() as pool:
        found = pool.map(lambda ref: _pulled(ref, built, runner) or _made(ref, built, runner), missing)
        return [*given.values(), *found]


def _given(built: Built, folder: Path, runner: Runner) -> dict[str, Image]:
    """Copy each of the user's archives once into an OCI archive. The copying also checks every digest in it."""
    if not folder.is_dir():
        raise LabError(f"--images {folder} is not a folder; expected a folder of OCI or docker archives (*.tar)")
    found: dict[str, Image] = {}
    for file in sorted(folder.glob("*.tar")):
        try:
            kind, refs = oci.names(file)
        except (OSError, tarfile.TarError, ValueError) as error:
            reason = str(error).partition("\n")[0].rstrip(":")  # tarfile adds a line for each compression that it tries
            raise LabError(
                f"image archive {file} is corrupt or incomplete ({reason}): copy it again with skopeo"
            ) from error
        if len(refs) != 1:
            raise LabError(
                f"image archive {file} contains {len(refs)} names ({', '.join(refs)}); expected one: "
                "save each to a file of its own"
            )
        ref, stat = refs[0], file.stat()
        copy = whole(
            IMAGES / f"archive-{digest_of(str(file.resolve()), str(stat.st_mtime_ns), str(stat.st_size))}.tar",
            lambda path, kind=kind, file=file, ref=ref: _skopeo(  # type: ignore[misc]
                built, runner, f"checking {file.name}", f"{kind}:/srv/archives/{file.name}:{ref}", path, ref, folder
            ),
        )
        described = oci.read(copy)
        if described.platform != f"linux/{oci.ARCHITECTURE}":
            remove(copy)
            raise LabError(
                f"image archive {file} is for {described.platform}; this machine is linux/{oci.ARCHITECTURE}: "
                f"copy it again with skopeo --override-arch {oci.ARCHITECTURE}"
            )
        found[ref] = Image(ref, "archive", described.digest, _origin(file), copy)
    return found


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
    if ref.startswith("lab.git-to-pod.test/") or not _reachable(host):
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


def _made(ref: str, built: Built, runner: Runner) -> Image:
    name = ref.rpartition(":")[0]
    if name not in SUBSTITUTES:
        raise LabError(
            f"image {ref} is in no archive and its registry is unreachable: put an archive of it into --images DIR"
        )
    substitute = SUBSTITUTES[name]
    made_of = [repr(replace(substitute, note="")), inspect.getsource(debian)]
    if substitute.packages:
        made_of.append(_distribution())
    if substitute.program:
        program = (built.parts / substitute.program[0]).stat()
        made_of.append(f"{program.st_size} {program.st_mtime_ns}")
    key = digest_of(ref, *made_of)
    archive = whole(IMAGES / f"{substitute.source}-{Path(name).name}-{key}.tar", _maker(ref, substitute, built, runner))
    note = substitute.note.format(distribution=_distribution())
    return Image(ref, substitute.source, oci.read(archive).digest, note, archive)


def _distribution() -> str:
    """This machine's distribution and release, for example "Debian bookworm". Its apt provides the packages."""
    release = platform.freedesktop_os_release()
    return f"{release['ID'].capitalize()} {release.get('VERSION_CODENAME', '')}".rstrip()


def _maker(ref: str, substitute: Substitute, built: Built, runner: Runner) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        layer = path.with_name(f"{path.name}.layer.tar")
        try:
            if substitute.packages:
                debian(runner, layer, substitute.packages, "extract", *substitute.hooks)
            with tarfile.open(layer, "a") as files:
                if substitute.program:
                    program, inside = substitute.program
                    files.add(built.parts / program, inside.lstrip("/"))
            oci.write(path, ref, layer, dict(substitute.config))
        finally:
            remove(layer)

    return make


def _skopeo(built: Built, runner: Runner, title: str, source: str, target: Path, ref: str, archives: Path) -> None:
    """Copy an image into an OCI archive with skopeo from the lab's root, in a mount namespace."""
    script = (
        'cd "$1" && mount --bind "$2" srv/archives && mount --bind "$3" srv/images && mount -t tmpfs tmpfs run && '
        'mount --rbind /proc proc && mount --bind /etc/resolv.conf etc/resolv.conf && shift 3 && exec chroot . "$@"'
    )
    runner.run(
        title,
        ["unshare", "--mount", "sh", "-c", script, "sh", built.root, archives, IMAGES, "skopeo", "copy", "--quiet",
         "--insecure-policy", "--tmpdir=/srv/images", source, f"oci-archive:/srv/images/{target.name}:{ref}"],
        timeout_s=600,
    )  # fmt: skip


def listed(images: list[Image]) -> str:
    """A table of the images: reference, source, digest, note."""
    return "\n".join(f"{image.ref:<46} {image.source:<9} {image.digest[:19]}…  {image.note}" for image in images)
