"""Column tiles: softmax over a strided axis, one column a lane; pipelined, one tile while the last is normalised."""

from __future__ import annotations

import numba
import numpy as np

from .. import simd
from ..compilation import cached_njit
from ..internal import generated, internal
from ..simd.exp import estimated_shift, exponentials, in_range, is_verified, quotient, reciprocal, shift
from .softmax_elements import (
    ADDENDS,
    AVX512,
    BLOCK,
    kahan_add,
    maximum_down,
    offset_in_line,
    output_or,
    read,
    scratch_like,
    write,
    zero_like,
)
from .softmax_normalise import SPARE, normalise_exponentials, repeat_first
from .softmax_transposed import softmax_pair

# Prefetch ahead in rows, where these lie far apart: 4, 8 and 16 are each best somewhere, by up to 15%.
PREFETCH_ROWS = 8
NEAR = 1024  # columns of a row up to which the rows below are prefetched; beyond, the next tile is


@generated
def _shift(top, estimated):
    """The shift by tops: the maxima of their columns or, where `estimated` is not None, estimates of them."""
    if estimated is numba.types.none:
        return lambda top, estimated: shift(top)
    return lambda top, estimated: estimated_shift(top, top)


@generated(inline="always")
def _store_if(buffer, i, vector):
    """Store a vector from buffer[i] on, if there is a buffer."""
    if buffer is numba.types.none:
        return lambda buffer, i, vector: None
    return lambda buffer, i, vector: simd.store(buffer, i, vector)


@generated(inline="always")
def _factor(other, k, like):
    """The reciprocals of the sums of another tile, if there is one, from column k on."""
    if other is numba.types.none:
        return lambda other, k, like: None
    return lambda other, k, like: (simd.load_as(other[1], k, like), simd.load_as(other[1], other[2] + k, like))


@generated(inline="always")
def _normalise_other(other, factor, i, k, stride, step):
    """Normalise a vector of another tile, if there is one."""
    if other is numba.types.none:
        return lambda other, factor, i, k, stride, step: None

    def move(other, factor, i, k, stride, step):
        simd.stream(other[3], i * stride + k, quotient(simd.load_as(other[0], i * step + k, factor[0]), factor))

    return move


@generated(inline="always")
def _exponentiate(x, i, at, stride, step, buffer, start, factor, ahead, other):
    """The exponentials of a vector of row i of x, which go to buffer if there is one."""

    def exp_sum(x, i, at, stride, step, buffer, start, factor, ahead, other):
        _normalise_other(other, factor, i, at, stride, step)
        simd.prefetch(x, i * stride + at + ahead)
        e = exponentials(read(x, i * stride + at, start[1]), start)
        _store_if(buffer, i * step + at, e)
        return e

    return exp_sum


@internal
def _accumulate(totals, lost, k, partial):
    """Add a vector of sums to those of columns from k on."""
    wide = simd.convert(partial, simd.zeros_f64())
    total, remainder = simd.load_as(totals, k, wide), simd.load_as(lost, k, wide)
    total, remainder = kahan_add(total, remainder, wide)
    simd.store(totals, k, total)
    simd.store(lost, k, remainder)


