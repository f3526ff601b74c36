"""The Kubernetes node: its components as data, and the order in which they start."""

import http.client
import json
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

from lab import network, pki
from lab.errors import LabError
from lab.namespace import Namespace
from lab.paths import CONFIG, LOGS, RUN
from lab.process import Component, Process

FOLDER = RUN / "node"
PKI = FOLDER / "etc" / "pki"
DISK = FOLDER / "lib"
KUBECONFIG = PKI / "admin.kubeconfig"
_P = "/opt/parts/"
_E = "/etc/lab/"


def enter(root: Path, parts: Path) -> Namespace:
    """Create the node's namespace with its configuration, keys and disk."""
    shutil.copytree(CONFIG, FOLDER / "etc")
    pki.make_cluster_pki(PKI)
    (FOLDER / "log").mkdir()
    DISK.mkdir()
    binds = {"/etc/lab": FOLDER / "etc", "/var/lib": DISK, "/var/log": FOLDER / "log"}
    return Namespace("node", root, parts, binds, LOGS / "node.log")


class Node:
    """The node's running components."""

    def __init__(self, space: Namespace) -> None:
        self._space = space
        self.processes: dict[str, Process] = {}

    def start(self) -> None:
        """Start all components. Return once the node is Ready."""
        self._launch(etcd(), apiserver(), containerd(self._space))
        self.processes["containerd"].wait_ready()
        self.processes["kube-apiserver"].wait_ready()
        self._launch(kubelet(), controller_manager(), scheduler(), kube_proxy())
        self._apply(CONFIG / "coredns.yaml")
        self.processes["kubelet"].wait_ready()

    def wait_dns(self) -> None:
        """Wait until CoreDNS is rolled out."""
        self._kubectl("rollout", "status", "deployment/coredns", "--namespace=kube-system", "--timeout=60s")

    def _launch(self, *components: Component) -> None:
        for component in components:
            self.processes[component.name] = Process(self._space, component, LOGS)

    def _apply(self, manifest: Path) -> None:
        self._kubectl("apply", "--server-side", f"--filename={manifest}")

    def _kubectl(self, *arguments: str) -> None:
        kubectl = Path(sys.executable).with_name("kubectl")
        done = subprocess.run(
            [kubectl, f"--kubeconfig={KUBECONFIG}", *arguments],
            capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
        if done.returncode:
            raise LabError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")


def api_get(path: str) -> tuple[int, bytes]:
    """Send a GET request to the API server as the administrator. Return the HTTP status and the body; raise OSError."""
    context = ssl.create_default_context(cafile=str(PKI / "ca.crt"))
    context.load_cert_chain(PKI / "admin.crt", PKI / "admin.key")
    connection = http.client.HTTPSConnection(network.NODE_ADDRESS, 6443, context=context, timeout=2)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _api_error() -> str:
    try:
        status, _ = api_get("/readyz")
    except (OSError, http.client.HTTPException) as error:
        return f"/readyz: {error}"
    return "" if status == 200 else f"/readyz answered {status}"


def _node_error() -> str:
    try:
        status, body = api_get(f"/api/v1/nodes/{pki.NODE}")
    except (OSError, http.client.HTTPException) as error:
        return f"the API server: {error}"
    if status != 200:
        return f"node {pki.NODE} is not registered (HTTP {status})"
    conditions = {condition["type"]: condition for condition in json.loads(body)["status"].get("conditions", [])}
    ready = conditions.get("Ready", {"status": "Unknown", "message": "no condition yet"})
    return "" if ready["status"] == "True" else f"node {pki.NODE}: {ready['message']}"


def etcd() -> Component:
    """Runs without fsync, because the cluster's state need not outlive the lab."""
    return Component("etcd", [
        f"{_P}etcd", "--data-dir=/var/lib/etcd", "--unsafe-no-fsync", "--log-level=warn",
        "--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
    ])  # fmt: skip


def apiserver() -> Component:
    """Reaches kubelets by address, because no DNS knows the node's name."""
    return Component("kube-apiserver", [
        "env", "GOGC=300",  # uses more memory and less CPU, which is scarcer on a small machine
        f"{_P}kube-apiserver", "--etcd-servers=http://127.0.0.1:2379",
        f"--advertise-address={network.NODE_ADDRESS}", f"--service-cluster-ip-range={network.SERVICE_NETWORK}",
        f"--tls-cert-file={_E}pki/apiserver.crt", f"--tls-private-key-file={_E}pki/apiserver.key",
        f"--client-ca-file={_E}pki/ca.crt", "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--kubelet-client-certificate={_E}pki/admin.crt", f"--kubelet-client-key={_E}pki/admin.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={_E}pki/service-account.crt",
        f"--service-account-signing-key-file={_E}pki/service-account.key",
    ], _api_error)  # fmt: skip


# The controllers for volumes, quotas, clouds and certificates are left out: nothing uses them, and each takes time.
CONTROLLERS = (
    "clusterrole-aggregation", "cronjob", "daemonset", "deployment", "disruption", "endpointslice",
    "garbage-collector", "horizontal-pod-autoscaler", "job", "namespace", "node-lifecycle", "pod-garbage-collector",
    "replicaset", "root-ca-certificate-publisher", "serviceaccount", "serviceaccount-token", "statefulset",
    "taint-eviction",
)  # fmt: skip


def controller_manager() -> Component:
    """Runs without leader election, because there is only one. The same holds for the scheduler."""
    return Component("kube-controller-manager", [
        f"{_P}kube-controller-manager", f"--kubeconfig={_E}pki/controller-manager.kubeconfig",
        f"--root-ca-file={_E}pki/ca.crt", f"--service-account-private-key-file={_E}pki/service-account.key",
        "--use-service-account-credentials", "--leader-elect=false",
        f"--controllers={','.join(f'{name}-controller' for name in CONTROLLERS)}",
    ])  # fmt: skip


def scheduler() -> Component:
    """The default scheduler."""
    return Component("kube-scheduler", [
        f"{_P}kube-scheduler", f"--kubeconfig={_E}pki/scheduler.kubeconfig", "--leader-elect=false",
    ])  # fmt: skip


def kube_proxy() -> Component:
    """Implements Services with nftables in the node's network."""
    return Component("kube-proxy", [
        f"{_P}kube-proxy", f"--config={_E}kube-proxy.yaml", f"--hostname-override={pki.NODE}",
    ])  # fmt: skip


def containerd(space: Namespace) -> Component:
    """Ready once its socket exists."""
    socket = Path(f"/proc/{space.pid}/root/run/containerd/containerd.sock")
    return Component(
        "containerd",
        ["env", f"PATH={_P}:/usr/sbin:/usr/bin:/sbin:/bin", f"{_P}containerd", f"--config={_E}containerd.toml"],
        lambda: "" if socket.exists() else "its socket is missing",
    )


def kubelet() -> Component:
    """Ready once the API server reports the node as Ready."""
    return Component("kubelet", [
        f"{_P}kubelet", f"--config={_E}kubelet.yaml", f"--kubeconfig={_E}pki/kubelet.kubeconfig",
        f"--hostname-override={pki.NODE}", f"--node-ip={network.NODE_ADDRESS}",
    ], _node_error)  # fmt: skip
