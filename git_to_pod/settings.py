"""The parameters of a run, checked and completed into the Settings that the other modules use."""

from __future__ import annotations

import codecs
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import Field, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import durationpy

if TYPE_CHECKING:
    from lab import Lab

ROOT = Path(__file__).parent.parent


class InputError(ValueError):
    """The user's input is invalid. The message is one line: the value, what was expected, and what to do."""


def parameter(default: str | int | bool, text: str) -> Any:  # noqa: ANN401  # as dataclasses.field
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Parameters:
    """The parameters of the notebook, papermill and the command line. The help texts are those of all three."""

    context: str = parameter("", "kubeconfig context of the cluster; empty: the embedded lab")
    kubeconfig: str = parameter("", "kubeconfig file; empty: $KUBECONFIG or ~/.kube/config")
    namespace: str = parameter("git-to-pod", "namespace that the run creates, and deletes at the end")
    repository: str = parameter("", "repository URL for the pods, https:// or ssh://; empty: the lab's repository")
    push_url: str = parameter("", "repository URL for pushes from this machine; empty: same as repository")
    credentials: str = parameter(
        "", "folder of the read account: username, password, ca.crt, ssh-privatekey, known_hosts"
    )
    push_credentials: str = parameter("", "folder of the push account, which pushes the test commits; same files")
    username: str = parameter("", "user name of the read account; empty: the file username in credentials")
    push_username: str = parameter("", "user name of the push account; empty: the file username in push_credentials")
    ref: str = parameter("main", "branch that the pods follow; test commits are pushed to it")
    period: str = parameter("1s", "git-sync's poll interval, such as 500ms, 10s or 1m")
    replicas: int = parameter(2, "number of replicas of the app")
    commits: int = parameter(20, "number of test commits; each baseline gets as many restarts")
    seed: int = parameter(1, "random seed for the order and the offsets of the trials")
    timeout: int = parameter(60, "timeout of each wait, in seconds")
    output: str = parameter("", "folder for the report and its data; empty: reports/<time>")
    keep: bool = parameter(False, "keep the namespace at the end")


@dataclass(frozen=True, repr=False)  # no repr: secrets must not reach a traceback or a cell's output
class Credentials:
    """One account on the git host. Empty fields are not used."""

    username: str = ""
    password: str = ""
    ca_crt: str = ""
    ssh_privatekey: str = ""
    known_hosts: str = ""

    def files(self) -> dict[str, str]:
        """The fields that are not empty, by their file names in the Secret git-credentials and in a folder."""
        named = {
            "password": self.password,
            "ca.crt": self.ca_crt,
            "ssh-privatekey": self.ssh_privatekey,
            "known_hosts": self.known_hosts,
        }
        return {name: text for name, text in named.items() if text}


def running_lab() -> Lab | None:
    """The embedded lab if it is running, else None."""
    from lab import LabError, client  # only here: a run with --context needs none of the lab's dependencies

    try:
        return client.find()
    except LabError:
        return None


@dataclass(frozen=True)
class Settings:
    """Everything a run needs: checked, complete and consistent."""

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
        """Whether the git host is a Service in the pods' own cluster."""
        return (urlsplit(self.repository).hostname or "").endswith((".svc", ".svc.cluster.local"))

    @property
    def reader_url(self) -> str:
        """The URL from which this machine reads: it may not resolve the host name in the pods' URL."""
        same_way = urlsplit(self.push_url).scheme == urlsplit(self.repository).scheme
        return self.push_url if same_way else self.repository


def resolve(given: Parameters) -> Settings:
    """Check the parameters, and take empty ones from the running lab. Raises InputError."""
    check_values(given)
    lab = None if given.context else running_lab()
    if not given.context and not lab:
        raise InputError("no cluster: start the lab (scripts/lab up), or name a kubeconfig context (--context NAME)")
    lab_git_host = None if given.repository else lab  # the lab's push URL and credentials fit its repository only
    repository = url(given.repository or (lab_git_host.repository if lab_git_host else ""), "--repository")
    push_url = url(given.push_url or (lab_git_host.push_url if lab_git_host else repository), "--push-url")
    folder = given.credentials or (lab_git_host.git_credentials if lab_git_host else "")
    push_folder = given.push_credentials or (lab_git_host.push_credentials if lab_git_host else folder)
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
    """The source of the notebook's parameters cell: `name: type = value  # help`, as papermill parses it."""
    lines = [
        f"{f.name}: {type(f.default).__name__} = {literal(getattr(given, f.name))}  # {f.metadata['help']}"
        for f in fields(Parameters)
    ]
    return "\n".join(lines)