@internal
def _exp_sum_four(x, j, end, stride, begin, width, last, tops, totals, lost, buffer, step, estimated, ahead, other):
    """`exp_sum_columns` of rows j to end, of as many columns as fill four vectors at a time; returns how many."""
    zero = zero_like(x)
    w = simd.lanes(zero)
    k, near = 0, min(PREFETCH_ROWS, end - j)
    while k + 4 * w <= width and begin + k + 3 * w <= last:
        at = begin + k
        a, b = _shift(simd.load_as(tops, k, zero), estimated), _shift(simd.load_as(tops, k + w, zero), estimated)
        c = _shift(simd.load_as(tops, k + 2 * w, zero), estimated)
        d = _shift(simd.load_as(tops, k + 3 * w, zero), estimated)
        f, g = _factor(other, k, zero), _factor(other, k + w, zero)
        h, m = _factor(other, k + 2 * w, zero), _factor(other, k + 3 * w, zero)
        p = q = r = s = zero
        for first in range(j, end, ADDENDS):
            p_, q_, r_, s_ = p, q, r, s
            p = q = r = s = zero
            for i in range(first, min(end, first + ADDENDS)):
                there = ahead
                if stride > NEAR:
                    # A few rows only: rows a power of 2 apart have cache set conflicts.
                    there = near * stride if i + near < end else (near - (end - j)) * stride + 4 * w
                p = p + _exponentiate(x, i, at, stride, step, buffer, a, f, there, other)
                q = q + _exponentiate(x, i, at + w, stride, step, buffer, b, g, there, other)
                r = r + _exponentiate(x, i, at + 2 * w, stride, step, buffer, c, h, there, other)
                s = s + _exponentiate(x, i, at + 3 * w, stride, step, buffer, d, m, there, other)
            p, q, r, s = p_ + p, q_ + q, r_ + r, s_ + s
        _accumulate(totals, lost, k, p)
        _accumulate(totals, lost, k + w, q)
        _accumulate(totals, lost, k + 2 * w, r)
        _accumulate(totals, lost, k + 3 * w, s)
        k += 4 * w
    return k


@generated
def _four_vectors(x, j, end, stride, begin, width, last, tops, totals, lost, to, step, estimated, ahead, other):
    """`_exp_sum_four` where there are registers for it; else it does no columns."""
    # Memory is read and written in longer pieces so. float64 without another tile is up to 8% slower.
    if AVX512 and simd.register_count() >= 32 and (x.dtype is not numba.types.float64 or other is not numba.types.none):
        return lambda x, j, end, stride, begin, width, last, tops, totals, lost, to, step, estimated, ahead, other: (
            _exp_sum_four(x, j, end, stride, begin, width, last, tops, totals, lost, to, step, estimated, ahead, other)
        )
    return lambda x, j, end, stride, begin, width, last, tops, totals, lost, to, step, estimated, ahead, other: 0


@internal
def exp_sum_columns(x, n, stride, begin, width, last, tops, totals, lost, buffer, step, estimated, ahead, other):
    """Add the sums of exponentials down columns begin to begin + width of x, shifted by tops, to totals, of float64.

    No vector begins beyond column `last`. tops, totals and their Kahan corrections, lost, begin with the first vector
    of columns, buffer with the first column. `ahead` is the prefetch ahead in elements.

    other is None or (exponentials, table, size, results) of another tile of as many whole vectors, with table and size
    as in `exp_sum_tile`: it is normalised in the same loop, by non-temporal stores, and begin is 0.
    """
    zero = zero_like(x)
    w = simd.lanes(zero)
    # BLOCK rows at a time, so that memory is read in order.
    for j in range(0, n, BLOCK):
        end = min(n, j + BLOCK)
        done = _four_vectors(
            x, j, end, stride, begin, width, last, tops, totals, lost, buffer, step, estimated, ahead, other
        )
        for k in range(done, width, w):
            start = _shift(simd.load_as(tops, k, zero), estimated)
            at = min(begin + k, last)
            total_of_rows, factor = zero, _factor(other, k, zero)
            for first in range(j, end, ADDENDS):
                partial = zero
                for i in range(first, min(end, first + ADDENDS)):
                    partial = partial + _exponentiate(x, i, at, stride, step, buffer, start, factor, ahead, other)
                total_of_rows = total_of_rows + partial
            _accumulate(totals, lost, k, total_of_rows)


@internal
def clear(totals, lost, width, like):
    """Set the sums of `width` columns, of vectors of the type of `like`, to 0."""
    wide = simd.convert(like, simd.zeros_f64())
    for k in range(0, width, simd.lanes(like)):
        simd.store(totals, k, wide)
        simd.store(lost, k, wide)


