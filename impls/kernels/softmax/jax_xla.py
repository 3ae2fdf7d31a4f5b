"""Softmax of JAX, compiled by XLA for the CPU; it allocates its result."""

from __future__ import annotations

from typing import Any

from ...backends.jax import BACKEND, compiled, jax
from ...contract import FLOATS
from ...peers import timed
from ...registry import implements


@compiled
def softmax(x: Any) -> Any:
    """Over axis 1 of x (outer, n, inner)."""
    # XLA is fastest over the last axis.
    if x.shape[2] == 1:
        return jax.nn.softmax(x[:, :, 0], axis=1)[:, :, None]
    return jax.nn.softmax(x, axis=1)


OVERFLOWS = "the sum of a row is a float16, which overflows beyond 65,504"
SUBNORMAL = "exponentials are rounded to float16, whose smallest numbers are 2^-24 apart"


@implements(
    dtypes=FLOATS,
    backend=BACKEND,
    threads="many",
    differs={
        "1,048,576 nearly equal columns/float16": OVERFLOWS,
        "sums that round badly: 1 x 1048576/float16": SUBNORMAL,
        **timed(SUBNORMAL, float16=30),
    },
)
def run(x: Any, out: Any) -> Any:
    """Softmax over axis 1 of x (outer, n, inner), a new array."""
    return softmax(x)
