"""Writes the files that a run leaves."""

from __future__ import annotations

from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a file, in UTF-8, so that a kill at any moment leaves its old text or its new one. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except BaseException:  # such as a full disk
        new.unlink(missing_ok=True)
        raise
