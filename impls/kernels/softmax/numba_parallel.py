"""Softmax in Numba on all CPU cores: SIMD vectors within a thread, prange over blocks of rows."""

from __future__ import annotations

import math

import numba
import numpy as np
from numba.extending import overload, register_jitable

from ... import simd
from ...registry import implements
from ...threads import in_parallel
from ...vector_math import from_half, to_half, weights
from ...views import plain

PARALLEL = 1 << 15  # elements from which a call is shared out among threads
LONG = 1 << 17  # columns from which a row is worked on in pieces
PIECE = 1 << 14  # columns of a piece
BLOCK = 16  # vectors added up in their own type before the sum goes on in float64


@implements(dtypes=("float16", "float32", "float64"), threads="many")
def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Softmax over axis 1 of x (outer, n, inner) into out."""
    outer, n, inner = x.shape
    size = x.size
    if size == 0:
        return out
    a, b = plain(x), plain(out)
    threads = numba.get_num_threads() if size >= PARALLEL else 1
    many = threads > 1
    lanes = 8 if x.itemsize == 8 else 16
    if inner > 1:
        tasks = outer * -(-inner // lanes)
        if not (many and tasks > 1 and in_parallel(strided_parallel, a, b, tasks, threads)):
            strided(a, b, 0, tasks)
    elif n >= LONG:
        if not (many and in_parallel(long_parallel, a, b)):
            long(a, b)
    elif n >= lanes:
        if not (many and outer > 1 and in_parallel(rows_parallel, a, b, threads)):
            rows(a, b, 0, outer)
    elif not (many and in_parallel(short_parallel, a, b, threads)):
        short(a, b, 0, outer)
    return out


# Reading x as vectors of float32 or float64, and writing results in its own type.


def _get(x, i, like):
    """The vector of the type of `like` from x.flat[i] on."""


@overload(_get)
def _get_overload(x, i, like):
    if x.dtype is numba.types.int16:
        return lambda x, i, like: from_half(simd.load_as(x, i, like))
    return lambda x, i, like: simd.load_as(x, i, like)


def _put(out, i, p):
    """Store a vector of results to out.flat[i] and on."""


@overload(_put)
def _put_overload(out, i, p):
    if out.dtype is numba.types.int16:
        return lambda out, i, p: simd.store(out, i, to_half(p, out))
    return lambda out, i, p: simd.store(out, i, p)


def _scratch(x, size):
    """An uninitialised array of the type that x is computed in."""


@overload(_scratch)
def _scratch_overload(x, size):
    kind = np.float64 if x.dtype is numba.types.float64 else np.float32
    return lambda x, size: np.empty(size, kind)


def _weights_row(x, out, n):
    """Where the weights of a row of n wait for their sum: out itself, or for float16 a row in float32."""


@overload(_weights_row)
def _weights_row_overload(x, out, n):
    if x.dtype is numba.types.int16:
        return lambda x, out, n: (_scratch(x, n), 0)
    return lambda x, out, n: (out, 1)


@register_jitable
def _lanes(zero):
    return simd.VECTOR_BYTES // zero.itemsize


@register_jitable
def _first(vector, count, rest):
    """The first `count` lanes of a vector and those of `rest` after them."""
    lane = simd.lane_numbers(vector)
    return simd.select(simd.greater(simd.splat(lane, count), lane), vector, rest)


# Rows of at least one vector: the maximum, then the weights and their sum, then the quotients.


@numba.njit
def _maximum(x, begin, n, zero):
    """The largest of x.flat[begin : begin + n]; NaN is passed over."""
    w = _lanes(zero)
    top = simd.splat(zero, -np.inf)
    for j in range(0, n - w + 1, w):
        top = simd.maximum(_get(x, begin + j, top), top)
    top = simd.maximum(_get(x, begin + n - w, top), top)
    return simd.reduce_max(top)


@numba.njit
def _row(x, begin, n, buffer, at, out, zero):
    """One row; its weights pass through buffer[at : at + n], which may be out[begin : begin + n]."""
    w = _lanes(zero)
    top = simd.splat(zero, _maximum(x, begin, n, zero))
    total = 0.0
    full = n // w * w
    for block in range(0, full, BLOCK * w):
        partial = simd.splat(zero, 0)
        for j in range(block, min(full, block + BLOCK * w), w):
            e = weights(_get(x, begin + j, top) - top)
            simd.store(buffer, at + j, e)
            partial = partial + e
        total += simd.reduce_add(partial)
    if full < n:
        # The last vector begins within the one before it; what both hold counts once.
        e = weights(_get(x, begin + n - w, top) - top)
        simd.store(buffer, at + n - w, e)
        total += simd.reduce_add(_first(simd.splat(zero, 0), w - (n - full), e))
    scale = simd.splat(zero, 1 / total)
    last = simd.load_as(buffer, at + n - w, scale)
    for j in range(0, full, w):
        _put(out, begin + j, simd.load_as(buffer, at + j, scale) * scale)
    if full < n:
        _put(out, begin + n - w, last * scale)


@numba.njit(cache=True, nogil=True)
def rows(x, out, first, end):
    """Rows first to end of x (outer, n, 1), n at least one vector."""
    n = x.shape[1]
    x, out = x.reshape(-1), out.reshape(-1)
    zero = _scratch(x, 0)
    buffer, in_place = _weights_row(x, out, n)
    for i in range(first, end):
        _row(x, i * n, n, buffer, i * n * in_place, out, zero)


@numba.njit(cache=True, parallel=True)
def rows_parallel(x, out, threads):
    """Rows in one contiguous share a thread."""
    outer = x.shape[0]
    for t in numba.prange(threads):
        rows(x, out, t * outer // threads, (t + 1) * outer // threads)


# Long rows, in pieces: a piece knows its maximum and the sum of its weights relative to it.


@numba.njit
def _piece(x, begin, n, zero):
    """(maximum, sum of weights relative to it) of x.flat[begin : begin + n]."""
    w = _lanes(zero)
    highest = _maximum(x, begin, n, zero)
    # Where all are -inf the difference would be NaN, which is the whole row's affair.
    top = simd.splat(zero, highest if highest > -np.inf else 0)
    total = 0.0
    full = n // w * w
    for block in range(0, full, BLOCK * w):
        partial = simd.splat(zero, 0)
        for j in range(block, min(full, block + BLOCK * w), w):
            partial = partial + weights(_get(x, begin + j, top) - top)
        total += simd.reduce_add(partial)
    if full < n:
        e = weights(_get(x, begin + n - w, top) - top)
        total += simd.reduce_add(_first(simd.splat(zero, 0), w - (n - full), e))
    return float(highest), total


@numba.njit
def _combine(tops, totals):
    """(maximum, sum of weights relative to it) of a row from those of its pieces."""
    top = tops.max()
    total = 0.0
    for p in range(tops.size):
        if tops[p] > -math.inf or math.isnan(totals[p]):
            total += totals[p] * math.exp(max(tops[p], -1e300) - top)
    return top, total


@numba.njit
def _quotients(x, begin, n, out, top, total, zero):
    w = _lanes(zero)
    high, scale = simd.splat(zero, top), simd.splat(zero, 1 / total)
    for j in range(0, n - w + 1, w):
        _put(out, begin + j, weights(_get(x, begin + j, high) - high) * scale)
    _put(out, begin + n - w, weights(_get(x, begin + n - w, high) - high) * scale)


@numba.njit(cache=True, nogil=True)
def long(x, out):
    """Rows of x (outer, n, 1) too long for a core's cache: x is read twice, weights are computed twice."""
    outer, n, _ = x.shape
    x, out = x.reshape(-1), out.reshape(-1)
    zero = _scratch(x, 0)
    pieces = n // PIECE
    tops, totals = np.empty(pieces), np.empty(pieces)
    for i in range(outer):
        for p in range(pieces):
            a, b = p * n // pieces, (p + 1) * n // pieces
            tops[p], totals[p] = _piece(x, i * n + a, b - a, zero)
        top, total = _combine(tops, totals)
        _quotients(x, i * n, n, out, top, total, zero)


