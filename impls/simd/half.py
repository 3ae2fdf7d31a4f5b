"""float16 as int16 bits and bfloat16 as uint16 bits in SIMD vectors: conversions to float32 and back.

Numba has no arithmetic of either on a CPU, and without F16C LLVM calls a library routine for every float16.
"""

from __future__ import annotations

import numpy as np

from .. import simd
from ..internal import internal


@internal
def from_half(h):
    """The float16 numbers whose bits are the int16 lanes of h, exactly, as float32."""
    wide = simd.convert(h, simd.lane_numbers(h))
    magnitude = simd.shift_left(wide & simd.broadcast(wide, 0x7FFF), 13)
    # Exponents differ by 112 in bias; the product makes normal numbers of subnormal ones as well.
    scaled = simd.from_bits(magnitude) * simd.broadcast(simd.from_bits(magnitude), np.float32(2.0**112))
    # What float16 calls infinity or NaN has become 65536 or more.
    special = simd.bits(scaled) | simd.broadcast(wide, 0x7F800000)
    value = simd.select(simd.greater(scaled, simd.broadcast(scaled, np.float32(65504))), special, simd.bits(scaled))
    return simd.from_bits(value | simd.shift_left(wide & simd.broadcast(wide, 0x8000), 16))


@internal
def to_half(p, like):
    """float32 lanes in [0, 1] or NaN, rounded to nearest even, as float16 bits in int16 lanes (like's type)."""
    b = simd.bits(p)
    one = simd.broadcast(b, 1)
    rounded = b + simd.broadcast(b, 0xFFF) + (simd.shift_right(b, 13) & one)
    normal = simd.shift_right(rounded, 13) - simd.broadcast(b, 112 << 10)
    # Adding 1/2 leaves a subnormal float16's multiple of 2**-24 in the last bits of the sum.
    half = simd.broadcast(p, np.float32(0.5))
    subnormal = simd.bits(p + half) - simd.bits(half)
    value = simd.select(simd.greater(simd.broadcast(p, np.float32(2.0**-14)), p), subnormal, normal)
    return simd.convert(simd.select(simd.unordered(p, p), simd.broadcast(b, 0x7E00), value), like)


@internal
def from_bfloat16(h):
    """The bfloat16 numbers whose bits are the uint16 lanes of h, exactly, as float32: they are its upper half."""
    return simd.from_bits(simd.shift_left(simd.convert(h, simd.lane_numbers(h)), 16))


@internal
def to_bfloat16(p, like):
    """float32 lanes in [0, 1] or NaN, rounded to nearest even, as bfloat16 bits in uint16 lanes (like's type).

    Of a NaN the lower half must be zeros, as of one that the processor makes and of one that was a bfloat16: else
    rounding may make it a number.
    """
    b = simd.bits(p)
    rounded = b + simd.broadcast(b, 0x7FFF) + (simd.shift_right(b, 16) & simd.broadcast(b, 1))
    return simd.convert(simd.shift_right(rounded, 16), like)
