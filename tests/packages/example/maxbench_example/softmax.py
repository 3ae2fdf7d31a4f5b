"""Softmax in three lines of NumPy, as a package of another author brings it."""

from __future__ import annotations

import numpy as np

from maxbench import implements


@implements(dtypes=("float32", "float64"))
def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Softmax over axis 1 of x (outer, n, inner) into out."""
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        np.exp(x - x.max(axis=1, keepdims=True), out=out)
        out /= out.sum(axis=1, keepdims=True, dtype=np.float64).astype(x.dtype)
    return out
