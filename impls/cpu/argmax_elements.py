"""Elements of argmax's arrays as numbers that order as they do, and what all ways to go through them share.

They are themselves, or for float16, whose arrays come as int16, integer keys.
"""

from __future__ import annotations

import numba

from .. import simd
from ..internal import generated, internal


@generated(inline="always")
def get(x, i, half):
    """64 bytes of x from x[i] on, as keys."""
    if half is numba.types.none:
        return lambda x, i, half: simd.load(x, i)
    return lambda x, i, half: _half_keys(simd.load(x, i))


@internal
def _half_keys(h):
    """int16 bits of float16 to int16 in the same order: -0.0 as 0.0, every NaN the largest."""
    sign, magnitude = simd.shift_right(h, 15), h & simd.splat(h, 0x7FFF)
    nan = simd.greater(magnitude, simd.splat(h, 0x7C00))
    return simd.select(nan, simd.splat(h, 0x7FFF), (magnitude ^ sign) - sign)


@generated
def element(x, i, half):
    """One element of x, as a key."""
    if half is numba.types.none:
        return lambda x, i, half: simd.get(x, i)

    def key(x, i, half):
        magnitude = simd.get(x, i) & 0x7FFF
        if magnitude > 0x7C00:
            return 0x7FFF
        return -magnitude if simd.get(x, i) < 0 else magnitude

    return key


@internal
def better_than(value, top):
    """Whether a value comes before top in argmax's order."""
    return value > top or (value != value and top == top)


@internal
def column(x, n, half):
    """The position of the first maximum among n elements."""
    best = 0
    top = element(x, 0, half)
    for j in range(1, n):
        value = element(x, j, half)
        if better_than(value, top):
            best, top = j, value
    return best
