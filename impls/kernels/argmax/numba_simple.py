"""Argmax as one first writes it in Numba: one plain loop a row, one thread, njit."""

from __future__ import annotations

import numpy as np

from ...compilation import cached_njit
from ...contract import DTYPES
from ...registry import implements


@implements(dtypes=DTYPES)
def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Argmax over axis 1 of x (outer, n, inner) into out (outer, inner)."""
    # Numba has no float16 arithmetic on a CPU; float32 holds every float16 exactly.
    argmax(x.astype(np.float32) if x.dtype == np.float16 else x, out)
    return out


@cached_njit
def argmax(x, out):  # type: ignore[no-untyped-def]
    """Rows are independent; a NaN, which is unequal to itself, ends the search."""
    outer, n, inner = x.shape
    for i in range(outer):
        for k in range(inner):
            best = 0
            top = x[i, 0, k]
            for j in range(n):
                value = x[i, j, k]
                if value != value:
                    best = j
                    break
                if value > top:
                    best, top = j, value
            out[i, k] = best
