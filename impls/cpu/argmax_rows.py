"""Argmax of rows of at least one vector, and of pieces of long ones: maxima, and the blocks they were found in."""

from __future__ import annotations

import numpy as np

from .. import simd
from ..compilation import cached_njit
from ..internal import internal
from .argmax_elements import better_than, element, get

BLOCK = 4  # vectors whose maximum is taken before it is compared with the best so far; 8 is as good on an AMD Zen 3


@internal
def _row(x, n, half, ahead):
    """The position of the first maximum in x[:n], n at least one vector; what lies `ahead` is fetched meanwhile."""
    w = simd.lanes(get(x, 0, half))
    if n < 2 * BLOCK * w:
        return _short_row(x, n, half)
    # The first level: by lane, the best and the first block that has it.
    best = get(x, 0, half)
    lane = simd.lane_numbers(best)
    where = simd.splat(lane, 0)
    # Counted and not or-ed: LLVM makes masks of an or, which AVX2 has to pack.
    nan = simd.widened(simd.unordered(best, best), best)
    blocks = n // (BLOCK * w)
    for block in range(blocks):
        j = block * BLOCK * w
        if ahead > 0:
            for k in range(BLOCK):
                simd.prefetch(x, j + k * w + ahead)
        a, b = get(x, j, half), get(x, j + w, half)
        nan = nan + simd.widened(simd.unordered(a, b), best)
        top = simd.maximum(a, b)
        for k in range(2, BLOCK, 2):
            a, b = get(x, j + k * w, half), get(x, j + (k + 1) * w, half)
            nan = nan + simd.widened(simd.unordered(a, b), best)
            top = simd.maximum(simd.maximum(a, b), top)
        where = simd.select(simd.greater(top, best), simd.splat(where, block), where)
        best = simd.maximum(top, best)
    j = blocks * BLOCK * w
    while j < n:
        # The last vector begins within the one before it: what both hold is found there first.
        v = get(x, min(j, n - w), half)
        nan = nan + simd.widened(simd.unordered(v, v), best)
        where = simd.select(simd.greater(v, best), simd.splat(where, blocks), where)
        best = simd.maximum(v, best)
        j += w
    if simd.some(simd.nonzero(nan)):
        return _first_nan(x, n)
    # The second: the first block of all lanes that have the maximum, searched in whole, without a branch.
    top = simd.splat(best, simd.reduce_max(best))
    far = simd.splat(where, 0x7FFFFFFF)
    j = np.int64(simd.reduce_min(simd.select(simd.equal(best, top), where, far))) * (BLOCK * w)
    found = far
    for k in range(BLOCK):
        at = min(j + (BLOCK - 1 - k) * w, n - w)
        found = simd.select(simd.equal(get(x, at, half), top), simd.splat(where, at - j), found)
    return j + np.int64(simd.reduce_min(simd.select(simd.equal(found, far), far, found + lane)))


@internal
def _short_row(x, n, half):
    """As `_row`, in one level: by lane, the best and its position."""
    best = get(x, 0, half)
    w = simd.lanes(best)
    lane = simd.lane_numbers(best)
    where = simd.splat(lane, 0)
    j = w
    while j < n:
        at = min(j, n - w)
        v = get(x, at, half)
        better = simd.beats(v, best)
        best = simd.select(better, v, best)
        where = simd.select(better, simd.splat(where, at), where)
        j += w
    candidates = simd.unordered(best, best)
    if not simd.some(candidates):
        candidates = simd.equal(best, simd.splat(best, simd.reduce_max(best)))
    return np.int64(simd.reduce_min(simd.select(candidates, where + lane, simd.splat(where, 0x7FFFFFFF))))


@internal
def _first_nan(x, n):
    for j in range(n):
        if simd.get(x, j) != simd.get(x, j):
            return j
    return 0


@cached_njit(nogil=True, error_model="numpy")
def rows(x, out, half, ahead, first, end):
    """Rows first to end of x (outer, n, 1), n at least one vector."""
    n = x.shape[1]
    x, out = simd.data(x), simd.data(out)
    for i in range(first, end):
        simd.put(out, i, _row(simd.offset(x, i * n), n, half, ahead))


@cached_njit(nogil=True, error_model="numpy")
def pieces(x, half, ahead, winners, first, end):
    """Positions of the maxima of pieces first to end, numbered through all rows, into winners (outer, pieces, 1)."""
    n, count = x.shape[1], winners.shape[1]
    x = simd.data(x)
    for task in range(first, end):
        i, p = task // count, task % count
        a, b = p * n // count, (p + 1) * n // count
        winners[i, p, 0] = a + _row(simd.offset(x, i * n + a), b - a, half, ahead)


@cached_njit(nogil=True, error_model="numpy")
def merge(x, winners, out, half):
    """Of the winners (outer, parts, inner) of parts of the rows the first with the best element, into out."""
    outer, n, inner = x.shape
    parts = winners.shape[1]
    x = simd.data(x)
    for i in range(outer):
        for c in range(inner):
            best = winners[i, 0, c]
            top = element(x, (i * n + best) * inner + c, half)
            for p in range(1, parts):
                rival = winners[i, p, c]
                value = element(x, (i * n + rival) * inner + c, half)
                if better_than(value, top):
                    best, top = rival, value
            out[i, c] = best
