"""The report's colours as colour-blind readers see them."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest

from git_to_pod.report.charts.svg import NAMES
from git_to_pod.report.charts.trial_figures import SEGMENTS
from tests.one_run import ROOT

STYLE = (ROOT / "git_to_pod" / "report" / "templates" / "report" / "style.css").read_text()
COLOURS = {name: values for name, *values in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", STYLE)}
# Machado, Oliveira and Fernandes (2009), of linear red, green and blue, where a kind of cone is missing.
SEEN = {
    "all cones": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]


def lab(colour: str, seen: str) -> np.ndarray:
    """In CIE L*a*b*, where distances are about as large as they look; 2 can just be told apart."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = XYZ @ np.clip(SEEN[seen] @ linear, 0, 1) / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("dark", [0, 1], ids=["light", "dark"])
def test_neighbours_in_a_picture_can_be_told_apart(seen: str, dark: int) -> None:
    phases = [NAMES[colour] for *_, colour in SEGMENTS]
    pairs = [*pairwise(phases), ("chain-1", "restart-1"), ("chain-1", "plain")]
    for one, other in [*pairs, ("restart-1", "plain")]:
        distance = np.linalg.norm(lab(COLOURS[one][dark], seen) - lab(COLOURS[other][dark], seen))
        assert distance > 15, (one, other)


def test_every_colour_of_a_picture_has_a_light_and_a_dark_value() -> None:
    assert set(NAMES.values()) <= set(COLOURS)
