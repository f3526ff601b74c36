"""The arguments of scripts/lab."""

from pathlib import Path

import pytest

from lab.__main__ import parser


@pytest.mark.parametrize("verb", ["up", "images"])
def test_the_folder_of_images_is_relative_to_the_users_folder(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert parser().parse_args([verb, "--images", "./images"]).images == tmp_path / "images"
    assert parser().parse_args([verb]).images is None
