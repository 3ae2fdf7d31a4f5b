"""Exponentials of SIMD vectors, for kernels that divide by their sum.

`weights(d)` is exp(d) * 2**SHIFT, lane by lane, for d <= 0. The factor cancels when weights are divided by
their sum; without it weights below the smallest normal number would need a second scaling step, with it
they are ordinary numbers down to where the quotient rounds to 0.

Method: d = k ln 2 + r with an integer k and |r| <= ln(2)/2; exp(r) by a polynomial 1 + r + r^2 q(r) that is
minimax in relative error (Remez exchange); 2**k by adding k to the exponent bits. k is rounded by adding a
number so large that the sum's last bit counts ones; a compiler free to reassociate would cancel that, hence
no fast-math flag anywhere.

Error of exp(d), relative, in units of eps(dtype), for every d in [-104, 0] (float32) or [-746, 0] (float64):
    float32:  1.0 + 0.02 |d|    (0.7 |d| without an FMA instruction)
    float64:  1.0               (the same without)
The part in |d| is ln 2 held in one float32, a tenth of what the rounding of d = x - max has already cost.
NaN gives NaN. Below the range d is taken as its lower end, where weights / (a sum of at least 2**SHIFT)
round to 0, so that -inf gives exactly 0.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from . import simd

SHIFT = {"float32": 26, "float64": 60}  # the last weight, at the lower end, is then still a normal number

_LOG2_E = 1.4426950408889634
_LN_2 = 0.6931471805599453

# float32: ln 2 in one constant (its rounding error is a mere 2e-9), degree 6, error 0.03 eps.
_S_LOG2_E = np.float32(_LOG2_E)
_S_ROUND = np.float32(1.5 * 2**23 + SHIFT["float32"])
_S_LN_2 = np.float32(-_LN_2)
_S_LOWEST = np.float32(-104)
_S_ONE = np.float32(1)
_S_2 = np.float32(0.499999934478)
_S_3 = np.float32(0.166665206317)
_S_4 = np.float32(0.0416683880453)
_S_5 = np.float32(0.00836871687973)
_S_6 = np.float32(0.00138145986467)

# float64: ln 2 in two constants, the first short enough that k times it is exact; degree 11, error 0.02 eps.
_D_ROUND = 1.5 * 2**52 + SHIFT["float64"]
_D_LN_2_HIGH = -float.fromhex("0x1.62e42fee00000p-1")
_D_LN_2_LOW = -float.fromhex("0x1.a39ef35793c76p-33")
_D_LOWEST = -746.0
_D_2 = 0.5000000000000010627
_D_3 = 0.1666666666666641252
_D_4 = 0.04166666666653015849
_D_5 = 0.008333333333494461664
_D_6 = 0.001388888894363013416
_D_7 = 0.0001984126950657872393
_D_8 = 0.00002480149309888739154
_D_9 = 2.755758637378518095e-6
_D_10 = 2.763024838532302056e-7
_D_11 = 2.500006162553127959e-8


def weights(d):
    """exp(d) * 2**SHIFT of a float32 or float64 vector d <= 0, for use in Numba functions."""
    raise NotImplementedError("weights works on simd vectors in compiled functions")


@overload(weights)
def _weights(d):
    if not isinstance(d, simd.Vector):
        return None
    return {types.float32: _weights32, types.float64: _weights64}[d.element]


def _weights32(d):
    # The order of the operands keeps a NaN of d.
    d = simd.maximum(simd.splat(d, _S_LOWEST), d)
    shifted = simd.fma(d, simd.splat(d, _S_LOG2_E), simd.splat(d, _S_ROUND))
    k = shifted - simd.splat(d, _S_ROUND)
    r = simd.fma(k, simd.splat(d, _S_LN_2), d)
    p = simd.fma(r, simd.splat(d, _S_6), simd.splat(d, _S_5))
    p = simd.fma(r, p, simd.splat(d, _S_4))
    p = simd.fma(r, p, simd.splat(d, _S_3))
    p = simd.fma(r, p, simd.splat(d, _S_2))
    p = simd.fma(r, p, simd.splat(d, _S_ONE))
    p = simd.fma(r, p, simd.splat(d, _S_ONE))
    return simd.from_bits(simd.bits(p) + simd.shift_left(simd.bits(shifted), 23))


def _weights64(d):
    d = simd.maximum(simd.splat(d, _D_LOWEST), d)
    shifted = simd.fma(d, simd.splat(d, _LOG2_E), simd.splat(d, _D_ROUND))
    k = shifted - simd.splat(d, _D_ROUND)
    r = simd.fma(k, simd.splat(d, _D_LN_2_HIGH), d)
    r = simd.fma(k, simd.splat(d, _D_LN_2_LOW), r)
    p = simd.fma(r, simd.splat(d, _D_11), simd.splat(d, _D_10))
    p = simd.fma(r, p, simd.splat(d, _D_9))
    p = simd.fma(r, p, simd.splat(d, _D_8))
    p = simd.fma(r, p, simd.splat(d, _D_7))
    p = simd.fma(r, p, simd.splat(d, _D_6))
    p = simd.fma(r, p, simd.splat(d, _D_5))
    p = simd.fma(r, p, simd.splat(d, _D_4))
    p = simd.fma(r, p, simd.splat(d, _D_3))
    p = simd.fma(r, p, simd.splat(d, _D_2))
    p = simd.fma(r, p, simd.splat(d, 1.0))
    p = simd.fma(r, p, simd.splat(d, 1.0))
    return simd.from_bits(simd.bits(p) + simd.shift_left(simd.bits(shifted), 52))


# float16 as int16 bits: Numba has no float16 arithmetic on a CPU, and LLVM would call a library routine per
# element on processors without F16C.


@register_jitable
def from_half(h):
    """The float16 numbers whose bits are the int16 lanes of h, exactly, as float32."""
    wide = simd.convert(h, simd.lane_numbers(h))
    magnitude = simd.shift_left(wide & simd.splat(wide, 0x7FFF), 13)
    # Exponents differ by 112 in bias; the product makes normal numbers of subnormal ones as well.
    scaled = simd.from_bits(magnitude) * simd.splat(simd.from_bits(magnitude), np.float32(2.0**112))
    # What float16 calls infinity or NaN has become 65536 or more.
    special = simd.bits(scaled) | simd.splat(wide, 0x7F800000)
    value = simd.select(simd.greater(scaled, simd.splat(scaled, np.float32(65504))), special, simd.bits(scaled))
    return simd.from_bits(value | simd.shift_left(wide & simd.splat(wide, 0x8000), 16))


@register_jitable
def to_half(p, like):
    """float32 lanes in [0, 1] or NaN, rounded to nearest even, as float16 bits in int16 lanes (like's type)."""
    b = simd.bits(p)
    one = simd.splat(b, 1)
    rounded = b + simd.splat(b, 0xFFF) + (simd.shift_right(b, 13) & one)
    normal = simd.shift_right(rounded, 13) - simd.splat(b, 112 << 10)
    # Adding 1/2 leaves a subnormal float16's multiple of 2**-24 in the last bits of the sum.
    half = simd.splat(p, np.float32(0.5))
    subnormal = simd.bits(p + half) - simd.bits(half)
    value = simd.select(simd.greater(simd.splat(p, np.float32(2.0**-14)), p), subnormal, normal)
    return simd.convert(simd.select(simd.unordered(p, p), simd.splat(b, 0x7E00), value), like)
