"""What a run is told: the notebook's parameters, checked and turned into what the other modules use."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from lab import Lab

ROOT = Path(__file__).parent.parent


class InputError(ValueError):
    """Something the user gave cannot work: one line that names it, what was expected, and what to do."""


def parameter(default: str | int | bool, text: str) -> Any:  # noqa: ANN401  # as dataclasses.field
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Parameters:
    """What a user can set, for the notebook, papermill and the command line alike."""

    context: str = parameter("", "kubeconfig context of the cluster; empty: the embedded lab")
    kubeconfig: str = parameter("", "kubeconfig file; empty: $KUBECONFIG or ~/.kube/config")
    namespace: str = parameter("git-to-pod", "namespace that the run creates and removes again")
    repository: str = parameter("", "URL by which the pods read the repository, https:// or ssh://; empty: the lab's")
    push_url: str = parameter("", "URL by which this machine pushes; empty: the same as repository")
    credentials: str = parameter("", "folder: the cluster's username, password, ca.crt, ssh-privatekey, known_hosts")
    push_credentials: str = parameter("", "folder: the same files for the account that pushes the test commits")
    username: str = parameter("", "the cluster's user name; empty: the file username in credentials")
    push_username: str = parameter("", "user name that pushes; empty: the file username in push_credentials")
    ref: str = parameter("main", "branch that the pods follow; the test commits are pushed to it")
    period: str = parameter("1s", "how often git-sync polls, as 500ms, 10s or 1m")
    replicas: int = parameter(2, "replicas of the app")
    commits: int = parameter(20, "commits pushed, one trial each; as many restarts of each baseline")
    seed: int = parameter(1, "seed of the order and the offsets of the trials")
    timeout: int = parameter(60, "seconds that any one wait may take")
    output: str = parameter("", "folder for what the run leaves; empty: reports/<time>")
    keep: bool = parameter(False, "leave the namespace in place at the end")


@dataclass(frozen=True, repr=False)  # no repr: secrets must not reach a traceback or a cell's output
class Credentials:
    """One account at the git host. Empty fields are not used."""

    username: str = ""
    password: str = ""
    ca_crt: str = ""
    ssh_privatekey: str = ""
    known_hosts: str = ""

    def files(self) -> dict[str, str]:
        """The file names by which the Secret git-credentials and the folders know these fields."""
        named = {
            "password": self.password,
            "ca.crt": self.ca_crt,
            "ssh-privatekey": self.ssh_privatekey,
            "known_hosts": self.known_hosts,
        }
        return {name: text for name, text in named.items() if text}


def running_lab() -> Lab | None:
    """The embedded lab, if it is up."""
    from lab import LabError, client  # only here: with a cluster of their own nobody needs what the lab needs

    try:
        return client.find()
    except LabError:
        return None


@dataclass(frozen=True)
class Settings:
    """Parameters that hold together: everything the run needs, derived and checked."""

    context: str
    kubeconfig: Path | None
    namespace: str
    repository: str
    push_url: str
    reader: Credentials
    writer: Credentials
    ref: str
    period: str
    replicas: int
    commits: int
    seed: int
    timeout_s: float
    output: Path
    keep: bool
    lab: Lab | None

    @property
    def period_s(self) -> float:
        return duration_s(self.period)

    @property
    def git_host_inside(self) -> bool:
        """Whether the pods find the git host in their own cluster."""
        return (urlsplit(self.repository).hostname or "").endswith((".svc", ".svc.cluster.local"))

    @property
    def reader_url(self) -> str:
        """The repository as this machine reads it: pods may know the git host by a name that this machine does not."""
        same_way = urlsplit(self.push_url).scheme == urlsplit(self.repository).scheme
        return self.push_url if same_way else self.repository


def resolve(given: Parameters) -> Settings:
    """Check what was given, fill what was left empty from the lab, or say in one line what is wrong."""
    check_values(given)
    lab = None if given.context else running_lab()
    if not given.context and not lab:
        raise InputError("no cluster: start the lab (scripts/lab up), or name a kubeconfig context (--context NAME)")
    repository = url(given.repository or (lab.repository if lab else ""), "--repository")
    own = bool(given.repository)
    push_url = url(given.push_url or (repository if own or not lab else lab.push_url), "--push-url")
    folder = given.credentials or (lab.git_credentials if lab and not own else "")
    push_folder = given.push_credentials or (lab.push_credentials if lab and not own else folder)
    kubeconfig = given.kubeconfig or (lab.kubeconfig if lab else "")
    return Settings(
        context=given.context or (lab.context if lab else ""),
        kubeconfig=existing(kubeconfig, "--kubeconfig"),
        namespace=given.namespace,
        repository=repository,
        push_url=push_url,
        reader=load_credentials(folder, given.username, "", repository, "--credentials"),
        writer=load_credentials(push_folder, given.push_username, "PUSH_", push_url, "--push-credentials"),
        ref=given.ref,
        period=given.period,
        replicas=given.replicas,
        commits=given.commits,
        seed=given.seed,
        timeout_s=float(given.timeout),
        output=Path(given.output or new_report_folder()).absolute(),
        keep=given.keep,
        lab=lab,
    )


def parameters_cell(given: Parameters) -> str:
    """The notebook's cell of this tag with these values, as papermill and its reader want it."""
    lines = [
        f"{f.name}: {type(f.default).__name__} = {literal(getattr(given, f.name))}  # {f.metadata['help']}"
        for f in fields(Parameters)
    ]
    return "\n".join(lines)


