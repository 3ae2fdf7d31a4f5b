"""Softmax: probabilities from logits, its oracle in float64 and its tolerance."""

from __future__ import annotations

import numpy as np

from ..backends import aligned_empty
from .dtypes import FLOATS, OPTIONAL, WIDER, finfo, named
from .operation import Mismatch, Operation, blocks

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
    """An output for x that holds -1 everywhere: no probability, and no NaN that might be right."""
    out = aligned_empty(x.shape, x.dtype)
    out.fill(-1)
    return out


def compare(x: np.ndarray, result: np.ndarray) -> Mismatch | None:
    """Compare result with the definition computed in float64, block by block."""
    count = 0
    first: tuple[tuple[int, ...], str, str, str] | None = None
    with np.errstate(all="ignore"):
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
                expected = np.exp(distance) / total
                got = result[rows, cut].astype(np.float64)
                wrong = ~_agrees(got, expected, distance, x.dtype)
                found = int(wrong.sum())
                if found and first is None:
                    first = _describe(wrong, got, expected, (rows.start, cut.start), x.dtype)
                count += found
    return None if first is None else Mismatch(*first, count)


def _agrees(got: np.ndarray, expected: np.ndarray, distance: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Elementwise: within tolerance, in [0, 1], exactly 0 for -inf, NaN exactly where expected."""
    wider = named(WIDER.get(dtype.name, dtype.name))
    last = 0.0 if wider == dtype else spacing(expected, dtype) / 2
    # A distance that overflowed to -inf has expected == 0 and must not make the tolerance NaN.
    relative = float(finfo(wider).eps) * (ROUNDINGS + np.minimum(np.abs(distance), 1e4))
    near = np.abs(got - expected) <= relative * expected + last + floor(dtype)
    exact_zero = (distance != -np.inf) | (got == 0)
    in_range = (got >= 0) & (got <= 1)
    agrees: np.ndarray = np.where(np.isnan(expected), np.isnan(got), near & exact_zero & in_range)
    return agrees


def _describe(
    wrong: np.ndarray, got: np.ndarray, expected: np.ndarray, start: tuple[int, int], dtype: np.dtype
) -> tuple[tuple[int, ...], str, str, str]:
    """What a `Mismatch` states of the first wrong element."""
    at = np.unravel_index(int(np.flatnonzero(wrong)[0]), wrong.shape)
    position = (start[0] + int(at[0]), start[1] + int(at[1]), int(at[2]))
    error = f"{ulp_error(got[at], expected[at], dtype):.3g} ulp"
    return position, repr(float(expected[at])), repr(float(got[at])), error


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
    least_bytes=least_bytes,
)
