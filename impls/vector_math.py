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
    float64:  3
with an FMA instruction; without one the rounding of x - top adds to it, which no test bounds.
The part in |d| is ln 2 held in one float32. x further below top is taken as top - 104 or - 746, where weights / (a
sum of at least 2**(SHIFT - 1)) round to 0, so that -inf gives exactly 0. A top that is infinite or NaN makes every
weight NaN. A NaN in x must be seen by the caller, when it looks for top: here it is lost.

Where top is not known, `weights(x, from_guess(guess))` are the same times a power of 2, as long as top is at least the
guess and at most REACH above it. x beyond that and NaN become so large a weight that `is_sound` of the sum is false.
"""

from __future__ import annotations

import math

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from . import simd

SHIFT = {"float32": 26, "float64": 60}  # the last weight, at the lower end, is then still a normal number

# How far x may lie above the number that weights are relative to: sums of 2**31 of them and their reciprocals are
# normal numbers still, and weights of x - top >= _LOWEST are what they would be relative to top, times a power of 2.
REACH = {"float32": 40.0, "float64": 500.0}

_LOG2_E = 1.4426950408889634
_LN_2 = 0.6931471805599453

# float32: ln 2 in one constant (its rounding error is a mere 2e-9), degree 5, error 0.63 eps.
_S_LOG2_E = np.float32(_LOG2_E)
_S_HALF = np.float32(1.5 * 2**23)
_S_ROUND = np.float32(1.5 * 2**23 + SHIFT["float32"])
_S_LN_2 = np.float32(-_LN_2)
_S_LOWEST = np.float32(-104)
_S_LIMIT = np.float32(256)  # from twice -_S_LOWEST on, x - top is exact where it is above _S_LOWEST
# log2 e, -ln 2, and the polynomial's coefficients from the highest.
_S_CONSTANTS = (
    *(float(_S_LOG2_E), float(_S_LN_2)),
    *(0.008297618497, 0.04191562606, 0.1666757535, 0.4999888907, 0.9999996192, 1.0),
)

# float64: ln 2 in two constants, the first short enough that k times it is exact; degree 10, error 0.96 eps.
_D_HALF = 1.5 * 2**52
_D_ROUND = 1.5 * 2**52 + SHIFT["float64"]
_D_LN_2_HIGH = -float.fromhex("0x1.62e42fee00000p-1")
_D_LN_2_LOW = -float.fromhex("0x1.a39ef35793c76p-33")
_D_LOWEST = -746.0
_D_LIMIT = 2048.0
# log2 e, -ln 2 high and low, and the polynomial's coefficients from the highest.
_D_CONSTANTS = (
    *(_LOG2_E, _D_LN_2_HIGH, _D_LN_2_LOW),
    *(2.748837345611028471e-7, 2.763985031300072252e-6, 0.00002480191835319772559, 0.0001984117118840192057),
    *(0.001388888849796310620, 0.008333333384818806602, 0.04166666666843308139, 0.1666666666655730769),
    *(0.4999999999999727010, 1.000000000000006409, 1.0),
)


def constants_of(like):
    """What `weights` multiplies by and adds, as vectors of the type of `like`."""


@overload(constants_of)
def _constants_of(like):
    values = _D_CONSTANTS if like.element is types.float64 else _S_CONSTANTS
    return lambda like: simd.splats(like, values)


def kept_constants(like):
    """`constants_of` that stay in registers."""


@overload(kept_constants)
def _kept_constants(like):
    values = _D_CONSTANTS if like.element is types.float64 else _S_CONSTANTS
    return lambda like: simd.kept_splats(like, values)


@register_jitable
def _origin(top, limit, lowest, log2_e, half, shifted):
    # Of one bit pattern only: a payload would be shifted into the exponents of weights.
    top = simd.select(simd.equal(top, top), top, simd.splat(top, np.nan))
    near = simd.greater(simd.splat(top, limit), top) & simd.greater(top, simd.splat(top, -limit))
    base = simd.select(near, simd.splat(top, 0), top)
    rest = top - base  # NaN for infinities
    k = simd.fma(rest, simd.splat(top, log2_e), simd.splat(top, half)) - simd.splat(top, half)
    return base, rest + simd.splat(top, lowest), simd.splat(top, shifted) - k, constants_of(top)


def _limit(like):
    """From which distance from 0 on a maximum is subtracted."""


@overload(_limit)
def _limit_overload(like):
    limit = _D_LIMIT if like.element is types.float64 else _S_LIMIT
    none = type(limit)(0)
    return lambda like: limit if simd.fused(like) else none


def origin(top):
    """What `weights` subtracts, lane by lane, for a vector of maxima: base, lower end of x - base, rounding number."""
    raise NotImplementedError("origin works on simd vectors in compiled functions")


@overload(origin)
def _origin_overload(top):
    if not isinstance(top, simd.Vector):
        return None
    if top.element is types.float64:
        return lambda top: _origin(top, _limit(top), _D_LOWEST, _LOG2_E, _D_HALF, _D_ROUND)
    return lambda top: _origin(top, _limit(top), _S_LOWEST, _S_LOG2_E, _S_HALF, _S_ROUND)


@register_jitable
def origin_of_row(top):
    """`origin` of a vector with the same maximum in every lane."""
    base, lowest, rounding, constants = origin(top)
    return simd.spread(base), simd.spread(lowest), simd.spread(rounding), constants


def is_near(guess, like):
    """Whether `from_guess` serves for a guess, or for every lane of it: `origin` would subtract nothing from x."""
    raise NotImplementedError("is_near works in compiled functions")


@overload(is_near)
def _is_near(guess, like):
    if isinstance(guess, simd.Vector):

        def every(guess, like):
            limit = _limit(like)
            below = simd.greater(simd.splat(guess, limit), guess)
            return simd.every(below & simd.greater(guess, simd.splat(guess, -limit)))

        return every

    def scalar(guess, like):
        limit = _limit(like)
        return -limit < guess and guess < limit

    return scalar


def kept(start):
    """An origin, of a guess or not, for a long loop over vectors of a register's width."""
    raise NotImplementedError("kept works in compiled functions")


