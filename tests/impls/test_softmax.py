"""The oracle of softmax: what a mismatch states, and the absolute error below the smallest normal number."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special

from maxbench.impls import contract
from maxbench.impls.contract import SOFTMAX, operation
from maxbench.impls.contract.dtypes import named
from maxbench.impls.contract.softmax import floor, spacing, ulp_error

X = np.array(
    [[[1, 9, 3, 0], [7, 2, 4, 1], [0, 5, 8, 0]], [[1, 2, 9, 3], [3, 8, 4, 1], [6, 5, 0, 2]]], np.float64
)  # (2, 3, 4)
RIGHT = scipy.special.softmax(X, axis=1)
# The smallest normal number and its distance to the next.
LIMITS = {"float16": (2.0**-14, 2**-10), "float32": (2.0**-126, 2**-23), "float64": (2.0**-1022, 2**-52)}


@pytest.mark.parametrize("dtype", SOFTMAX.dtypes)
def test_an_output_starts_with_no_probability(dtype: str) -> None:
    """Nor with a NaN that arithmetic makes."""
    x = X.astype(named(dtype))
    out = SOFTMAX.allocate(x)
    assert (out.shape, out.dtype) == (X.shape, named(dtype))
    assert np.isnan(out).all()
    with np.errstate(invalid="ignore"):
        computed = np.stack([x - x + named(dtype).type(np.nan), x * 0 / 0, np.full_like(x, np.inf) * 0])
    assert np.isnan(computed).all()
    assert operation.poisoned(out).all()
    assert not operation.poisoned(computed).any()
    assert not operation.poisoned(-computed).any()
    mismatch = SOFTMAX.compare(x, out)
    assert mismatch is not None
    assert (mismatch.position, mismatch.got, mismatch.count) == ((0, 0, 0), "nothing written", x.size)


@pytest.mark.parametrize("block", [1, 4, 8, 12, 1000])
def test_the_worst_mismatch_and_the_number_of_all(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest error; before it a NaN or an infinity; before these what was not written."""
    monkeypatch.setattr(operation, "BLOCK", block)
    assert SOFTMAX.compare(X, RIGHT) is None
    wrong = RIGHT.copy()
    unwritten = SOFTMAX.allocate(X)[0, 0, 0]
    worst: tuple = ()
    for count, (position, value, is_worst) in enumerate(
        [
            ((0, 1, 2), RIGHT[0, 1, 2] * (1 + 1e-9), True),
            ((1, 2, 3), RIGHT[1, 2, 3] * (1 - 1e-8), True),
            ((0, 0, 0), RIGHT[0, 0, 0] * (1 + 1e-9), False),
            ((1, 0, 0), RIGHT[1, 0, 0] * (1 + 1e-9), False),
            ((1, 1, 1), np.nan, True),
            ((0, 0, 1), -1e200, False),
            ((1, 2, 1), unwritten, True),
            ((1, 2, 0), np.inf, False),
            ((0, 2, 3), -1.0, False),
        ]
    ):
        wrong[position] = value
        worst = (position, value) if is_worst else worst
        mismatch = SOFTMAX.compare(X, wrong)
        assert mismatch is not None
        assert (mismatch.position, mismatch.count) == (worst[0], count + 1)
        right = float(mismatch.expected)
        assert math.isclose(right, RIGHT[worst[0]], rel_tol=1e-14)
        if np.isnan(worst[1]):
            assert mismatch.got == ("nan" if worst[0] == (1, 1, 1) else "nothing written")
            assert (mismatch.error, mismatch.size) == ("nan ulp", math.inf)
        else:
            assert mismatch.got == repr(float(worst[1]))
            assert mismatch.size == pytest.approx(abs(worst[1] - right) / np.spacing(right))
            assert mismatch.error == f"{mismatch.size:.3g} ulp"


