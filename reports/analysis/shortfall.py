"""Why an implementation stays below the ceiling on an input: what sizes, caches and the cost of a call tell of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ..system import text
from .contests import Cell, Contest

GOAL = 0.90  # of the ceiling; from here on nothing is missing
CALL = 0.05  # of the time: less of it is no reason


def reason(contest: Contest, cell: Cell, smallest: Mapping[str, Cell], caches: Mapping[str, int], small: str) -> str:
    """The reasons that can be told, empty where it reaches `GOAL` or no share is stated.

    Args:
        smallest: of each implementation its cell on the smallest input of the run, as what a call costs at least.
        caches: sizes in bytes by level, empty where they are not known.
        small: what that input is called.
    """
    share = contest.share(cell)
    if share is None or not share.shown or share.value >= GOAL:
        return ""
    found = []
    least = smallest.get(cell.implementation)
    if least is not None and least.value >= CALL * cell.value:
        part = text.percent(least.value / cell.value)
        found.append(f"too few bytes: a call on {small} takes {text.seconds(least.value)}, {part} of this")
    itemsize, n = np.dtype(contest.dtype).itemsize, contest.n or 0
    if (contest.inner or 1) > 1:
        apart = (contest.inner or 1) * itemsize
        found.append(f"strided: elements that belong together lie {text.size(apart)} apart")
    if contest.operation == "softmax" and caches:
        row, whole = n * itemsize, n * itemsize * (contest.outer or 1) * (contest.inner or 1)
        if row > max(caches.values()):
            found.append(f"read twice: a row of {text.size(row)} exceeds every cache, which leaves 67% at most")
        elif 2 * whole <= max(caches.values()):
            each = cell.value / (whole / itemsize)
            found.append(f"bound by exponentials: x and the result fit the caches ({1e9 * each:.3g} ns an element)")
    return "; ".join(found) or "not known"


def smallest_cells(contests: Sequence[Contest]) -> tuple[dict[str, Cell], str]:
    """The cells of the input with the fewest elements, by implementation, and what it is called."""
    sized = [(c.n * c.outer * c.inner, c) for c in contests if c.ranked and c.n and c.outer and c.inner]
    if not sized:
        return {}, ""
    elements, least = min(sized, key=lambda pair: pair[0])
    if math.log2(elements) > 10:  # no such input was measured
        return {}, ""
    return {cell.implementation: cell for cell in least.ranked}, least.title
