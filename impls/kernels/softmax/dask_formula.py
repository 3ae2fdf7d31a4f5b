"""Softmax as its formula in dask.array, which holds the chunks of x, or of their exponentials, from pass to pass."""

from __future__ import annotations

from typing import Any

from ...backends.dask import BACKEND, computed, da
from ...contract import FLOATS
from ...registry import implements


@implements(dtypes=FLOATS, backend=BACKEND, threads="many")
@computed
def run(x: Any) -> Any:
    """Softmax over axis 1 of x (outer, n, inner), lazy."""
    exponentials = da.exp(x - x.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
