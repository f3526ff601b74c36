"""Addresses and links: three point-to-point links, without a bridge or forwarding on the host.

    host .1 ──── .2 node .9 ──── .10 git host .6 ──── .5 host

All addresses are in 198.18.0.0/15, which RFC 2544 reserves for benchmarks. The node has no default route.
"""

import os
import socket

from lab.errors import ELSEWHERE, LabError
from lab.namespace import Namespace

NODE_ADDRESS = "198.18.0.2"
GIT_ADDRESS = "198.18.0.6"  # from the host
GIT_ADDRESS_FROM_NODE = "198.18.0.10"
GIT_NAME = "git.example.test"
GITEA_PORT, GITEA_SSH_PORT = 3000, 2222  # as in config/git/gitea.ini
POD_NETWORK = "198.18.64.0/18"
SERVICE_NETWORK = "198.18.128.0/18"
API_SERVICE = "198.18.128.1"
HOST_LINKS = {"g2p-node": "198.18.0.1/30", "g2p-git": "198.18.0.5/30"}

# Pods can reach the git host and nothing else. The git host can answer but cannot open a connection to the node.
NODE_RULES = f"""
table inet lab {{
  chain input {{
    type filter hook input priority 0; policy accept;
    iifname "git0" ct state established,related accept
    iifname "git0" drop
  }}
  chain forward {{
    type filter hook forward priority 0; policy accept;
    ct state established,related accept
    iifname {{ "git0", "host0" }} drop
    oifname "host0" drop
  }}
  chain postrouting {{
    type nat hook postrouting priority 100; policy accept;
    oifname "git0" ip saddr {POD_NETWORK} masquerade
  }}
}}
"""


def check_free() -> None:
    """Raise LabError if the host already uses the lab's addresses or interface names."""
    for name in links_left():
        raise LabError(f"network interface {name} exists already: remove it (ip link del {name}) {ELSEWHERE}")
    for address in (NODE_ADDRESS, GIT_ADDRESS, *(link.split("/")[0] for link in HOST_LINKS.values())):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((address, 0))
            except OSError:
                continue
        raise LabError(f"address {address} is in use on this machine; the lab needs 198.18.0.0/15: free it {ELSEWHERE}")


def connect(node: Namespace, git: Namespace) -> None:
    """Create the three links and the node's nftables rules. Each link disappears with the namespace of one end."""
    host = os.getpid()
    for space, link in ((node, "g2p-node"), (git, "g2p-git")):
        # `ip` comes from the namespace's root and runs in the host's network, so the host needs no iproute2
        veth = ("ip", "link", "add", link, "type", "veth", "peer", "name", "host0", "netns", "1")
        space.run(*veth, network_of=host)
        space.run("ip", "address", "add", HOST_LINKS[link], "dev", link, network_of=host)
        space.run("ip", "link", "set", link, "up", network_of=host)
    node.run("ip", "link", "add", "node0", "type", "veth", "peer", "name", "git0", "netns", "1", network_of=git.pid)
    for space, addresses in (
        (node, {"lo": None, "host0": f"{NODE_ADDRESS}/30", "git0": "198.18.0.9/30"}),
        (git, {"lo": None, "host0": f"{GIT_ADDRESS}/30", "node0": f"{GIT_ADDRESS_FROM_NODE}/30"}),
    ):
        for link, address in addresses.items():
            if address:
                space.run("ip", "address", "add", address, "dev", link)
            space.run("ip", "link", "set", link, "up")
    node.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    node.run("nft", "-f", "-", stdin=NODE_RULES)


def links_left() -> list[str]:
    """The lab's network interfaces that still exist on the host."""
    return [name for _, name in socket.if_nameindex() if name in HOST_LINKS]
