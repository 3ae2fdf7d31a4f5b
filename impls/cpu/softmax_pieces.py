"""Softmax of long rows in pieces: a piece knows the sum of its weights and the number that they are relative to."""

from __future__ import annotations

import math

import numpy as np

from .. import simd
from ..compilation import cached_njit
from ..internal import internal
from ..parallel import run
from ..simd.exp import excess, kept, origin_of_row, ratio, reciprocal, weights
from .softmax_elements import (
    LONG,
    add,
    ahead,
    buffer_of,
    fetch_pair,
    into_line,
    part,
    read,
    scratch_like,
    write,
    write_past,
    zero_like,
)
from .softmax_rows import guess_at, scale_piece, weigh

# In a core's memory two places at a time are faster (see `softmax_two`), by 6 to 9% of a row beyond the caches.
PLACES = 2 if LONG else 1
PIECE = 1 << 13  # columns of a piece


@internal
def _piece(x, n, buffer, keep, zero):
    """(base, sum of weights relative to it) of x[:n], -inf where all are; weights to buffer if they are to be kept."""
    base, total = weigh(x, n, guess_at(x, n, zero), buffer, keep, zero)
    # Where all are -inf the difference is NaN, which is the whole row's affair.
    if base == -np.inf:
        return -np.inf, 0.0
    return np.float64(base), total * math.exp(-excess(simd.splat(zero, base)))


@cached_njit(error_model="numpy")
def combine(tops, totals):
    """(largest base, sum of weights relative to it) of a row from those of its pieces."""
    top = -np.inf
    for p in range(tops.size):
        top = max(top, tops[p])
    total = lost = 0.0
    for p in range(tops.size):
        if tops[p] > -np.inf or totals[p] != totals[p]:
            term = totals[p] * math.exp(tops[p] - top if tops[p] > -np.inf else 0.0)
            total, lost = add(total, lost, term)
    return top, total


@internal
def _quotients(x, n, out, top, total):
    """Softmax of x[:n] from its row's base, a vector, and its sum; past the caches, but for float16."""
    w = simd.lanes(top)
    start = kept(origin_of_row(top))
    factor = reciprocal(total * math.exp(excess(top)), top)
    begin = -into_line(out, top) % (2 * w)  # as registers are at least half a line
    j = 0
    while j < begin:
        write(out, j, part(weights(read(x, j, top), start), factor))
        j += w
    j = begin
    # The piece after this one lies before it.
    apart = (n - j) // (2 * PLACES * w) * (2 * w)
    stop = j + apart
    while j < stop:
        near = j + ahead(x) if j + ahead(x) < stop else j + ahead(x) - apart - n
        for k in range(PLACES):
            fetch_pair(x, near + k * apart, top)
            p = part(weights(read(x, j + k * apart, top), start), factor)
            q = part(weights(read(x, j + k * apart + w, top), start), factor)
            # Together: a line whose halves are stored at different times may be written twice.
            write_past(out, j + k * apart, p)
            write_past(out, j + k * apart + w, q)
        j += 2 * w
    j += (PLACES - 1) * apart
    while j < n:
        j = min(j, n - w)
        write(out, j, part(weights(read(x, j, top), start), factor))
        j += w


@cached_njit(nogil=True, error_model="numpy")
def long_sums(x, out, keep, tops, totals, first, end):
    """Bases and sums of pieces first to end, numbered through all rows."""
    n, pieces = x.shape[1], tops.shape[1]
    spare = scratch_like(x, 0)
    x, out, nowhere = simd.data(x), simd.data(out), simd.data(spare)
    register = simd.register(zero_like(x))
    for task in range(first, end):
        i, p = task // pieces, task % pieces
        a, b = p * n // pieces, (p + 1) * n // pieces
        row, to = simd.offset(x, i * n + a), simd.offset(out, i * n + a)
        tops[i, p], totals[i, p] = _piece(row, b - a, buffer_of(to, nowhere), keep, register)
    return spare.size  # keeps it alive


@cached_njit(nogil=True, error_model="numpy")
def long_quotients(x, out, keep, tops, high, total, first, end):
    """Results of pieces first to end, backwards: the end of a row is still in the caches."""
    n, pieces = x.shape[1], tops.shape[1]
    spare = scratch_like(x, 0)
    x, out, nowhere = simd.data(x), simd.data(out), simd.data(spare)
    zero, register = zero_like(x), simd.register(zero_like(x))
    for back in range(end - first):
        task = end - 1 - back
        i, p = task // pieces, task % pieces
        a, b = p * n // pieces, (p + 1) * n // pieces
        row, to = simd.offset(x, i * n + a), simd.offset(out, i * n + a)
        top = simd.splat(zero, high[i])
        power = ratio(top, simd.splat(zero, tops[i, p])) if keep else 0.0
        if power > 0:
            scale_piece(
                buffer_of(to, nowhere), b - a, reciprocal(total[i] * math.exp(excess(top)) * power, zero), to, zero
            )
        else:
            _quotients(row, b - a, to, simd.splat(register, high[i]), total[i])
    return spare.size  # keeps it alive


@cached_njit(error_model="numpy")
def _combine_all(tops, totals, high, total):
    for i in range(high.size):
        high[i], total[i] = combine(tops[i], totals[i])


def long_rows(x, out, keep, threads):
    """Rows of x (outer, n, 1), the pieces of all of them shared out, and put together between.

    Weights wait in out or, if they are not to be kept, are computed twice.
    """
    outer, n, _ = x.shape
    pieces = n // PIECE
    tops, totals = np.empty((outer, pieces)), np.empty((outer, pieces))
    high, total = np.empty(outer), np.empty(outer)
    run(long_sums, (x, out, keep, tops, totals), outer * pieces, threads)
    _combine_all(tops, totals, high, total)
    run(long_quotients, (x, out, keep, tops, high, total), outer * pieces, threads)
