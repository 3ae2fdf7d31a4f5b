"""Transposed rows: as many short rows as a vector has lanes become columns of a tile, one row a lane."""

from __future__ import annotations

import numpy as np

from .. import simd
from ..compilation import cached_njit
from ..internal import internal
from ..simd.exp import estimated_shift, exponentials, in_range, is_verified, quotient, reciprocal, shift
from .softmax_elements import ADDENDS, greater_or_nan_of, maximum_down, read, scratch_like, write, zero_like


@internal
def _exp_sum_lanes(x, n, start, buffer, zero):
    """Store the exponentials of n vectors of x in buffer; returns their sums lane by lane."""
    w = simd.lanes(zero)
    total = zero
    for j in range(0, n, ADDENDS):
        partial = zero
        for i in range(j, min(n, j + ADDENDS)):
            e = exponentials(read(x, i * w, zero), start)
            simd.store(buffer, i * w, e)
            partial = partial + e
        total = total + partial
    return total


@internal
def _reciprocals(x, n, buffer, zero):
    """Store the exponentials in buffer; returns the reciprocals of their sums, which are added up in the type of x."""
    estimate = simd.maximum(read(x, 0, zero), read(x, (n - 1) * simd.lanes(zero), zero))
    if in_range(estimate, zero):
        total = _exp_sum_lanes(x, n, estimated_shift(estimate, zero), buffer, zero)
        if is_verified(total, zero):
            return reciprocal(total, zero)
    top = maximum_down(x, n, simd.lanes(zero), simd.broadcast(zero, -np.inf))
    return reciprocal(_exp_sum_lanes(x, n, shift(top), buffer, zero), zero)


@internal
def _transposed4(x, start, step):
    """The columns of a matrix of 4 x 4 elements whose rows are `step` apart."""
    return simd.transpose4(
        simd.load4(x, start),
        simd.load4(x, start + step),
        simd.load4(x, start + 2 * step),
        simd.load4(x, start + 3 * step),
    )


@internal
def _exp_pair(a, b, start):
    """Exponentials of two scores in every lane, and their sum."""
    e, f = exponentials(a, start), exponentials(b, start)
    return e, f, e + f


@internal
def softmax_pair(a, b):
    """Softmax of two scores in every lane."""
    top = simd.maximum(a, b)
    verified = in_range(top, top)
    if verified:
        e, f, total = _exp_pair(a, b, estimated_shift(top, top))
        verified = is_verified(total, top)
    if not verified:
        e, f, total = _exp_pair(a, b, shift(greater_or_nan_of(a, b)))
    factor = reciprocal(total, top)
    return quotient(e, factor), quotient(f, factor)


@internal
def _rows_of_two(x, out, first, end, zero):
    """Softmax of those of rows first to end of two columns that fill vectors; returns the row after them."""
    w = simd.lanes(zero)
    i = first
    while i + w <= end:
        p, q = simd.interleave(*softmax_pair(*simd.deinterleave(read(x, 2 * i, zero), read(x, 2 * i + w, zero))))
        write(out, 2 * i, p)
        write(out, 2 * i + w, q)
        i += w
    return i


@cached_njit(nogil=True, error_model="numpy")
def transposed(x, out, first, end):
    """Rows first to end of x (outer, n, 1), n at most a few vectors."""
    n = x.shape[1]
    work = scratch_like(x, n * 16)
    padded_x, padded_out = np.zeros(n * 16, x.dtype), np.empty(n * 16, x.dtype)
    x, out, buffer = simd.data(x), simd.data(out), simd.data(work)
    tile_x, tile_out = simd.data(padded_x), simd.data(padded_out)
    zero = zero_like(x)
    w = simd.lanes(zero)
    i = _rows_of_two(x, out, first, end, zero) if n == 2 else first
    while i < end:
        count = min(w, end - i)
        if count == w and n >= 4:
            # Eight rows at a time.
            for r in range(0, w, 8):
                a, b = (i + r) * n, (i + r + 4) * n
                j = 0
                while True:
                    p, q, s, t = _transposed4(x, a + j, n)
                    p2, q2, s2, t2 = _transposed4(x, b + j, n)
                    simd.store(tile_x, j * w + r, simd.join(p, p2))
                    simd.store(tile_x, (j + 1) * w + r, simd.join(q, q2))
                    simd.store(tile_x, (j + 2) * w + r, simd.join(s, s2))
                    simd.store(tile_x, (j + 3) * w + r, simd.join(t, t2))
                    if j == n - 4:
                        break
                    j = min(j + 4, n - 4)
        else:
            for r in range(count):
                for j in range(n):
                    simd.put(tile_x, j * w + r, simd.get(x, (i + r) * n + j))
        factor = _reciprocals(tile_x, n, buffer, zero)
        for j in range(n):
            write(tile_out, j * w, quotient(simd.load_as(buffer, j * w, zero), factor))
        if count == w and n >= 4:
            for r in range(0, w, 4):
                a = (i + r) * n
                j = 0
                while True:
                    p, q, s, t = _transposed4(tile_out, j * w + r, w)
                    simd.store(out, a + j, p)
                    simd.store(out, a + n + j, q)
                    simd.store(out, a + 2 * n + j, s)
                    simd.store(out, a + 3 * n + j, t)
                    if j == n - 4:
                        break
                    j = min(j + 4, n - 4)
        else:
            for r in range(count):
                for j in range(n):
                    simd.put(out, (i + r) * n + j, simd.get(tile_out, j * w + r))
        i += count
    return work.size + padded_x.size + padded_out.size  # keeps them alive
