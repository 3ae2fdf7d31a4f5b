"""The regimes of `numba_parallel` where they take another way: guesses that fail, lines that rows share, pieces."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

import impls
from impls import agreement, contract

softmax = import_module("impls.kernels.softmax.numba_parallel")

# Short rows, rows up to AHEAD and beyond, few and many strided rows, few long columns; whole vectors or not.
SHAPES = [(40, 10, 1), (17, 33, 1), (5, 100, 1), (3, 1001, 1), (3, 3000, 1), (2, 21, 70), (1, 700, 64), (2, 1003, 2)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", contract.FLOATS)
@pytest.mark.parametrize("height", [30, 39, 42, 300, np.inf, np.nan])
def test_a_score_far_above_the_ends_of_its_row(height, dtype, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    x[0, 3] = x[-1, 2] = height
    kernel = impls.load("softmax", "numba_parallel").kernel
    assert agreement.run_checked(contract.SOFTMAX, kernel, x) is None


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mask", [-np.inf, -1e9, -300])
def test_ends_that_are_masked(mask, dtype, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    x[:, 0] = x[:, -1] = mask
    x[0] -= 5000
    kernel = impls.load("softmax", "numba_parallel").kernel
    assert agreement.run_checked(contract.SOFTMAX, kernel, x) is None


@pytest.mark.parametrize("n", [16, 17, 100, 131, 2049])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_results_past_the_caches_are_those_within(dtype, n):
    """At every place in a line, rows shared out between two, and nothing beyond their ends touched."""
    x = np.random.default_rng(0).standard_normal((7, n, 1)).astype(dtype)
    expected = np.empty_like(x)
    softmax.rows(x, expected, False, 0, 7)
    for place in range(64 // x.itemsize):
        frame = np.full(x.size + 64, 7, dtype)
        begin = -frame.ctypes.data % 64 // x.itemsize + place
        out = frame[begin : begin + x.size].reshape(x.shape)
        softmax.rows(x, out, True, 4, 7)
        softmax.rows(x, out, True, 0, 4)
        np.testing.assert_array_equal(out, expected)
        assert (frame[:begin] == 7).all()
        assert (frame[begin + x.size :] == 7).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("place", [0, 1, 7])
def test_long_rows_in_pieces(place, keep, dtype):
    x = np.random.default_rng(0).standard_normal((2, 70001, 1)).astype(dtype)
    x[0, 10000:30000] = -np.inf  # whole pieces
    x[0, 40000] = 35  # so that its piece, and from the next on the rest, are relative to other numbers
    x[0, 60000] = 90
    x[1, :20000] += 400
    frame = np.full(x.size + 64, 7, dtype)
    out = frame[place : place + x.size].reshape(x.shape)
    softmax.long_parallel(x, out, keep, 2)
    assert contract.SOFTMAX.verify(x, out) is None
    assert (frame[:place] == 7).all()
    assert (frame[place + x.size :] == 7).all()
    x[0, 5] = np.nan
    softmax.long_parallel(x, out, keep, 2)
    assert contract.SOFTMAX.verify(x, out) is None


# From fewer columns than half a line has to more than are searched in registers.
@pytest.mark.parametrize("n", [3, 4, 5, 8, 9, 12, 13, 16, 17, 24, 31, 32, 33, 40, 48, 55, 63, 64, 65])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint32", "int64", "uint64"])
def test_argmax_of_short_rows(dtype, n):
    rng = np.random.default_rng(n)
    kernel = impls.load("argmax", "numba_parallel").kernel
    x = rng.integers(0, 3, (150, n, 1)).astype(dtype)
    assert agreement.run_checked(contract.ARGMAX, kernel, x) is None
    if x.dtype.kind != "f":
        x[::3, n // 2] = np.iinfo(dtype).max
        x[1::3] = np.iinfo(dtype).min
        assert agreement.run_checked(contract.ARGMAX, kernel, x) is None
        return
    x *= rng.choice([-1, 1], x.shape)  # zeros of both signs tie
    assert agreement.run_checked(contract.ARGMAX, kernel, x) is None
    for plant in (np.nan, np.inf, -np.inf):
        x[rng.random(x.shape) < 0.02] = plant
        assert agreement.run_checked(contract.ARGMAX, kernel, x) is None


@pytest.mark.parametrize("shape", [(1, 70001, 1), (2, 1003, 2), (1, 9000, 4), (2, 5000, 64), (3, 3000, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_probability_is_above_one(dtype, shape):
    """Sums that are put together from pieces are rounded more often."""
    kernel = impls.load("softmax", "numba_parallel").kernel
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    for height in np.linspace(60, 700, 41):
        x[:, 3] = height
        out = kernel.run(x, np.empty_like(x))
        if dtype == "float32":
            assert (out[:, 3] == 1).all()
        assert out.max() <= 1
        if shape[2] == 1 and shape[1] >= 1 << 16:
            for keep in (True, False):
                softmax.long_parallel(x, out, keep, 2)
                assert out.max() <= 1
