"""Argmax of short rows: in registers and bit masks, or as many of them as a vector has lanes in a tile."""

from __future__ import annotations

import functools

import numpy as np

from .. import simd
from ..compilation import cached_njit
from ..internal import internal
from .argmax_elements import column, get

# Vectors ahead of those at work that are fetched: up to 1.7 times faster at 8 columns of float64 on an AMD Zen 3.
FETCH = 128
BATCH = 64  # rows that are looked through for a NaN at a time


@internal
def _one_by_one(x, out, n, first, end):
    """Rows first to end of n columns, element by element."""
    for i in range(first, end):
        simd.put(out, i, column(simd.offset(x, i * n), n, None))


@internal
def _again_if_nan(seen, x, out, n, first, end):
    """Rows first to end anew if one of the sums that were `seen` in them is NaN."""
    # A sum of all is NaN if one is; also of two infinities, where nothing is lost but time.
    if simd.some(simd.unordered(seen, seen)):
        _one_by_one(x, out, n, first, end)


# Rows of some vectors of half a line each: all at once, and the bits of the lanes that have the maximum.


@internal
def _has(v, top, at):
    """The lanes of v that equal top, as bits from bit `at` on."""
    return simd.mask_bits(simd.equal(v, top)) << np.uint64(at)


_NUMBERS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)


def _rows_of(vectors):
    """A function as those of `few`, for rows of up to a number of vectors that is known when it is compiled."""

    @internal
    def rows(x, out, n, first, end):
        like = simd.half_line(x)
        w = simd.lanes(like)
        last = n - w
        for begin in range(first, end, BATCH):
            stop = min(end, begin + BATCH)
            seen = like
            for i in range(begin, stop):
                row = simd.offset(x, i * n)
                simd.prefetch(row, FETCH * w)
                # The last vector begins within the one before it: what both hold is found twice in one place.
                top = total = simd.load_as(row, last, like)
                for k in range(vectors - 1):
                    v = simd.load_as(row, min(k * w, last), like)
                    top, total = simd.maximum(v, top), total + v
                seen = seen + total
                top = simd.splat(top, simd.reduce_max(top))
                bits = _has(simd.load_as(row, last, like), top, last)
                for k in range(vectors - 1):
                    at = min(k * w, last)
                    bits |= _has(simd.load_as(row, at, like), top, at)
                simd.put(out, i, simd.lowest_bit(bits))
            _again_if_nan(seen, x, out, n, begin, stop)

    return rows


@functools.cache
def few(vectors):
    """The kernel (x, out, first, end): rows first to end of x (outer, n, 1), of half a line to `vectors` times as much.

    It is compiled when it is first asked for.
    """
    rows_of_few = _rows_of(vectors)

    @cached_njit(nogil=True, error_model="numpy")
    def few_rows(x, out, first, end):
        n = x.shape[1]
        x, out = simd.data(x), simd.data(out)
        rows_of_few(x, out, n, first, end)

    return few_rows


@functools.cache
def few_for(n, itemsize):
    """The kernel of `few` for rows of n elements, up to 64, of so many bytes: those of the fewest vectors."""
    return few(next(vectors for vectors in _NUMBERS if n * itemsize <= vectors * simd.VECTOR_BYTES // 2))


# Rows of four elements of four bytes: four rows to a vector.


@cached_njit(nogil=True, error_model="numpy")
def fours(x, out, first, end):
    """Rows first to end of x (outer, 4, 1)."""
    x, out = simd.data(x), simd.data(out)
    whole = first + (end - first) // 4 * 4
    for begin in range(first, whole, BATCH):
        stop = min(whole, begin + BATCH)
        seen = simd.splat(x, 0)
        for i in range(begin, stop, 4):
            simd.prefetch(x, i * 4 + FETCH * 16)
            v = simd.load(x, i * 4)
            seen = seen + v
            top = simd.maximum(v, simd.swap(v, 1))
            top = simd.maximum(top, simd.swap(top, 2))
            bits = simd.mask_bits(simd.equal(v, top))
            simd.put(out, i, simd.lowest_bit(bits))
            simd.put(out, i + 1, simd.lowest_bit(bits >> np.uint64(4)))
            simd.put(out, i + 2, simd.lowest_bit(bits >> np.uint64(8)))
            simd.put(out, i + 3, simd.lowest_bit(bits >> np.uint64(12)))
        _again_if_nan(seen, x, out, 4, begin, stop)
    _one_by_one(x, out, 4, whole, end)


# As many rows as a vector has lanes are transposed into a tile.


@cached_njit(nogil=True, error_model="numpy")
def short(x, out, half, first, end):
    """Rows first to end of x (outer, n, 1), n small."""
    n = x.shape[1]
    w = simd.VECTOR_BYTES // x.itemsize
    padded = np.empty(n * w, x.dtype)
    x, out, turned = simd.data(x), simd.data(out), simd.data(padded)
    lane = simd.lane_numbers(get(turned, 0, half))
    i = first
    while i < end:
        if end - i < w or n == 1 or n == 3 or (w == simd.VECTOR_BYTES and n > 2):
            # Lanes of one byte have positions of four: their masks would be taken apart lane by lane.
            simd.put(out, i, column(simd.offset(x, i * n), n, half))
            i += 1
            continue
        if n == 2:
            p, q = simd.deinterleave(simd.load(x, i * n), simd.load(x, i * n + w))
            simd.store(turned, 0, p)
            simd.store(turned, w, q)
        else:
            for r in range(0, w, 4):
                a = (i + r) * n
                j = 0
                while True:
                    p, q, s, t = simd.transpose4(
                        simd.load4(x, a + j),
                        simd.load4(x, a + n + j),
                        simd.load4(x, a + 2 * n + j),
                        simd.load4(x, a + 3 * n + j),
                    )
                    simd.store(turned, j * w + r, p)
                    simd.store(turned, (j + 1) * w + r, q)
                    simd.store(turned, (j + 2) * w + r, s)
                    simd.store(turned, (j + 3) * w + r, t)
                    if j == n - 4:
                        break
                    j = min(j + 4, n - 4)
        best = get(turned, 0, half)
        where = simd.splat(lane, 0)
        for j in range(1, n):
            v = get(turned, j * w, half)
            better = simd.beats(v, best)
            best = simd.select(better, v, best)
            where = simd.select(better, simd.splat(where, j), where)
        simd.store(out, i, simd.convert(where, out))
        i += w
    return padded.size  # keeps it alive
