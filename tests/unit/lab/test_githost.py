"""lab.githost: the accounts that nginx and sshd accept."""

from pathlib import Path

import pytest

from lab import githost
from lab.pki import Account


def test_the_accounts_have_one_password_format_and_their_own_forced_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(githost, "PASSWORDS", tmp_path / "accounts" / "passwords")
    githost._write_accounts(
        [Account("reader", "p1", "ssh-ed25519 AAAA1"), Account("writer", "p2", "ssh-ed25519 AAAA2")]
    )
    assert (tmp_path / "accounts" / "passwords").read_text() == "reader:{PLAIN}p1\nwriter:{PLAIN}p2\n"
    assert (tmp_path / "accounts" / "authorized_keys").read_text().splitlines() == [
        'command="/etc/lab/serve reader",restrict ssh-ed25519 AAAA1',
        'command="/etc/lab/serve writer",restrict ssh-ed25519 AAAA2',
    ]
    assert (tmp_path / "accounts").stat().st_mode & 0o007 == 0, "the passwords are readable"
