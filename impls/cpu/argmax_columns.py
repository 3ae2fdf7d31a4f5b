"""Argmax over a strided axis, one column a lane. A task is a tile of columns of a part of the rows."""

from __future__ import annotations

import numpy as np

from .. import simd
from ..compilation import cached_njit
from ..internal import generated, internal
from .argmax_order import key, keys, precedes

PREFETCH_ROWS = 8  # prefetch distance in rows


@generated
def _positions(x, size):
    """An array of positions: integers as wide as those of `simd.lane_numbers`."""
    dtype = np.int64 if x.dtype.bitwidth == 64 else np.int32
    return lambda x, size: np.empty(size, dtype)


@internal
def _tile(x, n, stride, width, best, where, infinity):
    """Argmax down `width` columns of x, at least one vector, whose rows lie `stride` apart, into `where`.

    best and where hold a row. They are loaded and stored once for four rows.
    """
    w = simd.lanes(keys(x, 0, infinity))
    lane = simd.lane_numbers(keys(x, 0, infinity))
    nan = simd.widened(simd.unordered(keys(x, 0, infinity), keys(x, 0, infinity)), keys(x, 0, infinity))
    k = 0
    while k < width:
        # The last vector may overlap the one before it, which changes nothing.
        at = min(k, width - w)
        v = keys(x, at, infinity)
        nan = nan + simd.widened(simd.unordered(v, v), v)
        simd.store(best, at, v)
        simd.store(where, at, simd.broadcast(lane, 0))
        k += w
    j = 1
    while j + 4 <= n:
        row = simd.offset(x, j * stride)
        k = 0
        while k < width:
            at = min(k, width - w)
            top, place = simd.load(best, at), simd.load_as(where, at, lane)
            if width == stride:
                # Elsewhere the next rows are in other pages, and their TLB misses cost more than the prefetch gains.
                for ahead in range(PREFETCH_ROWS, PREFETCH_ROWS + 4):
                    simd.prefetch(row, ahead * stride + at)
            a, b = keys(row, at, infinity), keys(row, stride + at, infinity)
            nan = nan + simd.widened(simd.unordered(a, b), a)
            place = simd.select(simd.greater(a, top), simd.broadcast(lane, j), place)
            top = simd.maximum(a, top)
            place = simd.select(simd.greater(b, top), simd.broadcast(lane, j + 1), place)
            top = simd.maximum(b, top)
            a, b = keys(row, 2 * stride + at, infinity), keys(row, 3 * stride + at, infinity)
            nan = nan + simd.widened(simd.unordered(a, b), a)
            place = simd.select(simd.greater(a, top), simd.broadcast(lane, j + 2), place)
            top = simd.maximum(a, top)
            place = simd.select(simd.greater(b, top), simd.broadcast(lane, j + 3), place)
            top = simd.maximum(b, top)
            simd.store(best, at, top)
            simd.store(where, at, place)
            k += w
        j += 4
    while j < n:
        k = 0
        while k < width:
            at = min(k, width - w)
            top, v = simd.load(best, at), keys(x, j * stride + at, infinity)
            nan = nan + simd.widened(simd.unordered(v, v), v)
            better = simd.greater(v, top)
            simd.store(where, at, simd.select(better, simd.broadcast(lane, j), simd.load_as(where, at, lane)))
            simd.store(best, at, simd.maximum(v, top))
            k += w
        j += 1
    if simd.any_lane(simd.nonzero(nan)):
        _tile_nan(x, n, stride, width, where)


@internal
def _tile_nan(x, n, stride, width, where):
    """Set `where` to the first NaN in the columns that have one."""
    w = simd.lanes(simd.load(x, 0))
    lane = simd.lane_numbers(simd.load(x, 0))
    for back in range(n):
        j = n - 1 - back
        k = 0
        while k < width:
            at = min(k, width - w)
            v = simd.load(x, j * stride + at)
            place = simd.load_as(where, at, lane)
            simd.store(where, at, simd.select(simd.unordered(v, v), simd.broadcast(lane, j), place))
            k += w


@internal
def _down(x, n, stride, width, winners, infinity):
    """`_tile` for few rows, straight into winners[:width]: the best so far stays in registers."""
    w = simd.lanes(keys(x, 0, infinity))
    k = 0
    while k < width:
        at = min(k, width - w)
        best = keys(x, at, infinity)
        place = simd.broadcast(simd.lane_numbers(best), 0)
        for j in range(1, n):
            v = keys(x, j * stride + at, infinity)
            better = simd.greater_or_nan(v, best)
            best = simd.select(better, v, best)
            place = simd.select(better, simd.broadcast(place, j), place)
        simd.store(winners, at, simd.convert(place, winners))
        k += w


@internal
def _narrow(x, n, inner, best, where, winners, infinity):
    """Argmax down `inner` columns, fewer than a vector has lanes, into winners[:inner].

    As many rows as a vector has lanes are read as one row of whole vectors; those of its columns that are the same
    column of x are compared at the end.
    """
    w = simd.lanes(keys(x, 0, infinity))
    wide = n // w
    if wide > 1:
        _tile(x, wide, inner * w, inner * w, best, where, infinity)
    for c in range(inner):
        chosen = np.int64(0)
        top = key(x, c, infinity)
        if wide > 1:
            for lane in range(w):
                j = np.int64(simd.get(where, lane * inner + c)) * w + lane
                value = key(x, j * inner + c, infinity)
                same = value == top or (value != value and top != top)
                if precedes(value, top) or (same and j < chosen):
                    chosen, top = j, value
        for j in range(wide * w if wide > 1 else 0, n):
            value = key(x, j * inner + c, infinity)
            if precedes(value, top):
                chosen, top = j, value
        simd.put(winners, c, chosen)


@cached_njit(nogil=True, error_model="numpy")
def column_tiles(x, winners, infinity, tile, tiles, in_registers, first, end):
    """Tasks first to end of x (outer, n, inner), into winners (outer, parts, inner).

    The inner axis makes `tiles` of up to `tile` columns. The best so far stays in registers down all rows if
    `in_registers`; then there is one part.
    """
    _, n, inner = x.shape
    parts = winners.shape[1]
    w = simd.VECTOR_BYTES // x.itemsize
    tops = np.empty(tile, x.dtype)
    positions = _positions(x, tile)
    x, winners, best = simd.data(x), simd.data(winners), simd.data(tops)
    where = simd.data(positions)
    lane = simd.lane_numbers(simd.load(x, 0))
    for task in range(first, end):
        rest, t = task // tiles, task % tiles  # of the parts of all rows, of the tiles of one
        i, p = rest // parts, rest % parts
        a, b = p * n // parts, (p + 1) * n // parts
        part = simd.offset(x, (i * n + a) * inner)
        to = simd.offset(winners, rest * inner)
        if inner < w:
            _narrow(part, b - a, inner, best, where, to, infinity)
            for c in range(inner):
                simd.put(to, c, simd.get(to, c) + a)
            continue
        k = min(t * tile, inner - w)
        width = min(tile, inner - k)
        if in_registers:
            _down(simd.offset(part, k), n, inner, width, simd.offset(to, k), infinity)
            continue
        _tile(simd.offset(part, k), b - a, inner, width, best, where, infinity)
        c = 0
        while c < width:
            at = min(c, width - w)
            place = simd.convert(simd.load_as(where, at, lane), to)
            simd.store(to, k + at, place + simd.broadcast(place, a))
            c += w
    return tops.size + positions.size  # keeps them alive
