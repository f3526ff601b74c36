"""Numbers with their nouns, and lists, in English."""

from __future__ import annotations

from collections.abc import Sequence


def names(listed: Sequence[str]) -> str:
    return " and ".join([", ".join(listed[:-1]), listed[-1]] if len(listed) > 1 else listed)


def quoted(listed: Sequence[str]) -> str:
    """Names that contain commas or "and" themselves."""
    return names([f"“{name}”" for name in listed])


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun in the singular or the plural."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def all_of(number: int, noun: str) -> str:
    """As in "the pod", "both pods", "all 3 pods"."""
    return {1: f"the {noun}", 2: f"both {noun}s"}.get(number, f"all {number} {noun}s")


def sentence_case(text: str) -> str:
    """The text with a capital first letter. The others stay, as in "Flux owns the Deployment"."""
    return text[:1].upper() + text[1:]


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2f} s"


def millicores(cores: float) -> str:
    return f"{1000 * cores:,.0f} m"
