"""The error bounds that `impls.simd.exp` states, over the whole range, and the conversions of `impls.simd.half`."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from maxbench.impls import simd
from maxbench.impls.contract.dtypes import named
from maxbench.impls.simd import exp, half
from tests import needs


@numba.njit
def exponentials_of(x, top, out):
    a, b = simd.data(x), simd.data(out)
    w = simd.VECTOR_BYTES // x.itemsize
    start = exp.shift(simd.broadcast(a, top))
    for i in range(0, x.size, w):
        simd.store(b, i, exp.exponentials(simd.load(a, i), start))


@numba.njit
def exponentials_by_estimate(x, estimate, out):
    """Returns whether the estimate is in range, and whether the sum verifies it."""
    a, b = simd.data(x), simd.data(out)
    like = simd.register(a)
    total = like
    start = exp.estimated_shift(estimate, like)
    for i in range(0, x.size, simd.lanes(like)):
        exponential = exp.exponentials(simd.load_as(a, i, like), start)
        simd.store(b, i, exponential)
        total = total + exponential
    return exp.in_range(estimate, like), exp.is_verified(np.float64(simd.reduce_add(total)), like)


@numba.njit
def ratio(like, top, base):
    vector = simd.broadcast(simd.data(like), 0)
    return exp.ratio(simd.broadcast(vector, top), simd.broadcast(vector, base))


@numba.njit
def excess(like, top):
    return exp.excess(simd.broadcast(simd.data(like), top))


@numba.njit
def quotients(totals, out):
    a, b = simd.data(totals), simd.data(out)
    for i in range(totals.size):
        like = simd.broadcast(b, 0)
        factor = exp.reciprocal(np.float64(simd.get(a, i)), like)
        simd.put(b, i, simd.reduce_max(exp.quotient(simd.broadcast(like, simd.get(a, i)), factor)))


@numba.njit
def from_half(h, out):
    a, b = simd.data(h), simd.data(out)
    for i in range(0, h.size, 16):
        simd.store(b, i, half.from_half(simd.load_as(a, i, simd.zeros_f32())))


@numba.njit
def to_half(p, out):
    a, b = simd.data(p), simd.data(out)
    for i in range(0, p.size, 16):
        simd.store(b, i, half.to_half(simd.load(a, i), b))


@numba.njit
def from_bfloat16(h, out):
    a, b = simd.data(h), simd.data(out)
    for i in range(0, h.size, 16):
        simd.store(b, i, half.from_bfloat16(simd.load_as(a, i, simd.zeros_f32())))


@numba.njit
def to_bfloat16(p, out):
    a, b = simd.data(p), simd.data(out)
    for i in range(0, p.size, 16):
        simd.store(b, i, half.to_bfloat16(simd.load(a, i), b))


TOPS = [0.0, 0.3, -0.34, 12.3, -100.7, 255.9, -255.9, 300.7, -3000.2, 1e6]  # on both sides of the limits
LOWEST = {"float32": -104, "float64": -746}
BOUND = {"float32": 2.5, "float64": 3}


def wider(dtype: np.dtype) -> type:
    return np.float64 if dtype == np.float32 else np.longdouble


def errors(top: float, distances: np.ndarray, dtype: str) -> np.ndarray:
    """Relative errors of ratios of exponentials, in units of eps, less what the bound allows in |x - top|."""
    kind = np.dtype(dtype)
    highest = kind.type(top)
    x = np.minimum((np.float64(highest) + distances).astype(kind), highest)
    exact = x.astype(wider(kind)) - highest.astype(wider(kind))
    x, exact = x[exact >= LOWEST[dtype]], exact[exact >= LOWEST[dtype]]
    given = np.concatenate([x, np.full(16 + -x.size % 16, highest)])
    out = np.empty_like(given)
    exponentials_of(given, highest, out)
    ratio = out[: x.size].astype(exact.dtype) / out[-1].astype(exact.dtype)
    relative = np.abs(ratio / np.exp(exact) - 1) / np.finfo(kind).eps
    return np.asarray(relative - (0.03 * np.abs(exact) if dtype == "float32" else 0), np.float64)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("top", TOPS)
def test_bound_of_a_ratio_of_exponentials(top, dtype):
    rng = np.random.default_rng(4)
    uniform = rng.uniform(LOWEST[dtype], 0, 1 << 17)
    near = -np.ldexp(rng.uniform(1, 2, 1 << 14), rng.integers(-120, 7, 1 << 14))
    assert errors(top, np.concatenate([uniform, near]), dtype).max() <= BOUND[dtype]


def test_float32_at_every_exponent():
    mantissas = np.linspace(1, 2, 1024, endpoint=False)
    distances = -np.ldexp(mantissas, np.arange(-149, 7)[:, None]).reshape(-1)
    assert set(np.frexp(distances.astype(np.float32))[1]) >= set(range(-125, 8))
    assert errors(0.0, distances, "float32").max() <= 2.5


def test_float32_on_a_sample_of_2_to_the_24():
    rng = np.random.default_rng(3)
    for _ in range(16):
        assert errors(float(rng.normal() * 10), rng.uniform(-104, 0, 1 << 20), "float32").max() <= 2.5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values(dtype):
    x = np.array([0, -0.0, -np.inf, 0, -1e30, -1000, -104, -746] * 2, dtype)
    out = np.empty_like(x)
    exponentials_of(x, dtype(0), out)
    one = dtype(2.0 ** exp.SHIFT[x.dtype.name])
    assert out[0] == out[1] == one
    assert (out[[2, 4, 5]] / one == 0).all()
    assert (out[[2, 4, 5]] >= np.finfo(dtype).smallest_normal).all()
    for top in (np.nan, np.inf, -np.inf):
        exponentials_of(x, dtype(top), out)
        assert np.isnan(out).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_nan_of_any_payload_as_top(dtype):
    x = np.zeros(16, dtype)
    for payload in range(1, 600, 7):
        bits = np.array([np.nan], dtype).view(f"i{x.itemsize}") | payload
        out = np.empty_like(x)
        exponentials_of(x, bits.view(dtype)[0], out)
        assert np.isnan(out).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("below", [0, 0.3, 7, 30])
def test_an_estimate_changes_exponentials_by_a_power_of_2(below, dtype):
    x = np.random.default_rng(5).uniform(-90, 10, 1 << 12).astype(dtype)
    expected, out = np.empty_like(x), np.empty_like(x)
    exponentials_of(x, x.max(), expected)
    estimate = dtype(x.max() - below)
    assert exponentials_by_estimate(x, estimate, out) == (True, True)
    np.testing.assert_array_equal(out / dtype(ratio(x, x.max(), estimate)), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, "reach", 1e30])
def test_the_sum_shows_a_nan_and_what_exceeds_an_estimate_too_far(value, dtype):
    reach = exp.REACH[np.dtype(dtype).name]
    for place in (0, 7, 63):
        x = np.zeros(64, dtype)
        x[place] = reach + 0.5 if value == "reach" else value
        assert exponentials_by_estimate(x, dtype(0), np.empty_like(x)) == (True, False)
    x[place] = reach - 1
    assert exponentials_by_estimate(x, dtype(0), np.empty_like(x)) == (True, True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_nan_of_any_payload_beside_an_estimate(dtype):
    for payload in range(1, 600, 7):
        x = np.zeros(64, dtype)
        x[5] = (np.array([np.nan], dtype).view(f"i{x.itemsize}") | payload).view(dtype)[0]
        assert exponentials_by_estimate(x, dtype(0), np.empty_like(x)) == (True, False)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_estimates_that_would_be_subtracted_are_out_of_range(dtype):
    x = np.zeros(64, dtype)
    for estimate in (np.nan, np.inf, -np.inf, 1e6, -1e6):
        assert not exponentials_by_estimate(x, dtype(estimate), np.empty_like(x))[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_power_of_2_where_one_is_subtracted_or_out_of_reach(dtype):
    x = np.zeros(64, dtype)
    reach = exp.REACH[np.dtype(dtype).name]
    assert ratio(x, 0, 0) == 1
    assert ratio(x, 1e6, 0) == ratio(x, 1e6, 1e6) == ratio(x, 0, -1e6) == ratio(x, reach + 1, 0) == 0
    assert ratio(x, reach, 0) == 2.0 ** round(reach / np.log(2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("top", TOPS)
def test_excess_is_the_logarithm_of_the_exponential_of_top(top, dtype):
    x = np.full(16, top, dtype)
    out = np.empty_like(x)
    exponentials_of(x, dtype(top), out)
    exponential = out.astype(wider(x.dtype))[0] / 2.0 ** exp.SHIFT[x.dtype.name]
    assert abs(np.log(exponential) - excess(x, dtype(top))) <= 2 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_total_times_its_reciprocal_is_one(dtype):
    totals = np.random.default_rng(6).uniform(2.0**25, 2.0**60, 10000).astype(dtype)
    out = np.empty_like(totals)
    quotients(totals, out)
    assert (out == 1).all()


def test_halves_become_floats_exactly():
    h = np.arange(1 << 16, dtype=np.uint16)
    out = np.empty(h.size, np.float32)
    from_half(h.view(np.int16), out)
    np.testing.assert_array_equal(out, h.view(np.float16).astype(np.float32))


def test_floats_become_halves_rounded_to_even():
    halves = np.arange(0x3C01, dtype=np.uint16).view(np.float16).astype(np.float32)
    between = (halves[1:] + halves[:-1]) / 2  # ties
    p = np.concatenate([halves, between, np.nextafter(between, 2), np.nextafter(between, -2), [np.nan]])
    p = np.pad(p, (0, -p.size % 16)).astype(np.float32)
    out = np.empty(p.size, np.int16)
    to_half(p, out)
    np.testing.assert_array_equal(out.view(np.float16), p.astype(np.float16))


@needs.bfloat16
def test_bfloat16_becomes_floats_exactly():
    h = np.arange(1 << 16, dtype=np.uint16)
    out = np.empty(h.size, np.float32)
    from_bfloat16(h, out)
    np.testing.assert_array_equal(out.view(np.uint32), h.astype(np.uint32) << 16)
    np.testing.assert_array_equal(out, h.view(named("bfloat16")).astype(np.float32))


@needs.bfloat16
def test_floats_become_bfloat16_rounded_to_even():
    """Subnormal numbers and every NaN that was a bfloat16 included."""
    numbers = np.arange(0x3F81, dtype=np.uint32) << 16
    ties = numbers[:-1] + 0x8000
    nans = (
        np.concatenate([np.arange(0x7F81, 0x8000, dtype=np.uint32), np.arange(0xFF81, 0x10000, dtype=np.uint32)]) << 16
    )
    p = np.concatenate([numbers, ties, ties - 1, ties + 1, nans])
    p = np.pad(p, (0, -p.size % 16)).view(np.float32)
    out = np.empty(p.size, np.uint16)
    to_bfloat16(p, out)
    with np.errstate(invalid="ignore"):
        expected = p.astype(named("bfloat16"))
    np.testing.assert_array_equal(out.view(named("bfloat16")).astype(np.float32), expected.astype(np.float32))
