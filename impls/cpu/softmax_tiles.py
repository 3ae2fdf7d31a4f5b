"""Column tiles: softmax over a strided axis, one column a lane; pipelined, one tile while the last is normalised."""

from __future__ import annotations

from typing import Any, NamedTuple

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

# Prefetch distance in rows, where these lie far apart: 4, 8 and 16 are each best somewhere, by up to 15%.
PREFETCH_ROWS = 8
NEAR = 1024  # columns of a row up to which the rows below are prefetched; beyond, the next tile is


class Matrix(NamedTuple):
    """Rows of elements from `data` on that lie `stride` apart."""

    data: Any
    stride: Any


class Columns(NamedTuple):
    """Columns begin to begin + width of a matrix; no vector of them begins beyond column `last`."""

    begin: Any
    width: Any
    last: Any


class Sums(NamedTuple):
    """By column, from the first vector on: the shift, the sum of exponentials in float64, its Kahan correction."""

    tops: Any
    totals: Any
    lost: Any


class Table(NamedTuple):
    """The reciprocals of the sums of columns: data[:size] high, data[size : 2 * size] low."""

    data: Any
    size: Any


class Finished(NamedTuple):
    """A tile whose exponentials and sums are there, to be normalised while another is exponentiated."""

    exponentials: Any  # a Matrix
    table: Any
    results: Any  # a Matrix


@generated
def _shift(top, estimated):
    """The shift by tops: the maxima of their columns or, where `estimated` is not None, estimates of them."""
    if estimated is numba.types.none:
        return lambda top, estimated: shift(top)
    return lambda top, estimated: estimated_shift(top, top)


@generated
def _store_if(buffer, i, k, vector):
    """Store a vector in row i of buffer from column k on, if there is a buffer."""
    if buffer is numba.types.none:
        return lambda buffer, i, k, vector: None
    return lambda buffer, i, k, vector: simd.store(buffer.data, i * buffer.stride + k, vector)


@internal
def _of_table(table, k, like):
    """The `reciprocal` of the sums of columns from k on."""
    return simd.load_as(table.data, k, like), simd.load_as(table.data, table.size + k, like)


@generated
def _factor(finished, k, like):
    """The reciprocals of the sums of the finished tile, if there is one, from column k on."""
    if finished is numba.types.none:
        return lambda finished, k, like: None
    return lambda finished, k, like: _of_table(finished.table, k, like)


@generated
def _normalise_finished(finished, factor, i, k):
    """Normalise a vector of the finished tile, if there is one."""
    if finished is numba.types.none:
        return lambda finished, factor, i, k: None

    def normalise(finished, factor, i, k):
        source, to = finished.exponentials, finished.results
        result = quotient(simd.load_as(source.data, i * source.stride + k, factor[0]), factor)
        simd.stream(to.data, i * to.stride + k, result)

    return normalise


@generated
def _exponentiate(x, i, k, buffer, start, factor, ahead, finished):
    """The exponentials of a vector of row i of x from column k on, which go to buffer if there is one."""

    def exponentiate(x, i, k, buffer, start, factor, ahead, finished):
        _normalise_finished(finished, factor, i, k)
        simd.prefetch(x.data, i * x.stride + k + ahead)
        e = exponentials(read(x.data, i * x.stride + k, start[1]), start)
        _store_if(buffer, i, k, e)
        return e

    return exponentiate


@internal
def _accumulate(sums, k, partial):
    """Add a vector of sums to those of columns from k on."""
    wide = simd.convert(partial, simd.zeros_f64())
    total, lost = simd.load_as(sums.totals, k, wide), simd.load_as(sums.lost, k, wide)
    total, lost = kahan_add(total, lost, wide)
    simd.store(sums.totals, k, total)
    simd.store(sums.lost, k, lost)


