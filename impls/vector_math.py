"""Exponentials of SIMD vectors, for kernels that divide by their sum.

`weights(x, origin(top))` is exp(x - top), lane by lane, for x <= top, times a factor that is the same for all x
and cancels when weights are divided by their sum. The factor is chosen for three ends:

- No x - top is rounded. Half an ulp of it is a relative error of |x - top| eps / 2 in exp, the largest one that a
  softmax usually makes. Here the integer K nearest to top / ln 2 is subtracted from an exponent instead:
  x = k ln 2 + r, weight = 2**(k - K) exp(r). Beyond _LIMIT, where x - top is exact for every x whose weight counts,
  it is subtracted first. So it is everywhere on processors without an FMA instruction, which round k ln 2.
- 2**SHIFT: weights below the smallest normal number would need a second scaling step; they are ordinary numbers
  down to where the quotient rounds to 0.
- The polynomial's constant term is made 1.

Method: |r| <= ln(2)/2, exp(r) by a polynomial that is minimax in relative error (Remez exchange); 2**(k - K) by
adding to the exponent bits. k is rounded by adding a number so large that the sum's last bit counts ones; a
compiler free to reassociate would cancel that, hence no fast-math flag anywhere.

Error of the ratio of two weights against exp of the difference d of their x, relative, in units of eps(dtype), for
d in [-104, 0] (float32) or [-746, 0] (float64):
    float32:  2.5 + 0.03 |d|
    float64:  3.5
with an FMA instruction; without one the rounding of x - top adds to it, which no test bounds.
The part in |d| is ln 2 held in one float32. x further below top is taken as top - 104 or - 746, where weights / (a
sum of at least 2**(SHIFT - 1)) round to 0, so that -inf gives exactly 0. A top that is infinite or NaN makes every
weight NaN. A NaN in x must be seen by the caller, when it looks for top: here it is lost.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from . import simd

SHIFT = {"float32": 26, "float64": 60}  # the last weight, at the lower end, is then still a normal number

_LOG2_E = 1.4426950408889634
_LN_2 = 0.6931471805599453

# float32: ln 2 in one constant (its rounding error is a mere 2e-9), degree 5, error 0.63 eps.
_S_LOG2_E = np.float32(_LOG2_E)
_S_HALF = np.float32(1.5 * 2**23)
_S_ROUND = np.float32(1.5 * 2**23 + SHIFT["float32"])
_S_LN_2 = np.float32(-_LN_2)
_S_LOWEST = np.float32(-104)
_S_LIMIT = np.float32(256)  # from twice -_S_LOWEST on, x - top is exact where it is above _S_LOWEST
_S_1 = np.float32(0.9999996192)
_S_2 = np.float32(0.4999888907)
_S_3 = np.float32(0.1666757535)
_S_4 = np.float32(0.04191562606)
_S_5 = np.float32(0.008297618497)

# float64: ln 2 in two constants, the first short enough that k times it is exact; degree 10, error 0.96 eps.
_D_HALF = 1.5 * 2**52
_D_ROUND = 1.5 * 2**52 + SHIFT["float64"]
_D_LN_2_HIGH = -float.fromhex("0x1.62e42fee00000p-1")
_D_LN_2_LOW = -float.fromhex("0x1.a39ef35793c76p-33")
_D_LOWEST = -746.0
_D_LIMIT = 2048.0
_D_1 = 1.000000000000006409
_D_2 = 0.4999999999999727010
_D_3 = 0.1666666666655730769
_D_4 = 0.04166666666843308139
_D_5 = 0.008333333384818806602
_D_6 = 0.001388888849796310620
_D_7 = 0.0001984117118840192057
_D_8 = 0.00002480191835319772559
_D_9 = 2.763985031300072252e-6
_D_10 = 2.748837345611028471e-7


@register_jitable
def _origin(top, limit, lowest, log2_e, half, shifted):
    # Of one bit pattern only: a payload would be shifted into the exponents of weights.
    top = simd.select(simd.equal(top, top), top, simd.splat(top, np.nan))
    near = simd.greater(simd.splat(top, limit), top) & simd.greater(top, simd.splat(top, -limit))
    base = simd.select(near, simd.splat(top, 0), top)
    rest = top - base  # NaN for infinities
    k = simd.fma(rest, simd.splat(top, log2_e), simd.splat(top, half)) - simd.splat(top, half)
    return base, rest + simd.splat(top, lowest), simd.splat(top, shifted) - k


def origin(top):
    """What `weights` subtracts, lane by lane, for a vector of maxima: base, lower end of x - base, rounding number."""
    raise NotImplementedError("origin works on simd vectors in compiled functions")


@overload(origin)
def _origin_overload(top):
    if not isinstance(top, simd.Vector):
        return None
    if top.element is types.float64:
        return lambda top: _origin(top, _D_LIMIT if simd.fused(top) else 0.0, _D_LOWEST, _LOG2_E, _D_HALF, _D_ROUND)
    return lambda top: _origin(
        top, _S_LIMIT if simd.fused(top) else np.float32(0), _S_LOWEST, _S_LOG2_E, _S_HALF, _S_ROUND
    )


@register_jitable
def origin_of_row(top):
    """`origin` of a vector with the same maximum in every lane."""
    base, lowest, rounding = origin(top)
    return simd.spread(base), simd.spread(lowest), simd.spread(rounding)


@register_jitable
def is_near(start):
    """Whether the base of an `origin_of_row` is 0, so that `near` of it does the same in one instruction less."""
    return simd.reduce_max(start[0]) == 0


@register_jitable
def near(start):
    """An origin without its base."""
    return None, start[1], start[2]


def _from_base(x, base):
    """x - base, or x without a base."""


@overload(_from_base, inline="always")
def _from_base_overload(x, base):
    return (lambda x, base: x) if base is types.none else (lambda x, base: x - base)


def is_sharp(total, like):
    """Whether one weight may make up the whole of a sum, so that only a `quotient` with one rounding is surely 1."""
    raise NotImplementedError("is_sharp works in compiled functions")


@overload(is_sharp)
def _is_sharp(total, like):
    limit = 1.5 * 2.0 ** SHIFT[str(like.element)]
    return lambda total, like: total < limit


def excess(top):
    """How far the scalar top lies above K ln 2: log of its weight relative to 2**SHIFT, as float64."""
    raise NotImplementedError("excess works on simd vectors in compiled functions")


@overload(excess)
def _excess(top):
    if top.element is types.float64:

        def excess64(top):
            base, _, shifted = origin(top)
            k = simd.splat(top, _D_ROUND) - shifted
            r = simd.fma(k, simd.splat(top, _D_LN_2_HIGH), top - base)
            return simd.reduce_max(simd.fma(k, simd.splat(top, _D_LN_2_LOW), r))

        return excess64

    def excess32(top):
        base, _, shifted = origin(top)
        k = simd.reduce_max(simd.splat(top, _S_ROUND) - shifted)
        return np.float64(simd.reduce_max(top - base)) + np.float64(k) * np.float64(_S_LN_2)

    return excess32


def weights(x, start):
    """exp(x - top) times a common factor, of float32 or float64 vectors x <= top, start being `origin(top)`."""
    raise NotImplementedError("weights works on simd vectors in compiled functions")


@overload(weights)
def _weights(x, start):
    if not isinstance(x, simd.Vector):
        return None
    return {types.float32: _weights32, types.float64: _weights64}[x.element]


def _weights32(x, start):
    base, lowest, rounding = start
    d = simd.maximum(_from_base(x, base), lowest)
    shifted = simd.fma(d, simd.splat(d, _S_LOG2_E), rounding)
    k = shifted - rounding
    r = simd.fma(k, simd.splat(d, _S_LN_2), d)
    p = simd.fma(r, simd.splat(d, _S_5), simd.splat(d, _S_4))
    p = simd.fma(r, p, simd.splat(d, _S_3))
    p = simd.fma(r, p, simd.splat(d, _S_2))
    p = simd.fma(r, p, simd.splat(d, _S_1))
    p = simd.fma(r, p, simd.splat(d, np.float32(1)))
    return simd.from_bits(simd.bits(p) + simd.shift_left(simd.bits(shifted), 23))


def _weights64(x, start):
    base, lowest, rounding = start
    d = simd.maximum(_from_base(x, base), lowest)
    shifted = simd.fma(d, simd.splat(d, _LOG2_E), rounding)
    k = shifted - rounding
    r = simd.fma(k, simd.splat(d, _D_LN_2_HIGH), d)
    r = simd.fma(k, simd.splat(d, _D_LN_2_LOW), r)
    p = simd.fma(r, simd.splat(d, _D_10), simd.splat(d, _D_9))
    p = simd.fma(r, p, simd.splat(d, _D_8))
    p = simd.fma(r, p, simd.splat(d, _D_7))
    p = simd.fma(r, p, simd.splat(d, _D_6))
    p = simd.fma(r, p, simd.splat(d, _D_5))
    p = simd.fma(r, p, simd.splat(d, _D_4))
    p = simd.fma(r, p, simd.splat(d, _D_3))
    p = simd.fma(r, p, simd.splat(d, _D_2))
    p = simd.fma(r, p, simd.splat(d, _D_1))
    p = simd.fma(r, p, simd.splat(d, 1.0))
    return simd.from_bits(simd.bits(p) + simd.shift_left(simd.bits(shifted), 52))


def reciprocal(total, like):
    """1 / total, a float64 vector or scalar, as a high and a low vector of the type of `like`."""
    raise NotImplementedError("reciprocal works in compiled functions")


@overload(reciprocal)
def _reciprocal(total, like):
    if not isinstance(total, simd.Vector):
        if like.element is types.float64:
            return lambda total, like: reciprocal(simd.splat(like, total), like)

        def reciprocal_scalar(total, like):
            high = np.float32(1 / total)
            return simd.splat(like, high), simd.splat(like, 1 / total - np.float64(high))

        return reciprocal_scalar
    if like.element is types.float64:

        def reciprocal64(total, like):
            one = simd.splat(total, 1)
            high = one / total
            if not simd.fused(total):
                return high, simd.splat(total, 0)
            return high, simd.fma(simd.splat(total, 0) - high, total, one) * high

        return reciprocal64

    def reciprocal32(total, like):
        exact = simd.splat(total, 1) / total
        high = simd.convert(exact, like)
        return high, simd.convert(exact - simd.convert(high, total), like)

    return reciprocal32


@register_jitable
def quotient(weight, factor):
    """weight * factor, factor being a `reciprocal`: with one rounding, so that total * reciprocal(total) is 1."""
    high, low = factor
    return simd.fma(weight, high, weight * low)


@register_jitable
def quick_quotient(weight, factor):
    """As `quotient`, in one instruction less and with two roundings."""
    return weight * factor[0]


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
