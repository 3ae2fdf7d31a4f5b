"""Softmax as its formula in dask.array, which holds the chunks of x, or of their exponentials, from pass to pass."""

from __future__ import annotations

from typing import Any

from ...backends.dask import BACKEND, computed, da
from ...contract import FLOATS
from ...peers import LONGEST, timed
from ...registry import implements

ROUNDS = "computed in float16 throughout: sums round at every step"
SUMS = "over an axis that is not the last NumPy adds in order: the error of the sum of a chunk grows with n"


@implements(
    dtypes=FLOATS,
    backend=BACKEND,
    threads="many",
    differs={
        **dict.fromkeys(("1,048,576 nearly equal columns/float16", "*sums that round badly*/float16"), ROUNDS),
        **dict.fromkeys(("inner axis: sums*/float32", "inner axis: sums*/float64"), SUMS),
        **timed(ROUNDS, float16=250),
        **timed(SUMS, LONGEST, float32=850_000),
        **timed(SUMS, float64=22_000),
    },
)
@computed
def run(x: Any) -> Any:
    """Softmax over axis 1 of x (outer, n, inner), lazy."""
    exponentials = da.exp(x - x.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
