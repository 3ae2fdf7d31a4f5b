"""Split columns: softmax over a strided axis in two passes over memory, sums down the columns, then results.

For columns whose exponentials no cache of a core holds, and for few columns, whose length threads share. All parts of a
column have the same estimated shift, so that their sums need no scaling; where the sum does not verify it, the caller
has to do that x[i] another way. x[i] (n, inner) is summed in rows of whole vectors: its own or, if these are shorter
than a vector, several of them at a time; what is left over is padded to one more. Sums are numbered by the place in
such a row, and folded into columns afterwards.
"""

from __future__ import annotations

import math

import numpy as np

from .. import simd
from ..compilation import cached_njit
from ..internal import generated, internal
from ..parallel import run
from ..simd.exp import estimated_shift, in_range, is_verified, reciprocal
from .softmax_elements import (
    BFLOAT16,
    BLOCK,
    FLOAT16,
    SIXTEEN_BITS,
    kahan_add,
    offset_in_line,
    prefetch_distance,
    read,
    scratch_like,
    zero_like,
)
from .softmax_normalise import SPARE, normalise_in_place, normalise_scores
from .softmax_tiles import NEAR, Columns, Matrix, Sums, clear, exp_sum_columns

SAMPLES = 16  # rows, spread evenly, from which the maximum of a column is estimated
WIDE = 1024  # columns that are summed at a time: their sums stay in the L1
CHUNK = 1 << 14  # elements that are normalised forwards; the chunks are done backwards


@internal
def _span(inner, w):
    """Elements of the rows in which x[i] is summed: several of its own where these are shorter than a vector of w."""
    return inner if inner >= w else inner * w // math.gcd(inner, w)