@internal
def exp_sum_tile(x, n, stride, width, tops, totals, buffer, step, table, size, ahead, other):
    """Store the exponentials of `width` columns of x, at least one vector, whose rows lie `stride` apart, in buffer.

    The rows of buffer lie `step` apart. The reciprocals of the sums, high and low, go to table[:width] and
    table[size : size + width]. other: see `exp_sum_columns`; returns whether it was normalised.
    """
    zero = zero_like(x)
    wide = simd.convert(zero, simd.zeros_f64())
    w = simd.lanes(zero)
    last, lost = width - w, simd.offset(totals, size)
    verified = True
    for k in range(0, width, w):
        at = min(k, last)
        estimate = simd.maximum(read(x, at, zero), read(x, (n - 1) * stride + at, zero))
        simd.store(tops, k, estimate)
        verified = verified and in_range(estimate, zero)
    moved = verified
    if verified:
        clear(totals, lost, width, zero)
        exp_sum_columns(x, n, stride, 0, width, last, tops, totals, lost, buffer, step, True, ahead, other)
        for k in range(0, width, w):
            verified = verified and is_verified(simd.convert(simd.load_as(totals, k, wide), zero), zero)
    if not verified:
        for k in range(0, width, w):
            simd.store(tops, k, simd.broadcast(zero, -np.inf))
        for j in range(0, n, BLOCK):
            for k in range(0, width, w):
                below_row = simd.offset(x, j * stride + min(k, last))
                simd.store(tops, k, maximum_down(below_row, min(n - j, BLOCK), stride, simd.load_as(tops, k, zero)))
        clear(totals, lost, width, zero)
        exp_sum_columns(x, n, stride, 0, width, last, tops, totals, lost, buffer, step, None, ahead, None)
    for k in range(0, width, w):
        high, low = reciprocal(simd.load_as(totals, k, wide), zero)
        simd.store(table, min(k, last), high)
        simd.store(table, size + min(k, last), low)
    return moved


@internal
def _normalise(buffer, n, step, width, table, size, out, inner, zero):
    """Normalise a tile of exponentials into the rows of out, which may be the same memory."""
    w = simd.lanes(zero)
    last = width - w
    for j in range(n):
        row, to = simd.offset(buffer, j * step), simd.offset(out, j * inner)
        # First, since it may overlap the vector before it.
        factor = simd.load_as(table, last, zero), simd.load_as(table, size + last, zero)
        end = quotient(simd.load_as(row, last, zero), factor)
        c = 0
        while c < last:
            factor = simd.load_as(table, c, zero), simd.load_as(table, size + c, zero)
            write(to, c, quotient(simd.load_as(row, c, zero), factor))
            c += w
        write(to, last, end)


@cached_njit(nogil=True, error_model="numpy")
def column_tiles(x, out, tile, tiles, in_output, streaming, first, end):
    """Tiles first to end of x (outer, n, inner), whose inner axis makes `tiles` of `tile` columns or somewhat more.

    Exponentials wait in out if `in_output`; non-temporal stores if `streaming`. Not both; neither if inner is less than
    a vector.
    """
    _, n, inner = x.shape
    w = simd.VECTOR_BYTES // 8 if x.itemsize == 8 else 16
    size = (w if inner < w else tile) + 2 * w + SPARE
    work = scratch_like(x, 3 * size + (0 if in_output else n * (w if inner < w else tile + 2 * w) + w))
    wide = np.empty(2 * size, np.float64)
    padded_x, padded_out = np.zeros(n * w if inner < w else 0, x.dtype), np.empty(n * w if inner < w else 0, x.dtype)
    edges = np.empty(16, x.dtype)
    x, out, tops, totals, line = simd.data(x), simd.data(out), simd.data(work), simd.data(wide), simd.data(edges)
    narrow_x, narrow_out = simd.data(padded_x), simd.data(padded_out)
    zero = zero_like(x)
    table, scratch = simd.offset(tops, size), simd.offset(tops, 3 * size)
    # Tiles begin with a cache line of the first row of out. Other rows begin elsewhere in a line if inner is not whole
    # lines.
    lead = -offset_in_line(out, zero) % w if streaming else 0
    for task in range(first, end):
        begin, t = task // tiles * n * inner, task % tiles
        k, stop = t * tile + (lead if t > 0 else 0), inner if t == tiles - 1 else (t + 1) * tile + lead
        at = min(k, stop - w)
        if n == 2 and inner >= w and not streaming:
            # Two rows need no tile.
            for c in range(at, stop, w):
                c = begin + min(c, stop - w)
                p, q = softmax_pair(read(x, c, zero), read(x, c + inner, zero))
                write(out, c, p)
                write(out, c + inner, q)
            continue
        row, to, stride, width = simd.offset(x, begin + at), simd.offset(out, begin + at), inner, stop - at
        if inner < w:
            row, to, stride, width = narrow_x, narrow_out, w, w
            for j in range(n):
                for c in range(inner):
                    simd.put(row, j * w + c, simd.get(x, begin + j * inner + c))
        step = stride if in_output or tiles == 1 else tile + 2 * w
        buffer = output_or(to, scratch, in_output)
        # Prefetch the next rows or, where rows lie far apart, the next tile.
        ahead = BLOCK * stride if stride <= NEAR else width
        exp_sum_tile(row, n, stride, width, tops, totals, buffer, step, table, size, ahead, None)
        if streaming:
            # All rows at once where they are contiguous.
            whole = tiles == 1
            if whole:
                repeat_first(table, inner, zero)
                repeat_first(simd.offset(table, size), inner, zero)
            count, circle = n * inner if whole else stop - k, inner if whole else 2 * size
            below_row = simd.offset(table, k - at)
            for j in range(1 if whole else n):
                source, place = simd.offset(scratch, j * step + k - at), simd.offset(to, j * inner + k - at)
                normalise_exponentials(source, place, count, below_row, size, circle, 0, zero, line)
        else:
            _normalise(buffer, n, step, width, table, size, to, stride, zero)
        if inner < w:
            for j in range(n):
                for c in range(inner):
                    simd.put(out, begin + j * inner + c, simd.get(to, j * w + c))
    return work.size + wide.size + padded_x.size + padded_out.size + edges.size  # keeps them alive


