"""Argmax: the index of the largest score, its exact oracle."""

from __future__ import annotations

import numpy as np

from ..backends import aligned_empty
from .dtypes import DTYPES, OPTIONAL
from .operation import Mismatch, Operation, blocks


def allocate(x: np.ndarray) -> np.ndarray:
    """An output for x that holds -1 everywhere: not an index."""
    out = aligned_empty((x.shape[0], x.shape[2]), np.dtype(np.int64))
    out.fill(-1)
    return out


def compare(x: np.ndarray, result: np.ndarray) -> Mismatch | None:
    """Compare result with the first position of the first NaN, else of the maximum: exact."""
    count = 0
    first: tuple[tuple[int, ...], str, str, str] | None = None
    for rows, cuts in blocks(x.shape):
        with np.errstate(invalid="ignore"):  # a NaN in bfloat16 warns
            top = x[rows].max(axis=1, keepdims=True)  # NaN where there is one
        expected = np.full((top.shape[0], top.shape[2]), x.shape[1], np.int64)
        for cut in cuts:
            part = x[rows, cut]
            # NaN != NaN marks the NaNs; -0.0 == 0.0 ties.
            hit = (part == top) | (part != part)
            index = np.arange(cut.start, cut.stop)[None, :, None]
            np.minimum(expected, np.where(hit, index, x.shape[1]).min(axis=1), out=expected)
        got = result[rows]
        wrong = got != expected
        found = int(wrong.sum())
        if found and first is None:
            at = np.unravel_index(int(np.flatnonzero(wrong)[0]), wrong.shape)
            row, column = rows.start + int(at[0]), int(at[1])
            first = (
                (row, column),
                _text(x, row, int(expected[at]), column),
                _text(x, row, int(got[at]), column),
                f"{abs(int(got[at]) - int(expected[at]))} positions",
            )
        count += found
    return None if first is None else Mismatch(*first, count)


def _text(x: np.ndarray, row: int, index: int, column: int) -> str:
    """An index with the score it points at."""
    if 0 <= index < x.shape[1]:
        return f"{index} (x = {x[row, index, column]})"
    return f"{index} (outside the row)"


def least_bytes(outer: int, n: int, inner: int, itemsize: int) -> int:
    """Read x once, write one int64 a row: outer * inner * (n * itemsize + 8)."""
    return outer * inner * (n * itemsize + 8)


ARGMAX = Operation(
    name="argmax",
    signature="argmax(a, axis=None, out=None, *, keepdims=False, impl=None, stream=None)",
    definition="the first index of the largest element over one axis; the first NaN counts as largest",
    dtypes=(*DTYPES, *OPTIONAL),
    allocate=allocate,
    compare=compare,
    least_bytes=least_bytes,
)
