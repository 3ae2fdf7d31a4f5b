"""Argmax in Numba on all CPU cores: SIMD maxima and the blocks they were found in; prange over shares of the work.

Every regime is a function over a range of tasks, for one thread, and a parallel one that gives each thread a share.
No branch depends on the data except where a NaN was seen, so the order of the input does not matter.
"""

from __future__ import annotations

import numba
import numpy as np
from numba.extending import overload, register_jitable

from ... import simd
from ...contract import DTYPES
from ...registry import implements
from ...threads import in_parallel
from ...views import plain

PARALLEL = 1 << 16  # bytes from which a call is shared out among threads
BLOCK = 8  # vectors whose maximum is taken before it is compared with the best so far
PIECE = 1 << 17  # bytes of a piece of a long row
TILE_VECTORS = 8  # vectors of the inner axis that are searched together
SHORT = 16  # columns up to which rows are transposed, so that each lane has a row of its own


@implements(dtypes=DTYPES, threads="many")
def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Argmax over axis 1 of x (outer, n, inner) into out (outer, inner)."""
    outer, n, inner = x.shape
    nbytes = x.nbytes
    if nbytes == 0:
        return out
    a, b = plain(x), plain(out)
    half = True if x.dtype == np.float16 else None
    threads = numba.get_num_threads() if nbytes >= PARALLEL else 1
    lanes = simd.VECTOR_BYTES // x.itemsize
    if inner > 1:
        tasks = outer * _tiles(inner, lanes)
        if not (threads > 1 and tasks > 1 and in_parallel(strided_parallel, a, b, half, tasks, threads)):
            strided(a, b, half, 0, tasks)
    elif n <= SHORT or n < lanes:
        if not (threads > 1 and in_parallel(short_parallel, a, b, half, threads)):
            short(a, b, half, 0, outer)
    elif threads > 1 and outer < 4 * threads and n * x.itemsize >= 2 * PIECE:
        if not in_parallel(long_parallel, a, b, half, n * x.itemsize // PIECE, threads):
            rows(a, b, half, 0, outer)
    elif not (threads > 1 and outer > 1 and in_parallel(rows_parallel, a, b, half, threads)):
        rows(a, b, half, 0, outer)
    return out


# x is read as numbers that order as it does: itself, or for float16, given as int16 bits, integer keys.


def _get(x, i, half):
    """64 bytes of x from x[i] on, as keys."""


@overload(_get, inline="always")
def _get_overload(x, i, half):
    if half is numba.types.none:
        return lambda x, i, half: simd.load(x, i)
    return lambda x, i, half: _half_keys(simd.load(x, i))


@register_jitable
def _half_keys(h):
    """int16 bits of float16 to int16 in the same order: -0.0 as 0.0, every NaN the largest."""
    sign, magnitude = simd.shift_right(h, 15), h & simd.splat(h, 0x7FFF)
    nan = simd.greater(magnitude, simd.splat(h, 0x7C00))
    return simd.select(nan, simd.splat(h, 0x7FFF), (magnitude ^ sign) - sign)


def _element(x, i, half):
    """One element of x, as a key."""


@overload(_element)
def _element_overload(x, i, half):
    if half is numba.types.none:
        return lambda x, i, half: simd.get(x, i)

    def key(x, i, half):
        magnitude = simd.get(x, i) & 0x7FFF
        if magnitude > 0x7C00:
            return 0x7FFF
        return -magnitude if simd.get(x, i) < 0 else magnitude

    return key


@register_jitable
def _better(value, top):
    return value > top or (value != value and top == top)


# Rows of at least one vector.


@numba.njit(error_model="numpy")
def _row(x, n, half):
    """The position of the first maximum in x[:n], n at least one vector."""
    w = simd.lanes(_get(x, 0, half))
    if n < 2 * BLOCK * w:
        return _short_row(x, n, half)
    # The first level: by lane, the best and the first block that has it.
    best = _get(x, 0, half)
    where = simd.splat(simd.lane_numbers(best), 0)
    nan = simd.unordered(best, best)
    blocks = n // (BLOCK * w)
    for block in range(blocks):
        j = block * BLOCK * w
        a, b = _get(x, j, half), _get(x, j + w, half)
        c, d = _get(x, j + 2 * w, half), _get(x, j + 3 * w, half)
        e, f = _get(x, j + 4 * w, half), _get(x, j + 5 * w, half)
        g, h = _get(x, j + 6 * w, half), _get(x, j + 7 * w, half)
        nan = nan | (simd.unordered(a, b) | simd.unordered(c, d)) | (simd.unordered(e, f) | simd.unordered(g, h))
        a, c = simd.maximum(a, b), simd.maximum(c, d)
        e, g = simd.maximum(e, f), simd.maximum(g, h)
        top = simd.maximum(simd.maximum(a, c), simd.maximum(e, g))
        where = simd.select(simd.greater(top, best), simd.splat(where, block), where)
        best = simd.maximum(top, best)
    j = blocks * BLOCK * w
    while j < n:
        # The last vector begins within the one before it: what both hold is found there first.
        v = _get(x, min(j, n - w), half)
        nan = nan | simd.unordered(v, v)
        where = simd.select(simd.greater(v, best), simd.splat(where, blocks), where)
        best = simd.maximum(v, best)
        j += w
    if simd.some(nan):
        return _first_nan(x, n)
    # The second: the first block of all lanes that have the maximum, searched from its start.
    top = simd.splat(best, simd.reduce_max(best))
    first = simd.select(simd.equal(best, top), where, simd.splat(where, 0x7FFFFFFF))
    j = simd.reduce_min(first) * (BLOCK * w)
    while True:
        j = min(j, n - w)
        found = simd.mask_bits(simd.equal(_get(x, j, half), top))
        if found:
            return j + simd.lowest_bit(found)
        j += w


@numba.njit(error_model="numpy")
def _short_row(x, n, half):
    """As `_row`, in one level: by lane, the best and its position."""
    best = _get(x, 0, half)
    w = simd.lanes(best)
    lane = simd.lane_numbers(best)
    where = simd.splat(lane, 0)
    j = w
    while j < n:
        at = min(j, n - w)
        v = _get(x, at, half)
        better = simd.beats(v, best)
        best = simd.select(better, v, best)
        where = simd.select(better, simd.splat(where, at), where)
        j += w
    candidates = simd.unordered(best, best)
    if not simd.some(candidates):
        candidates = simd.equal(best, simd.splat(best, simd.reduce_max(best)))
    return np.int64(simd.reduce_min(simd.select(candidates, where + lane, simd.splat(where, 0x7FFFFFFF))))


@numba.njit
def _first_nan(x, n):
    for j in range(n):
        if simd.get(x, j) != simd.get(x, j):
            return j
    return 0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def rows(x, out, half, first, end):
    """Rows first to end of x (outer, n, 1), n at least one vector."""
    n = x.shape[1]
    x, out = simd.data(x), simd.data(out)
    for i in range(first, end):
        simd.put(out, i, _row(simd.offset(x, i * n), n, half))


@numba.njit(cache=True, parallel=True)
def rows_parallel(x, out, half, threads):
    """Rows in one contiguous share a thread."""
    outer = x.shape[0]
    for t in numba.prange(threads):
        rows(x, out, half, t * outer // threads, (t + 1) * outer // threads)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def pieces(x, half, winners, first, end):
    """Positions of the maxima of pieces first to end, numbered through all rows."""
    n, count = x.shape[1], winners.shape[1]
    x = simd.data(x)
    for task in range(first, end):
        i, p = task // count, task % count
        a, b = p * n // count, (p + 1) * n // count
        winners[i, p] = a + _row(simd.offset(x, i * n + a), b - a, half)


@numba.njit(cache=True, parallel=True, error_model="numpy")
def long_parallel(x, out, half, count, threads):
    """Few long rows, in `count` pieces that are shared out; the first piece with the best maximum has it."""
    outer, n, _ = x.shape
    winners = np.empty((outer, count), np.int64)
    tasks = outer * count
    for t in numba.prange(threads):
        pieces(x, half, winners, t * tasks // threads, (t + 1) * tasks // threads)
    flat = simd.data(x)
    for i in range(outer):
        best = winners[i, 0]
        for p in range(1, count):
            rival = winners[i, p]
            if _better(_element(flat, i * n + rival, half), _element(flat, i * n + best, half)):
                best = rival
        out[i, 0] = best


# Tiles of columns: each lane has a row of its own.


@register_jitable
def _tiles(inner, lanes):
    """Tiles that inner makes; what is left beyond whole vectors is one more."""
    whole = inner // lanes * lanes
    return -(-whole // (TILE_VECTORS * lanes)) + (1 if whole < inner else 0)


@numba.njit(error_model="numpy")
def _tile(x, n, stride, width, best, where, out, half):
    """Argmax down `width` columns of x, whose rows lie `stride` apart; best and where hold one row each."""
    lane = simd.lane_numbers(_get(x, 0, half))
    w = simd.lanes(lane)
    k = 0
    while k < width:
        simd.store(best, k, _get(x, k, half))
        simd.store(where, k, simd.splat(lane, 0))
        k += w
    for j in range(1, n):
        k = 0
        while k < width:
            v, top = _get(x, j * stride + k, half), simd.load(best, k)
            better = simd.beats(v, top)
            simd.store(best, k, simd.select(better, v, top))
            simd.store(where, k, simd.select(better, simd.splat(lane, j), simd.load_as(where, k, lane)))
            k += w
    k = 0
    while k < width:
        simd.store(out, k, simd.convert(simd.load_as(where, k, lane), out))
        k += w


@numba.njit(cache=True, nogil=True, error_model="numpy")
def strided(x, out, half, first, end):
    """Tiles first to end of x (outer, n, inner): a tile is a few vectors of the inner axis."""
    _, n, inner = x.shape
    w = simd.VECTOR_BYTES // x.itemsize
    tile = TILE_VECTORS * w
    tops, positions = np.empty(tile, x.dtype), np.empty(tile, np.int32)
    x, out, best, where = simd.data(x), simd.data(out), simd.data(tops), simd.data(positions)
    tiles = _tiles(inner, w)
    for task in range(first, end):
        i = task // tiles
        k = task % tiles * tile
        begin = i * n * inner
        if inner >= w:
            width = min(tile, inner // w * w - k)
            if width <= 0:
                k, width = inner - w, w
            _tile(simd.offset(x, begin + k), n, inner, width, best, where, simd.offset(out, i * inner + k), half)
        else:
            for c in range(inner):
                simd.put(out, i * inner + c, _column(simd.offset(x, begin + c), n, inner, half))
    return tops.size + positions.size  # keeps them alive


@numba.njit(error_model="numpy")
def _column(x, n, stride, half):
    """The position of the first maximum among n elements that lie `stride` apart."""
    best = 0
    top = _element(x, 0, half)
    for j in range(1, n):
        value = _element(x, j * stride, half)
        if _better(value, top):
            best, top = j, value
    return best


@numba.njit(cache=True, parallel=True)
def strided_parallel(x, out, half, tasks, threads):
    """Tiles in one contiguous share a thread."""
    for t in numba.prange(threads):
        strided(x, out, half, t * tasks // threads, (t + 1) * tasks // threads)


# Short rows: as many of them as a vector has lanes are transposed into a tile.


@numba.njit(cache=True, nogil=True, error_model="numpy")
def short(x, out, half, first, end):
    """Rows first to end of x (outer, n, 1), n small."""
    n = x.shape[1]
    w = simd.VECTOR_BYTES // x.itemsize
    padded = np.empty(n * w, x.dtype)
    x, out, turned = simd.data(x), simd.data(out), simd.data(padded)
    lane = simd.lane_numbers(_get(turned, 0, half))
    i = first
    while i < end:
        if end - i < w or n == 1 or n == 3:
            simd.put(out, i, _column(simd.offset(x, i * n), n, 1, half))
            i += 1
            continue
        if n == 2:
            p, q = simd.deinterleave(simd.load(x, i * n), simd.load(x, i * n + w))
            simd.store(turned, 0, p)
            simd.store(turned, w, q)
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
                    simd.store(turned, j * w + r, p)
                    simd.store(turned, (j + 1) * w + r, q)
                    simd.store(turned, (j + 2) * w + r, s)
                    simd.store(turned, (j + 3) * w + r, t)
                    if j == n - 4:
                        break
                    j = min(j + 4, n - 4)
        best = _get(turned, 0, half)
        where = simd.splat(lane, 0)
        for j in range(1, n):
            v = _get(turned, j * w, half)
            better = simd.beats(v, best)
            best = simd.select(better, v, best)
            where = simd.select(better, simd.splat(where, j), where)
        simd.store(out, i, simd.convert(where, out))
        i += w
    return padded.size  # keeps it alive


@numba.njit(cache=True, parallel=True)
def short_parallel(x, out, half, threads):
    """Rows in one contiguous share a thread."""
    outer = x.shape[0]
    for t in numba.prange(threads):
        short(x, out, half, t * outer // threads, (t + 1) * outer // threads)
