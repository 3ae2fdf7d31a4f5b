"""One colour, marker and line per implementation, the same in every figure, on white and on dark paper.

The colours were searched for the largest least distance of any two of them, with full sight and with each kind of
dichromacy (0.1 in OKLab, where 0.02 is just noticeable), at a contrast of 3:1 or more with their background; the
markers tell implementations apart without colour. An implementation of this project always has the same style; others
get theirs in alphabetical order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# (on white, on dark)
PALETTE = (
    ("#216dc7", "#6ab6ff"),
    ("#d07c3e", "#f59a00"),
    ("#526709", "#51a479"),
    ("#8c2173", "#b27ec1"),
    ("#906674", "#b4b6b7"),
    ("#9f8ab3", "#cf710e"),
    ("#350abf", "#8462a4"),
    ("#1691ff", "#52e0ff"),
    ("#561a32", "#fbc581"),
)
MARKERS = ("o", "s", "^", "D", "X", "v", "P", "*", "h", "<", ">", "d", "p")
LINES = ("-", "--", "-.", ":")
_FIXED = {"numpy_vectorized": 0, "numba_simple": 1, "numba_parallel": 2, "numba_cuda": 3, "naive": 4}

# Ink, faint ink and paper: (on white, on dark); unlike the palette's, so that one can be told from the other in SVG.
INK = ("#1b1c1d", "#e6e7e8")
FAINT = ("#c9cacb", "#44474c")
PAPER = ("#fffffe", "#15181d")
# Of what was won and what was lost: as strong as each other.
GOOD = ("#00603f", "#8ce6bf")
BAD = ("#8f2d00", "#ffb493")


@dataclass(frozen=True)
class Style:
    """How an implementation is drawn: colour on white, index of the palette, marker, line.

    `tag` is its class in SVG and on the page, by which all that shows it can be hidden or set off together.
    """

    color: str
    index: int
    marker: str
    line: str
    tag: str


class Styles:
    """The styles of all implementations of a report, and its panels' headings: with the run, where it has several."""

    def __init__(self, implementations: Iterable[str], runs: Iterable[str] = ()) -> None:
        self._several = len(set(runs)) > 1
        self._of: dict[str, Style] = {}
        names = sorted(set(implementations), key=lambda name: (name not in _FIXED, name))
        free = len(_FIXED)
        for number, name in enumerate(names):
            place = _FIXED.get(name)
            if place is None:
                place, free = free, free + 1
            color = place % len(PALETTE)
            marker, line = MARKERS[place % len(MARKERS)], LINES[place // len(PALETTE) % len(LINES)]
            self._of[name] = Style(PALETTE[color][0], color, marker, line, f"i{number}")

    def __getitem__(self, implementation: str) -> Style:
        return self._of[implementation]

    def heading(self, *words: str, run: str) -> str:
        """What a panel shows, from operation and dtype."""
        return ", ".join([*words, *([run] if self._several else [])])

    def __iter__(self) -> Iterator[str]:
        return iter(self._of)


def variables() -> list[tuple[str, str, str]]:
    """CSS variables of the page: (name, value on white, value on dark)."""
    named = [("ink", INK), ("faint", FAINT), ("paper", PAPER), ("good", GOOD), ("bad", BAD)]
    return [(name, *pair) for name, pair in named] + [(f"s{i}", *pair) for i, pair in enumerate(PALETTE)]