@pytest.mark.parametrize("dtype", SOFTMAX.dtypes)
def test_where_a_nan_is_right_it_must_have_been_written(dtype: str) -> None:
    x = np.array([[[np.nan], [1]], [[2], [3]]]).astype(named(dtype))
    result = scipy.special.softmax(x.astype(np.float64), axis=1).astype(named(dtype))
    assert SOFTMAX.verify(x, result) is None
    low, high = SOFTMAX.bounds(x)
    assert operation.within(low, high, result)
    result[0, 1] = SOFTMAX.allocate(x)[0, 1]
    mismatch = SOFTMAX.verify(x, result)
    assert mismatch is not None
    assert str(mismatch) == "at (0, 1, 0): expected nan, got nothing written (nan ulp)"
    assert not operation.within(low, high, result)


@pytest.mark.parametrize("scale", [1, 30])
def test_bounds_are_the_last_numbers_that_are_accepted(scale: float) -> None:
    x = (np.random.default_rng(1).standard_normal((20, 50, 3)) * scale).astype(np.float32)
    x[3, 4] = -np.inf
    low, high = SOFTMAX.bounds(x)
    assert SOFTMAX.compare(x, low) is None
    assert SOFTMAX.compare(x, high) is None
    for bound, outwards in ((low, -np.inf), (high, np.inf)):
        mismatch = SOFTMAX.compare(x, np.nextafter(bound, np.float32(outwards)))
        assert mismatch is not None
        assert mismatch.count == x.size


@pytest.mark.parametrize("dtype", SOFTMAX.dtypes)
def test_results_below_the_smallest_normal_number_may_be_zero(dtype: str) -> None:
    """But in float16 by one subnormal step alone."""
    smallest, eps = LIMITS.get(dtype, LIMITS["float32"])
    allowed = smallest * eps if dtype == "float16" else smallest
    assert floor(named(dtype)) == allowed
    for share, right in ((0.9, True), (1.1, False)):
        x = np.zeros((1, 2, 1))
        x[0, 1] = math.log(share * allowed)
        given = x.astype(named(dtype))
        if dtype == "bfloat16":
            given[0, 1] = {0.9: -88, 1.1: -87}[share]  # exp is 0.5 and 1.4 of the smallest normal number
        expected = scipy.special.softmax(given.astype(np.float64), axis=1)
        assert (expected[0, 1, 0] < allowed) == right
        result = np.array([[[1], [0]]], named(dtype))
        assert (SOFTMAX.verify(given, result) is None) == right


@pytest.mark.parametrize("dtype", SOFTMAX.dtypes)
def test_no_probability_is_outside_of_0_to_1(dtype: str) -> None:
    one = np.ones((1, 1, 1), named(dtype))
    eps = float(LIMITS.get(dtype, (0, 2**-7))[1])
    assert SOFTMAX.verify(one, one) is None
    for wrong in (1 + eps, np.nan):
        assert SOFTMAX.verify(one, np.full((1, 1, 1), wrong).astype(named(dtype))) is not None
    far = np.array([[[0], [-2000]]], named(dtype))
    zero = np.array([[[1], [0]]], named(dtype))
    assert SOFTMAX.verify(far, zero) is None
    assert SOFTMAX.verify(far, np.copysign(zero, np.array([[[1], [-1]]], named(dtype)))) is None  # -0.0
    step = zero.copy()
    step.view(np.uint8).reshape(2, -1)[1, 0] = 1  # the smallest number
    assert step[0, 1] > 0
    assert SOFTMAX.verify(far, step) is None
    assert SOFTMAX.verify(far, np.copysign(step, np.array([[[1], [-1]]], named(dtype)))) is not None


@pytest.mark.parametrize("dtype", contract.FLOATS)
def test_units_in_the_last_place(dtype: str) -> None:
    smallest, eps = LIMITS[dtype]
    for value in (1, 1.5, 0.75, 0.5, 0.3, 1e-3, smallest):
        at = np.array(value, dtype).astype(np.float64)
        assert spacing(at, np.dtype(dtype)) == np.spacing(np.array(value, dtype)).astype(np.float64)
        assert spacing(-at, np.dtype(dtype)) == spacing(at, np.dtype(dtype))
    below = np.array([smallest / 2, smallest / 1024, 0])
    np.testing.assert_array_equal(spacing(below, np.dtype(dtype)), [smallest * eps] * 3)
    np.testing.assert_array_equal(ulp_error(below, np.array([0, 0, smallest]), np.dtype(dtype)) * eps, [0.5, 2**-10, 1])
