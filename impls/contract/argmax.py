"""Argmax: the index of the largest score, its exact oracle."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from ..backends import aligned_empty
from .dtypes import DTYPES, OPTIONAL
from .operation import Described, Mismatch, Operation, Worst, blocks, poison, poisoned


def allocate(x: np.ndarray) -> np.ndarray:
    """An output for x that holds -1 everywhere: not an index."""
    out = aligned_empty((x.shape[0], x.shape[2]), np.dtype(np.int64))
    poison(out)
    return out


def _expected(x: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """The first position of the first NaN, else of the maximum, block of rows by block."""
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
        yield rows, expected


def compare(x: np.ndarray, result: np.ndarray) -> Mismatch | None:
    """Compare result with the definition: exact."""
    worst = Worst()
    for rows, expected in _expected(x):
        got = result[rows]
        outside = (got < 0) | (got >= x.shape[1])
        kind = np.where(poisoned(got), 2, outside * 1)
        size = np.abs(got.astype(np.float64) - expected)
        worst.add(got != expected, kind, size, functools.partial(_describe, x, rows.start, expected, got))
    return worst.mismatch()


def _describe(x: np.ndarray, start: int, expected: np.ndarray, got: np.ndarray, at: tuple[int, ...]) -> Described:
    row, column = start + at[0], at[1]
    right, wrong = int(expected[at]), int(got[at])
    texts = _text(x, row, right, column), _text(x, row, wrong, column)
    return (row, column), *texts, f"{abs(wrong - right)} positions"


def bounds(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The one right index, twice."""
    index = np.concatenate([expected for _, expected in _expected(x)] or [allocate(x)])
    return index, index


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
    bounds=bounds,
    least_bytes=least_bytes,
)