@numba.njit(cache=True, parallel=True)
def long_parallel(x, out):
    """As `long`; the pieces of all rows are shared out, and each row's maximum and sum put together between."""
    outer, n, _ = x.shape
    x, out = x.reshape(-1), out.reshape(-1)
    zero = _scratch(x, 0)
    pieces = n // PIECE
    tops, totals = np.empty((outer, pieces)), np.empty((outer, pieces))
    for task in numba.prange(outer * pieces):
        i, p = task // pieces, task % pieces
        a, b = p * n // pieces, (p + 1) * n // pieces
        tops[i, p], totals[i, p] = _piece(x, i * n + a, b - a, zero)
    for i in range(outer):
        tops[i, 0], totals[i, 0] = _combine(tops[i], totals[i])
    for task in numba.prange(outer * pieces):
        i, p = task // pieces, task % pieces
        a, b = p * n // pieces, (p + 1) * n // pieces
        _quotients(x, i * n + a, b - a, out, tops[i, 0], totals[i, 0], zero)


# A tile of columns: each lane has a row of its own.


@numba.njit
def _columns(x, begin, n, stride, out, to, to_stride, zero):
    """Softmax down the lanes of n vectors that lie `stride` elements apart."""
    top = simd.splat(zero, -np.inf)
    for j in range(n):
        top = simd.maximum(_get(x, begin + j * stride, top), top)
    total = simd.convert(simd.splat(zero, 0), _wide(zero))
    for block in range(0, n, BLOCK):
        partial = simd.splat(zero, 0)
        for j in range(block, min(n, block + BLOCK)):
            partial = partial + weights(_get(x, begin + j * stride, top) - top)
        total = total + simd.convert(partial, _wide(zero))
    scale = simd.splat(zero, 1) / simd.convert(total, zero)
    for j in range(n):
        _put(out, to + j * to_stride, weights(_get(x, begin + j * stride, top) - top) * scale)


