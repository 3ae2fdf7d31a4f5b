"""Softmax over a strided axis in two passes over memory: sums down the columns, then results.

For columns whose weights no core's cache holds, and for few columns whose lengths are shared out among threads. All
pieces of a column are relative to the same number, so that their sums need no scaling. x[i] (n, inner) is summed as
rows of whole vectors: those of x or, if these are shorter than a vector, several of them; what is then left over at the
end makes one more, filled up. Columns are numbered through such a row, and folded afterwards.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numba.extending import overload, register_jitable

from .. import simd
from ..vector_math import from_guess, is_near, is_sound, origin, reciprocal
from .softmax_elements import add, into_line, read, scratch_like, zero_like
from .softmax_flow import SPARE, flow_in_place, flow_scores
from .softmax_tiles import NEAR, highest_columns, weigh_columns

WIDE = 1024  # columns that are summed at a time: what they need stays in a core's nearest cache
CHUNK = 1 << 14  # elements of results that are computed forwards; chunks follow each other backwards


@register_jitable
def _span(x):
    """Columns of the rows that x is summed in, a whole number of vectors if its own are shorter than one."""
    inner, w = x.shape[2], simd.lanes(zero_like(x))
    return inner if inner >= w else inner * w // math.gcd(inner, w)


@register_jitable
def _room(span, w):
    """Columns of that many vectors as span needs, the last of which may begin within the one before it."""
    return -(-span // w) * w


@register_jitable
def _column(k, span, w):
    """The column of place k in vectors of which the last ends with the last column."""
    return k if k < span // w * w else k - _room(span, w) + span


def _filling(x):
    """What adds nothing to a sum of weights."""


@overload(_filling)
def _filling_overload(x):
    if x.dtype is numba.types.int16:
        return lambda x: -1024  # the bits of -inf as float16
    return lambda x: -np.inf


def _sums(x, n, span, begin, width, tops, totals, lost, out, keep, guessed, ahead):
    """`weigh_columns` of n rows of `span` columns, with weights to out if they are to be kept."""


@overload(_sums)
def _sums_overload(x, n, span, begin, width, tops, totals, lost, out, keep, guessed, ahead):
    def kept(x, n, span, begin, width, tops, totals, lost, out, keep, guessed, ahead):
        last = span - simd.lanes(zero_like(x))
        weigh_columns(x, n, span, begin, width, last, tops, totals, lost, out, span, guessed, ahead)

    def lost_again(x, n, span, begin, width, tops, totals, lost, out, keep, guessed, ahead):
        last = span - simd.lanes(zero_like(x))
        weigh_columns(x, n, span, begin, width, last, tops, totals, lost, None, span, guessed, ahead)

    def either(x, n, span, begin, width, tops, totals, lost, out, keep, guessed, ahead):
        last = span - simd.lanes(zero_like(x))
        if keep:
            weigh_columns(x, n, span, begin, width, last, tops, totals, lost, out, span, guessed, ahead)
        else:
            weigh_columns(x, n, span, begin, width, last, tops, totals, lost, None, span, guessed, ahead)

    return {64: kept, 16: lost_again}.get(x.dtype.bitwidth, either)


def _flow(x, out, keep, count, table, size, inner, at, zero, line):
    """Results of x or, if they were kept, of weights in out."""


@overload(_flow)
def _flow_overload(x, out, keep, count, table, size, inner, at, zero, line):
    def kept(x, out, keep, count, table, size, inner, at, zero, line):
        flow_in_place(out, out, count, table, size, inner, at, zero, line)

    def lost(x, out, keep, count, table, size, inner, at, zero, line):
        flow_scores(x, out, count, table, size, inner, at, zero, line)

    def either(x, out, keep, count, table, size, inner, at, zero, line):
        if keep:
            flow_in_place(out, out, count, table, size, inner, at, zero, line)
        else:
            flow_scores(x, out, count, table, size, inner, at, zero, line)

    return {64: kept, 16: lost}.get(x.dtype.bitwidth, either)


def _table_of(top, guessed):
    """base, lower end and rounding number of tops, which may be guesses at them."""


@overload(_table_of)
def _table_of_overload(top, guessed):
    if guessed is numba.types.none:

        def exact(top, guessed):
            start = origin(top)
            return start[0], start[1], start[2]

        return exact

    def near(top, guessed):
        start = from_guess(top, top)
        return simd.splat(top, 0), start[1], start[2]

    return near


@numba.njit(error_model="numpy")
def _guesses(x, i, tops):
    """Numbers that the maxima of x[i] are at least, by place; whether all serve."""
    _, n, inner = x.shape
    span, zero = _span(x), zero_like(x)
    w = simd.lanes(zero)
    numbers = scratch_like(x, 2 * w)
    a = simd.offset(simd.data(x), i * n * inner)
    to, ends = simd.data(tops), simd.data(numbers)
    if inner < w:
        simd.store(ends, 0, read(a, 0, zero))
        simd.store(ends, w, read(a, n * inner - w, zero))
        for k in range(span):
            tops[k] = max(numbers[k % inner], numbers[2 * w - inner + k % inner])
    sound = True
    for k in range(0, span, w):
        at = min(k, span - w)
        if inner >= w:
            simd.store(to, k, simd.maximum(read(a, at, zero), read(a, (n - 1) * inner + at, zero)))
        sound = sound and is_near(simd.load_as(to, k, zero), zero)
    return sound


@register_jitable
def _share(x, p, pieces):
    """The first and the last but one row of piece p, in elements a row, and the elements left over behind all rows."""
    elements, span = x.shape[1] * x.shape[2], _span(x)
    rows = elements // span
    return p * rows // pieces, (p + 1) * rows // pieces, elements - rows * span


@numba.njit(cache=True, nogil=True, error_model="numpy")
def column_tops(x, found, first, end):
    """Maxima of pieces first to end, numbered through all x[i], by place, to found (outer, pieces, places)."""
    pieces = found.shape[1]
    span, zero = _span(x), zero_like(x)
    w = simd.lanes(zero)
    padded = np.full(span, _filling(x), x.dtype)
    more = scratch_like(x, _room(span, w))
    for task in range(first, end):
        i, p = task // pieces, task % pieces
        a, b, rest = _share(x, p, pieces)
        row = simd.offset(simd.data(x), i * x.shape[1] * x.shape[2] + a * span)
        to = simd.data(found[i, p])
        for k in range(0, _room(span, w), WIDE):
            width = min(WIDE, _room(span, w) - k)
            highest_columns(row, b - a, span, k, width, span - w, simd.offset(to, k))
        if p == pieces - 1 and rest > 0:
            end_of_x = (i + 1) * x.shape[1] * x.shape[2]
            for k in range(rest):
                padded[k] = simd.get(simd.data(x), end_of_x - rest + k)
            highest_columns(simd.data(padded), 1, span, 0, span, span - w, simd.data(more))
            for k in range(span):
                if more[k] > found[i, p, k] or more[k] != more[k]:
                    found[i, p, k] = more[k]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def column_sums(x, out, keep, tops, guessed, totals, first, end):
    """Sums of pieces first to end, numbered through all x[i], by place, to totals (outer, pieces, 2, places).

    Weights go to out if they are to be kept.
    """
    keep = x.itemsize == 8 or (keep and x.itemsize == 4)
    pieces = totals.shape[1]
    span, zero = _span(x), zero_like(x)
    w = simd.lanes(zero)
    room = _room(span, w)
    padded, filled = np.full(span, _filling(x), x.dtype), np.empty(span, x.dtype)
    more = np.empty(2 * room)
    # The next rows or, where these lie far apart, what the same ones have next.
    ahead = 16 * span if span <= NEAR else 8 * w
    for task in range(first, end):
        i, p = task // pieces, task % pieces
        a, b, rest = _share(x, p, pieces)
        begin = i * x.shape[1] * x.shape[2] + a * span
        row, to = simd.offset(simd.data(x), begin), simd.offset(simd.data(out), begin)
        high, total, lost = simd.data(tops[i]), simd.data(totals[i, p, 0]), simd.data(totals[i, p, 1])
        for k in range(0, room, WIDE):
            u, v, q = simd.offset(high, k), simd.offset(total, k), simd.offset(lost, k)
            _sums(row, b - a, span, k, min(WIDE, room - k), u, v, q, to, keep, guessed, ahead)
        if p == pieces - 1 and rest > 0:
            end_of_x = (i + 1) * x.shape[1] * x.shape[2]
            for k in range(rest):
                padded[k] = simd.get(simd.data(x), end_of_x - rest + k)
            u, v = simd.data(more), simd.offset(simd.data(more), room)
            _sums(simd.data(padded), 1, span, 0, span, high, u, v, simd.data(filled), keep, guessed, 0)
            if keep:
                for k in range(rest):
                    simd.put(simd.data(out), end_of_x - rest + k, filled[k])
            for k in range(span):
                totals[i, p, 0, k] += more[k]


@numba.njit(error_model="numpy")
def _fold_tops(x, found, tops):
    """The maxima of whole columns out of those of pieces, by place; NaN where one is."""
    inner, span, w = x.shape[2], _span(x), simd.lanes(zero_like(x))
    column = np.empty(inner, tops.dtype)
    for i in range(found.shape[0]):
        column[:] = -np.inf
        for p in range(found.shape[1]):
            for k in range(found.shape[2]):
                c = _column(k, span, w) % inner
                if found[i, p, k] > column[c] or found[i, p, k] != found[i, p, k]:
                    column[c] = found[i, p, k]
        for k in range(found.shape[2]):
            tops[i, k] = column[_column(k, span, w) % inner]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def column_table(x, tops, guessed, totals, table):
    """The table of `flow_scores`, (outer, 5, places), from the sums of pieces; whether all sums are sound."""
    inner, span, zero = x.shape[2], _span(x), zero_like(x)
    wide = simd.convert(zero, simd.zeros_f64())
    w = simd.lanes(zero)
    size = table.shape[2]
    sums, column = np.empty(size), np.empty((2, inner))
    high = scratch_like(x, size)
    sound = True
    for i in range(totals.shape[0]):
        column[:] = 0
        for p in range(totals.shape[1]):
            for k in range(totals.shape[3]):
                c = _column(k, span, w)
                # The last vector's columns that the one before it has too are summed once.
                if k == c or c >= span // w * w:
                    column[0, c % inner], column[1, c % inner] = add(
                        column[0, c % inner], column[1, c % inner], totals[i, p, 0, k]
                    )
        for k in range(size):
            c = k % inner
            sums[k] = column[0, c]
            high[k] = tops[i, c if c < span // w * w else c + _room(span, w) - span]
            sound = sound and is_sound(sums[k], zero)
        to = simd.data(table[i])
        for k in range(0, size, w):
            base, lower, rounding = _table_of(simd.load_as(simd.data(high), k, zero), guessed)
            factor = reciprocal(simd.load_as(simd.data(sums), k, wide), zero)
            simd.store(to, k, factor[0])
            simd.store(to, size + k, factor[1])
            simd.store(to, 2 * size + k, base)
            simd.store(to, 3 * size + k, lower)
            simd.store(to, 4 * size + k, rounding)
    return sound


@numba.njit(cache=True, nogil=True, error_model="numpy")
def column_results(x, out, keep, table, pieces, first, end):
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


@register_jitable
def _buffers(x, pieces):
    """Arrays for tops, totals and the table."""
    outer, _, inner = x.shape
    w = simd.lanes(zero_like(x))
    places = _room(_span(x), w)
    tops, table = scratch_like(x, (outer, places)), scratch_like(x, (outer, 5, _room(inner + SPARE, w)))
    return tops, np.empty((outer, pieces, 2, places)), table


@numba.njit(cache=True, nogil=True, error_model="numpy")
def columns(x, out, keep, first, end):
    """x[first:end] of x (outer, n, inner), one after the other; n * inner at least a few vectors.

    Weights wait in out if they are to be kept (float64's always, float16's never), or are computed again.
    """
    tops, totals, table = _buffers(x[:1], 1)
    for i in range(first, end):
        a, b = x[i : i + 1], out[i : i + 1]
        sound = _guesses(x, i, tops[0])
        if sound:
            column_sums(a, b, keep, tops, True, totals, 0, 1)
            sound = column_table(a, tops, True, totals, table)
        if not sound:
            found = scratch_like(x, (1, 1, tops.shape[1]))
            column_tops(a, found, 0, 1)
            _fold_tops(a, found, tops)
            column_sums(a, b, keep, tops, None, totals, 0, 1)
            column_table(a, tops, None, totals, table)
        column_results(a, b, keep, table, 1, 0, 1)


@numba.njit(cache=True, parallel=True, error_model="numpy")
def columns_parallel(x, out, keep, threads):
    """As `columns`: a thread has some x[i] or, if these are fewer, a piece of each."""
    outer = x.shape[0]
    if outer >= threads:
        for t in numba.prange(threads):
            columns(x, out, keep, t * outer // threads, (t + 1) * outer // threads)
        return
    tops, totals, table = _buffers(x, threads)
    sound = True
    for i in range(outer):
        sound = _guesses(x, i, tops[i]) and sound
    if sound:
        for t in numba.prange(threads):
            column_sums(x, out, keep, tops, True, totals, t * outer, (t + 1) * outer)
        sound = column_table(x, tops, True, totals, table)
    if not sound:
        found = scratch_like(x, (outer, threads, tops.shape[1]))
        for t in numba.prange(threads):
            column_tops(x, found, t * outer, (t + 1) * outer)
        _fold_tops(x, found, tops)
        for t in numba.prange(threads):
            column_sums(x, out, keep, tops, None, totals, t * outer, (t + 1) * outer)
        column_table(x, tops, None, totals, table)
    for t in numba.prange(threads):
        column_results(x, out, keep, table, threads, t * outer, (t + 1) * outer)
