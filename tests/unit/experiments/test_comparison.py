"""What is counted of each way."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from git_to_pod.experiments.alternatives import flux
from git_to_pod.experiments.alternatives.candidate import BIG_BYTES
from git_to_pod.experiments.alternatives.comparison import FLUX, PATCHING, limit_of
from tests.samples import SETTINGS

NOTHING = cast(Any, None)


def test_flux_is_asked_for_its_limit_until_it_has_complained(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([None, None, 1 << 20])
    monkeypatch.setattr(flux, "limit", lambda *_: next(answers))
    assert limit_of(NOTHING, cast(Any, SimpleNamespace(approach=FLUX, settings=SETTINGS))) == 1 << 20


def test_a_way_that_says_no_limit_has_that_of_the_file_that_it_did_not_take() -> None:
    assert limit_of(NOTHING, cast(Any, SimpleNamespace(approach=PATCHING, settings=SETTINGS))) == BIG_BYTES
