"""Softmax of SciPy: `scipy.special.softmax`; it allocates its result and uses one thread."""

from __future__ import annotations

import numpy as np

from ...contract import FLOATS
from ...peers import LONGEST, need, timed
from ...registry import implements

special = need("scipy.special")


ROUNDS = "computed in float16 throughout: sums round at every step and overflow beyond 65,504"
SUMS = "over an axis that is not the last NumPy adds in order: the error of the sum grows with n"


@implements(
    dtypes=FLOATS,
    differs={
        **dict.fromkeys(("1,048,576 nearly equal columns/float16", "inner axis: */float16"), ROUNDS),
        "sums that round badly: 1 x 1048576/float16": ROUNDS,
        **dict.fromkeys(("inner axis: sums*/float32", "inner axis: sums*/float64"), SUMS),
        **timed(ROUNDS, float16=250),
        **timed(SUMS, LONGEST, float32=850_000),
        **timed(SUMS, float64=22_000),
    },
)
def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Softmax over axis 1 of x (outer, n, inner), a new array."""
    # SciPy too is faster over a last axis.
    result: np.ndarray = special.softmax(x[:, :, 0], axis=1)[:, :, None] if x.shape[2] == 1 else special.softmax(x, 1)
    return result
