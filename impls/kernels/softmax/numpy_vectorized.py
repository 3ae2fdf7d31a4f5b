"""Softmax in NumPy: subtract the maximum, exp, divide by the sum, each over the whole array."""

from __future__ import annotations

import numpy as np

from ...registry import implements


@implements(dtypes=("float16", "float32", "float64"))
def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Softmax over axis 1 of x (outer, n, inner) into out.

    Temporaries: an eighth of x for the sums over an inner axis; for float16 a copy of x in float32.
    """
    if x.dtype == np.float16:
        # A sum in float16 overflows beyond 65504 and NumPy computes halves one at a time.
        return _in_place(x.astype(np.float32), out)
    return _in_place(x, out)


def _in_place(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    work = out if out.dtype == x.dtype else x
    # All of these are the definition's own NaNs (inf - inf) and underflows to 0.
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        np.subtract(x, x.max(axis=1, keepdims=True), out=work)
        np.exp(work, out=work)
        np.divide(work, _sum(work), out=out, casting="same_kind")
    return out


def _sum(terms: np.ndarray, slabs: int = 8) -> np.ndarray:
    """Sum of terms (outer, n, inner) over axis 1, shape (outer, 1, inner).

    NumPy adds in pairs along the last axis only; along another it adds one by one, where the error grows with n. So
    eight slabs of n / 8 rows are added to each other, then the halves of what they leave, until one row is left.
    """
    outer, n, inner = terms.shape
    whole = n - n % slabs if n > slabs and inner > 1 else 0
    total: np.ndarray = terms[:, whole:].sum(axis=1, keepdims=True)
    if whole:
        total += _sum(terms[:, :whole].reshape(outer, slabs, n // slabs, inner).sum(axis=1), 2)
    return total
