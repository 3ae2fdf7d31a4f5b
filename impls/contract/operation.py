"""What an operation states about itself, and how a wrong result is described."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

# Elements that an oracle takes at a time: 32 MiB as float64, so that checking the result for a
# 1 GB array needs little memory beyond the array itself.
BLOCK = 1 << 22

Slices = tuple[slice, slice]


@dataclass(frozen=True)
class Mismatch:
    """The first position at which a result is wrong.

    Attributes:
        position: index into the result.
        expected, got: the values there, as text that tells -0.0, nan and every digit apart.
        error: size of the error, with its unit (ulp, or positions for an index).
        count: how many elements of the result are wrong.
    """

    position: tuple[int, ...]
    expected: str
    got: str
    error: str
    count: int

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
        allocate: x -> an `out` for it, filled with values that no correct result holds.
        compare: (x, result) -> the first `Mismatch` against the oracle, or None.
        least_bytes: (outer, n, inner, itemsize) -> the fewest bytes of main-memory traffic that
            any implementation must cause: bandwidths are computed from it.
    """

    name: str
    signature: str
    definition: str
    dtypes: tuple[str, ...]
    allocate: Callable[[np.ndarray], np.ndarray]
    compare: Callable[[np.ndarray, np.ndarray], Mismatch | None]
    least_bytes: Callable[[int, int, int, int], int]

    def verify(self, x: np.ndarray, result: np.ndarray) -> Mismatch | None:
        """The first `Mismatch` of result for x, shape and dtype included, or None if it is right."""
        like = self.allocate(x[:0])
        shape = (x.shape[0], *like.shape[1:])
        for what, expected, got in (
            ("shape", shape, getattr(result, "shape", None)),
            ("dtype", like.dtype, getattr(result, "dtype", None)),
        ):
            if expected != got:
                return Mismatch((), f"{what} {expected}", f"{what} {got}", "not comparable", 1)
        return self.compare(x, result)


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
