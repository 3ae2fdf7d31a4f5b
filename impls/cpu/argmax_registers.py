"""Register-resident and packed rows: a maximum, then the lowest bit in the mask of the lanes that equal it."""

from __future__ import annotations

import functools

import numpy as np

from .. import simd
from ..compilation import cached_njit
from ..internal import internal
from .argmax_order import first_maximum

# prefetch distance in vectors
PREFETCH = 128
BATCH = 64  # rows after which the sums are checked for a NaN


@internal
def _one_by_one(x, out, n, first, end):
    """Rows first to end of n columns, element by element."""
    for i in range(first, end):
        simd.put(out, i, first_maximum(simd.offset(x, i * n), n, None))


@internal
def _redo_if_nan(sums, x, out, n, first, end):
    """Do rows first to end again, element by element, if one of their sums is NaN."""
    # The sum of opposite infinities is NaN too, which costs time alone.
    if simd.any_lane(simd.unordered(sums, sums)):
        _one_by_one(x, out, n, first, end)


# Vectors of 32 bytes: a row of 64 elements is 64 bits of a mask.


@internal
def _has(v, top, at):
    """The lanes of v that equal top, as bits from bit `at` on."""
    return simd.mask_bits(simd.equal(v, top)) << np.uint64(at)


_NUMBERS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)


def _rows_of(vectors):
    """A function for rows first to end of up to `vectors` vectors, a constant."""

    @internal
    def rows(x, out, n, first, end):
        like = simd.half_line(x)
        w = simd.lanes(like)
        last = n - w
        for begin in range(first, end, BATCH):
            stop = min(end, begin + BATCH)
            sums = like
            for i in range(begin, stop):
                row = simd.offset(x, i * n)
                simd.prefetch(row, PREFETCH * w)
                # The last vector may overlap the one before it; their bits are the same there.
                top = total = simd.load_as(row, last, like)
                for k in range(vectors - 1):
                    v = simd.load_as(row, min(k * w, last), like)
                    top, total = simd.maximum(v, top), total + v
                sums = sums + total
                top = simd.broadcast(top, simd.reduce_max(top))
                bits = _has(simd.load_as(row, last, like), top, last)
                for k in range(vectors - 1):
                    at = min(k * w, last)
                    bits |= _has(simd.load_as(row, at, like), top, at)
                simd.put(out, i, simd.lowest_bit(bits))
            _redo_if_nan(sums, x, out, n, begin, stop)

    return rows


@functools.cache
def registers(vectors):
    """The kernel (x, out, first, end) for rows first to end of x (outer, n, 1) of up to `vectors` vectors of 32 bytes.

    It is compiled when it is first used.
    """
    resident_rows = _rows_of(vectors)

    @cached_njit(nogil=True, error_model="numpy")
    def register_rows(x, out, first, end):
        n = x.shape[1]
        x, out = simd.data(x), simd.data(out)
        resident_rows(x, out, n, first, end)

    return register_rows


@functools.cache
def registers_for(n, itemsize):
    """The kernel of `registers` of the fewest vectors that hold n elements of so many bytes, at most 64."""
    return registers(next(vectors for vectors in _NUMBERS if n * itemsize <= vectors * simd.VECTOR_BYTES // 2))


# Rows of four elements of four bytes: four rows to a vector.


@cached_njit(nogil=True, error_model="numpy")
def packed(x, out, first, end):
    """Rows first to end of x (outer, 4, 1)."""
    x, out = simd.data(x), simd.data(out)
    whole = first + (end - first) // 4 * 4
    for begin in range(first, whole, BATCH):
        stop = min(whole, begin + BATCH)
        sums = simd.broadcast(x, 0)
        for i in range(begin, stop, 4):
            simd.prefetch(x, i * 4 + PREFETCH * 16)
            v = simd.load(x, i * 4)
            sums = sums + v
            top = simd.maximum(v, simd.shuffle_xor(v, 1))
            top = simd.maximum(top, simd.shuffle_xor(top, 2))
            bits = simd.mask_bits(simd.equal(v, top))
            simd.put(out, i, simd.lowest_bit(bits))
            simd.put(out, i + 1, simd.lowest_bit(bits >> np.uint64(4)))
            simd.put(out, i + 2, simd.lowest_bit(bits >> np.uint64(8)))
            simd.put(out, i + 3, simd.lowest_bit(bits >> np.uint64(12)))
        _redo_if_nan(sums, x, out, 4, begin, stop)
    _one_by_one(x, out, 4, whole, end)
