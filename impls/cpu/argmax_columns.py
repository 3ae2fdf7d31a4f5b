"""Argmax over a strided axis: each lane has a column of its own. A task is a tile of columns of a part of the rows."""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

from .. import simd
from ..compilation import cached_njit
from ..internal import generated, internal
from .argmax_elements import better_than, element, get

# Measured side by side with other values on one thread of an AMD Zen 3: TILE_VECTORS (16 to 128), DOWN (4 to 64), NEAR
# (0 to 64 KiB).
TILE_VECTORS = 128  # vectors of the inner axis that are searched together
DOWN = 16  # rows up to which a strided maximum and its position stay in registers
NEAR = 1 << 14  # bytes of strided rows up to which they do so for more rows: then the cache holds them all
FETCH_ROWS = 8  # rows ahead of those at work that are fetched: up to 1.6 times faster in float64, 1.16 in float32


@generated
def _positions(x, size):
    """An array of positions: integers as wide as those of `simd.lane_numbers`."""
    dtype = np.int64 if x.dtype.bitwidth == 64 else np.int32
    return lambda x, size: np.empty(size, dtype)


@register_jitable
def tiles_of(inner, lanes):
    """Tiles of the columns that inner makes."""
    return -(-inner // (TILE_VECTORS * lanes))


@internal
def _tile(x, n, stride, width, best, where, half):
    """Argmax down `width` columns of x, at least one vector, whose rows lie `stride` apart, into `where`.

    best and where hold a row; four rows at a time, so that they are loaded and stored a fourth as often.
    """
    w = simd.lanes(get(x, 0, half))
    lane = simd.lane_numbers(get(x, 0, half))
    nan = simd.widened(simd.unordered(get(x, 0, half), get(x, 0, half)), get(x, 0, half))
    k = 0
    while k < width:
        # The last vector begins within the one before it: taking a row twice changes nothing.
        at = min(k, width - w)
        v = get(x, at, half)
        nan = nan + simd.widened(simd.unordered(v, v), v)
        simd.store(best, at, v)
        simd.store(where, at, simd.splat(lane, 0))
        k += w
    j = 1
    while j + 4 <= n:
        row = simd.offset(x, j * stride)
        k = 0
        while k < width:
            at = min(k, width - w)
            top, place = simd.load(best, at), simd.load_as(where, at, lane)
            if width == stride:
                # Elsewhere the next rows begin in other pages, whose addresses cost more than is won.
                for ahead in range(FETCH_ROWS, FETCH_ROWS + 4):
                    simd.prefetch(row, ahead * stride + at)
            a, b = get(row, at, half), get(row, stride + at, half)
            nan = nan + simd.widened(simd.unordered(a, b), a)
            place = simd.select(simd.greater(a, top), simd.splat(lane, j), place)
            top = simd.maximum(a, top)
            place = simd.select(simd.greater(b, top), simd.splat(lane, j + 1), place)
            top = simd.maximum(b, top)
            a, b = get(row, 2 * stride + at, half), get(row, 3 * stride + at, half)
            nan = nan + simd.widened(simd.unordered(a, b), a)
            place = simd.select(simd.greater(a, top), simd.splat(lane, j + 2), place)
            top = simd.maximum(a, top)
            place = simd.select(simd.greater(b, top), simd.splat(lane, j + 3), place)
            top = simd.maximum(b, top)
            simd.store(best, at, top)
            simd.store(where, at, place)
            k += w
        j += 4
    while j < n:
        k = 0
        while k < width:
            at = min(k, width - w)
            top, v = simd.load(best, at), get(x, j * stride + at, half)
            nan = nan + simd.widened(simd.unordered(v, v), v)
            better = simd.greater(v, top)
            simd.store(where, at, simd.select(better, simd.splat(lane, j), simd.load_as(where, at, lane)))
            simd.store(best, at, simd.maximum(v, top))
            k += w
        j += 1
    if simd.some(simd.nonzero(nan)):
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
            simd.store(where, at, simd.select(simd.unordered(v, v), simd.splat(lane, j), place))
            k += w


@internal
def _down(x, n, stride, width, winners, half):
    """As `_tile`, straight into winners[:width], one vector of columns after the other: for few rows."""
    w = simd.lanes(get(x, 0, half))
    k = 0
    while k < width:
        at = min(k, width - w)
        best = get(x, at, half)
        place = simd.splat(simd.lane_numbers(best), 0)
        for j in range(1, n):
            v = get(x, j * stride + at, half)
            better = simd.beats(v, best)
            best = simd.select(better, v, best)
            place = simd.select(better, simd.splat(place, j), place)
        simd.store(winners, at, simd.convert(place, winners))
        k += w


@internal
def _narrow(x, n, inner, best, where, winners, half):
    """Argmax down `inner` columns, fewer than a vector has lanes, into winners[:inner].

    As many rows as a vector has lanes are taken for one row of whole vectors; its columns that are one column of x
    are compared at the end.
    """
    w = simd.lanes(get(x, 0, half))
    wide = n // w
    if wide > 1:
        _tile(x, wide, inner * w, inner * w, best, where, half)
    for c in range(inner):
        chosen = np.int64(0)
        top = element(x, c, half)
        if wide > 1:
            for lane in range(w):
                j = np.int64(simd.get(where, lane * inner + c)) * w + lane
                value = element(x, j * inner + c, half)
                same = value == top or (value != value and top != top)
                if better_than(value, top) or (same and j < chosen):
                    chosen, top = j, value
        for j in range(wide * w if wide > 1 else 0, n):
            value = element(x, j * inner + c, half)
            if better_than(value, top):
                chosen, top = j, value
        simd.put(winners, c, chosen)


@cached_njit(nogil=True, error_model="numpy")
def strided(x, winners, half, first, end):
    """Tasks first to end of x (outer, n, inner), into winners (outer, parts, inner)."""
    _, n, inner = x.shape
    parts = winners.shape[1]
    w = simd.VECTOR_BYTES // x.itemsize
    tile = TILE_VECTORS * w
    down = parts == 1 and (n <= DOWN or n * inner * x.itemsize <= NEAR)
    tops = np.empty(tile, x.dtype)
    positions = _positions(x, tile)
    x, winners, best = simd.data(x), simd.data(winners), simd.data(tops)
    where = simd.data(positions)
    lane = simd.lane_numbers(simd.load(x, 0))
    tiles = tiles_of(inner, w)
    for task in range(first, end):
        rest, t = task // tiles, task % tiles  # of the parts of all rows, of the tiles of one
        i, p = rest // parts, rest % parts
        a, b = p * n // parts, (p + 1) * n // parts
        part = simd.offset(x, (i * n + a) * inner)
        to = simd.offset(winners, rest * inner)
        if inner < w:
            _narrow(part, b - a, inner, best, where, to, half)
            for c in range(inner):
                simd.put(to, c, simd.get(to, c) + a)
            continue
        k = min(t * tile, inner - w)
        width = min(tile, inner - k)
        if down:
            _down(simd.offset(part, k), n, inner, width, simd.offset(to, k), half)
            continue
        _tile(simd.offset(part, k), b - a, inner, width, best, where, half)
        c = 0
        while c < width:
            at = min(c, width - w)
            place = simd.convert(simd.load_as(where, at, lane), to)
            simd.store(to, k + at, place + simd.splat(place, a))
            c += w
    return tops.size + positions.size  # keeps them alive
