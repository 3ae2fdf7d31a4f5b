"""Softmax in NumPy: subtract the maximum, exp, divide by the sum, each over the whole array."""

from __future__ import annotations

import numpy as np

from ...registry import implements


@implements(dtypes=("float16", "float32", "float64"))
def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Softmax over axis 1 of x (outer, n, inner) into out; the only temporaries are one per row."""
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
        # NumPy sums the last axis in pairs but another axis one by one, where a float32 sum drifts.
        accumulator = np.float64 if x.shape[2] > 1 else x.dtype
        total = work.sum(axis=1, keepdims=True, dtype=accumulator).astype(x.dtype, copy=False)
        np.divide(work, total, out=out, casting="same_kind")
    return out
