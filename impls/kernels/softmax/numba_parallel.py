"""Softmax in Numba on all CPU cores: SIMD vectors within a thread, prange over shares of the work.

Every regime is a function over a range of tasks, for one thread, and a parallel one that gives each thread a share.
Within a regime a row (or a tile of rows) passes three times through a core's cache: maximum, weights and their sum,
quotients. Sums go on in float64 after at most BLOCK additions in the type of x, so that errors do not grow with n.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numba.extending import overload, register_jitable

from ... import simd
from ...caches import last_level
from ...registry import implements
from ...threads import in_parallel
from ...vector_math import from_half, to_half, weights
from ...views import plain

PARALLEL = 1 << 14  # elements from which a call is shared out among threads
SHORT = 16  # columns below which rows are transposed, so that each lane has a row of its own
LONG = 1 << 16  # columns from which a row is worked on in pieces
PIECE = 1 << 13  # columns of a piece
BLOCK = 16  # vectors added up before their sum goes on in float64
TILE = 1 << 15  # bytes of weights that a strided tile may keep
TILE_VECTORS = 8


@implements(dtypes=("float16", "float32", "float64"), threads="many")
def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Softmax over axis 1 of x (outer, n, inner) into out."""
    outer, n, inner = x.shape
    size = outer * n * inner
    if size == 0:
        return out
    a, b = plain(x), plain(out)
    threads = numba.get_num_threads() if size >= PARALLEL else 1
    lanes = 8 if x.itemsize == 8 else 16
    # Stores that bypass the caches pay off once these could not hold the result anyway.
    streaming = 2 * x.nbytes > last_level() and x.itemsize > 2
    if inner > 1:
        if inner < lanes and n > TILE // 64:
            # Few long columns: worth a copy, as a vector has no room for them.
            turned = np.ascontiguousarray(x.transpose(0, 2, 1)).reshape(outer * inner, n, 1)
            out[...] = run(turned, np.empty_like(turned)).reshape(outer, inner, n).transpose(0, 2, 1)
            return out
        tile = max(1, min(TILE_VECTORS, TILE // (64 * n))) * lanes
        tasks = outer * _tiles(inner, lanes, tile)
        if not (threads > 1 and tasks > 1 and in_parallel(strided_parallel, a, b, tile, tasks, threads)):
            strided(a, b, tile, 0, tasks)
    elif n < SHORT:
        if not (threads > 1 and in_parallel(short_parallel, a, b, threads)):
            short(a, b, 0, outer)
    elif n < LONG:
        if not (threads > 1 and outer > 1 and in_parallel(rows_parallel, a, b, streaming, threads)):
            rows(a, b, streaming, 0, outer)
    elif not (threads > 1 and in_parallel(long_parallel, a, b, streaming, threads)):
        long(a, b, streaming)
    return out


@register_jitable
def _tiles(inner, lanes, tile):
    """Tiles of `tile` columns that inner makes; what is left beyond whole vectors is one more."""
    whole = inner // lanes * lanes
    return -(-whole // tile) + (1 if whole < inner else 0)


# x is read as vectors of float32 or float64; float16 is converted in registers.


def _get(x, i, like):
    """The vector of the type of `like` from x[i] on."""


@overload(_get, inline="always")
def _get_overload(x, i, like):
    if x.dtype is numba.types.int16:
        return lambda x, i, like: from_half(simd.load_as(x, i, like))
    return lambda x, i, like: simd.load_as(x, i, like)


def _put(out, i, p):
    """Store a vector of results from out[i] on."""


@overload(_put, inline="always")
def _put_overload(out, i, p):
    if out.dtype is numba.types.int16:
        return lambda out, i, p: simd.store(out, i, to_half(p, out))
    return lambda out, i, p: simd.store(out, i, p)


def _zero(x):
    """A vector of zeros of the type that x is computed in."""


@overload(_zero)
def _zero_overload(x):
    if x.dtype is numba.types.float64:
        return lambda x: simd.zeros_f64()
    return lambda x: simd.zeros_f32()


def _scratch(x, size):
    """An uninitialised array of the type that x is computed in."""


@overload(_scratch)
def _scratch_overload(x, size):
    kind = np.float64 if x.dtype is numba.types.float64 else np.float32
    return lambda x, size: np.empty(size, kind)


def _buffer(out, scratch):
    """Where a row's weights wait for their sum: in the row of out, or for float16 in the scratch row."""


@overload(_buffer)
def _buffer_overload(out, scratch):
    if out.dtype is numba.types.int16:
        return lambda out, scratch: scratch
    return lambda out, scratch: out


@register_jitable
def _rest(vector, count):
    """The vector with its first `count` lanes set to 0."""
    lane = simd.lane_numbers(vector)
    return simd.select(simd.greater(simd.splat(lane, count), lane), simd.splat(vector, 0), vector)


@register_jitable
def _add(total, lost, term):
    """Kahan's sum: float64 too drifts over the blocks of a long row."""
    term = np.float64(term) - lost
    grown = total + term
    return grown, (grown - total) - term


# Rows of at least one vector.


@numba.njit(error_model="numpy")
def _maximum(x, n, zero):
    """The largest of x[:n], as a vector; NaN is passed over."""
    w = simd.lanes(zero)
    a = simd.splat(zero, -np.inf)
    b, c, d = a, a, a
    j = 0
    while j + 4 * w <= n:
        a = simd.maximum(_get(x, j, zero), a)
        b = simd.maximum(_get(x, j + w, zero), b)
        c = simd.maximum(_get(x, j + 2 * w, zero), c)
        d = simd.maximum(_get(x, j + 3 * w, zero), d)
        j += 4 * w
    while j + w <= n:
        a = simd.maximum(_get(x, j, zero), a)
        j += w
    b = simd.maximum(_get(x, n - w, zero), b)
    return simd.splat(zero, simd.reduce_max(simd.maximum(simd.maximum(a, b), simd.maximum(c, d))))


@numba.njit(error_model="numpy")
def _weigh(x, n, top, buffer, keep):
    """Weights of x[:n] relative to top into buffer, if they are to be kept; returns their sum."""
    w = simd.lanes(top)
    zero = simd.splat(top, 0)
    total = lost = 0.0
    j = 0
    # Two vectors at a time where registers allow: float64 needs them for its longer polynomial.
    while w == 16 and j + 2 * w <= n:
        end = min(n - 2 * w, j + 2 * (BLOCK - 1) * w)
        partial = zero
        while j <= end:
            e = weights(_get(x, j, top) - top)
            f = weights(_get(x, j + w, top) - top)
            if keep:
                simd.store(buffer, j, e)
                simd.store(buffer, j + w, f)
            partial = partial + (e + f)
            j += 2 * w
        total, lost = _add(total, lost, simd.reduce_add(partial))
    while j + w <= n:
        end = min(n - w, j + (BLOCK - 1) * w)
        partial = zero
        while j <= end:
            e = weights(_get(x, j, top) - top)
            if keep:
                simd.store(buffer, j, e)
            partial = partial + e
            j += w
        total, lost = _add(total, lost, simd.reduce_add(partial))
    if j < n:
        # The last vector begins within the one before it; what both hold counts once.
        e = weights(_get(x, n - w, top) - top)
        if keep:
            simd.store(buffer, n - w, e)
        total, lost = _add(total, lost, simd.reduce_add(_rest(e, w - (n - j))))
    return total


@numba.njit(error_model="numpy")
def _scale(buffer, n, factor, out):
    """Out of the weights the quotients; buffer may be out."""
    w = simd.lanes(factor)
    last = simd.load_as(buffer, n - w, factor) * factor
    j = 0
    while j + w <= n:
        _put(out, j, simd.load_as(buffer, j, factor) * factor)
        j += w
    _put(out, n - w, last)


@register_jitable
def _to_boundary(out, w):
    """Elements from out on to where a vector of w may be streamed."""
    return -simd.address(out) % simd.VECTOR_BYTES * w // simd.VECTOR_BYTES


@numba.njit(error_model="numpy")
def _scale_streaming(buffer, n, factor, out):
    """As `_scale`, past the caches; buffer is not out."""
    w = simd.lanes(factor)
    j = _to_boundary(out, w)
    # Ordinary stores to a line that is also streamed would fetch it after all, so only where lines are shared.
    if j > 0:
        simd.store(out, 0, simd.load_as(buffer, 0, factor) * factor)
    while j + w <= n:
        simd.stream(out, j, simd.load_as(buffer, j, factor) * factor)
        j += w
    if j < n:
        simd.store(out, n - w, simd.load_as(buffer, n - w, factor) * factor)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def rows(x, out, streaming, first, end):
    """Rows first to end of x (outer, n, 1), n at least one vector."""
    n = x.shape[1]
    spare = _scratch(x, n)
    x, out, scratch = simd.data(x), simd.data(out), simd.data(spare)
    zero = _zero(x)
    for i in range(first, end):
        a, b = simd.offset(x, i * n), simd.offset(out, i * n)
        top = _maximum(a, n, zero)
        if streaming:
            total = _weigh(a, n, top, scratch, True)
            _scale_streaming(scratch, n, simd.splat(zero, 1 / total), b)
        else:
            buffer = _buffer(b, scratch)
            total = _weigh(a, n, top, buffer, True)
            _scale(buffer, n, simd.splat(zero, 1 / total), b)
    return spare.size  # keeps it alive


@numba.njit(cache=True, parallel=True)
def rows_parallel(x, out, streaming, threads):
    """Rows in one contiguous share a thread."""
    outer = x.shape[0]
    for t in numba.prange(threads):
        rows(x, out, streaming, t * outer // threads, (t + 1) * outer // threads)


# Long rows, in pieces: a piece knows its maximum and the sum of its weights relative to it.


@numba.njit(error_model="numpy")
def _piece(x, n, zero):
    """(maximum, sum of weights relative to it) of x[:n]."""
    top = simd.reduce_max(_maximum(x, n, zero))
    # Where all are -inf the difference would be NaN, which is the whole row's affair.
    return np.float64(top), _weigh(x, n, simd.splat(zero, top if top > -np.inf else 0), x, False)


@numba.njit(error_model="numpy")
def _combine(tops, totals):
    """(maximum, sum of weights relative to it) of a row from those of its pieces."""
    top = -np.inf
    for p in range(tops.size):
        top = max(top, tops[p])
    total = lost = 0.0
    for p in range(tops.size):
        if tops[p] > -np.inf or totals[p] != totals[p]:
            term = totals[p] * math.exp(tops[p] - top if tops[p] > -np.inf else 0.0)
            total, lost = _add(total, lost, term)
    return top, total


@numba.njit(error_model="numpy")
def _quotients(x, n, out, top, factor, streaming):
    """Softmax of x[:n] from its row's maximum and one over its sum."""
    w = simd.lanes(top)
    j = 0
    if streaming:
        j = _to_boundary(out, w)
        if j > 0:
            _put(out, 0, weights(_get(x, 0, top) - top) * factor)
        while j + w <= n:
            simd.stream(out, j, weights(_get(x, j, top) - top) * factor)
            j += w
    while j + w <= n:
        _put(out, j, weights(_get(x, j, top) - top) * factor)
        j += w
    if j < n:
        _put(out, n - w, weights(_get(x, n - w, top) - top) * factor)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def long(x, out, streaming):
    """Rows of x (outer, n, 1) too long for a core's cache: x is read twice, weights are computed twice."""
    outer, n, _ = x.shape
    x, out = simd.data(x), simd.data(out)
    zero = _zero(x)
    pieces = n // PIECE
    tops, totals = np.empty(pieces), np.empty(pieces)
    for i in range(outer):
        for p in range(pieces):
            a, b = p * n // pieces, (p + 1) * n // pieces
            tops[p], totals[p] = _piece(simd.offset(x, i * n + a), b - a, zero)
        top, total = _combine(tops, totals)
        high, factor = simd.splat(zero, top), simd.splat(zero, 1 / total)
        # Backwards: the end of the row is still in the caches.
        for q in range(pieces):
            p = pieces - 1 - q
            a, b = p * n // pieces, (p + 1) * n // pieces
            _quotients(simd.offset(x, i * n + a), b - a, simd.offset(out, i * n + a), high, factor, streaming)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def long_sums(x, tops, totals, first, end):
    """Maxima and sums of pieces first to end, numbered through all rows."""
    n, pieces = x.shape[1], tops.shape[1]
    x = simd.data(x)
    zero = _zero(x)
    for task in range(first, end):
        i, p = task // pieces, task % pieces
        a, b = p * n // pieces, (p + 1) * n // pieces
        tops[i, p], totals[i, p] = _piece(simd.offset(x, i * n + a), b - a, zero)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def long_quotients(x, out, streaming, tops, totals, first, end):
    """Results of pieces first to end, backwards; the first of tops and totals are those of the row."""
    n, pieces = x.shape[1], tops.shape[1]
    x, out = simd.data(x), simd.data(out)
    zero = _zero(x)
    for back in range(end - first):
        task = end - 1 - back
        i, p = task // pieces, task % pieces
        a, b = p * n // pieces, (p + 1) * n // pieces
        high, factor = simd.splat(zero, tops[i, 0]), simd.splat(zero, 1 / totals[i, 0])
        _quotients(simd.offset(x, i * n + a), b - a, simd.offset(out, i * n + a), high, factor, streaming)


@numba.njit(cache=True, parallel=True, error_model="numpy")
def long_parallel(x, out, streaming, threads):
    """As `long`; the pieces of all rows are shared out, and each row's maximum and sum put together between."""
    outer, n, _ = x.shape
    pieces = n // PIECE
    tops, totals = np.empty((outer, pieces)), np.empty((outer, pieces))
    tasks = outer * pieces
    for t in numba.prange(threads):
        long_sums(x, tops, totals, t * tasks // threads, (t + 1) * tasks // threads)
    for i in range(outer):
        tops[i, 0], totals[i, 0] = _combine(tops[i], totals[i])
    for t in numba.prange(threads):
        long_quotients(x, out, streaming, tops, totals, t * tasks // threads, (t + 1) * tasks // threads)


# Tiles of columns: each lane has a row of its own.


@numba.njit(error_model="numpy")
def _tile(x, n, stride, width, sums, buffer, step):
    """Weights down `width` columns of x, whose rows lie `stride` apart, into rows of buffer `step` apart.

    sums[:width] is left holding one over the sums, and sums[width : 2 * width] the maxima.
    """
    zero = _zero(x)
    w = simd.lanes(zero)
    k = 0
    while k < width:
        top = simd.splat(zero, -np.inf)
        simd.store(sums, width + k, top)
        k += w
    for j in range(n):
        k = 0
        while k < width:
            top = simd.load_as(sums, width + k, zero)
            simd.store(sums, width + k, simd.maximum(_get(x, j * stride + k, zero), top))
            k += w
    k = 0
    while k < width:
        top = simd.load_as(sums, width + k, zero)
        total = simd.convert(zero, simd.zeros_f64())
        j = 0
        while j < n:
            end = min(n, j + BLOCK)
            partial = zero
            while j < end:
                e = weights(_get(x, j * stride + k, top) - top)
                simd.store(buffer, j * step + k, e)
                partial = partial + e
                j += 1
            total = total + simd.convert(partial, total)
        one = simd.splat(total, 1)
        simd.store(sums, k, simd.convert(one / total, zero))
        k += w


@numba.njit(cache=True, nogil=True, error_model="numpy")
def strided(x, out, tile, first, end):
    """Tiles first to end of x (outer, n, inner): a tile is up to `tile` columns of the inner axis."""
    _, n, inner = x.shape
    work = _scratch(x, (n + 2) * tile)
    padded_x, padded_out = np.zeros(n * tile, x.dtype), np.empty(n * tile, x.dtype)
    x, out, sums = simd.data(x), simd.data(out), simd.data(work)
    narrow_x, narrow_out = simd.data(padded_x), simd.data(padded_out)
    zero = _zero(x)
    w = simd.lanes(zero)
    buffer = simd.offset(sums, 2 * tile)
    tiles = _tiles(inner, w, tile)
    for task in range(first, end):
        begin = task // tiles * n * inner
        k = task % tiles * tile
        if inner >= w:
            width = min(tile, inner // w * w - k)
            if width <= 0:
                # The last columns, in a vector that begins within the tile before and computes some again.
                k, width = inner - w, w
            _tile(simd.offset(x, begin + k), n, inner, width, sums, buffer, tile)
            for j in range(n):
                c = 0
                while c < width:
                    p = simd.load_as(buffer, j * tile + c, zero) * simd.load_as(sums, c, zero)
                    _put(out, begin + j * inner + k + c, p)
                    c += w
        else:
            for j in range(n):
                for c in range(inner):
                    simd.put(narrow_x, j * w + c, simd.get(x, begin + j * inner + c))
            _tile(narrow_x, n, w, w, sums, buffer, w)
            for j in range(n):
                _put(narrow_out, j * w, simd.load_as(buffer, j * w, zero) * simd.load_as(sums, 0, zero))
                for c in range(inner):
                    simd.put(out, begin + j * inner + c, simd.get(narrow_out, j * w + c))
    return work.size + padded_x.size + padded_out.size  # keeps them alive


@numba.njit(cache=True, parallel=True)
def strided_parallel(x, out, tile, tasks, threads):
    """Tiles in one contiguous share a thread."""
    for t in numba.prange(threads):
        strided(x, out, tile, t * tasks // threads, (t + 1) * tasks // threads)


# Short rows: as many of them as a vector has lanes are transposed into a tile.


@numba.njit(cache=True, nogil=True, error_model="numpy")
def short(x, out, first, end):
    """Rows first to end of x (outer, n, 1), n small."""
    n = x.shape[1]
    work = _scratch(x, (n + 2) * 16)
    padded_x, padded_out = np.zeros(n * 16, x.dtype), np.empty(n * 16, x.dtype)
    x, out, sums = simd.data(x), simd.data(out), simd.data(work)
    turned_x, turned_out = simd.data(padded_x), simd.data(padded_out)
    zero = _zero(x)
    w = simd.lanes(zero)
    buffer = simd.offset(sums, 2 * w)
    i = first
    while i < end:
        count = min(w, end - i)
        if count == w and n >= 4:
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
                    simd.store(turned_x, j * w + r, p)
                    simd.store(turned_x, (j + 1) * w + r, q)
                    simd.store(turned_x, (j + 2) * w + r, s)
                    simd.store(turned_x, (j + 3) * w + r, t)
                    if j == n - 4:
                        break
                    j = min(j + 4, n - 4)
        elif count == w and n == 2:
            p, q = simd.deinterleave(simd.load_as(x, i * n, zero), simd.load_as(x, i * n + w, zero))
            simd.store(turned_x, 0, p)
            simd.store(turned_x, w, q)
        else:
            for r in range(count):
                for j in range(n):
                    simd.put(turned_x, j * w + r, simd.get(x, (i + r) * n + j))
        _tile(turned_x, n, w, w, sums, buffer, w)
        factor = simd.load_as(sums, 0, zero)
        for j in range(n):
            _put(turned_out, j * w, simd.load_as(buffer, j * w, zero) * factor)
        if count == w and n >= 4:
            for r in range(0, w, 4):
                a = (i + r) * n
                j = 0
                while True:
                    p, q, s, t = simd.transpose4(
                        simd.load4(turned_out, j * w + r),
                        simd.load4(turned_out, (j + 1) * w + r),
                        simd.load4(turned_out, (j + 2) * w + r),
                        simd.load4(turned_out, (j + 3) * w + r),
                    )
                    simd.store(out, a + j, p)
                    simd.store(out, a + n + j, q)
                    simd.store(out, a + 2 * n + j, s)
                    simd.store(out, a + 3 * n + j, t)
                    if j == n - 4:
                        break
                    j = min(j + 4, n - 4)
        elif count == w and n == 2:
            p, q = simd.interleave(simd.load_as(turned_out, 0, zero), simd.load_as(turned_out, w, zero))
            simd.store(out, i * n, p)
            simd.store(out, i * n + w, q)
        else:
            for r in range(count):
                for j in range(n):
                    simd.put(out, (i + r) * n + j, simd.get(turned_out, j * w + r))
        i += count
    return work.size + padded_x.size + padded_out.size  # keeps them alive


@numba.njit(cache=True, parallel=True)
def short_parallel(x, out, threads):
    """Rows in one contiguous share a thread."""
    outer = x.shape[0]
    for t in numba.prange(threads):
        short(x, out, t * outer // threads, (t + 1) * outer // threads)
