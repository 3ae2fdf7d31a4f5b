"""The error bounds that `impls.vector_math` states, over the whole range."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from impls import simd, vector_math


@numba.njit
def every_weight(x, out):
    a, b = simd.data(x), simd.data(out)
    w = simd.VECTOR_BYTES // x.itemsize
    for i in range(0, x.size, w):
        simd.store(b, i, vector_math.weights(simd.load(a, i)))


@numba.njit
def from_half(h, out):
    a, b = simd.data(h), simd.data(out)
    for i in range(0, h.size, 16):
        simd.store(b, i, vector_math.from_half(simd.load_as(a, i, simd.zeros_f32())))


@numba.njit
def to_half(p, out):
    a, b = simd.data(p), simd.data(out)
    for i in range(0, p.size, 16):
        simd.store(b, i, vector_math.to_half(simd.load(a, i), b))


def exp(x: np.ndarray) -> np.ndarray:
    """exp by way of weights, in the type that references are computed in."""
    out = np.empty_like(x)
    every_weight(x, out)
    wide = np.float64 if x.dtype == np.float32 else np.longdouble
    return np.ldexp(out.astype(wide), -vector_math.SHIFT[x.dtype.name])


def errors(x: np.ndarray) -> np.ndarray:
    """Relative errors in units of eps, less the part that the bound allows in |x|."""
    wide = np.float64 if x.dtype == np.float32 else np.longdouble
    expected = np.exp(x.astype(wide))
    relative = np.abs(exp(x) - expected) / expected / np.finfo(x.dtype).eps
    return np.asarray(relative - (0.02 * np.abs(x) if x.dtype == np.float32 else 0), np.float64)


def test_float32_at_every_exponent():
    mantissas = np.linspace(1, 2, 1024, endpoint=False)
    exponents = np.arange(-149, 7)
    x = -np.ldexp(mantissas, exponents[:, None]).astype(np.float32).reshape(-1)
    x = x[x >= -104]
    x = x[: x.size // 16 * 16]
    assert set(np.frexp(x)[1]) >= set(range(-125, 8))
    assert errors(x).max() <= 1.0


def test_float32_on_a_sample_of_2_to_the_24():
    rng = np.random.default_rng(3)
    for _ in range(16):
        assert errors(rng.uniform(-104, 0, 1 << 20).astype(np.float32)).max() <= 1.0


def test_float64():
    rng = np.random.default_rng(4)
    x = np.concatenate(
        [rng.uniform(-746, 0, 1 << 17), -np.ldexp(rng.uniform(1, 2, 1 << 15), rng.integers(-1070, 9, 1 << 15))]
    )
    assert errors(x).max() <= 1.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values(dtype):
    x = np.array([0, -0.0, -np.inf, np.nan, -1e30, -1000, -104, -746] * 2, dtype)
    out = np.empty_like(x)
    every_weight(x, out)
    one = dtype(2.0 ** vector_math.SHIFT[x.dtype.name])
    assert out[0] == out[1] == one
    assert np.isnan(out[3])
    quotients = out[[2, 4, 5]] / one
    assert (quotients == 0).all()
    assert (out[[2, 4, 5]] >= np.finfo(dtype).smallest_normal).all()


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