@overload(kept)
def _kept_overload(start):
    if len(start) == 5:
        return lambda start: (start[0], start[1], start[2], kept_constants(start[1]), start[4])
    return lambda start: (start[0], start[1], start[2], kept_constants(start[1]))


def _in_lanes(guess, like):
    """A vector of a guess."""


@overload(_in_lanes)
def _in_lanes_overload(guess, like):
    if isinstance(guess, simd.Vector):
        return lambda guess, like: guess
    return lambda guess, like: simd.splat(like, guess)


def from_guess(guess, like):
    """The `origin` of a guess at a maximum, a scalar or lane by lane, for vectors such as `like` of x also above it.

    `is_sound` of the sum of the weights tells whether they lay too far above, or one was NaN. If it was, the upper end,
    the last of five, may be left out (None) when they are computed again.
    """
    raise NotImplementedError("from_guess works in compiled functions")


@overload(from_guess)
def _from_guess(guess, like):
    lowest, half, shifted = (
        (_D_LOWEST, _D_HALF, _D_ROUND) if like.element is types.float64 else (_S_LOWEST, _S_HALF, _S_ROUND)
    )
    above = REACH[str(like.element)] + 1

    def start(guess, like):
        top, constants = _in_lanes(guess, like), constants_of(like)
        k = simd.fma(top, constants[0], simd.splat(like, half)) - simd.splat(like, half)
        lower, upper = top + simd.splat(like, lowest), top + simd.splat(like, above)
        return None, lower, simd.splat(like, shifted) - k, constants, upper

    return start


def reach(like):
    """How far above a guess x may lie."""
    raise NotImplementedError("reach works in compiled functions")


@overload(reach)
def _reach(like):
    limit = REACH[str(like.element)]
    return lambda like: limit


def is_sound(total, like):
    """Whether no x of a sum of weights `from_guess`, or of one of its lanes, was NaN or too far above the guess."""
    raise NotImplementedError("is_sound works in compiled functions")


