"""The colours of figures: told apart with every kind of sight, and from the paper; markers tell without colour."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from maxbench.reports.show.figures.style import BAD, FAINT, GOOD, INK, LINES, MARKERS, PALETTE, PAPER, Styles

# How linear RGB is seen without one kind of cones. Source: G. M. Machado, M. M. Oliveira, L. A. F. Fernandes, "A
# physiologically-based model for simulation of color vision deficiency", IEEE TVCG 15, 2009, severity 1.
SIGHTS = {
    "full": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
# Linear RGB to cones, and their cube roots to OKLab. Source: B. Ottosson, "A perceptual color space for image
# processing", 2020.
CONES = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
]
LAB = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
]


def linear(color: str) -> np.ndarray:
    c = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def contrast(a: str, b: str) -> float:
    dark, light = sorted(float(linear(color) @ [0.2126, 0.7152, 0.0722]) for color in (a, b))
    return (light + 0.05) / (dark + 0.05)


def seen(color: str, sight: str) -> np.ndarray:
    return LAB @ np.cbrt(CONES @ np.clip(SIGHTS[sight] @ linear(color), 0, 1))


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("theme", [0, 1], ids=["white", "dark"])
def test_every_two_colours_can_be_told_apart(theme: int, sight: str) -> None:
    for a, b in itertools.combinations(PALETTE, 2):
        assert np.linalg.norm(seen(a[theme], sight) - seen(b[theme], sight)) > 0.09, (a[theme], b[theme])


@pytest.mark.parametrize("theme", [0, 1], ids=["white", "dark"])
def test_lines_and_ink_stand_out_from_the_paper(theme: int) -> None:
    assert min(contrast(color[theme], PAPER[theme]) for color in PALETTE) >= 3
    assert contrast(INK[theme], PAPER[theme]) >= 7
    # Replaced one by one in the page's figures, so none may be another.
    assert len({color[0] for color in (*PALETTE, INK, FAINT, PAPER, GOOD, BAD)}) == len(PALETTE) + 5
    # Of words, as small as 11 px; and what was lost is as plain as what was won.
    assert min(contrast(color[theme], PAPER[theme]) for color in (GOOD, BAD)) >= 7


def test_as_many_implementations_as_a_panel_shows_differ_without_colour() -> None:
    names = [f"plugin {i:02d}" for i in range(40)]
    styles = Styles(["naive", "numpy_vectorized", *names])
    marks = [styles[name].marker for name in names]
    assert all(len(set(marks[i : i + 12])) == 12 for i in range(len(marks) - 12))
    looks = {(styles[name].color, styles[name].marker, styles[name].line) for name in names}
    assert len(looks) == len(names)
    assert len(MARKERS) > 12
    assert len(set(LINES)) == len(LINES)
    # The same with others beside it.
    assert Styles(["naive"])["naive"] == styles["naive"]