def literal(value: str | int | bool) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def settings_from(names: Mapping[str, Any]) -> Settings:
    """The Settings for a notebook, from its global names."""
    return resolve(Parameters(**{f.name: names[f.name] for f in fields(Parameters)}))


def new_report_folder() -> Path:
    return ROOT / "reports" / datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")


LONGEST_PERIOD_S = 86_400
MOST = {"replicas": 1000, "commits": 10_000, "timeout": 86_400}


def check_values(given: Parameters) -> None:
    """The checks that need neither the cluster nor the repository. Raises InputError."""
    for f in fields(Parameters):
        check_type(f, getattr(given, f.name))
    for name in ("replicas", "commits", "timeout"):
        if getattr(given, name) < 1:
            raise InputError(f"--{name} {getattr(given, name)}: expected 1 or more")
        if getattr(given, name) > MOST[name]:
            raise InputError(f"--{name} {getattr(given, name)}: expected at most {MOST[name]:,}")
    period_s = duration_s(given.period)
    if period_s < 0.1:
        raise InputError(f"--period {given.period}: expected 100ms or longer")
    if period_s > LONGEST_PERIOD_S:
        raise InputError(f"--period {given.period}: expected at most 24h")
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", given.namespace):
        raise InputError(f"--namespace {given.namespace!r}: expected a DNS label such as git-to-pod")
    if not is_branch_name(given.ref):
        raise InputError(f"--ref {given.ref!r}: expected a branch name such as main")


def is_branch_name(text: str) -> bool:
    """Whether git allows this name for a branch, by the rules of `git check-ref-format --branch`."""
    part = r"(?!\.)[^\x00-\x20\x7f~^:?*\[\\/]+(?<!\.lock)"
    return text != "HEAD" and bool(re.fullmatch(rf"(?!-)(?!.*(\.\.|@\{{)){part}(/{part})*(?<!\.)", text))


def check_type(f: Field[Any], value: object) -> None:
    kind = type(f.default)
    if type(value) is not kind:
        raise InputError(f"--{f.name.replace('_', '-')} {value!r}: expected {kind.__name__}, such as {f.default!r}")
    if isinstance(value, str) and not is_text(value):
        raise InputError(f"--{f.name.replace('_', '-')} {value!r}: expected text in UTF-8")


def is_text(value: str) -> bool:
    """Whether the command line or the environment gave it as UTF-8: other bytes become lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def duration_s(text: str) -> float:
    """Seconds of a duration in Go's notation, which is git-sync's."""
    # durationpy also has days and more, which Go does not.
    if re.fullmatch(r"(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))+", text):
        with suppress(OverflowError, durationpy.DurationError):  # too long for a timedelta
            return float(durationpy.from_str(text).total_seconds())
    raise InputError(f"--period {text!r}: expected a duration such as 500ms, 10s or 1m30s")


def url(text: str, option: str) -> str:
    """Check a git URL: both this machine and git-sync can use it, and it holds no credentials."""
    if not text:
        raise InputError(
            f"{option} is missing: with --context, give the https:// or ssh:// URL of a private repository, "
            "or use scripts/evaluate or scripts/notebook, which deploy a temporary git host"
        )
    shown = without_secrets(text)
    if not is_git_url(text):
        raise InputError(f"{option} {shown}: expected https://HOST/PATH or ssh://git@HOST/PATH")
    parts = urlsplit(text)
    if parts.password or (parts.username and parts.scheme == "https") or parts.query or parts.fragment:
        raise InputError(f"{option} {shown}: expected no credentials in the URL; put them in a folder (--credentials)")
    return text


def is_git_url(text: str) -> bool:
    """Whether it is https://HOST/PATH or ssh://HOST/PATH, perhaps with a user, a port or a query."""
    try:
        parts = urlsplit(text)
        valid_port = parts.port is None or parts.port > 0
    except ValueError:  # of a port that is no number, or an address in brackets
        return False
    plain = not re.search(r"[\s\x00-\x1f\x7f]", text)
    return plain and valid_port and parts.scheme in ("https", "ssh") and bool(parts.hostname) and len(parts.path) > 1


