"""The edge cases that every implementation is checked on, as arrays of shape (outer, n, inner).

Each is a function of a dtype alone (seeded by its name), so that two processes check the same
numbers. Cases about NaN, infinities and signed zeros exist for floating dtypes only.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from . import dtypes
from .dtypes import DTYPES, FLOATS, INTEGERS, OPTIONAL, is_float

Build = Callable[[np.dtype, np.random.Generator], np.ndarray]

FLOATING = (*FLOATS, *OPTIONAL)
EVERY = (*DTYPES, *OPTIONAL)
SIGNED = (*FLOATING, *(name for name in INTEGERS if name.startswith("int")))

# 64k - 1, 64k, 64k + 1 for every vector width in use, and the powers of two below.
LENGTHS = (
    *(1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33),
    *(64 * k + d for k in (1, 2, 3, 4, 8, 16, 64) for d in (-1, 0, 1)),
)


@dataclass(frozen=True)
class Case:
    """A named input.

    Attributes:
        name: what tables call it.
        dtypes: names of the dtypes it exists for.
        build: (dtype, random generator) -> x of shape (outer, n, inner).
    """

    name: str
    dtypes: tuple[str, ...]
    build: Build

    def array(self, dtype: str) -> np.ndarray:
        """x for this dtype: C-contiguous, the same in every process."""
        seed = zlib.crc32(f"{self.name}/{dtype}".encode())
        with np.errstate(all="ignore"):
            x = self.build(dtypes.named(dtype), np.random.default_rng(seed))
        return np.ascontiguousarray(x, dtypes.named(dtype))


def normal(dtype: np.dtype, rng: np.random.Generator, shape: tuple[int, ...], scale: float = 3.0) -> np.ndarray:
    """N(0, scale) for floats; for integers uniform over the whole range; for bool a fair coin."""
    if is_float(dtype):
        return (rng.standard_normal(shape) * scale).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype, endpoint=True)


def _shape(*shape: int) -> Build:
    return lambda dtype, rng: normal(dtype, rng, shape)


def _scaled(scale: float, *shape: int) -> Build:
    return lambda dtype, rng: normal(dtype, rng, shape, scale)


def _few_values(*shape: int) -> Build:
    """Values from {0, 1} or, where there are more, {0, 1, 2}: nearly every maximum is a tie."""
    return lambda dtype, rng: rng.integers(0, 2 if dtype.kind == "b" else 3, shape).astype(dtype)


def _row_offset(low: float, high: float) -> Build:
    def build(dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
        x = normal(dtype, rng, (6, 200, 1))
        x[0::2] += np.asarray(low, dtype)
        x[1::2] += np.asarray(high, dtype)
        return x

    return build


def _planted(values: dict[int, float], *, n: int = 261, inner: int = 1) -> Build:
    """Normal rows with given values at given positions (negative ones count from the end)."""

    def build(dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
        x = normal(dtype, rng, (5, n, inner))
        for position, value in values.items():
            x[1::2, position] = value
        return x

    return build


def _sprinkled(value: float, *shape: int) -> Build:
    def build(dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
        x = normal(dtype, rng, shape)
        x[rng.random(shape) < 0.3] = value
        return x

    return build


def _constant(value: float, *shape: int) -> Build:
    return lambda dtype, rng: np.full(shape, value, dtype)


def _ordered(step: int) -> Build:
    """Rows that rise (step 1) or fall (step -1), with repeats where the dtype has few values."""

    def build(dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
        row = np.sort(normal(dtype, rng, (4, 1000, 1)), axis=1)
        return row[:, ::step]

    return build


def _extreme_at(*positions: int, n: int = 1000) -> Build:
    """The dtype's largest value at these positions of rows that are smaller elsewhere."""

    def build(dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
        if is_float(dtype):
            x, top = normal(dtype, rng, (4, n, 1)), np.asarray(20, dtype)
        elif dtype.kind == "b":
            x, top = np.zeros((4, n, 1), dtype), np.asarray(True)
        else:
            x, top = normal(dtype, rng, (4, n, 1)), np.asarray(np.iinfo(dtype).max, dtype)
            x[x == top] -= 1
        for position in positions:
            x[:, position] = top
        return x

    return build


_ROWS = (4, 130, 1)


def _huge(dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
    x = rng.choice(np.array([-1, -0.5, 0.25, 0.5, 1]), _ROWS) * float(dtypes.finfo(dtype).max)
    x[2:] = np.abs(x[2:]) * -1
    return x.astype(dtype)


def _tiny(dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
    return (rng.standard_normal(_ROWS) * float(dtypes.finfo(dtype).smallest_normal) * 8).astype(dtype)


def _subnormal(dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
    steps: np.ndarray = rng.integers(-9, 10, _ROWS).astype(dtype)
    steps *= dtypes.finfo(dtype).smallest_subnormal
    return steps


def _signed_zeros(dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
    x = np.where(rng.random((6, 70)) < 0.5, -0.0, 0.0).astype(dtype)
    x[1:3] = -1
    x[1, 3:5] = [-0.0, 0.0]
    x[2, 3:5] = [0.0, -0.0]
    x[3, 0], x[4, 0] = -0.0, 0.0
    return x[:, :, None]


def _integer_ends(dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
    """Neighbours at both ends of the range: exact integers beyond what float64 tells apart."""
    info = np.iinfo(dtype)
    x = np.full((6, 67), info.min, dtype)
    x[1, 40], x[2, 40:42] = info.min + 1, [info.max - 1, info.max]
    x[3], x[3, 9] = info.max - 1, info.max
    x[4] = info.max
    x[5, 66] = info.max
    return x[:, :, None]


def _long_row(dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
    """2^20 equal scores, but for two larger ones near the ends: a sum that drifts shows here."""
    x = np.zeros((1, 1 << 20, 1), dtype)
    x[0, [3, -2]] = 1
    return x


def _round_badly(*shape: int) -> Build:
    """Equal scores log(n) to log(2n) below the one maximum of their row, so that their exponentials sum to 0.5 to 1.

    Added one by one to that of the maximum, which is 1, all of a row round in the same direction: the sum is off by up
    to n / 4 eps. Each row has a distance of its own, as some round little.
    """

    def build(dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
        outer, n, inner = shape
        x = np.repeat(-np.log(rng.uniform(n, 2 * n, (outer, 1, inner))), n, axis=1)
        x[:, n // 8] = 0
        return x.astype(dtype)

    return build


def _statement() -> Iterator[Case]:
    for n in LENGTHS:
        yield Case(f"n = {n}", EVERY, _shape(3, n, 1))
    yield Case("two columns, many rows", EVERY, _shape(4099, 2, 1))
    yield Case("ten columns, many rows", EVERY, _shape(1031, 10, 1))
    yield Case("50,257 columns", EVERY, _shape(2, 50257, 1))
    yield Case("1,048,576 columns", EVERY, _shape(1, 1 << 20, 1))
    yield Case("1,048,576 nearly equal columns", EVERY, _long_row)
    yield Case("inner axis: 8 x 21 x 4096", EVERY, _shape(8, 21, 4096))
    yield Case("inner axis: 2 x 1000 x 3", EVERY, _shape(2, 1000, 3))
    yield Case("inner axis: 3 x 65 x 33", EVERY, _shape(3, 65, 33))
    yield Case("inner axis: 1 x 1 x 7", EVERY, _shape(1, 1, 7))
    yield Case("inner axis: ties", EVERY, _few_values(3, 21, 70))
    yield Case("sums that round badly: 1 x 1048576", FLOATING, _round_badly(1, 1 << 20, 1))
    yield Case("sums that round badly: 128 x 8192", FLOATING, _round_badly(128, 8192, 1))
    yield Case("inner axis: sums that round badly, 1 x 349525 x 3", FLOATING, _round_badly(1, 349525, 3))
    yield Case("inner axis: sums that round badly, 4 x 4096 x 64", FLOATING, _round_badly(4, 4096, 64))
    yield Case("inner axis: sums that round badly, 1 x 256 x 4096", FLOATING, _round_badly(1, 256, 4096))
    yield Case("ties among few values", EVERY, _few_values(6, 300, 1))
    yield Case("all equal", EVERY, _constant(1, 3, 130, 1))
    yield Case("all zero", EVERY, _constant(0, 3, 130, 1))
    yield Case("ascending", EVERY, _ordered(1))
    yield Case("descending", EVERY, _ordered(-1))
    yield Case("maximum first", EVERY, _extreme_at(0))
    yield Case("maximum last", EVERY, _extreme_at(-1))
    yield Case("ties at both ends", EVERY, _extreme_at(0, -1))
    yield Case("ties in neighbours", EVERY, _extreme_at(63, 64, 65, 500))
    yield Case("ends of the integer range", INTEGERS, _integer_ends)
    yield Case("all negative", SIGNED, _constant(-5, 3, 130, 1))
    yield Case("rows offset by +-1e3", FLOATING, _row_offset(-1e3, 1e3))
    yield Case("alternate rows +200", FLOATING, _row_offset(0, 200))
    yield Case("N(0, 40)", FLOATING, _scaled(40, 5, 999, 1))
    yield Case("huge magnitudes", FLOATING, _huge)
    yield Case("tiny magnitudes", FLOATING, _tiny)
    yield Case("subnormals", FLOATING, _subnormal)
    yield Case("signed zeros", FLOATING, _signed_zeros)
    yield Case("-inf entries", FLOATING, _sprinkled(-np.inf, 5, 261, 1))
    yield Case("all -inf", FLOATING, _constant(-np.inf, 2, 70, 1))
    yield Case("all -inf but the last", FLOATING, _planted({**dict.fromkeys(range(69), -np.inf)}, n=70))
    yield Case("+inf", FLOATING, _planted({100: np.inf}))
    yield Case("+inf and -inf", FLOATING, _planted({7: -np.inf, 100: np.inf, 200: np.inf}))
    yield Case("NaN first", FLOATING, _planted({0: np.nan}))
    yield Case("NaN in the middle", FLOATING, _planted({130: np.nan}))
    yield Case("NaN last", FLOATING, _planted({-1: np.nan}))
    yield Case("several NaNs and +inf", FLOATING, _planted({5: np.inf, 77: np.nan, 78: np.nan, -1: np.nan}))
    yield Case("NaN in short rows", FLOATING, _planted({2: np.nan, 4: np.nan}, n=6))
    yield Case("NaN in a long row", FLOATING, _planted({40000: np.nan, 60001: np.nan}, n=70001))
    yield Case("-inf and NaN over an inner axis", FLOATING, _planted({1: -np.inf, 3: np.nan}, n=9, inner=35))
    yield Case("+inf over an inner axis", FLOATING, _planted({4: np.inf}, n=9, inner=35))


KERNEL_CASES = tuple(_statement())
