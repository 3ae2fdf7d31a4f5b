"""Exponentials of SIMD vectors, for kernels that divide by their sum.

`exponentials(x, shift(top))` is exp(x - top), lane by lane, for x <= top, times a factor that is the same for all x
and cancels when exponentials are divided by their sum. The factor is chosen for three purposes:

- x - top is not rounded. Half an ulp of it is a relative error of |x - top| eps / 2 in exp, usually the largest error
  of a softmax. Instead, the integer K nearest to top / ln 2 is subtracted from an exponent:
  x = k ln 2 + r, exponential = 2**(k - K) exp(r). Beyond `_Policy.limit`, where x - top is exact for every x whose
  exponential counts, top is subtracted first. Without an FMA instruction, which k ln 2 needs to be exact, it always is.
- The exponentials are scaled by 2**SHIFT, so that they are normal numbers down to where the quotient rounds to 0.
  Below the smallest normal number they would need a second scaling step.
- The polynomial's constant term is 1.

Method: |r| <= ln(2)/2, exp(r) by a polynomial that is minimax in relative error (Remez exchange); 2**(k - K) by
adding to the exponent bits. k is rounded by adding a number so large that the sum's last bit counts ones; a
compiler that may reassociate would cancel the two, hence no fast-math flag anywhere.

The relative error of the ratio of two exponentials, against exp of the difference d of their x, in units of eps(dtype),
for d in [-104, 0] (float32) or [-746, 0] (float64), is at most
    float32:  2.5 + 0.03 |d|
    float64:  3
with an FMA instruction; without one the rounding of x - top adds to it, which no test bounds.
The term in |d| is the rounding of ln 2 to one float32. x further below top is taken as top - 104 or top - 746, where
exponentials / (a sum of at least 2**(SHIFT - 1)) round to 0, so that -inf gives exactly 0. A top that is infinite or
NaN makes every exponential NaN. A NaN in x is lost here: the caller must see it in its search for top.

Estimated shift: where top is not known, `exponentials(x, estimated_shift(estimate, x))` are the same times a power of
2, as long as top is at least the estimate and at most REACH above it. A NaN, and x beyond that, give so large an
exponential that `is_verified` of the sum is false.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import types

from .. import simd
from ..internal import generated, internal

_LOG2_E = 1.4426950408889634
_LN_2 = 0.6931471805599453


class _Policy(NamedTuple):
    """What the exponential of one dtype is made of; scalars are of that dtype.

    Attributes:
        shift: exponentials are scaled by 2**shift, so that the last one, at the lower end, is a normal number still.
        reach: how far x may lie above the estimated shift: sums of 2**31 of such exponentials and their reciprocals are
            normal numbers still, and exponentials of x - top >= lowest are what they would be relative to top, times a
            power of 2.
        log2_e: log2 e, as scalar.
        half: added and subtracted, it rounds to an integer.
        rounding: half + shift.
        lowest: the lower end of x - top.
        limit: the distance of top from 0 from which on it is subtracted from x. From 2 |lowest| on, x - top is exact
            where it is above the lower end.
        ln_2: -ln 2, as a sum whose first term times k is exact.
        vectors: log2 e, the terms of ln_2, and the polynomial's coefficients from the highest on.
    """

    shift: int
    reach: float
    log2_e: Any
    half: Any
    rounding: Any
    lowest: Any
    limit: Any
    ln_2: tuple[float, ...]
    vectors: tuple[float, ...]


def _policy(
    dtype: Any,
    shift: int,
    reach: float,
    lowest: int,
    limit: int,
    ln_2: tuple[float, ...],
    polynomial: tuple[float, ...],
) -> _Policy:
    half = 1.5 * 2 ** np.finfo(dtype).nmant
    return _Policy(
        *(shift, reach, dtype(_LOG2_E), dtype(half), dtype(half + shift), dtype(lowest), dtype(limit), ln_2),
        vectors=(float(dtype(_LOG2_E)), *ln_2, *polynomial),
    )


_POLICIES = {
    # ln 2 in one constant, whose rounding error is a mere 2e-9; degree 5, error 0.63 eps.
    types.float32: _policy(
        *(np.float32, 26, 40.0, -104, 256),
        ln_2=(float(np.float32(-_LN_2)),),
        polynomial=(0.008297618497, 0.04191562606, 0.1666757535, 0.4999888907, 0.9999996192, 1.0),
    ),
    # ln 2 in two constants, the first short enough that k times it is exact; degree 10, error 0.96 eps.
    types.float64: _policy(
        *(float, 60, 500.0, -746, 2048),
        ln_2=(-float.fromhex("0x1.62e42fee00000p-1"), -float.fromhex("0x1.a39ef35793c76p-33")),
        polynomial=(
            *(2.748837345611028471e-7, 2.763985031300072252e-6, 0.00002480191835319772559, 0.0001984117118840192057),
            *(0.001388888849796310620, 0.008333333384818806602, 0.04166666666843308139, 0.1666666666655730769),
            *(0.4999999999999727010, 1.000000000000006409, 1.0),
        ),
    ),
}
SHIFT = {str(element): policy.shift for element, policy in _POLICIES.items()}
REACH = {str(element): policy.reach for element, policy in _POLICIES.items()}


@generated
def constants_of(like):
    """The constants of `exponentials`, as vectors of the type of `like`."""
    values = _POLICIES[like.element].vectors
    return lambda like: simd.broadcasts(like, values)


@generated
def pinned_constants(like):
    """`constants_of`, pinned in registers."""
    values = _POLICIES[like.element].vectors
    return lambda like: simd.pinned_broadcasts(like, values)


@internal
def _shift_of(top, limit, lowest, log2_e, half, shifted):
    # One bit pattern for every NaN: a payload would be shifted into the exponents of the results.
    top = simd.select(simd.equal(top, top), top, simd.broadcast(top, np.nan))
    in_range = simd.greater(simd.broadcast(top, limit), top) & simd.greater(top, simd.broadcast(top, -limit))
    base = simd.select(in_range, simd.broadcast(top, 0), top)
    rest = top - base  # NaN for infinities
    k = simd.fma(rest, simd.broadcast(top, log2_e), simd.broadcast(top, half)) - simd.broadcast(top, half)
    return base, rest + simd.broadcast(top, lowest), simd.broadcast(top, shifted) - k, constants_of(top)


@generated
def _limit(like):
    """The distance from 0 from which on a maximum is subtracted."""
    limit = _POLICIES[like.element].limit
    none = type(limit)(0)
    return lambda like: limit if simd.fused(like) else none


@generated
def shift(top):
    """The shift by a vector of maxima, lane by lane: base, lower end of x - base, rounding number, constants."""
    if not isinstance(top, simd.Vector):
        return None
    policy = _POLICIES[top.element]
    log2_e, half, rounding, lowest = policy.log2_e, policy.half, policy.rounding, policy.lowest
    return lambda top: _shift_of(top, _limit(top), lowest, log2_e, half, rounding)


@internal
def row_shift(top):
    """`shift` by a vector with the same maximum in every lane."""
    base, lowest, rounding, constants = shift(top)
    return simd.broadcast_first(base), simd.broadcast_first(lowest), simd.broadcast_first(rounding), constants


@generated
def in_range(estimate, like):
    """The range check of an estimate, or of all of its lanes: `shift` would subtract nothing from x."""
    if isinstance(estimate, simd.Vector):

        def every(estimate, like):
            limit = _limit(like)
            below = simd.greater(simd.broadcast(estimate, limit), estimate)
            return simd.all_lanes(below & simd.greater(estimate, simd.broadcast(estimate, -limit)))

        return every

    def scalar(estimate, like):
        limit = _limit(like)
        return -limit < estimate and estimate < limit

    return scalar


@generated
def pinned(start):
    """A shift, estimated or not, with its constants pinned in registers: for a long loop over vectors of a register."""
    if len(start) == 5:
        return lambda start: (start[0], start[1], start[2], pinned_constants(start[1]), start[4])
    return lambda start: (start[0], start[1], start[2], pinned_constants(start[1]))


@generated
def _in_lanes(estimate, like):
    """An estimate as a vector."""
    if isinstance(estimate, simd.Vector):
        return lambda estimate, like: estimate
    return lambda estimate, like: simd.broadcast(like, estimate)


@generated
def estimated_shift(estimate, like):
    """The shift by an estimated maximum, a scalar or lane by lane, for vectors of the type of `like`.

    x may exceed it. `is_verified` of the sum of the exponentials is false if an x exceeds it too far or is NaN. If it
    is true, the upper end, the last of the five items, may be None when the exponentials are recomputed.
    """
    policy = _POLICIES[like.element]
    half, shifted, lowest, above = policy.half, policy.rounding, policy.lowest, policy.reach + 1

    def start(estimate, like):
        top, constants = _in_lanes(estimate, like), constants_of(like)
        k = simd.fma(top, constants[0], simd.broadcast(like, half)) - simd.broadcast(like, half)
        lower, upper = top + simd.broadcast(like, lowest), top + simd.broadcast(like, above)
        return None, lower, simd.broadcast(like, shifted) - k, constants, upper

    return start


@generated
def reach(like):
    """How far x may exceed an estimated shift."""
    limit = _POLICIES[like.element].reach
    return lambda like: limit


@generated
def is_verified(total, like):
    """Whether a sum verifies the estimated shift of its exponentials: no x was NaN or exceeded it too far."""
    policy = _POLICIES[like.element]
    limit = math.exp(policy.reach) * 2.0**policy.shift
    if isinstance(total, simd.Vector):
        return lambda total, like: simd.all_lanes(simd.greater(simd.broadcast(total, limit), total))
    return lambda total, like: total < limit


@generated
def _distance(x, start):
    """x - base, clamped to the lower and the upper end; base and the upper end may be missing. NaN gives an end."""
    if len(start) == 5 and start[4] is types.none:
        return lambda x, start: simd.maximum(x, start[1])
    if len(start) == 5:
        return lambda x, start: simd.minimum(simd.maximum(start[1], x), start[4])
    return lambda x, start: simd.maximum(x - start[0], start[1])


@generated
def ratio(top, base):
    """The power of 2 by which exponentials relative to the vector base are divided to be relative to the vector top.

    0 where there is none: where one of the two is subtracted from x, or top is out of the reach of base.
    """

    def power(top, base):
        start, end = shift(base), shift(top)
        largest = simd.reduce_max(top)
        if (
            simd.reduce_max(start[0]) != 0
            or simd.reduce_max(end[0]) != 0
            or largest > simd.reduce_max(base) + reach(base)
        ):
            return 0.0
        return 2.0 ** np.float64(simd.reduce_max(start[2] - end[2]))

    return power


@generated
def excess(top):
    """top - K ln 2, the logarithm of the exponential of top divided by 2**SHIFT, as a float64 scalar."""
    policy = _POLICIES[top.element]
    rounding, ln_2 = policy.rounding, policy.ln_2
    if len(ln_2) == 2:

        def excess64(top):
            base, _, shifted, _ = shift(top)
            k = simd.broadcast(top, rounding) - shifted
            r = simd.fma(k, simd.broadcast(top, ln_2[0]), top - base)
            return simd.reduce_max(simd.fma(k, simd.broadcast(top, ln_2[1]), r))

        return excess64

    def excess32(top):
        base, _, shifted, _ = shift(top)
        k = simd.reduce_max(simd.broadcast(top, rounding) - shifted)
        return np.float64(simd.reduce_max(top - base)) + np.float64(k) * ln_2[0]

    return excess32


@generated
def exponentials(x, start):
    """exp(x - top) times a common factor, for float32 or float64 vectors x <= top, with start = `origin(top)`."""
    if not isinstance(x, simd.Vector):
        return None
    return {types.float32: _exponentials32, types.float64: _exponentials64}[x.element]


def _exponentials32(x, start):
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


def _exponentials64(x, start):
    d, rounding, c = _distance(x, start), start[2], start[3]
    shifted = simd.fma(d, c[0], rounding)
    k = shifted - rounding
    r = simd.fma(k, c[1], d)
    r = simd.fma(k, c[2], r)
    # Even and odd powers apart: one chain of ten multiply-adds would be bound by latency.
    r2 = r * r
    even = simd.fma(r2, simd.fma(r2, simd.fma(r2, simd.fma(r2, c[4], c[6]), c[8]), c[10]), c[12])
    odd = simd.fma(r2, simd.fma(r2, simd.fma(r2, simd.fma(r2, c[3], c[5]), c[7]), c[9]), c[11])
    p = simd.fma(r, simd.fma(r, odd, even), c[13])
    return simd.from_bits(simd.bits(p) + simd.shift_left(simd.bits(shifted), 52))


@generated
def reciprocal(total, like):
    """1 / total as a high and a low vector of the type of `like`; total is of float64 or, a vector, of that type."""
    if not isinstance(total, simd.Vector):
        if like.element is types.float64:
            return lambda total, like: reciprocal(simd.broadcast(like, total), like)

        def reciprocal_scalar(total, like):
            high = np.float32(1 / total)
            return simd.broadcast(like, high), simd.broadcast(like, 1 / total - np.float64(high))

        return reciprocal_scalar
    if like.element == total.element:

        def same(total, like):
            one = simd.broadcast(total, 1)
            high = one / total
            if not simd.fused(total):
                return high, simd.broadcast(total, 0)
            return high, simd.fma(simd.broadcast(total, 0) - high, total, one) * high

        return same

    def reciprocal32(total, like):
        exact = simd.broadcast(total, 1) / total
        high = simd.convert(exact, like)
        return high, simd.convert(exact - simd.convert(high, total), like)

    return reciprocal32


@internal
def quotient(exponential, factor):
    """exponential * factor for a `reciprocal`, rounded once, so that total * reciprocal(total) is 1."""
    high, low = factor
    return simd.fma(exponential, high, exponential * low)
