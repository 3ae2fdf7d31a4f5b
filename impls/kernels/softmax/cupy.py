"""Softmax of CuPy on a CUDA device; it allocates its result."""

from __future__ import annotations

from typing import Any

from ...backends.cupy import BACKEND
from ...contract import FLOATS
from ...peers import DRIFTS_ON_CUDA, GROWS, LONGEST, need, timed
from ...registry import implements

special = need("cupyx.scipy.special", "cupy-cuda13x")

ROUNDS = "computed in float16 throughout: every step rounds, and sums overflow beyond 65,504"


@implements(
    dtypes=FLOATS,
    backend=BACKEND,
    threads="many",
    differs={
        "1,048,576 nearly equal columns/float16": ROUNDS,
        **DRIFTS_ON_CUDA,
        **timed(ROUNDS, float16=250),
        **timed(GROWS, LONGEST, float32=850_000),
        **timed(GROWS, float64=22_000),
    },
)
def run(x: Any, out: Any) -> Any:
    """Softmax over axis 1 of x (outer, n, inner), a new array; does not wait."""
    return special.softmax(x, axis=1)