@overload(is_sound)
def _is_sound(total, like):
    name = str(like.element)
    limit = math.exp(REACH[name]) * 2.0 ** SHIFT[name]
    if isinstance(total, simd.Vector):
        return lambda total, like: simd.every(simd.greater(simd.splat(total, limit), total))
    return lambda total, like: total < limit


def _distance(x, start):
    """x - base, if there is one, not below the lower end nor above the upper, if there is one, where NaN goes too."""


@overload(_distance, inline="always")
def _distance_overload(x, start):
    if len(start) == 5 and start[4] is types.none:
        return lambda x, start: simd.maximum(x, start[1])
    if len(start) == 5:
        return lambda x, start: simd.minimum(simd.maximum(start[1], x), start[4])
    return lambda x, start: simd.maximum(x - start[0], start[1])


def ratio(top, base):
    """The power of 2 that divides weights relative to the vector base into those relative to top.

    0 where there is none: where one of them is subtracted, or top is out of the reach of base.
    """
    raise NotImplementedError("ratio works on simd vectors in compiled functions")


@overload(ratio)
def _ratio(top, base):
    def power(top, base):
        start, end = origin(base), origin(top)
        largest = simd.reduce_max(top)
        if (
            simd.reduce_max(start[0]) != 0
            or simd.reduce_max(end[0]) != 0
            or largest > simd.reduce_max(base) + reach(base)
        ):
            return 0.0
        return 2.0 ** np.float64(simd.reduce_max(start[2] - end[2]))

    return power


def excess(top):
    """How far the scalar top lies above K ln 2: log of its weight relative to 2**SHIFT, as float64."""
    raise NotImplementedError("excess works on simd vectors in compiled functions")


@overload(excess)
def _excess(top):
    if top.element is types.float64:

        def excess64(top):
            base, _, shifted, _ = origin(top)
            k = simd.splat(top, _D_ROUND) - shifted
            r = simd.fma(k, simd.splat(top, _D_LN_2_HIGH), top - base)
            return simd.reduce_max(simd.fma(k, simd.splat(top, _D_LN_2_LOW), r))

        return excess64

    def excess32(top):
        base, _, shifted, _ = origin(top)
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
    d, rounding, c = _distance(x, start), start[2], start[3]
    shifted = simd.fma(d, c[0], rounding)
    k = shifted - rounding
    r = simd.fma(k, c[1], d)
    p = simd.fma(r, c[2], c[3])
    p = simd.fma(r, p, c[4])
    p = simd.fma(r, p, c[5])
    p = simd.fma(r, p, c[6])
    p = simd.fma(r, p, c[7])
    return simd.from_bits(simd.bits(p) + simd.shift_left(simd.bits(shifted), 23))


def _weights64(x, start):
    d, rounding, c = _distance(x, start), start[2], start[3]
    shifted = simd.fma(d, c[0], rounding)
    k = shifted - rounding
    r = simd.fma(k, c[1], d)
    r = simd.fma(k, c[2], r)
    # Even and odd powers apart: a chain of ten would be waited for.
    r2 = r * r
    even = simd.fma(r2, simd.fma(r2, simd.fma(r2, simd.fma(r2, c[4], c[6]), c[8]), c[10]), c[12])
    odd = simd.fma(r2, simd.fma(r2, simd.fma(r2, simd.fma(r2, c[3], c[5]), c[7]), c[9]), c[11])
    p = simd.fma(r, simd.fma(r, odd, even), c[13])
    return simd.from_bits(simd.bits(p) + simd.shift_left(simd.bits(shifted), 52))


def reciprocal(total, like):
    """1 / total as a high and a low vector of the type of `like`; total is of float64 or, a vector, of that type."""
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
    if like.element == total.element:

        def same(total, like):
            one = simd.splat(total, 1)
            high = one / total
            if not simd.fused(total):
                return high, simd.splat(total, 0)
            return high, simd.fma(simd.splat(total, 0) - high, total, one) * high

        return same

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
