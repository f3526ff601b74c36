"""What is made of what the git hosts said."""

from __future__ import annotations

import math
from dataclasses import replace

from git_to_pod.providers import REFUSALS, SERVED, Row, conclusions, finding, kind_of, shortened, shown, wrong
from git_to_pod.settings import Credentials

READER = Credentials(
    username="reader", password="right", ca_crt="its CA", ssh_privatekey="its key", known_hosts="a,b ssh-ed25519 AAAA"
)
READ = Row("a host", "password", "by branch, as the poller", SERVED, SERVED, True, 1.2)
OLDER = Row(
    "old host", "password", "by a commit that is no longer the newest", "no such commit", "no such commit", True, 6.0
)


def test_a_refusal_is_told_from_a_host_that_is_away() -> None:
    assert kind_of("fatal: Authentication failed for 'https://a/'", "no way in") == "no way in"
    assert kind_of("Failed to connect to git.example.test port 443", "no way in") == ""


def test_another_refusal_than_the_expected_one_is_named() -> None:
    assert kind_of("Host key verification failed.", "no way in") == "not trusted"


def test_the_words_of_the_refusal_are_cut_out_of_the_log() -> None:
    log = '{"level":0,"error":"exit status 128: fatal: Authentication failed for \'https://a/\'","x":1}'
    assert shortened(log, "no way in") == "Authentication failed for 'https://a/'"


def test_one_thing_is_wrong_at_a_time() -> None:
    for authentication in ("password", "token", "deploy key"):
        for expected, reader in wrong(READER, authentication).values():
            changed = [name for name in ("password", "ca_crt", "ssh_privatekey", "known_hosts")
                       if getattr(reader, name) != getattr(READER, name)]  # fmt: skip
            assert len(changed) == 1
            assert expected in REFUSALS


def test_a_wrong_host_key_is_of_the_same_hosts() -> None:
    _, reader = wrong(READER, "deploy key")["wrong host key"]
    assert reader.known_hosts.startswith("a,b ssh-ed25519 ")


def test_the_finding_counts_what_ended_as_it_must() -> None:
    let_in = replace(READ, tried="wrong password", expected="no way in", held=False)
    assert finding([READ, let_in, OLDER]).startswith(
        "2 of 3 tries on 2 kinds of git host and account ended as they must; "
    )
    assert "no: expected “no way in”" in shown([READ, let_in])


def test_the_conclusion_says_only_what_was_found() -> None:
    assert conclusions([READ]) == []
    assert "from old host" in conclusions([READ, OLDER])[0]


def test_what_needed_no_pod_has_no_time() -> None:
    assert ">nan" not in shown([replace(READ, seconds=math.nan)])
    assert "embedded lab only" in shown([])