@register_jitable
def _wide(zero):
    return np.empty(0, np.float64)


@numba.njit(cache=True, nogil=True)
def strided(x, out, first, end):
    """Tiles first to end of x (outer, n, inner): a tile is one vector of the inner axis."""
    _, n, inner = x.shape
    x, out = x.reshape(-1), out.reshape(-1)
    zero = _scratch(x, 0)
    w = _lanes(zero)
    tiles = -(-inner // w)
    if inner >= w:
        for task in range(first, end):
            i, k = task // tiles, min(task % tiles * w, inner - w)
            _columns(x, i * n * inner + k, n, inner, out, i * n * inner + k, inner, zero)
        return
    narrow_x, narrow_out = np.zeros(n * w, x.dtype), np.empty(n * w, x.dtype)
    for i in range(first, end):
        for j in range(n):
            for k in range(inner):
                narrow_x[j * w + k] = x[(i * n + j) * inner + k]
        _columns(narrow_x, 0, n, w, narrow_out, 0, w, zero)
        for j in range(n):
            for k in range(inner):
                out[(i * n + j) * inner + k] = narrow_out[j * w + k]


@numba.njit(cache=True, parallel=True)
def strided_parallel(x, out, tasks, threads):
    """Tiles in one contiguous share a thread."""
    for t in numba.prange(threads):
        strided(x, out, t * tasks // threads, (t + 1) * tasks // threads)


# Short rows: as many of them as a vector has lanes are transposed into a tile.


@numba.njit(cache=True, nogil=True)
def short(x, out, first, end):
    """Rows first to end of x (outer, n, 1), n below one vector."""
    n = x.shape[1]
    x, out = x.reshape(-1), out.reshape(-1)
    zero = _scratch(x, 0)
    w = _lanes(zero)
    tile_x, tile_out = np.zeros(n * w, x.dtype), np.empty(n * w, x.dtype)
    for i in range(first, end, w):
        count = min(w, end - i)
        for r in range(count):
            for j in range(n):
                tile_x[j * w + r] = x[(i + r) * n + j]
        _columns(tile_x, 0, n, w, tile_out, 0, w, zero)
        for r in range(count):
            for j in range(n):
                out[(i + r) * n + j] = tile_out[j * w + r]


@numba.njit(cache=True, parallel=True)
def short_parallel(x, out, threads):
    """Rows in one contiguous share a thread."""
    outer = x.shape[0]
    for t in numba.prange(threads):
        short(x, out, t * outer // threads, (t + 1) * outer // threads)
