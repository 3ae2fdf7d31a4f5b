"""The order of argmax: elements as keys, which are themselves or, for float16, whose arrays come as int16, integers."""

from __future__ import annotations

import numba

from .. import simd
from ..internal import generated, internal


@generated
def keys(x, i, half):
    """64 bytes of x from x[i] on, as keys."""
    if half is numba.types.none:
        return lambda x, i, half: simd.load(x, i)
    return lambda x, i, half: _half_keys(simd.load(x, i))


@internal
def _half_keys(h):
    """The int16 bits of float16 as int16 in the same order: -0.0 equals 0.0, and every NaN is the largest."""
    sign, magnitude = simd.shift_right(h, 15), h & simd.broadcast(h, 0x7FFF)
    nan = simd.greater(magnitude, simd.broadcast(h, 0x7C00))
    return simd.select(nan, simd.broadcast(h, 0x7FFF), (magnitude ^ sign) - sign)


@generated
def key(x, i, half):
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
def precedes(value, top):
    """Whether a value is preferred to top: it is larger, or the only NaN of the two."""
    return value > top or (value != value and top == top)


@internal
def first_maximum(x, n, half):
    """The position of the first maximum among n elements."""
    best = 0
    top = key(x, 0, half)
    for j in range(1, n):
        value = key(x, j, half)
        if precedes(value, top):
            best, top = j, value
    return best