@internal
def _exp_sum_four(x, j, end, columns, sums, buffer, estimated, ahead, finished):
    """`exp_sum_columns` of rows j to end, of as many columns as fill four vectors at a time; returns how many."""
    zero, tops = zero_like(x.data), sums.tops
    w = simd.lanes(zero)
    k, near = 0, min(PREFETCH_ROWS, end - j)
    while k + 4 * w <= columns.width and columns.begin + k + 3 * w <= columns.last:
        at = columns.begin + k
        a, b = _shift(simd.load_as(tops, k, zero), estimated), _shift(simd.load_as(tops, k + w, zero), estimated)
        c = _shift(simd.load_as(tops, k + 2 * w, zero), estimated)
        d = _shift(simd.load_as(tops, k + 3 * w, zero), estimated)
        f, g = _factor(finished, k, zero), _factor(finished, k + w, zero)
        h, m = _factor(finished, k + 2 * w, zero), _factor(finished, k + 3 * w, zero)
        p = q = r = s = zero
        for first in range(j, end, ADDENDS):
            p_, q_, r_, s_ = p, q, r, s
            p = q = r = s = zero
            for i in range(first, min(end, first + ADDENDS)):
                there = ahead
                if x.stride > NEAR:
                    # A few rows only: rows a power of 2 apart have cache set conflicts.
                    there = near * x.stride if i + near < end else (near - (end - j)) * x.stride + 4 * w
                p = p + _exponentiate(x, i, at, buffer, a, f, there, finished)
                q = q + _exponentiate(x, i, at + w, buffer, b, g, there, finished)
                r = r + _exponentiate(x, i, at + 2 * w, buffer, c, h, there, finished)
                s = s + _exponentiate(x, i, at + 3 * w, buffer, d, m, there, finished)
            p, q, r, s = p_ + p, q_ + q, r_ + r, s_ + s
        _accumulate(sums, k, p)
        _accumulate(sums, k + w, q)
        _accumulate(sums, k + 2 * w, r)
        _accumulate(sums, k + 3 * w, s)
        k += 4 * w
    return k


@generated
def _four_vectors(x, j, end, columns, sums, buffer, estimated, ahead, finished):
    """`_exp_sum_four` where there are registers for it; else it does no columns."""
    wide = x.types[0].dtype is numba.types.float64
    # Memory is read and written in longer pieces so. float64 without another tile is up to 8% slower.
    if AVX512 and simd.register_count() >= 32 and not (wide and finished is numba.types.none):
        return lambda x, j, end, columns, sums, buffer, estimated, ahead, finished: _exp_sum_four(
            x, j, end, columns, sums, buffer, estimated, ahead, finished
        )
    return lambda x, j, end, columns, sums, buffer, estimated, ahead, finished: 0


@internal
def exp_sum_columns(x, n, columns, sums, buffer, estimated, ahead, finished):
    """Add the exponentials of n rows of x, shifted by sums.tops, to the sums of columns.

    Args:
        x: a `Matrix`.
        buffer: a `Matrix` for the exponentials, from the first of the columns on, or None.
        estimated: None where the shifts are maxima.
        ahead: the prefetch distance in elements.
        finished: None or a tile of as many whole vectors: it is normalised in the same loop, by non-temporal stores.
            Then the columns begin with 0.
    """
    zero = zero_like(x.data)
    w = simd.lanes(zero)
    # BLOCK rows at a time, so that memory is read in order.
    for j in range(0, n, BLOCK):
        end = min(n, j + BLOCK)
        done = _four_vectors(x, j, end, columns, sums, buffer, estimated, ahead, finished)
        for k in range(done, columns.width, w):
            start = _shift(simd.load_as(sums.tops, k, zero), estimated)
            at = min(columns.begin + k, columns.last)
            total, factor = zero, _factor(finished, k, zero)
            for first in range(j, end, ADDENDS):
                partial = zero
                for i in range(first, min(end, first + ADDENDS)):
                    partial = partial + _exponentiate(x, i, at, buffer, start, factor, ahead, finished)
                total = total + partial
            _accumulate(sums, k, total)


@internal
def clear(sums, width, like):
    """Set the sums of `width` columns, of vectors of the type of `like`, to 0."""
    wide = simd.convert(like, simd.zeros_f64())
    for k in range(0, width, simd.lanes(like)):
        simd.store(sums.totals, k, wide)
        simd.store(sums.lost, k, wide)


