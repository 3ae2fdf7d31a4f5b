"""Softmax over a strided axis in two passes over memory: sums down the columns, then results.

For columns whose weights no core's cache holds, and for few columns whose lengths are shared out among threads. All
pieces of a column are relative to the same guess at its maximum, so that their sums need no scaling; if it does not
serve, the caller is told. x[i] (n, inner) is summed as rows of whole vectors: those of x or, if these are shorter than
a vector, several of them; what is then left over at the end makes one more, filled up. Places are numbered through such
a row, and folded into columns afterwards.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from .. import simd
from ..compilation import cached_njit
from ..internal import generated, internal
from ..parallel import run
from ..simd.exp import from_guess, is_near, is_sound, reciprocal
from .softmax_elements import BLOCK, add, ahead, into_line, read, scratch_like, zero_like
from .softmax_flow import SPARE, flow_in_place, flow_scores
from .softmax_tiles import NEAR, clear, weigh_columns

GUESSES = 16  # rows, spread over all, from which the guess at a column's maximum is taken
WIDE = 1024  # columns that are summed at a time: what they need stays in a core's nearest cache
CHUNK = 1 << 14  # elements of results that are computed forwards; chunks follow each other backwards


@internal
def _span(inner, w):
    """Elements of the rows that x[i] is summed in, a whole number of vectors of w if its own are shorter than one."""
    return inner if inner >= w else inner * w // math.gcd(inner, w)


@internal
def _whole(size, w):
    """size, or so much more that it is a whole number of vectors; the last of size begins within the one before it."""
    return -(-size // w) * w


@internal
def _column(k, span, w):
    """The column of place k in vectors of which the last ends with the last column."""
    return k if k < span // w * w else k - _whole(span, w) + span


@generated
def _filling(x):
    """What adds nothing to a sum of weights."""
    if x.dtype is numba.types.int16:
        return lambda x: -1024  # the bits of -inf as float16
    return lambda x: -np.inf


@generated
def _weigh(x, n, span, begin, width, tops, totals, lost, out, keep, ahead):
    """`weigh_columns` of n rows of `span` elements, with weights to out if they are to be kept."""

    def again(x, n, span, begin, width, tops, totals, lost, out, keep, ahead):
        last = span - simd.lanes(zero_like(x))
        weigh_columns(x, n, span, begin, width, last, tops, totals, lost, None, span, True, ahead, None)

    def either(x, n, span, begin, width, tops, totals, lost, out, keep, ahead):
        last = span - simd.lanes(zero_like(x))
        if keep:
            weigh_columns(x, n, span, begin, width, last, tops, totals, lost, out, span, True, ahead, None)
        else:
            weigh_columns(x, n, span, begin, width, last, tops, totals, lost, None, span, True, ahead, None)

    return again if x.dtype is numba.types.int16 else either


@generated
def _flow(x, out, keep, count, table, size, inner, at, zero, line):
    """Results of x or, if they were kept, of weights in out."""

    def again(x, out, keep, count, table, size, inner, at, zero, line):
        flow_scores(x, out, count, table, size, inner, at, zero, line)

    def either(x, out, keep, count, table, size, inner, at, zero, line):
        if keep:
            flow_in_place(out, out, count, table, size, inner, at, zero, line)
        else:
            flow_scores(x, out, count, table, size, inner, at, zero, line)

    return again if x.dtype is numba.types.int16 else either


@cached_njit(error_model="numpy")
def _guesses(x, tops, totals):
    """Guesses at the maxima of all columns, by place, to tops (outer, places); no sums yet in totals."""
    outer, n, inner = x.shape
    zero = zero_like(x)
    w = simd.lanes(zero)
    span = _span(inner, w)
    places = _whole(span, w)
    first = scratch_like(x, w)  # in a row shorter than a vector, which may begin before it
    for i in range(outer):
        row, to = simd.offset(simd.data(x), i * n * inner), simd.data(tops[i])
        for k in range(0, places, w):
            simd.store(to, k, simd.splat(zero, -np.inf))
        for g in range(GUESSES):
            begin = g * (n - 1) // (GUESSES - 1) * inner
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
            clear(simd.data(totals[i, p, 0]), simd.data(totals[i, p, 1]), places, zero)


@cached_njit(error_model="numpy")
def _sums(x, out, keep, tops, totals, first, end):
    """Sums of pieces first to end, numbered through all x[i], by place, to totals[:, :, 0] and what they
    lost to rounding to totals[:, :, 1], both (outer, pieces, places).

    Weights go to out if they are to be kept.
    """
    _, n, inner = x.shape
    pieces, places = totals.shape[1], totals.shape[3]
    zero = zero_like(x)
    span = _span(inner, simd.lanes(zero))
    rows, rest = n * inner // span, n * inner % span
    padded, weights = np.full(span, _filling(x), x.dtype), np.empty(span, x.dtype)
    # The next rows or, where these lie far apart, what the same ones have next.
    fetched = max(BLOCK * span, ahead(x)) if span <= NEAR else 8 * simd.lanes(zero)
    for task in range(first, end):
        i, p = task // pieces, task % pieces
        a, b = p * rows // pieces, (p + 1) * rows // pieces
        high, total, lost = simd.data(tops[i]), simd.data(totals[i, p, 0]), simd.data(totals[i, p, 1])
        begin, leftover = i * n * inner + a * span, (i + 1) * n * inner - rest
        row, to, count = simd.offset(simd.data(x), begin), simd.offset(simd.data(out), begin), b - a
        extra = p == pieces - 1 and rest > 0
        for turn in range(2 if extra else 1):
            if turn == 1:
                for k in range(rest):
                    padded[k] = simd.get(simd.data(x), leftover + k)
                row, to, count = simd.data(padded), simd.data(weights), 1
            for k in range(0, places, WIDE):
                u, v, q = simd.offset(high, k), simd.offset(total, k), simd.offset(lost, k)
                _weigh(row, count, span, k, min(WIDE, places - k), u, v, q, to, keep, fetched)
        if extra and keep:
            for k in range(rest):
                simd.put(simd.data(out), leftover + k, weights[k])


@cached_njit(error_model="numpy")
def _table(x, tops, totals, table, sound):
    """The table of `flow_scores`, (outer, 4, columns), from the sums of pieces; whether they are sound, to sound."""
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
                # Columns of the last vector that the one before it has too are summed once.
                if k == c or c >= whole:
                    column[0, c % inner], column[1, c % inner] = add(
                        column[0, c % inner], column[1, c % inner], totals[i, p, 0, k]
                    )
        for k in range(size):
            c = k % inner
            sums[k] = column[0, c]
            tops_of_columns[k] = tops[i, c if c < whole else c + _whole(span, w) - span]
            sound[i] = sound[i] and is_sound(sums[k], zero)
        to = simd.data(table[i])
        for k in range(0, size, w):
            top = simd.load_as(simd.data(tops_of_columns), k, zero)
            sound[i] = sound[i] and is_near(top, zero)
            start = from_guess(top, zero)
            factor = reciprocal(simd.load_as(simd.data(sums), k, wide), zero)
            simd.store(to, k, factor[0])
            simd.store(to, size + k, factor[1])
            simd.store(to, 2 * size + k, start[1])
            simd.store(to, 3 * size + k, start[2])


@cached_njit(error_model="numpy")
def _results(x, out, keep, table, pieces, first, end):
    """Results of pieces first to end, backwards: the end of x is still in the caches."""
    _, n, inner = x.shape
    elements, size = n * inner, table.shape[2]
    zero = zero_like(x)
    w = simd.lanes(zero)
    edges = np.empty(16, x.dtype)
    line = simd.data(edges)
    chunks = max(1, elements // (pieces * CHUNK)) * pieces
    for back in range((end - first) * (chunks // pieces)):
        task = end * (chunks // pieces) - 1 - back
        i, p = task // chunks, task % chunks
        row, to = simd.offset(simd.data(x), i * elements), simd.offset(simd.data(out), i * elements)
        # A chunk begins with a line of out.
        a, b = p * elements // chunks, (p + 1) * elements // chunks
        a += 0 if p == 0 else -into_line(simd.offset(to, a), zero) % w
        b += 0 if p == chunks - 1 else -into_line(simd.offset(to, b), zero) % w
        source, place = simd.offset(row, a), simd.offset(to, a)
        _flow(source, place, keep, b - a, simd.data(table[i]), size, inner, a % inner, zero, line)
    return edges.size  # keeps it alive


@cached_njit(error_model="numpy")
def _buffers(x, outer, pieces):
    """Arrays for tops, totals and the table."""
    inner, w = x.shape[2], simd.lanes(zero_like(x))
    places = _whole(_span(inner, w), w)
    tops, table = scratch_like(x, (outer, places)), scratch_like(x, (outer, 4, _whole(inner + SPARE, w)))
    # Room for twice as much keeps the sums of two threads out of one line, which made them up to 1.7 times slower.
    return tops, np.empty((outer, pieces, 4, places)), table


@cached_njit(nogil=True, error_model="numpy")
def columns(x, out, keep, sound, first, end):
    """x[first:end] of x (outer, n, inner), one after the other; n * inner at least 16 lines.

    Weights wait in out if they are to be kept (float16's never can), or are computed again. sound[i] is
    left False where guesses at the maxima do not serve; out[i] is then not valid.
    """
    tops, totals, table = _buffers(x, 1, 1)
    for i in range(first, end):
        a, b = x[i : i + 1], out[i : i + 1]
        _guesses(a, tops, totals)
        _sums(a, b, keep, tops, totals, 0, 1)
        _table(a, tops, totals, table, sound[i : i + 1])
        if sound[i]:
            _results(a, b, keep, table, 1, 0, 1)


def columns_split(x, out, keep, sound, threads):
    """As `columns`: a thread has a piece of each x[i]; n * inner at least 16 lines for each."""
    outer = x.shape[0]
    tops, totals, table = _buffers(x, outer, threads)
    _guesses(x, tops, totals)
    run(_sums, (x, out, keep, tops, totals), threads * outer, threads)
    _table(x, tops, totals, table, sound)
    run(_results, (x, out, keep, table, threads), threads * outer, threads)
