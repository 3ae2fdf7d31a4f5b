"""Softmax of short rows: as many of them as a vector has lanes are transposed into a tile."""

from __future__ import annotations

import numpy as np

from .. import simd
from ..compilation import cached_njit
from ..internal import internal
from ..simd.exp import from_guess, is_near, is_sound, origin, quotient, reciprocal, weights
from .softmax_elements import ADDENDS, highest, larger, read, scratch_like, write, zero_like


@internal
def _weigh_lanes(x, n, start, buffer, zero):
    """Weights of n vectors of x into buffer; returns their sums."""
    w = simd.lanes(zero)
    total = zero
    for j in range(0, n, ADDENDS):
        partial = zero
        for i in range(j, min(n, j + ADDENDS)):
            e = weights(read(x, i * w, zero), start)
            simd.store(buffer, i * w, e)
            partial = partial + e
        total = total + partial
    return total


@internal
def _lanes(x, n, buffer, zero):
    """As `_weigh_lanes`; returns the reciprocals of the sums. For few vectors: all is added up in the type of x."""
    guess = simd.maximum(read(x, 0, zero), read(x, (n - 1) * simd.lanes(zero), zero))
    if is_near(guess, zero):
        total = _weigh_lanes(x, n, from_guess(guess, zero), buffer, zero)
        if is_sound(total, zero):
            return reciprocal(total, zero)
    top = highest(x, n, simd.lanes(zero), simd.splat(zero, -np.inf))
    return reciprocal(_weigh_lanes(x, n, origin(top), buffer, zero), zero)


@internal
def _turned(x, start, step):
    """The columns of a matrix of 4 x 4 elements whose rows are `step` apart."""
    return simd.transpose4(
        simd.load4(x, start),
        simd.load4(x, start + step),
        simd.load4(x, start + 2 * step),
        simd.load4(x, start + 3 * step),
    )


@internal
def _weigh_pair(a, b, start):
    """Weights of two scores in every lane and their sum."""
    e, f = weights(a, start), weights(b, start)
    return e, f, e + f


@internal
def pair(a, b):
    """Softmax of two scores in every lane."""
    top = simd.maximum(a, b)
    sound = is_near(top, top)
    if sound:
        e, f, total = _weigh_pair(a, b, from_guess(top, top))
        sound = is_sound(total, top)
    if not sound:
        e, f, total = _weigh_pair(a, b, origin(larger(a, b)))
    factor = reciprocal(total, top)
    return quotient(e, factor), quotient(f, factor)


@internal
def _pairs(x, out, first, end, zero):
    """As many of rows first to end of two columns as fill vectors; returns the row after them."""
    w = simd.lanes(zero)
    i = first
    while i + w <= end:
        p, q = simd.interleave(*pair(*simd.deinterleave(read(x, 2 * i, zero), read(x, 2 * i + w, zero))))
        write(out, 2 * i, p)
        write(out, 2 * i + w, q)
        i += w
    return i


@cached_njit(nogil=True, error_model="numpy")
def short(x, out, first, end):
    """Rows first to end of x (outer, n, 1), n small."""
    n = x.shape[1]
    work = scratch_like(x, n * 16)
    padded_x, padded_out = np.zeros(n * 16, x.dtype), np.empty(n * 16, x.dtype)
    x, out, buffer = simd.data(x), simd.data(out), simd.data(work)
    turned_x, turned_out = simd.data(padded_x), simd.data(padded_out)
    zero = zero_like(x)
    w = simd.lanes(zero)
    i = _pairs(x, out, first, end, zero) if n == 2 else first
    while i < end:
        count = min(w, end - i)
        if count == w and n >= 4:
            # Eight rows at a time: 3% faster in float32 than four.
            for r in range(0, w, 8):
                a, b = (i + r) * n, (i + r + 4) * n
                j = 0
                while True:
                    p, q, s, t = _turned(x, a + j, n)
                    p2, q2, s2, t2 = _turned(x, b + j, n)
                    simd.store(turned_x, j * w + r, simd.join(p, p2))
                    simd.store(turned_x, (j + 1) * w + r, simd.join(q, q2))
                    simd.store(turned_x, (j + 2) * w + r, simd.join(s, s2))
                    simd.store(turned_x, (j + 3) * w + r, simd.join(t, t2))
                    if j == n - 4:
                        break
                    j = min(j + 4, n - 4)
        else:
            for r in range(count):
                for j in range(n):
                    simd.put(turned_x, j * w + r, simd.get(x, (i + r) * n + j))
        factor = _lanes(turned_x, n, buffer, zero)
        for j in range(n):
            write(turned_out, j * w, quotient(simd.load_as(buffer, j * w, zero), factor))
        if count == w and n >= 4:
            for r in range(0, w, 4):
                a = (i + r) * n
                j = 0
                while True:
                    p, q, s, t = _turned(turned_out, j * w + r, w)
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
                    simd.put(out, (i + r) * n + j, simd.get(turned_out, j * w + r))
        i += count
    return work.size + padded_x.size + padded_out.size  # keeps them alive