@internal
def _normalise_row(n, stride, width, step, other, zero):
    """Normalise a whole tile."""
    source, table, size, to = other
    w = simd.lanes(zero)
    for j in range(n):
        for k in range(0, width, w):
            factor = simd.load_as(table, k, zero), simd.load_as(table, size + k, zero)
            simd.stream(to, j * stride + k, quotient(simd.load_as(source, j * step + k, zero), factor))


@internal
def _place(task, tiles, n, inner, tile):
    """Where a tile begins, in elements, and how many columns it has."""
    i, t = task // tiles, task % tiles
    return i * n * inner + t * tile, min(tile, inner - t * tile)


@cached_njit(nogil=True, error_model="numpy")
def pipelined_column_tiles(x, out, tile, tiles, first, end):
    """Tiles first to end of x (outer, n, inner) of float32 or float64: `tiles` of `tile` columns of the inner axis.

    inner and tile are whole vectors, and out is aligned to one. Non-temporal stores.
    """
    _, n, inner = x.shape
    w = simd.VECTOR_BYTES // x.itemsize
    work, wide = scratch_like(x, 5 * tile + 2 * n * tile + w), np.empty(2 * tile, np.float64)
    if first >= end:
        return work.size
    x, out, tops, totals = simd.data(x), simd.data(out), simd.data(work), simd.data(wide)
    zero = zero_like(x)
    begin, width = _place(first, tiles, n, inner, tile)
    before, count = (tops, tops, tile, out), 0
    for task in range(first, end):
        odd = task % 2
        table, buffer = simd.offset(tops, (1 + 2 * odd) * tile), simd.offset(tops, (5 + odd * n) * tile)
        next_begin, next_width = _place(min(task + 1, end - 1), tiles, n, inner, tile)
        # Prefetch the next rows or, where rows lie far apart, the next tile.
        ahead = BLOCK * inner if inner <= NEAR else next_begin - begin
        row, moved = simd.offset(x, begin), False
        if count == width:
            moved = exp_sum_tile(row, n, inner, width, tops, totals, buffer, tile, table, tile, ahead, before)
        else:
            exp_sum_tile(row, n, inner, width, tops, totals, buffer, tile, table, tile, ahead, None)
        if count > 0 and not moved:
            _normalise_row(n, inner, count, tile, before, zero)
        before, count = (buffer, table, tile, simd.offset(out, begin)), width
        begin, width = next_begin, next_width
    _normalise_row(n, inner, count, tile, before, zero)
    return work.size + wide.size  # keeps them alive
