"""Why an implementation stays below the ceiling on an input: what sizes, caches and its other times tell of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ..system import text
from .contests import Cell, Contest

GOAL = 0.90  # of the ceiling; from here on nothing is missing
CALL = 0.05  # of the time: less of it is no reason
SMALL = 1024  # elements: what takes longer than a call itself is not asked what a call costs


class Reasons:
    """The reasons on the inputs of one operation and dtype in a run; `caches` are sizes in bytes by level, if known."""

    def __init__(self, contests: Sequence[Contest], caches: Mapping[str, int]) -> None:
        self._largest = max(caches.values(), default=0)
        sized = [(size, c) for c in contests if c.ranked and (size := _elements(c))]
        least = min((pair for pair in sized if pair[0] <= SMALL), key=lambda pair: pair[0], default=None)
        self._small = least[1] if least else None
        self._cached: dict[str, float] = {}  # of each implementation the most GB/s on what the caches hold
        for _, contest in sized:
            for cell in contest.ranked if self._fits(contest) else ():
                if math.isfinite(cell.bandwidth):
                    self._cached[cell.implementation] = max(cell.bandwidth, self._cached.get(cell.implementation, 0.0))

    def of(self, contest: Contest, cell: Cell) -> str:
        """In words; empty where it reaches `GOAL` or no share is stated."""
        share = contest.share(cell)
        if share is None or not share.shown or share.value >= GOAL:
            return ""
        found = [self._call(contest, cell), _strided(contest), self._twice(contest), self._work(contest, cell)]
        return "; ".join(filter(None, found)) or "not known"

    def _fits(self, contest: Contest) -> bool:
        """Whether the caches hold x and the result."""
        softmax = contest.operation == "softmax"
        return 0 < _elements(contest) * _itemsize(contest) * (2 if softmax else 1) <= self._largest

    def _call(self, contest: Contest, cell: Cell) -> str:
        least = self._small.of(cell.implementation) if self._small and self._small is not contest else None
        if self._small is None or least is None or least.value < CALL * cell.value:
            return ""
        part = text.percent(least.value / cell.value)
        return f"too few bytes: a call on {self._small.title} takes {text.seconds(least.value)}, {part} of this"

    def _twice(self, contest: Contest) -> str:
        row = (contest.n or 0) * _itemsize(contest)
        if contest.operation != "softmax" or not 0 < self._largest < row:
            return ""
        return f"read twice: no cache holds a row of {text.size(row)}, which leaves 67% at most"

    def _work(self, contest: Contest, cell: Cell) -> str:
        if not self._largest or not _elements(contest):
            return ""
        exponential = ", its exponential included" if contest.operation == "softmax" else ""
        each = f"{text.digits(1e9 * cell.value / _elements(contest))} ns an element{exponential}"
        if self._fits(contest):
            return f"work, not bytes: the caches hold all of it; {each}"
        cached = self._cached.get(cell.implementation, math.inf)
        if cached * GOAL <= cell.bandwidth:
            return f"work, not bytes: {text.bandwidth(cached)} at most where the caches hold all of it; {each}"
        return ""


def _strided(contest: Contest) -> str:
    inner = contest.inner or 1
    apart = text.size(inner * _itemsize(contest))
    return f"strided: the elements of a column lie {apart} apart" if inner > 1 else ""


def _elements(contest: Contest) -> int:
    return (contest.n or 0) * (contest.outer or 0) * (contest.inner or 0)


def _itemsize(contest: Contest) -> int:
    try:
        return np.dtype(contest.dtype).itemsize
    except TypeError:  # NumPy knows bfloat16 only where ml_dtypes is installed
        return 2
