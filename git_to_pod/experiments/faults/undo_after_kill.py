"""Undoes what the faults of an interrupted run left in a lab that is still up."""

from __future__ import annotations

from pathlib import Path

import urllib3

from git_to_pod.experiments.faults.lab_operations import account_entry, replace_accounts
from lab import Lab, client

STOPPED = ("kube-apiserver", "kubelet", "containerd", "nginx")  # the components that an experiment stops


def restore(lab: Lab) -> None:
    """Start the stopped components, remove all toxics, and bring back the git host's accounts. Raises LabError."""
    for component in STOPPED:
        client.command("start", component)  # does nothing if it runs
    urllib3.request("POST", f"{lab.proxy_api}/reset", timeout=5, retries=False)
    accounts = dict(map(account_in, (lab.git_credentials, lab.push_credentials)))
    passwords = Path(lab.git_passwords)
    others = [
        line for line in passwords.read_text().splitlines(keepends=True) if line.partition(":")[0] not in accounts
    ]
    replace_accounts(passwords, "".join([*others, *accounts.values()]))


def account_in(folder: str) -> tuple[str, str]:
    """An account's name, and its line in the password file of the git host's nginx."""
    name, password = (Path(folder, file).read_text().strip() for file in ("username", "password"))
    return name, f"{account_entry(name, password)}\n"
