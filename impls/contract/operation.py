"""What an operation states about itself, and how a wrong result is described."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .dtypes import is_float

# Elements that an oracle takes at a time: what it computes of them stays in the L2, and checking the result for a 1 GB
# array needs little memory beyond the array itself.
BLOCK = 1 << 16

Slices = tuple[slice, slice]


# A quiet NaN of each width that no arithmetic makes: an element that still holds it was not written.
_POISON = {2: 0x7FD5, 4: 0x7FC5A5A5, 8: 0x7FF85A5A5A5A5A5A}
UNWRITTEN = "nothing written"


def poison(out: np.ndarray) -> None:
    """Fill an output with values that no correct result holds: a NaN of a pattern of its own, or -1 for an index.

    A kernel that reads what `out` held before it computes gives NaN then, as it would with `numpy.empty`.
    """
    if is_float(out.dtype):
        out.view(f"u{out.dtype.itemsize}").fill(_POISON[out.dtype.itemsize])
    else:
        out.fill(-1)


def poisoned(result: np.ndarray) -> np.ndarray:
    """Where a result still holds what `poison` filled it with."""
    if is_float(result.dtype):
        left: np.ndarray = np.ascontiguousarray(result).view(f"u{result.itemsize}") == _POISON[result.itemsize]
        return left
    left = result == -1
    return left


@dataclass(frozen=True)
class Mismatch:
    """The worst of the positions at which a result is wrong: nothing written there, then a NaN, then the largest error.

    Attributes:
        position: index into the result; empty where it has another shape or dtype.
        expected, got: the values there, as text that tells -0.0, nan and every digit apart.
        error: size of the error, with its unit (ulp, or positions for an index).
        count: how many elements of the result are wrong.
        size: the same error as a number; infinite where it has no size, as of a NaN.
    """

    position: tuple[int, ...]
    expected: str
    got: str
    error: str
    count: int
    size: float = math.inf

    def __str__(self) -> str:
        more = f", {self.count} wrong in all" if self.count > 1 else ""
        return f"at {self.position}: expected {self.expected}, got {self.got} ({self.error}{more})"


@dataclass(frozen=True)
class Operation:
    """One operation, as kernels must implement it on x of shape (outer, n, inner).

    Attributes:
        name: softmax or argmax.
        signature: how users call it.
        definition: one sentence.
        dtypes: names of the dtypes of x that a kernel may be given.
        allocate: x -> an `out` for it, poisoned.
        compare: (x, result) -> the worst `Mismatch` against the oracle, or None.
        bounds: x -> the smallest and the largest result that is right, elementwise (NaN: a NaN is right).
        least_bytes: (outer, n, inner, itemsize) -> the fewest bytes of main-memory traffic that
            any implementation must cause: bandwidths are computed from it.
    """

    name: str
    signature: str
    definition: str
    dtypes: tuple[str, ...]
    allocate: Callable[[np.ndarray], np.ndarray]
    compare: Callable[[np.ndarray, np.ndarray], Mismatch | None]
    bounds: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    least_bytes: Callable[[int, int, int, int], int]

    def verify(self, x: np.ndarray, result: np.ndarray) -> Mismatch | None:
        """The worst `Mismatch` of result for x, shape and dtype included, or None if it is right."""
        return self.form(x, getattr(result, "shape", None), getattr(result, "dtype", None)) or self.compare(x, result)

    def form(self, x: np.ndarray, shape: tuple[int, ...] | None, dtype: np.dtype | None) -> Mismatch | None:
        """The `Mismatch` of a result of another shape or dtype than x asks for."""
        like = self.allocate(x[:0])
        for what, expected, got in (
            ("shape", (x.shape[0], *like.shape[1:]), shape),
            ("dtype", like.dtype, dtype),
        ):
            if expected != got:
                return Mismatch((), f"{what} {expected}", f"{what} {got}", "not comparable", 1)
        return None


_SIZE = re.compile(r"\bup to (\d[\d,]*(?:\.\d+)?) ulp\b(?: at n = ([1-9][\d,]*)\b)?")


def size_declared(reason: str, n: int | None = None) -> float | None:
    """The largest error in ulp that a declared difference allows, of ``up to N ulp`` in its reason; None without.

    Args:
        n: the number of columns. ``up to N ulp at n = M`` allows fewer than M in proportion less.
    """
    found = _SIZE.search(reason)
    if found is None:
        return None
    most, columns = (float(number.replace(",", "")) if number else None for number in found.groups())
    assert most is not None
    return most if n is None or columns is None else most * min(1.0, n / columns)


def within(low: np.ndarray, high: np.ndarray, result: np.ndarray) -> bool:
    """Whether every element of a result lies within the `bounds` of an operation."""
    with np.errstate(invalid="ignore"):
        right = (low <= result) & (result <= high)
    if right.all():
        return True
    rest = ~right
    got = result[rest]
    return bool(np.isnan(low[rest]).all() and np.isnan(got).all() and not poisoned(got).any())


Described = tuple[tuple[int, ...], str, str, str]  # position, expected, got, error


class Worst:
    """Gathers the wrong elements of a result, block by block, and keeps the worst."""

    def __init__(self) -> None:
        self._count = 0
        self._worst = (-1, -1.0)  # kind and size
        self._described: Described | None = None

    def add(
        self, wrong: np.ndarray, kind: np.ndarray, size: np.ndarray, describe: Callable[[tuple[int, ...]], Described]
    ) -> None:
        """Take the wrong elements of a block.

        Args:
            wrong: where the block is wrong.
            kind: of each element, 2 nothing written, 1 an error without a size, 0 one with a size.
            size: of each element's error.
            describe: index into the block -> position in the result, expected, got and error.
        """
        if not wrong.any():
            return
        self._count += int(wrong.sum())
        places = np.flatnonzero(wrong)
        kinds = kind.reshape(-1)[places]
        worst = places[kinds == kinds.max()]
        at = tuple(map(int, np.unravel_index(worst[np.argmax(size.reshape(-1)[worst])], wrong.shape)))
        found = int(kinds.max()), float(size[at])
        if found > self._worst:
            self._worst, self._described = found, describe(at)

    def mismatch(self) -> Mismatch | None:
        """What was gathered; None where nothing was wrong."""
        if self._described is None:
            return None
        kind, size = self._worst
        return Mismatch(*self._described, self._count, math.inf if kind else size)


def blocks(shape: tuple[int, ...]) -> Iterator[tuple[slice, list[slice]]]:
    """Cut (outer, n, inner) into pieces of about BLOCK elements.

    Yields:
        Slices of outer, each with the slices that n is cut into.
    """
    outer, n, inner = shape
    columns = max(1, min(n, BLOCK // max(inner, 1)))
    rows = max(1, BLOCK // max(n * inner, 1))
    cuts = [slice(j, min(j + columns, n)) for j in range(0, n, columns)]
    for i in range(0, outer, rows):
        yield slice(i, min(i + rows, outer)), cuts
