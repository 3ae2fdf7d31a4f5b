"""Rows of at least one vector, and parts of long ones: the maximum by lane, and the block in which it was found."""

from __future__ import annotations

import numpy as np

from .. import simd
from ..compilation import cached_njit
from ..internal import internal
from .argmax_order import key, keys, precedes

BLOCK = 4  # vectors whose maximum is compared with the best so far


@internal
def _row(x, n, infinity, prefetch):
    """The position of the first maximum in x[:n], n at least one vector; prefetch distance 0: none."""
    w = simd.lanes(keys(x, 0, infinity))
    if n < 2 * BLOCK * w:
        return _short_row(x, n, infinity)
    # First, lane by lane, the best and the first block that has it.
    best = keys(x, 0, infinity)
    lane = simd.lane_numbers(best)
    where = simd.broadcast(lane, 0)
    # Counted, since LLVM turns an or into masks, which AVX2 has to pack.
    nan = simd.widened(simd.unordered(best, best), best)
    blocks = n // (BLOCK * w)
    for block in range(blocks):
        j = block * BLOCK * w
        if prefetch > 0:
            for k in range(BLOCK):
                simd.prefetch(x, j + k * w + prefetch)
        a, b = keys(x, j, infinity), keys(x, j + w, infinity)
        nan = nan + simd.widened(simd.unordered(a, b), best)
        top = simd.maximum(a, b)
        for k in range(2, BLOCK, 2):
            a, b = keys(x, j + k * w, infinity), keys(x, j + (k + 1) * w, infinity)
            nan = nan + simd.widened(simd.unordered(a, b), best)
            top = simd.maximum(simd.maximum(a, b), top)
        where = simd.select(simd.greater(top, best), simd.broadcast(where, block), where)
        best = simd.maximum(top, best)
    j = blocks * BLOCK * w
    while j < n:
        # The last vector may overlap the one before it, where an equal element was found first.
        v = keys(x, min(j, n - w), infinity)
        nan = nan + simd.widened(simd.unordered(v, v), best)
        where = simd.select(simd.greater(v, best), simd.broadcast(where, blocks), where)
        best = simd.maximum(v, best)
        j += w
    if simd.any_lane(simd.nonzero(nan)):
        return _first_nan(x, n)
    # Then the first block of any lane that has the maximum is searched, without a branch.
    top = simd.broadcast(best, simd.reduce_max(best))
    far = simd.broadcast(where, 0x7FFFFFFF)
    j = np.int64(simd.reduce_min(simd.select(simd.equal(best, top), where, far))) * (BLOCK * w)
    found = far
    for k in range(BLOCK):
        at = min(j + (BLOCK - 1 - k) * w, n - w)
        found = simd.select(simd.equal(keys(x, at, infinity), top), simd.broadcast(where, at - j), found)
    return j + np.int64(simd.reduce_min(simd.select(simd.equal(found, far), far, found + lane)))


@internal
def _short_row(x, n, infinity):
    """`_row` in one step: lane by lane, the best and its position."""
    best = keys(x, 0, infinity)
    w = simd.lanes(best)
    lane = simd.lane_numbers(best)
    where = simd.broadcast(lane, 0)
    j = w
    while j < n:
        at = min(j, n - w)
        v = keys(x, at, infinity)
        better = simd.greater_or_nan(v, best)
        best = simd.select(better, v, best)
        where = simd.select(better, simd.broadcast(where, at), where)
        j += w
    candidates = simd.unordered(best, best)
    if not simd.any_lane(candidates):
        candidates = simd.equal(best, simd.broadcast(best, simd.reduce_max(best)))
    return np.int64(simd.reduce_min(simd.select(candidates, where + lane, simd.broadcast(where, 0x7FFFFFFF))))


@internal
def _first_nan(x, n):
    for j in range(n):
        if simd.get(x, j) != simd.get(x, j):
            return j
    return 0


@cached_njit(nogil=True, error_model="numpy")
def rows(x, out, infinity, prefetch, first, end):
    """Rows first to end of x (outer, n, 1), n at least one vector."""
    n = x.shape[1]
    x, out = simd.data(x), simd.data(out)
    for i in range(first, end):
        simd.put(out, i, _row(simd.offset(x, i * n), n, infinity, prefetch))


@cached_njit(nogil=True, error_model="numpy")
def parts_of_rows(x, winners, infinity, prefetch, first, end):
    """Positions of the maxima of parts first to end, numbered through all rows, into winners (outer, parts, 1)."""
    n, count = x.shape[1], winners.shape[1]
    x = simd.data(x)
    for task in range(first, end):
        i, p = task // count, task % count
        a, b = p * n // count, (p + 1) * n // count
        winners[i, p, 0] = a + _row(simd.offset(x, i * n + a), b - a, infinity, prefetch)


@cached_njit(nogil=True, error_model="numpy")
def merge_parts(x, winners, out, infinity):
    """Combine the winners (outer, parts, inner) of all parts: the first with the best element, into out."""
    outer, n, inner = x.shape
    parts = winners.shape[1]
    x = simd.data(x)
    for i in range(outer):
        for c in range(inner):
            best = winners[i, 0, c]
            top = key(x, (i * n + best) * inner + c, infinity)
            for p in range(1, parts):
                rival = winners[i, p, c]
                value = key(x, (i * n + rival) * inner + c, infinity)
                if precedes(value, top):
                    best, top = rival, value
            out[i, c] = best