@internal
def _whole(size, w):
    """size, rounded up to whole vectors of w."""
    return -(-size // w) * w


@internal
def _column(k, span, w):
    """The column of place k; the last vector overlaps the one before it."""
    return k if k < span // w * w else k - _whole(span, w) + span


@generated
def _filling(x):
    """An element whose exponential is 0."""
    if x.dtype is FLOAT16:
        return lambda x: -1024  # the bits of its -inf
    if x.dtype is BFLOAT16:
        return lambda x: 0xFF80
    return lambda x: -np.inf


@generated
def _exp_sum(x, n, columns, sums, out, keep, ahead):
    """`exp_sum_columns` of n rows of x; the exponentials go to out, a `Matrix` too, if `keep`."""

    def recomputed(x, n, columns, sums, out, keep, ahead):
        exp_sum_columns(x, n, columns, sums, None, True, ahead, None)

    def either(x, n, columns, sums, out, keep, ahead):
        if keep:
            exp_sum_columns(x, n, columns, sums, out, True, ahead, None)
        else:
            exp_sum_columns(x, n, columns, sums, None, True, ahead, None)

    return recomputed if x.types[0].dtype in SIXTEEN_BITS else either


@generated
def _normalise(x, out, keep, count, table, size, inner, at, zero, line):
    """Results of x, or of the exponentials in out if `keep`."""

    def again(x, out, keep, count, table, size, inner, at, zero, line):
        normalise_scores(x, out, count, table, size, inner, at, zero, line)

    def either(x, out, keep, count, table, size, inner, at, zero, line):
        if keep:
            normalise_in_place(out, out, count, table, size, inner, at, zero, line)
        else:
            normalise_scores(x, out, count, table, size, inner, at, zero, line)

    return again if x.dtype in SIXTEEN_BITS else either


@internal
def _estimates(x, tops, totals):
    """Estimate the maxima of all columns, by place, into tops (outer, places); set totals to 0."""
    outer, n, inner = x.shape
    zero = zero_like(x)
    w = simd.lanes(zero)
    span = _span(inner, w)
    places = _whole(span, w)
    first = scratch_like(x, w)  # a row shorter than a vector is read by a vector that may begin before it
    for i in range(outer):
        row, to = simd.offset(simd.data(x), i * n * inner), simd.data(tops[i])
        for k in range(0, places, w):
            simd.store(to, k, simd.broadcast(zero, -np.inf))
        for g in range(SAMPLES):
            begin = g * (n - 1) // (SAMPLES - 1) * inner
            if inner < w:
                at = min(begin, n * inner - w)
                simd.store(simd.data(first), 0, read(row, at, zero))
                for k in range(inner):
                    tops[i, k] = max(tops[i, k], first[k + begin - at])
            else:
                for k in range(0, places, w):
                    v = read(row, begin + min(k, inner - w), zero)
                    simd.store(to, k, simd.maximum(v, simd.load_as(to, k, zero)))
        for k in range(inner, places if inner < w else 0):
            tops[i, k] = tops[i, k % inner]
        for p in range(totals.shape[1]):
            clear(Sums(to, simd.data(totals[i, p, 0]), simd.data(totals[i, p, 1])), places, zero)


@internal
def _sums(x, out, keep, tops, totals, first, end):
    """Sums of parts first to end, numbered through all x[i], by place, into totals[:, :, 0] and their Kahan corrections
    into totals[:, :, 1], both (outer, parts, places).

    Exponentials go to out if `keep`.
    """
    _, n, inner = x.shape
    parts, places = totals.shape[1], totals.shape[3]
    zero = zero_like(x)
    span = _span(inner, simd.lanes(zero))
    rows, rest = n * inner // span, n * inner % span
    padded, exponentials = np.full(span, _filling(x), x.dtype), np.empty(span, x.dtype)
    # Prefetch the next rows or, where rows lie far apart, what follows in the same row.
    ahead = max(BLOCK * span, prefetch_distance(x)) if span <= NEAR else 8 * simd.lanes(zero)
    for task in range(first, end):
        i, p = task // parts, task % parts
        a, b = p * rows // parts, (p + 1) * rows // parts
        high, total, lost = simd.data(tops[i]), simd.data(totals[i, p, 0]), simd.data(totals[i, p, 1])
        begin, leftover = i * n * inner + a * span, (i + 1) * n * inner - rest
        row, to, count = simd.offset(simd.data(x), begin), simd.offset(simd.data(out), begin), b - a
        extra = p == parts - 1 and rest > 0
        for turn in range(2 if extra else 1):
            if turn == 1:
                for k in range(rest):
                    padded[k] = simd.get(simd.data(x), leftover + k)
                row, to, count = simd.data(padded), simd.data(exponentials), 1
            for k in range(0, places, WIDE):
                columns = Columns(k, min(WIDE, places - k), span - simd.lanes(zero))
                sums = Sums(simd.offset(high, k), simd.offset(total, k), simd.offset(lost, k))
                _exp_sum(Matrix(row, span), count, columns, sums, Matrix(to, span), keep, ahead)
        if extra and keep:
            for k in range(rest):
                simd.put(simd.data(out), leftover + k, exponentials[k])


@internal
def _table(x, tops, totals, table, verified):
    """The table of `normalise_scores` (outer, 4, columns) from the sums of parts, and whether these verify it."""
    inner, zero = x.shape[2], zero_like(x)
    wide = simd.convert(zero, simd.zeros_f64())
    w = simd.lanes(zero)
    span = _span(inner, w)
    size, whole = table.shape[2], span // w * w
    column, sums = np.empty((2, inner)), np.empty(size)
    tops_of_columns = scratch_like(x, size)
    for i in range(totals.shape[0]):
        column[:] = 0
        for p in range(totals.shape[1]):
            for k in range(totals.shape[3]):
                c = _column(k, span, w)
                # Columns that the last vector shares with the one before it count once.
                if k == c or c >= whole:
                    column[0, c % inner], column[1, c % inner] = kahan_add(
                        column[0, c % inner], column[1, c % inner], totals[i, p, 0, k]
                    )
        for k in range(size):
            c = k % inner
            sums[k] = column[0, c]
            tops_of_columns[k] = tops[i, c if c < whole else c + _whole(span, w) - span]
            verified[i] = verified[i] and is_verified(sums[k], zero)
        to = simd.data(table[i])
        for k in range(0, size, w):
            top = simd.load_as(simd.data(tops_of_columns), k, zero)
            verified[i] = verified[i] and in_range(top, zero)
            start = estimated_shift(top, zero)
            factor = reciprocal(simd.load_as(simd.data(sums), k, wide), zero)
            simd.store(to, k, factor[0])
            simd.store(to, size + k, factor[1])
            simd.store(to, 2 * size + k, start[1])
            simd.store(to, 3 * size + k, start[2])


@internal
def _results(x, out, keep, table, parts, first, end):
    """Results of parts first to end, backwards, since the caches still have the end of x."""
    _, n, inner = x.shape
    elements, size = n * inner, table.shape[2]
    zero = zero_like(x)
    w = simd.lanes(zero)
    edges = np.empty(16, x.dtype)
    line = simd.data(edges)
    chunks = max(1, elements // (parts * CHUNK)) * parts
    for back in range((end - first) * (chunks // parts)):
        task = end * (chunks // parts) - 1 - back
        i, p = task // chunks, task % chunks
        row, to = simd.offset(simd.data(x), i * elements), simd.offset(simd.data(out), i * elements)
        # A chunk begins with a cache line of out.
        a, b = p * elements // chunks, (p + 1) * elements // chunks
        a += 0 if p == 0 else -offset_in_line(simd.offset(to, a), zero) % w
        b += 0 if p == chunks - 1 else -offset_in_line(simd.offset(to, b), zero) % w
        source, place = simd.offset(row, a), simd.offset(to, a)
        _normalise(source, place, keep, b - a, simd.data(table[i]), size, inner, a % inner, zero, line)
    return edges.size  # keeps it alive


@internal
def _buffers(x, outer, parts):
    """Arrays for tops, totals and table."""
    inner, w = x.shape[2], simd.lanes(zero_like(x))
    places = _whole(_span(inner, w), w)
    tops, table = scratch_like(x, (outer, places)), scratch_like(x, (outer, 4, _whole(inner + SPARE, w)))
    # Twice the room, against false sharing of two threads' sums, which made them up to 1.7 times slower.
    return tops, np.empty((outer, parts, 4, places)), table


@cached_njit(nogil=True, error_model="numpy")
def columns(x, out, keep, verified, first, end):
    """Softmax of x[first:end] of x (outer, n, inner), one after the other; n * inner is at least 16 vectors.

    Exponentials wait in out if `keep` (never those of 16 bits), else they are computed twice. verified[i] becomes False
    where the sums do not verify the estimated shifts: then out[i] is not valid.
    """
    tops, totals, table = _buffers(x, 1, 1)
    for i in range(first, end):
        a, b = x[i : i + 1], out[i : i + 1]
        _estimates(a, tops, totals)
        _sums(a, b, keep, tops, totals, 0, 1)
        _table(a, tops, totals, table, verified[i : i + 1])
        if verified[i]:
            _results(a, b, keep, table, 1, 0, 1)


# Entry points, which `split_columns` calls from Python.
_buffers_entry, _estimates_entry, _sums_entry, _table_entry, _results_entry = (
    cached_njit(function.py_func, nogil=True, error_model="numpy")
    for function in (_buffers, _estimates, _sums, _table, _results)
)


def split_columns(x, out, keep, verified, threads):
    """`columns` with a part of each x[i] for each thread; n * inner is at least 16 vectors for each."""
    outer = x.shape[0]
    tops, totals, table = _buffers_entry(x, outer, threads)
    _estimates_entry(x, tops, totals)
    run(_sums_entry, (x, out, keep, tops, totals), threads * outer, threads)
    _table_entry(x, tops, totals, table, verified)
    run(_results_entry, (x, out, keep, table, threads), threads * outer, threads)
