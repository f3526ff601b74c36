"""The files that a run writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def to_yaml(*objects: Mapping[str, Any]) -> str:
    """YAML documents in JSON's notation, where every string has quotes.

    PyYAML writes a string such as 1e5 without quotes, because YAML 1.1 sees no number in it. kustomize sees one.
    kustomize also refuses the two escapes that JSON needs for a character such as an emoji.
    """
    return "\n---\n".join(json.dumps(each, indent=1, ensure_ascii=False) for each in objects) + "\n"


def write_yaml(path: Path, *objects: Mapping[str, Any]) -> None:
    """Write YAML documents, in UTF-8. Raises OSError."""
    path.write_text(to_yaml(*objects), encoding="utf-8")


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
