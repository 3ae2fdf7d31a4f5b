"""The order of argmax: elements as keys, which are themselves or, for floats of 16 bits, integers.

Arrays of float16 and bfloat16 come as int16, with the bits of infinity, which is None for all others.
"""

from __future__ import annotations

import numba

from .. import simd
from ..internal import generated, internal


@generated
def keys(x, i, infinity):
    """64 bytes of x from x[i] on, as keys."""
    if infinity is numba.types.none:
        return lambda x, i, infinity: simd.load(x, i)
    return lambda x, i, infinity: _half_keys(simd.load(x, i), infinity)


@internal
def _half_keys(h, infinity):
    """The bits of floats as int16 in the same order: -0.0 equals 0.0, and every NaN is the largest."""
    sign, magnitude = simd.shift_right(h, 15), h & simd.broadcast(h, 0x7FFF)
    nan = simd.greater(magnitude, simd.broadcast(h, infinity))
    return simd.select(nan, simd.broadcast(h, 0x7FFF), (magnitude ^ sign) - sign)


@generated
def key(x, i, infinity):
    """One element of x, as a key."""
    if infinity is numba.types.none:
        return lambda x, i, infinity: simd.get(x, i)

    def key(x, i, infinity):
        magnitude = simd.get(x, i) & 0x7FFF
        if magnitude > infinity:
            return 0x7FFF
        return -magnitude if simd.get(x, i) < 0 else magnitude

    return key


@internal
def precedes(value, top):
    """Whether a value is preferred to top: it is larger, or the only NaN of the two."""
    return value > top or (value != value and top == top)


@internal
def first_maximum(x, n, infinity):
    """The position of the first maximum among n elements."""
    best = 0
    top = key(x, 0, infinity)
    for j in range(1, n):
        value = key(x, j, infinity)
        if precedes(value, top):
            best, top = j, value
    return best
