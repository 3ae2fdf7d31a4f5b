"""Kernels of `numba_parallel` where they leave the usual way: failed estimates, shared cache lines, split rows."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from maxbench import impls
from maxbench.impls import contract, simd
from maxbench.impls.contract.dtypes import named
from maxbench.impls.cpu.softmax_registers import MOST_VECTORS, registers, registers_for
from maxbench.impls.views import plain
from tests import needs
from tests.checked import wrong

softmax = import_module("maxbench.impls.kernels.softmax.numba_parallel")

FLOATS = (*contract.FLOATS, pytest.param("bfloat16", marks=needs.bfloat16))
# Rows of four, short rows, rows up to DELAYED and beyond, few and many strided rows, few long columns; whole
# vectors or not.
SHAPES = [
    *((9, 4, 1), (35, 8, 1), (6, 16, 1), (40, 10, 1), (17, 33, 1), (5, 100, 1), (3, 1001, 1), (3, 3000, 1)),
    *((2, 21, 70), (1, 700, 64), (2, 1003, 2)),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("height", [30, 39, 42, 300, np.inf, np.nan])
def test_a_score_far_above_the_ends_of_its_row(height, dtype, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(named(dtype))
    x[0, 3] = x[-1, 2] = height
    kernel = impls.load("softmax", "numba_parallel").kernel
    assert wrong(contract.SOFTMAX, kernel, x) is None


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mask", [-np.inf, -1e9, -300])
def test_ends_that_are_masked(mask, dtype, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(named(dtype))
    x[:, 0] = x[:, -1] = mask
    x[0] -= 5000
    kernel = impls.load("softmax", "numba_parallel").kernel
    assert wrong(contract.SOFTMAX, kernel, x) is None


@pytest.mark.parametrize("n", [16, 17, 100, 131, 2049])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kernels_of_rows(dtype, n):
    """At every place in a cache line, in two chunks; nothing beyond the ends is touched."""
    x = np.random.default_rng(0).standard_normal((7, n, 1)).astype(named(dtype))
    x[2, n // 2], x[4, 3] = 90, np.nan  # estimates that fail
    expected = np.empty_like(x)
    softmax.rows(x, expected, False, 0, 7)
    assert contract.SOFTMAX.verify(x, expected) is None
    kernels = {
        "rows": lambda x, out, *chunk: softmax.rows(x, out, True, *chunk),
        "pipelined": lambda x, out, *chunk: softmax.pipelined(x, out, None, *chunk),
        "pipelined, streaming": lambda x, out, *chunk: softmax.pipelined(x, out, True, *chunk),
        "interleaved": softmax.interleaved,
    }
    for name, kernel in kernels.items():
        for place in range(64 // x.itemsize):
            frame = np.full(x.size + 64, 7, dtype)
            begin = -frame.ctypes.data % 64 // x.itemsize + place
            out = frame[begin : begin + x.size].reshape(x.shape)
            kernel(x, out, 4, 7)
            kernel(x, out, 0, 4)
            if name == "rows":
                np.testing.assert_array_equal(out, expected)
            assert contract.SOFTMAX.verify(x, out) is None
            assert unharmed(frame, begin, x.size)


@pytest.mark.parametrize("streaming", [None, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_packed_rows(dtype, streaming):
    """Each row by itself, whatever the others in its vector are, and nothing beyond the ends touched."""
    lanes = 64 // np.dtype(dtype).itemsize
    x = np.random.default_rng(0).standard_normal((64 if streaming else 63, 4, 1)).astype(named(dtype)) * 4
    x[3, 1], x[10, 0], x[11, :], x[20, 2], x[30] = np.nan, np.inf, -np.inf, -np.inf, x[30] + 5000
    x[41, 3], x[50] = 900, -np.finfo(dtype).max
    frame = np.full(x.size + 128, 7, dtype)
    begin = -frame.ctypes.data % 64 // x.itemsize + lanes + (0 if streaming else 1)
    out = frame[begin : begin + x.size].reshape(x.shape)
    vectors = -(-x.size // lanes)
    softmax.packed(x, out, streaming, vectors // 3, vectors)
    softmax.packed(x, out, streaming, 0, vectors // 3)
    assert contract.SOFTMAX.verify(x, out) is None
    assert unharmed(frame, begin, x.size)


@pytest.mark.parametrize("shape", [(3, 21, 320), (2, 1, 64), (1, 40, 1088), (2, 17, 2048)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("tile", [64, 256])
def test_pipelined_tiles(tile, dtype, shape):
    """The last tile of a row shorter or not, estimates that fail; nothing beyond the ends is touched."""
    x = np.random.default_rng(0).standard_normal(shape).astype(named(dtype))
    x[0, 0, 3], x[-1, -1, 70 % shape[2]], x[0, shape[1] // 2, shape[2] // 2] = np.nan, 90, 60
    frame = np.full(x.size + 128, 7, dtype)
    begin = -frame.ctypes.data % 64 // x.itemsize + 64
    out = frame[begin : begin + x.size].reshape(shape)
    tiles = -(-shape[2] // tile)
    tasks = shape[0] * tiles
    middle = tasks // 3
    softmax.pipelined_column_tiles(x, out, tile, tiles, middle, tasks)
    softmax.pipelined_column_tiles(x, out, tile, tiles, 0, middle)
    assert contract.SOFTMAX.verify(x, out) is None
    assert unharmed(frame, begin, x.size)


@pytest.mark.parametrize("vectors", range(2, MOST_VECTORS + 1))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_register_resident_rows(dtype, vectors):
    lanes = max(32, simd.register_bytes()) // np.dtype(dtype).itemsize
    rng, kernel = np.random.default_rng(0), registers(vectors)
    for n in range((vectors - 1) * lanes + 1, vectors * lanes + 1):
        assert registers_for(n, np.dtype(dtype).itemsize) is kernel
        x = rng.standard_normal((19, n, 1)).astype(named(dtype)) * 3
        # Estimates that fail: of the first and the last row of a chunk, of neighbours and alone.
        x[3, :], x[9, n // 2], x[10, -1], x[18, 1] = -np.inf, 300, np.nan, np.inf
        x[5, 0] = x[5, -1] = x[8, 0] = -np.inf
        x[12] += 4000
        x[14, n // 2] = 41
        for out, frame, begin in places(x):
            kernel(x, out, None, 9, 19)
            kernel(x, out, None, 0, 9)
            assert contract.SOFTMAX.verify(x, out) is None
            assert unharmed(frame, begin, x.size)
    # Whole vectors, in whole lines.
    if n * x.itemsize % simd.VECTOR_BYTES == 0:
        out, frame, begin = next(places(x))
        kernel(x, out, True, 0, 19)
        assert contract.SOFTMAX.verify(x, out) is None
        assert unharmed(frame, begin, x.size)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("place", [0, 1, 7])
def test_split_rows(place, keep, dtype):
    x = np.random.default_rng(0).standard_normal((2, 70001, 1)).astype(named(dtype))
    x[0, 10000:30000] = -np.inf  # whole parts
    x[0, 40000] = 35  # so that its part has another shift than the rest
    x[0, 60000] = 90
    x[1, :20000] += 400
    frame = np.full(x.size + 64, 7, dtype)
    out = frame[place : place + x.size].reshape(x.shape)
    softmax.split_rows(x, out, 8, keep, 2)
    assert contract.SOFTMAX.verify(x, out) is None
    assert (frame[:place] == 7).all()
    assert (frame[place + x.size :] == 7).all()
    x[0, 5] = np.nan
    softmax.split_rows(x, out, 8, keep, 2)
    assert contract.SOFTMAX.verify(x, out) is None


def places(x):
    """Arrays for the result, a part of a larger one, at several places in a line, and that one."""
    for place in (0, 3, 32 // x.itemsize):
        frame = np.full(x.size + 128, 7, x.dtype)
        begin = -frame.ctypes.data % 64 // x.itemsize + place
        yield frame[begin : begin + x.size].reshape(x.shape), frame, begin


def unharmed(frame, begin, size):
    return (frame[:begin] == 7).all() and (frame[begin + size :] == 7).all()


def planted(shape, dtype, plant):
    """Scores of which some columns the ends do not tell the maximum."""
    x = (np.random.default_rng(0).standard_normal(shape) * 3).astype(named(dtype))
    if plant == "masked":
        x[0, 0] = x[0, -1] = -np.inf
    elif plant == "special":
        x[-1, 2, 1], x[0, 3, -1] = np.nan, np.inf
        x[0, :, 0] = -np.inf
    elif plant == "far":
        x[0, -2] = 90
        x[0, 3, 0] = -700
    return x


PLANTS = ["none", "masked", "special", "far"]


# Fewer columns than a vector has lanes, whose rows it holds or not, and more, in whole vectors or not, more than WIDE.
@pytest.mark.parametrize("shape", [(3, 900, 3), (2, 3001, 8), (2, 700, 15), (3, 300, 17), (2, 300, 64), (2, 100, 1100)])
@pytest.mark.parametrize("dtype", FLOATS)
def test_split_columns(dtype, shape):
    x = planted(shape, dtype, "none")
    x[-1] = planted(shape, dtype, "special")[-1]  # a NaN, which the sums show
    expected = np.ones(shape[0], bool)
    expected[-1] = False
    for keep, threads in ((True, 1), (False, 4), (False, 1), (True, 4)):
        for out, frame, begin in places(x):
            a, b, sound = plain(x), plain(out), np.ones(shape[0], bool)
            if threads == 1:
                softmax.columns(a, b, keep, sound, 0, shape[0])
            else:
                softmax.split_columns(a, b, keep, sound, threads)
            np.testing.assert_array_equal(sound, expected)
            assert contract.SOFTMAX.verify(x[:-1], out[:-1]) is None
            assert unharmed(frame, begin, x.size)


@pytest.mark.parametrize("shape", [(2, 9000, 3), (1, 3001, 8), (3, 9000, 17)])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("plant", PLANTS)
def test_long_columns_whose_estimates_fail(plant, dtype, shape):
    x = planted(shape, dtype, plant)
    x[0, 5, 1] = {"none": 0, "masked": 45, "special": -np.inf, "far": 600}[plant]
    kernel = impls.load("softmax", "numba_parallel").kernel
    assert wrong(contract.SOFTMAX, kernel, x) is None


# One tile and several, rows that are whole lines or not, a last tile of less than a vector beyond the first line.
@pytest.mark.parametrize("shape", [(3, 21, 528), (2, 100, 64), (9, 7, 19), (3, 7, 16), (2, 256, 37), (3, 5, 144)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("plant", PLANTS)
def test_tiles_of_columns(plant, dtype, shape):
    """Non-temporal stores, ordinary ones, exponentials in the output; in two chunks."""
    x = planted(shape, dtype, plant)
    lanes = 8 if dtype == "float64" else 16
    tiles = max(1, -(-(shape[2] // lanes * lanes) // (8 * lanes)))
    tasks = shape[0] * tiles
    for in_output, streaming in ((False, True), (False, False), (True, False)):
        for out, frame, begin in places(x):
            a, b = plain(x), plain(out)
            softmax.column_tiles(a, b, 8 * lanes, tiles, in_output, streaming, tasks // 2, tasks)
            softmax.column_tiles(a, b, 8 * lanes, tiles, in_output, streaming, 0, tasks // 2)
            assert contract.SOFTMAX.verify(x, out) is None
            assert unharmed(frame, begin, x.size)


# From fewer columns than half a line has to more than are searched in registers.
@pytest.mark.parametrize("n", [3, 4, 5, 8, 9, 12, 13, 16, 17, 24, 31, 32, 33, 40, 48, 55, 63, 64, 65])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint32", "int64", "uint64"])
def test_argmax_of_short_rows(dtype, n):
    rng = np.random.default_rng(n)
    kernel = impls.load("argmax", "numba_parallel").kernel
    x = rng.integers(0, 3, (150, n, 1)).astype(named(dtype))
    assert wrong(contract.ARGMAX, kernel, x) is None
    if x.dtype.kind != "f":
        x[::3, n // 2] = np.iinfo(dtype).max
        x[1::3] = np.iinfo(dtype).min
        assert wrong(contract.ARGMAX, kernel, x) is None
        return
    x *= rng.choice([-1, 1], x.shape)  # zeros of both signs tie
    assert wrong(contract.ARGMAX, kernel, x) is None
    for plant in (np.nan, np.inf, -np.inf):
        x[rng.random(x.shape) < 0.02] = plant
        assert wrong(contract.ARGMAX, kernel, x) is None


@pytest.mark.parametrize("shape", [(1, 70001, 1), (2, 1003, 2), (1, 9000, 4), (2, 5000, 64), (3, 3000, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_probability_is_above_one(dtype, shape):
    """Partial sums that are combined are rounded more often."""
    kernel = impls.load("softmax", "numba_parallel").kernel
    x = np.random.default_rng(0).standard_normal(shape).astype(named(dtype))
    for height in np.linspace(60, 700, 41):
        x[:, 3] = height
        out = kernel.run(x, np.empty_like(x))
        if dtype == "float32":
            assert (out[:, 3] == 1).all()
        assert out.max() <= 1
        if shape[2] == 1 and shape[1] >= 1 << 16:
            for keep in (True, False):
                softmax.split_rows(x, out, 8, keep, 2)
                assert out.max() <= 1


@pytest.mark.parametrize("shape", [(77, 2, 1), (3, 2, 37), (2, 2, 300), (5, 2, 7)])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("plant", [0, 30, 45, 1000, -1000, np.inf, -np.inf, np.nan])
def test_softmax_of_two_scores(plant, dtype, shape):
    kernel = impls.load("softmax", "numba_parallel").kernel
    x = np.random.default_rng(0).standard_normal(shape).astype(named(dtype))
    pairs = x.transpose(0, 2, 1).reshape(-1, 2)
    pairs[5, 0] = pairs[-7, 1] = pairs[-2, 0] = plant
    pairs[20] = plant
    x = np.ascontiguousarray(pairs.reshape(shape[0], shape[2], 2).transpose(0, 2, 1))
    assert wrong(contract.SOFTMAX, kernel, x) is None


@pytest.mark.parametrize("shape", [(64, 10, 1), (64, 24, 1), (64, 64, 1), (64, 2048, 1), (8, 70001, 1), (1, 3000, 64),
                                   (4, 64, 256), (2, 500, 33), (1, 30000, 3), (2, 200, 2000)])  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exponentials_that_rounding_loses_one_by_one_stay_within_the_bound(dtype, shape):
    """Each is a third to a half of an eps of the maximum's, which is 1 and comes first, early or last."""
    kernel = impls.load("softmax", "numba_parallel").kernel
    rng = np.random.default_rng(0)
    low = np.log(rng.uniform(0.3, 0.5, (shape[0], 1, shape[2])) * np.finfo(dtype).eps)
    for top in (0, shape[1] // 8, shape[1] - 1):
        x = np.repeat(low, shape[1], axis=1).astype(named(dtype))
        x[:, top] = 0
        assert wrong(contract.SOFTMAX, kernel, x) is None
