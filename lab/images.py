"""Where each image comes from: an archive the user has, else a pull, else what the lab makes of packages."""

import inspect
import re
import socket
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
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
    """`source`: archive, pulled, built (the real program, from packages) or stand-in (a small program of ours)."""

    ref: str
    source: str
    digest: str
    note: str
    archive: Path

    def public(self) -> dict[str, str]:
        """Its row in lab.json and summary.json."""
        return {key: value for key, value in asdict(self).items() if key != "archive"}


@dataclass(frozen=True)
class Substitute:
    """How to make an image of packages: `packages` from Debian, `program` from the Go parts, the image's `config`."""

    source: str
    note: str
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
        "built", "Debian's nginx", {"Entrypoint": [], "Cmd": ["nginx"], "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]},
        packages=("nginx", "dash", "coreutils"), hooks=('mkdir -p "$1/tmp" && chmod 1777 "$1/tmp"',),
    ),
    "registry.k8s.io/git-sync/git-sync": Substitute(
        "stand-in", "a small program over Debian's git, not git-sync",
        {"Entrypoint": ["/git-sync"], "User": "65533:65533", "WorkingDir": "/tmp",
         "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "GITSYNC_ROOT=/git"]},
        packages=(
            "git", "openssh-client", "curl", "ca-certificates", "dash", "coreutils", "grep", "sed", "gzip", "socat",
        ),
        program=("git-sync", "/git-sync"), hooks=(_ACCOUNTS,),
    ),
    "ghcr.io/stakater/reloader": Substitute(
        "stand-in", "a small program, not Reloader", {"Entrypoint": ["/manager"], "User": "65532:65532"},
        program=("reloader", "/manager"),
    ),
    "lab.git-to-pod.test/coredns": Substitute(
        "built", "CoreDNS", {"Entrypoint": ["/coredns"]}, program=("coredns", "/coredns"),
    ),
    "lab.git-to-pod.test/pause": Substitute(
        "built", "the pods' first process, ours", {"Entrypoint": ["/pause"], "User": "65535:65535"},
        program=("pause", "/pause"),
    ),
}  # fmt: skip


def references() -> list[str]:
    """Every image that the manifests and the lab's own objects name."""
    files = [*MANIFESTS.glob("*.yaml"), Path(__file__).parent / "config" / "coredns.yaml"]
    found = {ref for file in files for ref in re.findall(r"^\s*(?:- )?image: *(\S+)", file.read_text(), re.MULTILINE)}
    pause = re.search(r'sandbox = "(.+)"', (Path(__file__).parent / "config" / "containerd.toml").read_text())
    assert pause, "config/containerd.toml names the sandbox image"
    return sorted({*found, pause[1]})


def resolve(built: Built, archives: Path | None, runner: Runner) -> list[Image]:
    """Find an archive for every reference, and take whatever else the user's folder holds."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    given = _given(built, archives, runner) if archives else {}
    missing = [ref for ref in references() if ref not in given]
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda ref: _pulled(ref, built, runner) or _made(ref, built, runner), missing)
        return [*given.values(), *found]


def _given(built: Built, folder: Path, runner: Runner) -> dict[str, Image]:
    """The user's archives, each copied once into one form, which also checks every digest in it."""
    if not folder.is_dir():
        raise LabError(f"--images {folder} is not a folder; expected one with OCI or docker archives (*.tar)")
    found: dict[str, Image] = {}
    for file in sorted(folder.glob("*.tar")):
        try:
            kind, refs = oci.names(file)
        except (OSError, tarfile.TarError, KeyError, ValueError) as error:
            raise LabError(f"image archive {file} is corrupt or none ({error}): copy it again with skopeo") from error
        if len(refs) != 1:
            raise LabError(f"image archive {file} names {len(refs)} images {refs}; expected one: copy each by itself")
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
        found[ref] = Image(ref, "archive", described.digest, file.name, copy)
    return found


def _pulled(ref: str, built: Built, runner: Runner) -> Image | None:
    """The image from its registry, if one answers."""
    host = ref.split("/")[0].replace("docker.io", "registry-1.docker.io")
    if ref.startswith("lab.git-to-pod.test/") or not _reachable(host):
        return None

    def pull(path: Path) -> None:
        runner.report(f"pulling {ref}")
        _skopeo(built, runner, f"pulling {ref}", f"docker://{ref}", path, ref, IMAGES)

    try:
        archive = whole(IMAGES / f"pulled-{digest_of(ref)}.tar", pull)
    except LabError as error:
        runner.report(f"{error}; the offline substitute is used")
        return None
    return Image(ref, "pulled", oci.read(archive).digest, host, archive)


def _reachable(host: str) -> bool:
    # a resolver without an answer takes far longer than any limit, so the wait is in a thread that is left behind
    pool = ThreadPoolExecutor(max_workers=1)
    try:
        pool.submit(lambda: socket.create_connection((host, 443), _REACH_S).close()).result(_REACH_S)
    except (OSError, TimeoutError):
        return False
    finally:
        pool.shutdown(wait=False)
    return True


def _made(ref: str, built: Built, runner: Runner) -> Image:
    name = ref.rpartition(":")[0]
    if name not in SUBSTITUTES:
        raise LabError(f"image {ref} is in no archive and no registry answers: put an archive of it into --images DIR")
    substitute = SUBSTITUTES[name]
    made_of = [repr(substitute), inspect.getsource(debian)]
    if substitute.program:
        program = (built.parts / substitute.program[0]).stat()
        made_of.append(f"{program.st_size} {program.st_mtime_ns}")
    key = digest_of(ref, *made_of)
    archive = whole(IMAGES / f"{substitute.source}-{Path(name).name}-{key}.tar", _maker(ref, substitute, built, runner))
    return Image(ref, substitute.source, oci.read(archive).digest, substitute.note, archive)


def _maker(ref: str, substitute: Substitute, built: Built, runner: Runner) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        layer = path.with_suffix(".layer.tar")
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
    """Copy an image into an OCI archive with the skopeo of the lab's root, in mounts of its own."""
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
    """A table for a person: reference, source, digest, note."""
    return "\n".join(f"{image.ref:<46} {image.source:<9} {image.digest[:19]}…  {image.note}" for image in images)
