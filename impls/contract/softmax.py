"""Softmax: probabilities from logits, its oracle in float64 and its tolerance."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from ..backends import aligned_empty
from .dtypes import FLOATS, OPTIONAL, WIDER, finfo, named
from .operation import UNWRITTEN, Described, Mismatch, Operation, Worst, blocks, poison, poisoned

# Error allowed in units of eps(dtype), relative to the expected probability p:
#   |got - p| <= eps * (ROUNDINGS + |x - max|) * p + floor(dtype).
# The form is that of the bound for the shifted softmax in P. Blanchard, D. J. Higham and
# N. J. Higham, "Accurately computing the log-sum-exp and softmax functions", IMA Journal of
# Numerical Analysis 41(4), 2021: half an ulp in x - max is a relative error of |x - max| * eps / 2
# after exp, and the denominator carries the weighted mean of the same. Their term n * eps for the
# sum is left out on purpose: an implementation whose error grows with n is wrong here.
# ROUNDINGS covers exp itself (2 eps), the sum in blocks or in pairs (4) and the division (2).
# bfloat16 is a format for storage: eps is that of float32, which it is computed in, and half an ulp is added for the
# last rounding. With its own eps of 2^-7 the bound would let through what is 6% off and more.
ROUNDINGS = 8.0


def floor(dtype: np.dtype) -> float:
    """The absolute error allowed: results below the smallest normal number may be flushed to 0.

    Not in float16, where uniform rows of 50,257 columns lie below it: there one subnormal step.
    """
    info = finfo(dtype)
    return float(info.smallest_subnormal if dtype == np.float16 else info.smallest_normal)


def allocate(x: np.ndarray) -> np.ndarray:
    """A poisoned output for x: see `operation.poison`."""
    out = aligned_empty(x.shape, x.dtype)
    poison(out)
    return out


Block = tuple[slice, slice, np.ndarray, np.ndarray]  # of outer, of n; expected values, and distances to the maximum


def _expected(x: np.ndarray) -> Iterator[Block]:
    """The definition computed in float64, block by block."""
    for rows, cuts in blocks(x.shape):
        top = x[rows].max(axis=1, keepdims=True).astype(np.float64)
        total = np.zeros_like(top)
        for cut in cuts:
            terms = np.exp(x[rows, cut].astype(np.float64) - top)
            # The leading parts are multiples of eps * scale and add to less than scale, so that their sum is exact
            # in any order; the rest is so small that the rounding of its sum does not count. Rump, Ogita and Oishi,
            # "Accurate floating-point summation part I", SIAM Journal on Scientific Computing 31(1), 2008.
            scale = np.ldexp(1.0, np.frexp(terms.sum(axis=1, keepdims=True))[1] + 1)
            leading = (terms + scale) - scale
            total += leading.sum(axis=1, keepdims=True) + (terms - leading).sum(axis=1, keepdims=True)
        for cut in cuts:
            distance = x[rows, cut].astype(np.float64) - top
            yield rows, cut, np.exp(distance) / total, distance


def compare(x: np.ndarray, result: np.ndarray) -> Mismatch | None:
    """Compare result with the definition."""
    worst = Worst()
    with np.errstate(all="ignore"):
        for rows, cut, expected, distance in _expected(x):
            given = result[rows, cut]
            got, unwritten = given.astype(np.float64), poisoned(given)
            wrong = ~_agrees(got, expected, distance, x.dtype) | unwritten
            if wrong.any():
                size = ulp_error(got, expected, x.dtype)
                kind = np.where(unwritten, 2, ~np.isfinite(size) * 1)
                start = rows.start, cut.start, 0
                describe = functools.partial(_describe, expected, got, kind, size, start)
                worst.add(wrong, kind, np.nan_to_num(size), describe)
    return worst.mismatch()


def _describe(
    expected: np.ndarray,
    got: np.ndarray,
    kind: np.ndarray,
    size: np.ndarray,
    start: tuple[int, ...],
    at: tuple[int, ...],
) -> Described:
    """What a `Mismatch` states of one element of a block that begins at `start`."""
    position = tuple(a + b for a, b in zip(start, at, strict=True))
    text = UNWRITTEN if kind[at] == 2 else repr(float(got[at]))
    return position, repr(float(expected[at])), text, f"{size[at]:.3g} ulp"


def bounds(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest probability that `compare` accepts, elementwise.

    Of x's dtype where that is float32 or float64, else of float64.
    """
    dtype = x.dtype if x.dtype in (np.float32, np.float64) else np.dtype(np.float64)
    low, high = np.empty(x.shape, dtype), np.empty(x.shape, dtype)
    with np.errstate(all="ignore"):
        for rows, cut, expected, distance in _expected(x):
            allowed = np.where(distance == -np.inf, 0.0, _tolerance(expected, distance, x.dtype))
            least, most = np.maximum(expected - allowed, 0.0), np.minimum(expected + allowed, 1.0)
            low[rows, cut], high[rows, cut] = least, most
            # Inwards to the next number of dtype: of numbers that are not negative, the next in their bits.
            bits_of_low, bits_of_high = (out.view(f"i{dtype.itemsize}")[rows, cut] for out in (low, high))
            bits_of_low += low[rows, cut] < least
            bits_of_high -= high[rows, cut] > most
    return low, high


def _tolerance(expected: np.ndarray, distance: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The absolute error allowed."""
    wider = named(WIDER.get(dtype.name, dtype.name))
    last = 0.0 if wider == dtype else spacing(expected, dtype) / 2
    # A distance that overflowed to -inf has expected == 0 and must not make the tolerance NaN.
    relative = float(finfo(wider).eps) * (ROUNDINGS + np.minimum(np.abs(distance), 1e4))
    allowed: np.ndarray = relative * expected + last + floor(dtype)
    return allowed


def _agrees(got: np.ndarray, expected: np.ndarray, distance: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Elementwise: within tolerance, in [0, 1], exactly 0 for -inf, NaN exactly where expected."""
    near = np.abs(got - expected) <= _tolerance(expected, distance, dtype)
    exact_zero = (distance != -np.inf) | (got == 0)
    in_range = (got >= 0) & (got <= 1)
    agrees: np.ndarray = np.where(np.isnan(expected), np.isnan(got), near & exact_zero & in_range)
    return agrees


def ulp_error(got: np.ndarray, expected: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Absolute error in units in the last place of dtype at the expected value (float64 arrays).

    Below the smallest normal number the unit is the one there, so that a flush to 0 counts at most
    one over eps.
    """
    error: np.ndarray = np.abs(got - expected) / spacing(expected, dtype)
    return error


def spacing(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A unit in the last place of dtype at each value; below the smallest normal number the one there."""
    info = finfo(dtype)
    exponent = np.frexp(np.maximum(np.abs(values), float(info.smallest_normal)))[1]
    unit: np.ndarray = np.ldexp(float(info.eps), exponent - 1)
    return unit


def least_bytes(outer: int, n: int, inner: int, itemsize: int) -> int:
    """Read x once, write out once: 2 * outer * n * inner * itemsize."""
    return 2 * outer * n * inner * itemsize


SOFTMAX = Operation(
    name="softmax",
    signature="softmax(x, axis=None, *, out=None, impl=None, stream=None)",
    definition="exp(x_i) / sum_j exp(x_j) over one axis",
    dtypes=(*FLOATS, *OPTIONAL),
    allocate=allocate,
    compare=compare,
    bounds=bounds,
    least_bytes=least_bytes,
)
