"""Softmax over a strided axis, in tiles of columns: each lane has a column of its own."""

from __future__ import annotations

import numba
import numpy as np
from numba.extending import register_jitable

from .. import simd
from ..compilation import cached_njit
from ..internal import generated, internal
from ..simd.exp import from_guess, is_near, is_sound, origin, quotient, reciprocal, weights
from .softmax_elements import (
    ADDENDS,
    BLOCK,
    LONG,
    add,
    either_of,
    highest,
    into_line,
    read,
    scratch_like,
    write,
    zero_like,
)
from .softmax_flow import SPARE, flow_weights, wrap
from .softmax_short import pair

# Rows ahead that are fetched where they lie far apart: of 4, 8 and 16 none is best; 4 is up to 11% faster at 21 rows
# that lie 65536 columns apart, 16 up to 15% at 128.
FETCH_ROWS = 8
NEAR = 1024  # columns between strided rows up to which the rows below are fetched, and beyond which the next tile is


@register_jitable
def tiles_of(inner, lanes, tile):
    """Tiles of `tile` columns that inner makes; what is left beyond whole vectors goes with the last."""
    return max(1, -(-(inner // lanes * lanes) // tile))


@generated
def _start(top, guessed):
    """The origin of tops, which are those of their columns or, where `guessed` is not None, guesses at them."""
    if guessed is numba.types.none:
        return lambda top, guessed: origin(top)
    return lambda top, guessed: from_guess(top, top)


@generated(inline="always")
def _hold(buffer, i, vector):
    """Store a vector from buffer[i] on, if there is a buffer."""
    if buffer is numba.types.none:
        return lambda buffer, i, vector: None
    return lambda buffer, i, vector: simd.store(buffer, i, vector)


@generated(inline="always")
def _factor(other, k, like):
    """What the weights of another tile, if there is one, are multiplied by from column k on."""
    if other is numba.types.none:
        return lambda other, k, like: None
    return lambda other, k, like: (simd.load_as(other[1], k, like), simd.load_as(other[1], other[2] + k, like))


@generated(inline="always")
def _move(other, factor, i, k, stride, step):
    """Turn a vector of weights of another tile, if there is one, into results."""
    if other is numba.types.none:
        return lambda other, factor, i, k, stride, step: None

    def move(other, factor, i, k, stride, step):
        simd.stream(other[3], i * stride + k, quotient(simd.load_as(other[0], i * step + k, factor[0]), factor))

    return move


@generated(inline="always")
def _weigh(x, i, at, stride, step, buffer, start, factor, ahead, other):
    """The weights of a vector of row i of x, which go to buffer if there is one."""

    def weigh(x, i, at, stride, step, buffer, start, factor, ahead, other):
        _move(other, factor, i, at, stride, step)
        simd.prefetch(x, i * stride + at + ahead)
        e = weights(read(x, i * stride + at, start[1]), start)
        _hold(buffer, i * step + at, e)
        return e

    return weigh


@internal
def _count(totals, lost, k, partial):
    """Add a sum of weights to those of columns k on."""
    wide = simd.convert(partial, simd.zeros_f64())
    total, rest = simd.load_as(totals, k, wide), simd.load_as(lost, k, wide)
    total, rest = add(total, rest, wide)
    simd.store(totals, k, total)
    simd.store(lost, k, rest)


@internal
def _weigh_fours(x, j, end, stride, begin, width, last, tops, totals, lost, buffer, step, guessed, ahead, other):
    """As `weigh_columns`, of rows j to end, as many columns as are four vectors; returns how many these are."""
    zero = zero_like(x)
    w = simd.lanes(zero)
    k, near = 0, min(FETCH_ROWS, end - j)
    while k + 4 * w <= width and begin + k + 3 * w <= last:
        at = begin + k
        a, b = _start(simd.load_as(tops, k, zero), guessed), _start(simd.load_as(tops, k + w, zero), guessed)
        c = _start(simd.load_as(tops, k + 2 * w, zero), guessed)
        d = _start(simd.load_as(tops, k + 3 * w, zero), guessed)
        f, g = _factor(other, k, zero), _factor(other, k + w, zero)
        h, m = _factor(other, k + 2 * w, zero), _factor(other, k + 3 * w, zero)
        p = q = r = s = zero
        for first in range(j, end, ADDENDS):
            p_, q_, r_, s_ = p, q, r, s
            p = q = r = s = zero
            for i in range(first, min(end, first + ADDENDS)):
                there = ahead
                if stride > NEAR:
                    # A few rows: a tile's worth of lines that lie a power of 2 apart has no room in the caches.
                    there = near * stride if i + near < end else (near - (end - j)) * stride + 4 * w
                p = p + _weigh(x, i, at, stride, step, buffer, a, f, there, other)
                q = q + _weigh(x, i, at + w, stride, step, buffer, b, g, there, other)
                r = r + _weigh(x, i, at + 2 * w, stride, step, buffer, c, h, there, other)
                s = s + _weigh(x, i, at + 3 * w, stride, step, buffer, d, m, there, other)
            p, q, r, s = p_ + p, q_ + q, r_ + r, s_ + s
        _count(totals, lost, k, p)
        _count(totals, lost, k + w, q)
        _count(totals, lost, k + 2 * w, r)
        _count(totals, lost, k + 3 * w, s)
        k += 4 * w
    return k


@generated
def _by_fours(x, j, end, stride, begin, width, last, tops, totals, lost, buffer, step, guessed, ahead, other):
    """`_weigh_fours` where there are registers for that, or no columns."""
    # By fours memory is read and written in longer pieces: tiles past the caches 1.05 to 1.3 times as fast. float64
    # without another tile is up to 8% slower so.
    if LONG and simd.register_count() >= 32 and (x.dtype is not numba.types.float64 or other is not numba.types.none):
        return lambda x, j, end, stride, begin, width, last, tops, totals, lost, buffer, step, guessed, ahead, other: (
            _weigh_fours(x, j, end, stride, begin, width, last, tops, totals, lost, buffer, step, guessed, ahead, other)
        )
    return lambda x, j, end, stride, begin, width, last, tops, totals, lost, buffer, step, guessed, ahead, other: 0


@internal
def weigh_columns(x, n, stride, begin, width, last, tops, totals, lost, buffer, step, guessed, ahead, other):
    """Weights down columns begin to begin + width of x relative to tops; their sums are added to totals, of float64.

    By vectors, none of which begins beyond column `last`. tops, totals and lost, what rounding took from these, begin
    with the first vector of columns, buffer with the first column. Memory is fetched `ahead` elements ahead.

    other is None or (weights, table, size, results) of another tile of as many whole vectors, with table and size as
    `weigh_tile` has them, whose results go past the caches meanwhile; then begin is 0.
    """
    zero = zero_like(x)
    w = simd.lanes(zero)
    # Some rows at a time, so that memory is read in the order in which it lies.
    for j in range(0, n, BLOCK):
        end = min(n, j + BLOCK)
        done = _by_fours(x, j, end, stride, begin, width, last, tops, totals, lost, buffer, step, guessed, ahead, other)
        for k in range(done, width, w):
            start = _start(simd.load_as(tops, k, zero), guessed)
            at = min(begin + k, last)
            some, factor = zero, _factor(other, k, zero)
            for first in range(j, end, ADDENDS):
                partial = zero
                for i in range(first, min(end, first + ADDENDS)):
                    partial = partial + _weigh(x, i, at, stride, step, buffer, start, factor, ahead, other)
                some = some + partial
            _count(totals, lost, k, some)


@internal
def clear(totals, lost, width, like):
    """Set the sums of `width` columns, of vectors such as `like`, to 0."""
    wide = simd.convert(like, simd.zeros_f64())
    for k in range(0, width, simd.lanes(like)):
        simd.store(totals, k, wide)
        simd.store(lost, k, wide)


@internal
def weigh_tile(x, n, stride, width, tops, totals, buffer, step, table, size, ahead, other):
    """Weights down `width` columns of x, at least one vector, whose rows lie `stride` apart.

    They go into rows of buffer `step` apart, the reciprocals of their sums, by column, to table[:width] and
    table[size : size + width], high and low. other: see `weigh_columns`; returns whether its results were stored.
    """
    zero = zero_like(x)
    wide = simd.convert(zero, simd.zeros_f64())
    w = simd.lanes(zero)
    last, lost = width - w, simd.offset(totals, size)
    sound = True
    for k in range(0, width, w):
        at = min(k, last)
        guess = simd.maximum(read(x, at, zero), read(x, (n - 1) * stride + at, zero))
        simd.store(tops, k, guess)
        sound = sound and is_near(guess, zero)
    moved = sound
    if sound:
        clear(totals, lost, width, zero)
        weigh_columns(x, n, stride, 0, width, last, tops, totals, lost, buffer, step, True, ahead, other)
        for k in range(0, width, w):
            sound = sound and is_sound(simd.convert(simd.load_as(totals, k, wide), zero), zero)
    if not sound:
        for k in range(0, width, w):
            simd.store(tops, k, simd.splat(zero, -np.inf))
        for j in range(0, n, BLOCK):
            for k in range(0, width, w):
                part = simd.offset(x, j * stride + min(k, last))
                simd.store(tops, k, highest(part, min(n - j, BLOCK), stride, simd.load_as(tops, k, zero)))
        clear(totals, lost, width, zero)
        weigh_columns(x, n, stride, 0, width, last, tops, totals, lost, buffer, step, None, ahead, None)
    for k in range(0, width, w):
        high, low = reciprocal(simd.load_as(totals, k, wide), zero)
        simd.store(table, min(k, last), high)
        simd.store(table, size + min(k, last), low)
    return moved


@internal
def _scale(buffer, n, step, width, table, size, out, inner, zero):
    """Results of a tile's weights into the rows of out, which may be where they are."""
    w = simd.lanes(zero)
    last = width - w
    for j in range(n):
        row, to = simd.offset(buffer, j * step), simd.offset(out, j * inner)
        # At once, since it may share columns with the vector before it.
        factor = simd.load_as(table, last, zero), simd.load_as(table, size + last, zero)
        end = quotient(simd.load_as(row, last, zero), factor)
        c = 0
        while c < last:
            factor = simd.load_as(table, c, zero), simd.load_as(table, size + c, zero)
            write(to, c, quotient(simd.load_as(row, c, zero), factor))
            c += w
        write(to, last, end)


@cached_njit(nogil=True, error_model="numpy")
def strided(x, out, tile, direct, streaming, first, end):
    """Tiles first to end of x (outer, n, inner): a tile is up to `tile` columns of the inner axis, or somewhat more.

    Weights wait in out if `direct`; results go past the caches if `streaming`. Not both; neither where inner is less
    than a vector.
    """
    _, n, inner = x.shape
    w = simd.VECTOR_BYTES // 8 if x.itemsize == 8 else 16
    size = (w if inner < w else tile) + 2 * w + SPARE
    work = scratch_like(x, 3 * size + (0 if direct else n * (w if inner < w else tile + 2 * w) + w))
    wide = np.empty(2 * size, np.float64)
    padded_x, padded_out = np.zeros(n * w if inner < w else 0, x.dtype), np.empty(n * w if inner < w else 0, x.dtype)
    edges = np.empty(16, x.dtype)
    x, out, tops, totals, line = simd.data(x), simd.data(out), simd.data(work), simd.data(wide), simd.data(edges)
    narrow_x, narrow_out = simd.data(padded_x), simd.data(padded_out)
    zero = zero_like(x)
    table, scratch = simd.offset(tops, size), simd.offset(tops, 3 * size)
    tiles = tiles_of(inner, w, tile)
    # Tiles begin with a line of out, so that only those at an end share one. Other rows' lines begin elsewhere if
    # inner is not a whole number of lines.
    lead = -into_line(out, zero) % w if streaming else 0
    for task in range(first, end):
        begin, t = task // tiles * n * inner, task % tiles
        k, stop = t * tile + (lead if t > 0 else 0), inner if t == tiles - 1 else (t + 1) * tile + lead
        at = min(k, stop - w)
        if n == 2 and inner >= w and not streaming:
            # Without a tile: 1.7 to 1.9 times faster in float32, 1.2 to 1.4 in float64.
            for c in range(at, stop, w):
                c = begin + min(c, stop - w)
                p, q = pair(read(x, c, zero), read(x, c + inner, zero))
                write(out, c, p)
                write(out, c + inner, q)
            continue
        row, to, stride, width = simd.offset(x, begin + at), simd.offset(out, begin + at), inner, stop - at
        if inner < w:
            row, to, stride, width = narrow_x, narrow_out, w, w
            for j in range(n):
                for c in range(inner):
                    simd.put(row, j * w + c, simd.get(x, begin + j * inner + c))
        step = stride if direct or tiles == 1 else tile + 2 * w
        buffer = either_of(to, scratch, direct)
        # The next rows, or where these lie far apart the next tile.
        ahead = BLOCK * stride if stride <= NEAR else width
        weigh_tile(row, n, stride, width, tops, totals, buffer, step, table, size, ahead, None)
        if streaming:
            # All rows at once where they follow each other.
            whole = tiles == 1
            if whole:
                wrap(table, inner, zero)
                wrap(simd.offset(table, size), inner, zero)
            count, circle = n * inner if whole else stop - k, inner if whole else 2 * size
            part = simd.offset(table, k - at)
            for j in range(1 if whole else n):
                source, place = simd.offset(scratch, j * step + k - at), simd.offset(to, j * inner + k - at)
                flow_weights(source, place, count, part, size, circle, 0, zero, line)
        else:
            _scale(buffer, n, step, width, table, size, to, stride, zero)
        if inner < w:
            for j in range(n):
                for c in range(inner):
                    simd.put(out, begin + j * inner + c, simd.get(to, j * w + c))
    return work.size + wide.size + padded_x.size + padded_out.size + edges.size  # keeps them alive