@internal
def exp_sum_tile(x, n, width, sums, buffer, table, ahead, finished):
    """Store the exponentials of n rows of `width` columns of x, at least one vector, in buffer, both a `Matrix`.

    The reciprocals of their sums go to the table. finished: see `exp_sum_columns`; returns whether it was normalised.
    """
    zero = zero_like(x.data)
    wide = simd.convert(zero, simd.zeros_f64())
    w = simd.lanes(zero)
    columns = Columns(0, width, width - w)
    verified = True
    for k in range(0, width, w):
        at = min(k, columns.last)
        estimate = simd.maximum(read(x.data, at, zero), read(x.data, (n - 1) * x.stride + at, zero))
        simd.store(sums.tops, k, estimate)
        verified = verified and in_range(estimate, zero)
    moved = verified
    if verified:
        clear(sums, width, zero)
        exp_sum_columns(x, n, columns, sums, buffer, True, ahead, finished)
        for k in range(0, width, w):
            verified = verified and is_verified(simd.convert(simd.load_as(sums.totals, k, wide), zero), zero)
    if not verified:
        for k in range(0, width, w):
            simd.store(sums.tops, k, simd.broadcast(zero, -np.inf))
        for j in range(0, n, BLOCK):
            for k in range(0, width, w):
                row, before = simd.offset(x.data, j * x.stride + min(k, columns.last)), simd.load_as(sums.tops, k, zero)
                simd.store(sums.tops, k, maximum_down(row, min(n - j, BLOCK), x.stride, before))
        clear(sums, width, zero)
        exp_sum_columns(x, n, columns, sums, buffer, None, ahead, None)
    for k in range(0, width, w):
        high, low = reciprocal(simd.load_as(sums.totals, k, wide), zero)
        simd.store(table.data, min(k, columns.last), high)
        simd.store(table.data, table.size + min(k, columns.last), low)
    return moved


@internal
def _normalise(buffer, n, width, table, out, zero):
    """Normalise n rows of exponentials into those of out, both a `Matrix`, which may be the same memory."""
    w = simd.lanes(zero)
    last = width - w
    for j in range(n):
        row, to = simd.offset(buffer.data, j * buffer.stride), simd.offset(out.data, j * out.stride)
        # First, since it may overlap the vector before it.
        end = quotient(simd.load_as(row, last, zero), _of_table(table, last, zero))
        c = 0
        while c < last:
            write(to, c, quotient(simd.load_as(row, c, zero), _of_table(table, c, zero)))
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
    sums = Sums(tops, totals, simd.offset(totals, size))
    table, scratch = Table(simd.offset(tops, size), size), simd.offset(tops, 3 * size)
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
        exponentials_of_tile = Matrix(buffer, step)
        exp_sum_tile(Matrix(row, stride), n, width, sums, exponentials_of_tile, table, ahead, None)
        if streaming:
            # All rows at once where they are contiguous.
            whole = tiles == 1
            if whole:
                repeat_first(table.data, inner, zero)
                repeat_first(simd.offset(table.data, size), inner, zero)
            count, circle = n * inner if whole else stop - k, inner if whole else 2 * size
            factors = simd.offset(table.data, k - at)
            for j in range(1 if whole else n):
                source, place = simd.offset(scratch, j * step + k - at), simd.offset(to, j * inner + k - at)
                normalise_exponentials(source, place, count, factors, size, circle, 0, zero, line)
        else:
            _normalise(exponentials_of_tile, n, width, table, Matrix(to, stride), zero)
        if inner < w:
            for j in range(n):
                for c in range(inner):
                    simd.put(out, begin + j * inner + c, simd.get(to, j * w + c))
    return work.size + wide.size + padded_x.size + padded_out.size + edges.size  # keeps them alive


@internal
def _normalise_all(finished, n, width, zero):
    """Normalise n rows of a finished tile."""
    for j in range(n):
        for k in range(0, width, simd.lanes(zero)):
            _normalise_finished(finished, _factor(finished, k, zero), j, k)


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
    sums = Sums(tops, totals, simd.offset(totals, tile))
    before, count = Finished(Matrix(tops, tile), Table(tops, tile), Matrix(out, inner)), 0
    for task in range(first, end):
        odd = task % 2
        table = Table(simd.offset(tops, (1 + 2 * odd) * tile), tile)
        buffer = Matrix(simd.offset(tops, (5 + odd * n) * tile), tile)
        next_begin, next_width = _place(min(task + 1, end - 1), tiles, n, inner, tile)
        # Prefetch the next rows or, where rows lie far apart, the next tile.
        ahead = BLOCK * inner if inner <= NEAR else next_begin - begin
        rows, moved = Matrix(simd.offset(x, begin), inner), False
        if count == width:
            moved = exp_sum_tile(rows, n, width, sums, buffer, table, ahead, before)
        else:
            exp_sum_tile(rows, n, width, sums, buffer, table, ahead, None)
        if count > 0 and not moved:
            _normalise_all(before, n, count, zero)
        before, count = Finished(buffer, table, Matrix(simd.offset(out, begin), inner)), width
        begin, width = next_begin, next_width
    _normalise_all(before, n, count, zero)
    return work.size + wide.size  # keeps them alive
