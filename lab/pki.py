"""Keys and certificates of the cluster, the git host and the git accounts. Each start creates new ones."""

import base64
import secrets
from dataclasses import dataclass
from pathlib import Path

import trustme
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from lab import network

API = f"https://{network.NODE_ADDRESS}:6443"
CONTEXT = "git-to-pod-lab"
NODE = "node"
# Kubernetes takes a certificate's common name as the user and its organisation as the group.
CLIENTS = {
    "admin": ("admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", None),
    "scheduler": ("system:kube-scheduler", None),
    "kubelet": (f"system:node:{NODE}", "system:nodes"),
    "kube-proxy": ("system:kube-proxy", None),
}


def make_cluster_pki(folder: Path) -> None:
    """Write ca.crt, apiserver.{crt,key}, service-account.key and one kubeconfig per client into `folder`."""
    folder.mkdir(parents=True)
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "ca.crt"))
    server = ca.issue_cert(
        network.NODE_ADDRESS, network.API_SERVICE, "127.0.0.1", "kubernetes.default", "kubernetes.default.svc", NODE
    )
    for name, certificate in {"apiserver": server, "service-account": ca.issue_cert("service-account")}.items():
        write_secret(folder / f"{name}.key", certificate.private_key_pem.bytes())
        (folder / f"{name}.crt").write_bytes(b"".join(part.bytes() for part in certificate.cert_chain_pems))
    for name, (user, group) in CLIENTS.items():
        # without a subject alternative name, Go rejects the certificate that trustme writes
        certificate = ca.issue_cert(f"{name}.lab.test", common_name=user, organization_name=group)
        write_secret(folder / f"{name}.crt", certificate.cert_chain_pems[0].bytes())
        write_secret(folder / f"{name}.key", certificate.private_key_pem.bytes())
        write_secret(folder / f"{name}.kubeconfig", _kubeconfig(folder, name).encode())


def _kubeconfig(folder: Path, name: str) -> str:
    def data(file: str) -> str:
        return base64.b64encode((folder / file).read_bytes()).decode()

    user = {"client-certificate-data": data(f"{name}.crt"), "client-key-data": data(f"{name}.key")}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": CONTEXT,
            "clusters": [{"name": CONTEXT, "cluster": {"server": API, "certificate-authority-data": data("ca.crt")}}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": name}}],
        }
    )


@dataclass(frozen=True)
class Account:
    """A git account. Its folder has username, password, ca.crt, ssh-privatekey, ssh-publickey and known_hosts."""

    name: str
    password: str
    ssh_public_key: str


def make_git_pki(folder: Path, accounts: dict[str, Path]) -> list[Account]:
    """Write the git host's TLS and SSH host keys into `folder`, and each account's credentials into its own folder."""
    names = (network.GIT_NAME, network.GIT_ADDRESS, network.GIT_ADDRESS_FROM_NODE)
    folder.mkdir(parents=True)
    ca = trustme.CA()
    server = ca.issue_cert(*names)
    write_secret(folder / "tls.key", server.private_key_pem.bytes())
    (folder / "tls.crt").write_bytes(b"".join(part.bytes() for part in server.cert_chain_pems))
    hosts = [*names, *(f"[{name}]:{network.GITEA_SSH_PORT}" for name in names)]
    known_hosts = f"{','.join(hosts)} {_ssh_key(folder / 'ssh_host_key')}\n"
    return [_make_account(name, credentials, ca, known_hosts) for name, credentials in accounts.items()]


def _make_account(name: str, folder: Path, ca: trustme.CA, known_hosts: str) -> Account:
    folder.mkdir(mode=0o700)
    password = secrets.token_urlsafe(24)
    (folder / "username").write_text(name)
    write_secret(folder / "password", password.encode())
    ca.cert_pem.write_to_path(str(folder / "ca.crt"))
    (folder / "known_hosts").write_text(known_hosts)
    public_key = _ssh_key(folder / "ssh-privatekey")
    (folder / "ssh-publickey").write_text(public_key)
    return Account(name, password, public_key)


def _ssh_key(path: Path) -> str:
    """Write a new private key to `path`. Return the public key."""
    private, public = new_ssh_key()
    write_secret(path, private.encode())
    return public


def new_ssh_key() -> tuple[str, str]:
    """Generate a key pair. Return the private and the public key in OpenSSH's format."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return private.decode(), key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def new_tls_ca() -> str:
    """The PEM certificate of a new CA, which has signed nothing."""
    return trustme.CA().cert_pem.bytes().decode()


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read."""
    path.touch(mode=0o600)
    path.write_bytes(content)