def literal(value: str | int | bool) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def settings_from(names: Mapping[str, Any]) -> Settings:
    """The notebook's way in: pick the parameters out of its global names."""
    return resolve(Parameters(**{f.name: names[f.name] for f in fields(Parameters)}))


def new_report_folder() -> Path:
    return ROOT / "reports" / datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")


def check_values(given: Parameters) -> None:
    """What is wrong whatever the cluster and the repository are."""
    for f in fields(Parameters):
        check_type(f, getattr(given, f.name))
    for name in ("replicas", "commits", "timeout"):
        if getattr(given, name) < 1:
            raise InputError(f"--{name} {getattr(given, name)}: expected 1 or more")
    if duration_s(given.period) < 0.1:
        raise InputError(f"--period {given.period}: expected 100ms or longer")
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", given.namespace):
        raise InputError(f"--namespace {given.namespace!r}: expected a DNS label, as git-to-pod")
    if not re.fullmatch(r"(?!-)(?!.*(\.\.|//|@\{))[^\s~^:?*\[\\]+(?<![/.])", given.ref):
        raise InputError(f"--ref {given.ref!r}: expected the name of a branch, as main")


def check_type(f: Field[Any], value: object) -> None:
    kind = type(f.default)
    if type(value) is not kind:
        raise InputError(f"--{f.name.replace('_', '-')} {value!r}: expected {kind.__name__}, as {f.default!r}")


def duration_s(text: str) -> float:
    """A duration as Go writes it (git-sync's own notation), in seconds."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise InputError(f"--period {text!r}: expected a duration, as 500ms, 10s or 1m30s")
    return sum(float(number) * units[unit] for number, unit in parts)


def url(text: str, option: str) -> str:
    """A git URL of a kind that both this machine and git-sync can use, without credentials in it."""
    if not text:
        raise InputError(
            f"{option} is missing: with --context give the URL of a private repository, https:// or ssh:// "
            "(scripts/evaluate and scripts/notebook, without it, deploy a git host for the run)"
        )
    parts = urlsplit(text)
    if parts.scheme not in ("https", "ssh") or not parts.hostname or len(parts.path) < 2:
        raise InputError(f"{option} {text}: expected https://HOST/PATH or ssh://git@HOST/PATH")
    if parts.password or (parts.username and parts.scheme == "https"):
        shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        raise InputError(f"{option} {shown}: expected no credentials in the URL; put them in a folder (--credentials)")
    return text


def existing(path: str, option: str) -> Path | None:
    if path and not Path(path).is_file():
        raise InputError(f"{option} {path}: no such file")
    return Path(path).absolute() if path else None


def credentials_in_environment() -> list[str]:
    """The names of those that are set."""
    name = r"GIT_TO_POD_(PUSH_)?(PASSWORD|CA_CRT|SSH_PRIVATEKEY|KNOWN_HOSTS)"
    return [variable for variable in os.environ if re.fullmatch(name, variable)]


def load_credentials(folder: str, username: str, prefix: str, target: str, option: str) -> Credentials:
    """An account from the files of a folder; GIT_TO_POD_[PUSH_]PASSWORD and so on in the environment go over them."""
    if folder and not Path(folder).is_dir():
        raise InputError(f"{option} {folder}: no such folder")

    def read(name: str) -> str:
        told = os.environ.get(f"GIT_TO_POD_{prefix}{re.sub('[-.]', '_', name).upper()}", "")
        path = Path(folder, name)
        text = told or (path.read_text() if folder and path.is_file() else "")
        return (
            text and text.rstrip("\r\n") + "\n"
        )  # keys need the end of their last line, which the environment often loses

    found = Credentials(
        username=username or read("username").strip(),
        password=read("password").rstrip("\n"),
        ca_crt=read("ca.crt"),
        ssh_privatekey=read("ssh-privatekey"),
        known_hosts=read("known_hosts"),
    )
    if urlsplit(target).scheme == "https" and not (found.username and found.password):
        raise InputError(
            f"no user name and password for {target}: put them in the files `username` and "
            f"`password` of a folder ({option} DIR), or set GIT_TO_POD_{prefix}PASSWORD and "
            f"{option.replace('credentials', 'username')}"
        )
    if urlsplit(target).scheme == "ssh" and not (found.ssh_privatekey and found.known_hosts):
        raise InputError(
            f"no key for {target}: put `ssh-privatekey` and `known_hosts` in a folder and pass it ({option} DIR)"
        )
    return found
