"""Transposed rows: as many short rows as a vector has lanes become columns of a tile, one row a lane."""

from __future__ import annotations

import numpy as np

from .. import simd
from ..compilation import cached_njit
from .argmax_order import first_maximum, keys


@cached_njit(nogil=True, error_model="numpy")
def transposed(x, out, infinity, first, end):
    """Rows first to end of x (outer, n, 1), n at most a few vectors."""
    n = x.shape[1]
    w = simd.VECTOR_BYTES // x.itemsize
    padded = np.empty(n * w, x.dtype)
    x, out, tile = simd.data(x), simd.data(out), simd.data(padded)
    lane = simd.lane_numbers(keys(tile, 0, infinity))
    i = first
    while i < end:
        if end - i < w or n == 1 or n == 3 or (w == simd.VECTOR_BYTES and n > 2):
            # A byte's lanes have positions of four bytes, so that masks would be split lane by lane.
            simd.put(out, i, first_maximum(simd.offset(x, i * n), n, infinity))
            i += 1
            continue
        if n == 2:
            p, q = simd.deinterleave(simd.load(x, i * n), simd.load(x, i * n + w))
            simd.store(tile, 0, p)
            simd.store(tile, w, q)
        else:
            for r in range(0, w, 4):
                a = (i + r) * n
                j = 0
                while True:
                    p, q, s, t = simd.transpose4(
                        simd.load4(x, a + j),
                        simd.load4(x, a + n + j),
                        simd.load4(x, a + 2 * n + j),
                        simd.load4(x, a + 3 * n + j),
                    )
                    simd.store(tile, j * w + r, p)
                    simd.store(tile, (j + 1) * w + r, q)
                    simd.store(tile, (j + 2) * w + r, s)
                    simd.store(tile, (j + 3) * w + r, t)
                    if j == n - 4:
                        break
                    j = min(j + 4, n - 4)
        best = keys(tile, 0, infinity)
        where = simd.broadcast(lane, 0)
        for j in range(1, n):
            v = keys(tile, j * w, infinity)
            better = simd.greater_or_nan(v, best)
            best = simd.select(better, v, best)
            where = simd.select(better, simd.broadcast(where, j), where)
        simd.store(out, i, simd.convert(where, out))
        i += w
    return padded.size  # keeps it alive