def without_secrets(url: str) -> str:
    """On one line, without query and fragment, and without what is before the last @, unless it is the user git."""
    line = " ".join(re.split("[?#]", url)[0].split())
    return re.sub(r"^([a-z+.-]+://)?(?!git@[^@]*$).*@", r"\1", line)


def existing(path: str, option: str) -> Path | None:
    if path and not Path(path).is_file():
        raise InputError(f"{option} {path}: no such file; give the path of an existing one")
    return Path(path).absolute() if path else None


def credentials_in_environment() -> list[str]:
    """The names of the environment variables that hold credentials for a run."""
    name = r"GIT_TO_POD_(PUSH_)?(PASSWORD|CA_CRT|SSH_PRIVATEKEY|KNOWN_HOSTS)"
    return [variable for variable in os.environ if re.fullmatch(name, variable)]


def credential_text(raw: bytes, where: str) -> str:
    """The text of a file or a variable, which may be in UTF-16, begin with a BOM or end its lines with CRLF.

    Raises InputError, and no error of the decoder: its text holds the secret.
    """
    encodings = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
    encoding = next((name for mark, name in encodings.items() if raw.startswith(mark)), "utf-8")
    text = raw.decode(encoding, errors="replace")
    if "\ufffd" in text or "\0" in text:
        raise InputError(f"{where}: expected text in UTF-8, or in UTF-16 with a byte order mark; save it as UTF-8")
    return text.replace("\r\n", "\n")


def file_content(path: Path, where: str) -> bytes:
    """The file's content, empty without a file. Raises InputError."""
    try:
        if path.exists() and not path.is_file():  # reading a named pipe would wait for ever
            raise InputError(f"{where}: expected a file, and it is a folder, a pipe or a device")
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({error.strerror}); check its permissions") from None


def load_credentials(folder: str, username: str, prefix: str, target: str, option: str) -> Credentials:
    """An account from a folder's files; variables such as GIT_TO_POD_[PUSH_]PASSWORD take precedence."""
    if folder and not Path(folder).is_dir():
        raise InputError(f"{option} {folder}: no such folder; give the path of an existing one")

    def read(name: str) -> str:
        variable = f"GIT_TO_POD_{prefix}{re.sub('[-.]', '_', name).upper()}"
        where = variable
        if raw := os.environb.get(variable.encode(), b""):
            text = credential_text(raw, where)
            if name not in ("username", "password"):
                text = re.sub(r"(\\r)?\\n", "\n", text)  # as CI systems keep several lines in one
        else:
            where = f"{option} {Path(folder, name)}"
            text = credential_text(file_content(Path(folder, name), where), where) if folder else ""
        text = text.rstrip("\r\n")
        if "-----BEGIN " in text and "\n" not in text:
            raise InputError(f"{where}: the line breaks are missing; give it with the line breaks of the original")
        # ssh refuses a key whose last line has no newline, and a variable often lacks it.
        return text and f"{text}\n"

    account = Credentials(
        username=username or read("username").strip(),
        password=read("password").rstrip("\n"),
        ca_crt=read("ca.crt"),
        ssh_privatekey=read("ssh-privatekey"),
        known_hosts=read("known_hosts"),
    )
    if urlsplit(target).scheme == "https" and not (account.username and account.password):
        raise InputError(
            f"no user name and password for {target}: put them in the files `username` and "
            f"`password` of a folder ({option} DIR), or set GIT_TO_POD_{prefix}PASSWORD and "
            f"{option.replace('credentials', 'username')}"
        )
    if urlsplit(target).scheme == "ssh" and not (account.ssh_privatekey and account.known_hosts):
        raise InputError(
            f"no key for {target}: put `ssh-privatekey` and `known_hosts` in a folder and pass it ({option} DIR)"
        )
    return account
