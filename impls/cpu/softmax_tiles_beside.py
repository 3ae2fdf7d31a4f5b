"""Softmax over a strided axis past the caches, the weights of a tile and the results of the one before it in one loop.

For rows of out that are whole lines, so that no two tiles share one. See `softmax_beside`, which does so with rows.
"""

from __future__ import annotations

import numpy as np

from .. import simd
from ..compilation import cached_njit
from ..internal import internal
from ..simd.exp import quotient
from .softmax_elements import BLOCK, scratch_like, zero_like
from .softmax_tiles import NEAR, tiles_of, weigh_tile


@internal
def _finish(n, stride, width, step, other, zero):
    """All results of a tile."""
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
def strided_beside(x, out, tile, first, end):
    """Tiles first to end of x (outer, n, inner) of float32 or float64: up to `tile` columns of the inner axis each.

    inner and tile are whole vectors, and out begins a line.
    """
    _, n, inner = x.shape
    w = simd.VECTOR_BYTES // x.itemsize
    work, wide = scratch_like(x, 5 * tile + 2 * n * tile + w), np.empty(2 * tile, np.float64)
    if first >= end:
        return work.size
    x, out, tops, totals = simd.data(x), simd.data(out), simd.data(work), simd.data(wide)
    zero = zero_like(x)
    tiles = tiles_of(inner, w, tile)
    begin, width = _place(first, tiles, n, inner, tile)
    before, count = (tops, tops, tile, out), 0
    for task in range(first, end):
        odd = task % 2
        table, buffer = simd.offset(tops, (1 + 2 * odd) * tile), simd.offset(tops, (5 + odd * n) * tile)
        next_begin, next_width = _place(min(task + 1, end - 1), tiles, n, inner, tile)
        # The next rows, or where these lie far apart the next tile.
        ahead = BLOCK * inner if inner <= NEAR else next_begin - begin
        row, moved = simd.offset(x, begin), False
        if count == width:
            moved = weigh_tile(row, n, inner, width, tops, totals, buffer, tile, table, tile, ahead, before)
        else:
            weigh_tile(row, n, inner, width, tops, totals, buffer, tile, table, tile, ahead, None)
        if count > 0 and not moved:
            _finish(n, inner, count, tile, before, zero)
        before, count = (buffer, table, tile, simd.offset(out, begin)), width
        begin, width = next_begin, next_width
    _finish(n, inner, count, tile, before, zero)
    return work.size + wide.size  # keeps them alive
