"""Argmax in Numba on all CPU cores: SIMD maxima of blocks, then a search of the first best block; prange over rows."""

from __future__ import annotations

import numba
import numpy as np
from numba.extending import overload, register_jitable

from ... import simd
from ...contract import DTYPES
from ...registry import implements
from ...threads import in_parallel
from ...views import plain

PARALLEL = 1 << 17  # bytes from which a call is shared out among threads
BLOCK = 8  # vectors whose maximum is taken before it is compared with the best so far
PIECE = 1 << 15  # columns of a piece of a long row


@implements(dtypes=DTYPES, threads="many")
def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Argmax over axis 1 of x (outer, n, inner) into out (outer, inner)."""
    outer, n, inner = x.shape
    if x.size == 0:
        return out
    a = plain(x)
    half = True if x.dtype == np.float16 else None
    threads = numba.get_num_threads() if x.nbytes >= PARALLEL else 1
    many = threads > 1
    lanes = simd.VECTOR_BYTES // x.itemsize
    if inner > 1:
        tasks = outer * -(-inner // lanes)
        if not (many and tasks > 1 and in_parallel(strided_parallel, a, out, half, tasks, threads)):
            strided(a, out, half, 0, tasks)
    elif n < lanes:
        if not (many and in_parallel(short_parallel, a, out, half, threads)):
            short(a, out, half, 0, outer)
    elif many and outer < 4 * threads and n >= 2 * PIECE:
        if not in_parallel(long_parallel, a, out, half):
            rows(a, out, half, 0, outer)
    elif not (many and outer > 1 and in_parallel(rows_parallel, a, out, half, threads)):
        rows(a, out, half, 0, outer)
    return out


def _get(x, i, half):
    """64 bytes of x from x.flat[i] on, as numbers that order as x does."""


@overload(_get)
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
    """One element of flat x as `_get` would give it."""


@overload(_element)
def _element_overload(x, i, half):
    if half is numba.types.none:
        return lambda x, i, half: x[i]

    def key(x, i, half):
        magnitude = x[i] & 0x7FFF
        if magnitude > 0x7C00:
            return 0x7FFF
        return -magnitude if x[i] < 0 else magnitude

    return key


def _lowest(x):
    """What no element of x lies below."""


@overload(_lowest)
def _lowest_overload(x):
    lowest = -np.inf if isinstance(x.dtype, numba.types.Float) else x.dtype.minval
    return lambda x: lowest


@register_jitable
def _better(value, top):
    return value > top or (value != value and top == top)


# Rows of at least one vector, in two levels.


@numba.njit
def _row(x, begin, n, half):
    """The position of the first maximum in x.flat[begin : begin + n], n at least one vector."""
    w = simd.VECTOR_BYTES // x.itemsize
    width = BLOCK * w
    best = simd.splat(x, _lowest(x))
    where = simd.splat(simd.lane_numbers(best), 0)
    nan = simd.unordered(best, best)
    for block in range(n // width):
        top = best
        for j in range(block * width, (block + 1) * width, w):
            v = _get(x, begin + j, half)
            top = simd.maximum(v, top)
            nan = nan | simd.unordered(v, v)
        where = simd.select(simd.greater(top, best), simd.splat(where, block), where)
        best = top
    start = n // width * width
    if start < n:
        top = best
        for j in range(start, n - w + 1, w):
            v = _get(x, begin + j, half)
            top = simd.maximum(v, top)
            nan = nan | simd.unordered(v, v)
        v = _get(x, begin + n - w, half)
        top = simd.maximum(v, top)
        nan = nan | simd.unordered(v, v)
        where = simd.select(simd.greater(top, best), simd.splat(where, start // width), where)
        best = top
    if simd.some(nan):
        return _first_nan(x, begin, n, half)
    top = simd.splat(best, simd.reduce_max(best))
    first = simd.select(simd.equal(best, top), where, simd.splat(where, 0x7FFFFFFF))
    j = simd.reduce_min(first) * width
    while True:
        j = min(j, n - w)
        found = simd.mask_bits(simd.equal(_get(x, begin + j, half), top))
        if found:
            return j + simd.lowest_bit(found)
        j += w


@numba.njit
def _first_nan(x, begin, n, half):
    for j in range(n):
        if x[begin + j] != x[begin + j]:
            return j
    return 0


@numba.njit(cache=True, nogil=True)
def rows(x, out, half, first, end):
    """Rows first to end of x (outer, n, 1), n at least one vector."""
    n = x.shape[1]
    x, out = x.reshape(-1), out.reshape(-1)
    for i in range(first, end):
        out[i] = _row(x, i * n, n, half)


@numba.njit(cache=True, parallel=True)
def rows_parallel(x, out, half, threads):
    """Rows in one contiguous share a thread."""
    outer = x.shape[0]
    for t in numba.prange(threads):
        rows(x, out, half, t * outer // threads, (t + 1) * outer // threads)


@numba.njit(cache=True, parallel=True)
def long_parallel(x, out, half):
    """Few long rows, in pieces that are shared out; the first piece with the best maximum has it."""
    outer, n, _ = x.shape
    x, out = x.reshape(-1), out.reshape(-1)
    pieces = n // PIECE
    winners = np.empty((outer, pieces), np.int64)
    for task in numba.prange(outer * pieces):
        i, p = task // pieces, task % pieces
        a, b = p * n // pieces, (p + 1) * n // pieces
        winners[i, p] = a + _row(x, i * n + a, b - a, half)
    for i in range(outer):
        best = winners[i, 0]
        for p in range(1, pieces):
            rival = winners[i, p]
            if _better(_element(x, i * n + rival, half), _element(x, i * n + best, half)):
                best = rival
        out[i] = best


# A tile of columns: each lane has a row of its own.


@numba.njit(cache=True, nogil=True)
def strided(x, out, half, first, end):
    """Tiles first to end of x (outer, n, inner): a tile is one vector of the inner axis."""
    _, n, inner = x.shape
    x, out = x.reshape(-1), out.reshape(-1)
    w = simd.VECTOR_BYTES // x.itemsize
    tiles = -(-inner // w)
    for task in range(first, end):
        i, k = task // tiles, task % tiles * w
        if inner < w:
            for k in range(inner):
                best = 0
                top = _element(x, i * n * inner + k, half)
                for j in range(1, n):
                    value = _element(x, (i * n + j) * inner + k, half)
                    if _better(value, top):
                        best, top = j, value
                out[i * inner + k] = best
        else:
            k = min(k, inner - w)
            begin = i * n * inner + k
            best = _get(x, begin, half)
            where = simd.splat(simd.lane_numbers(best), 0)
            for j in range(1, n):
                v = _get(x, begin + j * inner, half)
                better = simd.beats(v, best)
                best = simd.select(better, v, best)
                where = simd.select(better, simd.splat(where, j), where)
            simd.store(out, i * inner + k, simd.convert(where, out))


@numba.njit(cache=True, parallel=True)
def strided_parallel(x, out, half, tasks, threads):
    """Tiles in one contiguous share a thread."""
    for t in numba.prange(threads):
        strided(x, out, half, t * tasks // threads, (t + 1) * tasks // threads)


# Short rows.


@numba.njit(cache=True, nogil=True)
def short(x, out, half, first, end):
    """Rows first to end of x (outer, n, 1), n below one vector."""
    n = x.shape[1]
    x, out = x.reshape(-1), out.reshape(-1)
    for i in range(first, end):
        best = 0
        top = _element(x, i * n, half)
        for j in range(1, n):
            value = _element(x, i * n + j, half)
            if _better(value, top):
                best, top = j, value
        out[i] = best


@numba.njit(cache=True, parallel=True)
def short_parallel(x, out, half, threads):
    """Rows in one contiguous share a thread."""
    outer = x.shape[0]
    for t in numba.prange(threads):
        short(x, out, half, t * outer // threads, (t + 1) * outer // threads)
