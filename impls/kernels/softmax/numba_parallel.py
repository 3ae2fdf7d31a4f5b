"""Softmax in Numba on all CPU cores: SIMD vectors within a thread, prange over shares of the work.

Every regime is a function over a range of tasks, for one thread, and a parallel one that gives each thread a share.
A row (or a tile of rows) passes twice through a core's cache: weights and their sum, quotients. Weights are relative to
a guess at the maximum, from the row's first and last elements, for which the sum shows whether it served; if not, the
maximum is sought and the weights are computed again. A guess changes weights by a power of 2, which cancels. Sums go on
in float64 after a fixed number of additions in the type of x, so that errors do not grow with n.
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
from ...vector_math import (
    excess,
    from_guess,
    from_half,
    is_near,
    is_sound,
    kept,
    origin,
    origin_of_row,
    quotient,
    ratio,
    reciprocal,
    to_half,
    weights,
)
from ...views import plain

# What is said to be measured was so side by side with other values, on an AMD Zen 3 with 32 MiB of last cache.
# Bytes from which a call is shared out among threads. With two, float32, rows of 8, 64 and 1024, inner 1 and 64: 3 to
# 37% faster, but for one x[i] of 1024 x 64, which is one task; at half of it level to 32% slower.
PARALLEL = 1 << 17
# Elements ahead of those at work that are fetched: up to 2.4 times faster beyond the caches, up to 33% within.
FETCH = 1024
# Bytes of a row up to which its weights wait apart from out. One thread: 12 to 22% faster at 96 to 256 columns of
# float32, level at 512; 5 to 12% faster at 96 and 128 of float64, level at 256, and at 512 to 2000 16 to 23% slower.
APART = 1 << 11
LEAST = 16  # columns that a row needs to be worked on by itself
# Columns below which rows are transposed, so that each lane has a row of its own, of float64 and of others. Rows of
# their own are as fast at 64 to 96 columns of float32, and in float64 13% faster at 32.
SHORT_WIDE, SHORT = 32, 80
SPLIT = 1 << 16  # columns from which a row is shared out among threads that would have none
PIECE = 1 << 13  # columns of a piece
# Columns up to which a row's quotients are computed after the weights of the row below: they wait for the row's sum.
# One thread: 12 to 14% faster at 80 to 128 columns of float32, 10% at 256, 3% at 1000; in float64 9% at 64, 2% at 128.
AHEAD = 2048
BLOCK = 16  # vectors, or pairs of them, added up before their sum is added to others
TILE = 1 << 15  # bytes of weights that a strided tile may keep
TILE_VECTORS = 8
NEAR = 1024  # columns between strided rows up to which the rows below are fetched, and beyond which the next tile is


@implements(dtypes=("float16", "float32", "float64"), threads="many")
def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Softmax over axis 1 of x (outer, n, inner) into out."""
    outer, n, inner = x.shape
    if x.size == 0:
        return out
    a, b = plain(x), plain(out)
    threads = numba.get_num_threads() if x.nbytes >= PARALLEL else 1
    lanes = 8 if x.itemsize == 8 else 16
    if inner > 1:
        if inner < lanes and n > TILE // 64 and lanes % inner == 0:
            if not (threads > 1 and in_parallel(narrow_parallel, a, b, threads)):
                narrow(a, b)
            return out
        if inner < lanes and n > TILE // 64:
            # Few long columns, of which a vector does not hold whole rows: worth a copy.
            turned = np.ascontiguousarray(x.transpose(0, 2, 1)).reshape(outer * inner, n, 1)
            out[...] = run(turned, np.empty_like(turned)).reshape(outer, inner, n).transpose(0, 2, 1)
            return out
        vectors = min(TILE_VECTORS, TILE // (64 * n))
        # Weights that take more than a core's nearest cache wait in the rows of out; float16 has no room for them.
        direct = vectors < TILE_VECTORS and x.itemsize > 2 and inner >= lanes
        tile = (TILE_VECTORS if direct else max(1, vectors)) * lanes
        tasks = outer * _tiles(inner, lanes, tile)
        if not (threads > 1 and tasks > 1 and in_parallel(strided_parallel, a, b, tile, direct, tasks, threads)):
            strided(a, b, tile, direct, 0, tasks)
    elif n < LEAST or (n < (SHORT_WIDE if x.itemsize == 8 else SHORT) and outer >= lanes):
        if not (threads > 1 and in_parallel(short_parallel, a, b, threads)):
            short(a, b, 0, outer)
    else:
        row, cache = n * x.itemsize, last_level()
        # Stores that bypass the caches pay off once these could not hold the result anyway, but hold a row's weights:
        # up to 1.5 times faster in float32 and 1.3 times in float64 beyond the caches, and up to 45% slower within.
        streaming = x.itemsize > 2 and 2 * x.nbytes >= cache and 4 * threads * row <= cache
        if threads > outer and n >= SPLIT:
            # Weights computed twice: 30% faster at 2^24 columns of float32, 20% slower at 2^22; in float64 15% slower.
            keep = x.itemsize > 2 and (x.itemsize == 8 or 2 * row <= cache)
            if in_parallel(long_parallel, a, b, keep, threads):
                return out
        if not (threads > 1 and outer > 1 and in_parallel(rows_parallel, a, b, streaming, threads)):
            rows(a, b, streaming, 0, outer)
    return out


@register_jitable
def _tiles(inner, lanes, tile):
    """Tiles of `tile` columns that inner makes; what is left beyond whole vectors goes with the last."""
    return max(1, -(-(inner // lanes * lanes) // tile))


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


def _put_past(out, i, p):
    """As `_put`, past the caches if out is of the type that p is computed in; out[i] must begin a register."""


@overload(_put_past, inline="always")
def _put_past_overload(out, i, p):
    if out.dtype is numba.types.int16:
        return lambda out, i, p: _put(out, i, p)
    return lambda out, i, p: simd.stream(out, i, p)


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


def _either(out, scratch, direct):
    """out, if it is asked for and can hold weights, or else scratch."""


@overload(_either)
def _either_overload(out, scratch, direct):
    if out.dtype is numba.types.int16:
        return lambda out, scratch, direct: scratch
    return lambda out, scratch, direct: out if direct else scratch


@register_jitable
def _rest(vector, count):
    """The vector with its first `count` lanes set to 0."""
    lane = simd.lane_numbers(vector)
    return simd.select(simd.greater(simd.splat(lane, count), lane), simd.splat(vector, 0), vector)


@register_jitable
def _add(total, lost, term):
    """Kahan's sum: float64 too drifts over the blocks of a long row."""
    term = term - lost
    grown = total + term
    return grown, (grown - total) - term


# Rows of at least one vector.


@numba.njit(error_model="numpy")
def _maximum(x, n, zero):
    """The largest of x[:n], as a vector; NaN if one is NaN."""
    w = simd.lanes(zero)
    a = simd.splat(zero, -np.inf)
    b = a
    # A sum of all costs less than a comparison of each: if it is no NaN, none is.
    total = zero
    j = 0
    while j + 4 * w <= n:
        p, q, r, s = _get(x, j, zero), _get(x, j + w, zero), _get(x, j + 2 * w, zero), _get(x, j + 3 * w, zero)
        total = total + ((p + q) + (r + s))
        a, b = simd.maximum(simd.maximum(p, q), a), simd.maximum(simd.maximum(r, s), b)
        j += 4 * w
    while j < n:
        p = _get(x, min(j, n - w), zero)
        total = total + p
        a = simd.maximum(p, a)
        j += w
    top = simd.reduce_max(simd.maximum(a, b))
    if simd.some(simd.unordered(total, total)) and _has_nan(x, n, zero):
        top = simd.reduce_add(simd.splat(zero, np.nan))
    return simd.splat(zero, top)


@numba.njit(error_model="numpy")
def _has_nan(x, n, zero):
    """Whether one of x[:n] is NaN, n at least one vector."""
    w = simd.lanes(zero)
    for j in range(0, n, w):
        p = _get(x, min(j, n - w), zero)
        if simd.some(simd.unordered(p, p)):
            return True
    return False


@register_jitable
def _guess(x, n, zero):
    """A number that the maximum of x[:n] is at least, and probably not far above."""
    # Of both ends, since masks often leave one of them at -inf.
    return simd.reduce_max(simd.maximum(_get(x, 0, zero), _get(x, n - simd.lanes(zero), zero)))


@register_jitable
def _weigh(x, n, guess, buffer, keep, zero):
    """Weights of x[:n] into buffer, if they are to be kept; returns what they are relative to, and their sum."""
    if is_near(guess, zero):
        total = _weigh_from(x, n, kept(from_guess(guess, zero)), buffer, keep, zero)
        if is_sound(total, zero):
            return guess, total
    top = _maximum(x, n, zero)
    return simd.reduce_max(top), _weigh_from(x, n, origin_of_row(top), buffer, keep, zero)


@numba.njit(error_model="numpy")
def _weigh_from(x, n, start, buffer, keep, zero):
    """The sum of the weights of x[:n], which go to buffer if they are to be kept."""
    w = simd.lanes(zero)
    total = lost = 0.0
    j = 0
    while j + 2 * w <= n:
        # Sums of BLOCK pairs of vectors are added up by lane, BLOCK of them; a sum over lanes stops the pipeline.
        stop = min(n - 2 * w, j + (BLOCK * BLOCK - 1) * 2 * w)
        blocks = zero
        while j <= stop:
            end = min(stop, j + (BLOCK - 1) * 2 * w)
            partial = zero
            while j <= end:
                simd.prefetch(x, j + FETCH)
                # One after the other: what both need at a time fits 16 registers.
                e = weights(_get(x, j, zero), start)
                if keep:
                    simd.store(buffer, j, e)
                f = weights(_get(x, j + w, zero), start)
                if keep:
                    simd.store(buffer, j + w, f)
                partial = partial + (e + f)
                j += 2 * w
            blocks = blocks + partial
        total, lost = _add(total, lost, np.float64(simd.reduce_add(blocks)))
    while j < n:
        # The last vector may begin within the one before it; what both hold counts once.
        at = min(j, n - w)
        e = weights(_get(x, at, zero), start)
        if keep:
            simd.store(buffer, at, e)
        total, lost = _add(total, lost, np.float64(simd.reduce_add(_rest(e, j - at))))
        j += w
    return total


def _part(weight, factor):
    """`quotient` where the sum was put together from sums of pieces: rounded so often that it may come out above 1."""


@overload(_part, inline="always")
def _part_overload(weight, factor):
    if weight.element is numba.types.float64:
        return lambda weight, factor: simd.minimum(simd.splat(weight, 1), quotient(weight, factor))  # NaN stays NaN
    return lambda weight, factor: quotient(weight, factor)


def _scaling(by):
    """A function that turns weights into results."""

    @numba.njit(error_model="numpy")
    def scale(buffer, n, factor, out, zero):
        w = simd.lanes(zero)
        last = by(simd.load_as(buffer, n - w, zero), factor)  # at once, since buffer may be out
        j = 0
        while j + w <= n:
            _put(out, j, by(simd.load_as(buffer, j, zero), factor))
            j += w
        _put(out, n - w, last)

    return scale


_scale, _scale_piece = _scaling(quotient), _scaling(_part)


def _before(out, like):
    """Elements of the type of `like` between the line that out begins in and out."""


@overload(_before)
def _before_overload(out, like):
    size = like.element.bitwidth // 8
    return lambda out, like: simd.address(out) % simd.VECTOR_BYTES // size


@numba.njit(error_model="numpy")
def _scale_streaming(buffer, n, factor, out, zero, line, first, last):
    """As `_scale`, past the caches; buffer is not out.

    A line that two rows share waits in `line`, with a vector's room before it, until it is whole: ordinary stores to a
    line that is also streamed fetch it, which made rows of 128 columns 5 times slower. Only the first and the last row
    of a share of the work store so.
    """
    w = simd.lanes(zero)
    before = _before(out, zero)
    j = 0
    if before > 0:
        head = quotient(simd.load_as(buffer, 0, zero), factor)
        if first:
            simd.store(out, 0, head)
        else:
            simd.store(line, before, head)
            simd.stream(out, -before, simd.load_as(line, 0, zero))
        j = w - before
    while j + w <= n:
        simd.stream(out, j, quotient(simd.load_as(buffer, j, zero), factor))
        j += w
    if j < n:
        tail = quotient(simd.load_as(buffer, n - w, zero), factor)
        if last:
            simd.store(out, n - w, tail)
        else:
            simd.store(line, n - j - w, tail)


@register_jitable
def _clear_of(x, scratch, zero):
    """The first line from scratch on, within 4096 bytes, that no load from x shortly after a store to it waits for.

    A load waits for stores before it to an address that is the same modulo 4096: up to 20% of the time of long rows.
    """
    apart = (simd.address(x) + 1536) // simd.VECTOR_BYTES * simd.VECTOR_BYTES - simd.address(scratch)
    return simd.offset(scratch, apart % 4096 * simd.lanes(zero) // simd.VECTOR_BYTES)


def _waiting(out, scratch, n, i, apart):
    """Where the weights of row i wait for their sum: in out, or apart from it in scratch, with room for two rows."""


@overload(_waiting)
def _waiting_overload(out, scratch, n, i, apart):
    if out.dtype is numba.types.int16:
        return lambda out, scratch, n, i, apart: simd.offset(scratch, i % 2 * n if n <= AHEAD else 0)
    return lambda out, scratch, n, i, apart: (
        simd.offset(scratch, i % 2 * n if n <= AHEAD else 0) if apart else simd.offset(out, i * n)
    )


def _finish(out, scratch, n, i, factor, zero, line, apart, streaming, first, end):
    """Quotients of row i, one of rows first to end."""


@overload(_finish)
def _finish_overload(out, scratch, n, i, factor, zero, line, apart, streaming, first, end):
    def ordinary(out, scratch, n, i, factor, zero, line, apart, streaming, first, end):
        _scale(_waiting(out, scratch, n, i, apart), n, factor, simd.offset(out, i * n), zero)

    def either(out, scratch, n, i, factor, zero, line, apart, streaming, first, end):
        buffer, to = _waiting(out, scratch, n, i, apart), simd.offset(out, i * n)
        if streaming:
            _scale_streaming(buffer, n, factor, to, zero, line, i == first, i == end - 1)
        else:
            _scale(buffer, n, factor, to, zero)

    return ordinary if out.dtype is numba.types.int16 else either


@numba.njit(cache=True, nogil=True, error_model="numpy")
def rows(x, out, streaming, first, end):
    """Rows first to end of x (outer, n, 1), n at least one vector."""
    n = x.shape[1]
    apart = streaming or x.itemsize == 2 or n * x.itemsize <= APART
    # A line with a vector's room on both sides, what `_clear_of` may leave out, and the rows.
    spare = _scratch(x, 48 + 1024 + (0 if not apart else 2 * n if n <= AHEAD else n))
    if first >= end:
        return spare.size
    x, out, work = simd.data(x), simd.data(out), simd.data(spare)
    zero, register = _zero(x), simd.register(_zero(x))
    line = simd.offset(work, 16)
    scratch = _clear_of(x, simd.offset(work, 48), zero)
    guess = _guess(simd.offset(x, first * n), n, register)
    factor = zero, zero
    for i in range(first, end):
        a = simd.offset(x, i * n)
        below = _guess(simd.offset(a, n), n, register) if i + 1 < end else guess
        total = _weigh(a, n, guess, _waiting(out, scratch, n, i, apart), True, register)[1]
        if n <= AHEAD and i > first:
            _finish(out, scratch, n, i - 1, factor, zero, line, apart, streaming, first, end)
        factor = reciprocal(total, zero)
        if n > AHEAD or i == end - 1:
            _finish(out, scratch, n, i, factor, zero, line, apart, streaming, first, end)
        guess = below
    return spare.size  # keeps it alive


@numba.njit(cache=True, parallel=True)
def rows_parallel(x, out, streaming, threads):
    """Rows in one contiguous share a thread."""
    outer = x.shape[0]
    for t in numba.prange(threads):
        rows(x, out, streaming, t * outer // threads, (t + 1) * outer // threads)


# Long rows, in pieces: a piece knows the sum of its weights and the number that they are relative to.


@numba.njit(error_model="numpy")
def _piece(x, n, buffer, keep, zero):
    """(base, sum of weights relative to it) of x[:n], -inf where all are; weights to buffer if they are to be kept."""
    base, total = _weigh(x, n, _guess(x, n, zero), buffer, keep, zero)
    # Where all are -inf the difference is NaN, which is the whole row's affair.
    if base == -np.inf:
        return -np.inf, 0.0
    return np.float64(base), total * math.exp(-excess(simd.splat(zero, base)))


@numba.njit(error_model="numpy")
def _combine(tops, totals):
    """(largest base, sum of weights relative to it) of a row from those of its pieces."""
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
def _quotients(x, n, out, top, total):
    """Softmax of x[:n] from its row's base, a vector, and its sum; past the caches, but for float16."""
    w = simd.lanes(top)
    start = kept(origin_of_row(top))
    factor = reciprocal(total * math.exp(excess(top)), top)
    begin = -_before(out, top) % (2 * w)  # as registers are at least half a line
    j = 0
    while j < begin:
        _put(out, j, _part(weights(_get(x, j, top), start), factor))
        j += w
    j = begin
    while j + 2 * w <= n:
        # The piece after this one lies before it.
        simd.prefetch(x, j + FETCH if j + FETCH < n else j + FETCH - 2 * n)
        p = _part(weights(_get(x, j, top), start), factor)
        q = _part(weights(_get(x, j + w, top), start), factor)
        # Together: a line whose halves are stored at different times may be written twice.
        _put_past(out, j, p)
        _put_past(out, j + w, q)
        j += 2 * w
    while j < n:
        j = min(j, n - w)
        _put(out, j, _part(weights(_get(x, j, top), start), factor))
        j += w


@numba.njit(cache=True, nogil=True, error_model="numpy")
def long_sums(x, out, keep, tops, totals, first, end):
    """Bases and sums of pieces first to end, numbered through all rows."""
    n, pieces = x.shape[1], tops.shape[1]
    spare = _scratch(x, 0)
    x, out, nowhere = simd.data(x), simd.data(out), simd.data(spare)
    register = simd.register(_zero(x))
    for task in range(first, end):
        i, p = task // pieces, task % pieces
        a, b = p * n // pieces, (p + 1) * n // pieces
        row, to = simd.offset(x, i * n + a), simd.offset(out, i * n + a)
        tops[i, p], totals[i, p] = _piece(row, b - a, _buffer(to, nowhere), keep, register)
    return spare.size  # keeps it alive


@numba.njit(cache=True, nogil=True, error_model="numpy")
def long_quotients(x, out, keep, tops, high, total, first, end):
    """Results of pieces first to end, backwards: the end of a row is still in the caches."""
    n, pieces = x.shape[1], tops.shape[1]
    spare = _scratch(x, 0)
    x, out, nowhere = simd.data(x), simd.data(out), simd.data(spare)
    zero, register = _zero(x), simd.register(_zero(x))
    for back in range(end - first):
        task = end - 1 - back
        i, p = task // pieces, task % pieces
        a, b = p * n // pieces, (p + 1) * n // pieces
        row, to = simd.offset(x, i * n + a), simd.offset(out, i * n + a)
        top = simd.splat(zero, high[i])
        power = ratio(top, simd.splat(zero, tops[i, p])) if keep else 0.0
        if power > 0:
            _scale_piece(
                _buffer(to, nowhere), b - a, reciprocal(total[i] * math.exp(excess(top)) * power, zero), to, zero
            )
        else:
            _quotients(row, b - a, to, simd.splat(register, high[i]), total[i])
    return spare.size  # keeps it alive


@numba.njit(cache=True, parallel=True, error_model="numpy")
def long_parallel(x, out, keep, threads):
    """Rows of x (outer, n, 1), the pieces of all of them shared out, and put together between.

    Weights wait in out or, if they are not to be kept, are computed twice.
    """
    outer, n, _ = x.shape
    pieces = n // PIECE
    tops, totals = np.empty((outer, pieces)), np.empty((outer, pieces))
    high, total = np.empty(outer), np.empty(outer)
    tasks = outer * pieces
    for t in numba.prange(threads):
        long_sums(x, out, keep, tops, totals, t * tasks // threads, (t + 1) * tasks // threads)
    for i in range(outer):
        high[i], total[i] = _combine(tops[i], totals[i])
    for t in numba.prange(threads):
        long_quotients(x, out, keep, tops, high, total, t * tasks // threads, (t + 1) * tasks // threads)


# Tiles of columns: each lane has a row of its own.


@register_jitable
def _highest(x, n, stride, top):
    """The largest of top and n vectors of x, `stride` apart, lane by lane; NaN where one is NaN."""
    # As in `_maximum`, a sum of all shows whether there can be a NaN.
    total, high = simd.splat(top, 0), top
    for i in range(n):
        v = _get(x, i * stride, top)
        total = total + v
        high = simd.maximum(v, high)
    if simd.some(simd.unordered(total, total)):
        high = top
        for i in range(n):
            v = _get(x, i * stride, top)
            high = simd.select(simd.beats(v, high), v, high)
    return high


def _start(top, guessed):
    """The origin of tops, which are those of their columns or, where `guessed` is not None, guesses at them."""


@overload(_start)
def _start_overload(top, guessed):
    if guessed is numba.types.none:
        return lambda top, guessed: origin(top)
    return lambda top, guessed: from_guess(top, top)


@numba.njit(error_model="numpy")
def _weigh_tile(x, n, stride, width, tops, totals, buffer, step, guessed):
    """Weights down `width` columns of x relative to tops; their sums to totals[:width], of float64."""
    zero = _zero(x)
    wide = simd.convert(zero, simd.zeros_f64())
    w = simd.lanes(zero)
    ahead = BLOCK * stride if stride <= NEAR else width  # the next rows, or where these lie far apart the next tile
    for k in range(0, width, w):
        simd.store(totals, k, wide)
        simd.store(totals, width + k, wide)
    # Some rows at a time, so that memory is read in the order in which it lies.
    for j in range(0, n, BLOCK):
        end = min(n, j + BLOCK)
        for k in range(0, width, w):
            start = _start(simd.load_as(tops, k, zero), guessed)
            partial = zero
            for i in range(j, end):
                simd.prefetch(x, i * stride + k + ahead)
                e = weights(_get(x, i * stride + k, zero), start)
                simd.store(buffer, i * step + k, e)
                partial = partial + e
            total, lost = simd.load_as(totals, k, wide), simd.load_as(totals, width + k, wide)
            total, lost = _add(total, lost, simd.convert(partial, wide))
            simd.store(totals, k, total)
            simd.store(totals, width + k, lost)


@numba.njit(error_model="numpy")
def _tile(x, n, stride, width, sums, totals, buffer, step):
    """Weights down `width` columns of x, whose rows lie `stride` apart, into rows of buffer `step` apart.

    sums[:width] and sums[width : 2 * width] are left holding the reciprocals of the sums, high and low.
    """
    zero = _zero(x)
    wide = simd.convert(zero, simd.zeros_f64())
    w = simd.lanes(zero)
    sound = True
    for k in range(0, width, w):
        guess = simd.maximum(_get(x, k, zero), _get(x, (n - 1) * stride + k, zero))
        simd.store(sums, k, guess)
        sound = sound and is_near(guess, zero)
    if sound:
        _weigh_tile(x, n, stride, width, sums, totals, buffer, step, True)
        for k in range(0, width, w):
            sound = sound and is_sound(simd.convert(simd.load_as(totals, k, wide), zero), zero)
    if not sound:
        for k in range(0, width, w):
            simd.store(sums, k, simd.splat(zero, -np.inf))
        for j in range(0, n, BLOCK):
            for k in range(0, width, w):
                row = simd.offset(x, j * stride + k)
                simd.store(sums, k, _highest(row, min(n - j, BLOCK), stride, simd.load_as(sums, k, zero)))
        _weigh_tile(x, n, stride, width, sums, totals, buffer, step, None)
    for k in range(0, width, w):
        high, low = reciprocal(simd.load_as(totals, k, wide), zero)
        simd.store(sums, k, high)
        simd.store(sums, width + k, low)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def strided(x, out, tile, direct, first, end):
    """Tiles first to end of x (outer, n, inner): a tile is up to `tile` columns of the inner axis."""
    _, n, inner = x.shape
    w = simd.VECTOR_BYTES // 8 if x.itemsize == 8 else 16
    width = w if inner < w else tile
    work = _scratch(x, (2 if direct else n + 2) * width)
    wide = np.empty(2 * width, np.float64)
    padded_x, padded_out = np.zeros(n * w if inner < w else 0, x.dtype), np.empty(n * w if inner < w else 0, x.dtype)
    x, out, sums, totals = simd.data(x), simd.data(out), simd.data(work), simd.data(wide)
    narrow_x, narrow_out = simd.data(padded_x), simd.data(padded_out)
    zero = _zero(x)
    scratch = simd.offset(sums, 2 * width)
    tiles = _tiles(inner, w, tile)
    for task in range(first, end):
        begin = task // tiles * n * inner
        k = task % tiles * tile
        end_of_tile = inner if task % tiles == tiles - 1 else k + tile
        while inner >= w and k < end_of_tile:
            at, width = k, min(tile, inner // w * w - k)
            if width <= 0:
                # The last columns, in a vector that begins within the vector before and computes some again. Only
                # now: weights and results share the rows of out.
                at, width = inner - w, w
            step = inner if direct else tile
            buffer = _either(simd.offset(out, begin + at), scratch, direct)
            _tile(simd.offset(x, begin + at), n, inner, width, sums, totals, buffer, step)
            for j in range(n):
                c = 0
                while c < width:
                    factor = simd.load_as(sums, c, zero), simd.load_as(sums, width + c, zero)
                    p = quotient(simd.load_as(buffer, j * step + c, zero), factor)
                    _put(out, begin + j * inner + at + c, p)
                    c += w
            k += width
        if inner < w:
            for j in range(n):
                for c in range(inner):
                    simd.put(narrow_x, j * w + c, simd.get(x, begin + j * inner + c))
            _tile(narrow_x, n, w, w, sums, totals, scratch, w)
            factor = simd.load_as(sums, 0, zero), simd.load_as(sums, w, zero)
            for j in range(n):
                _put(narrow_out, j * w, quotient(simd.load_as(scratch, j * w, zero), factor))
                for c in range(inner):
                    simd.put(out, begin + j * inner + c, simd.get(narrow_out, j * w + c))
    return work.size + padded_x.size + padded_out.size  # keeps them alive


@numba.njit(cache=True, parallel=True)
def strided_parallel(x, out, tile, direct, tasks, threads):
    """Tiles in one contiguous share a thread."""
    for t in numba.prange(threads):
        strided(x, out, tile, direct, t * tasks // threads, (t + 1) * tasks // threads)


# Few long columns, of which a vector holds whole rows: each lane keeps to one column, down pieces of the array.


@numba.njit(error_model="numpy")
def _down_lanes(x, n, zero, work, tops, totals, place):
    """The maxima by lane of n vectors and the sums of weights relative to them, to `place` of their columns.

    tops and totals are (inner, places), work has room for three vectors of float64.
    """
    inner, w = tops.shape[0], simd.lanes(zero)
    wide = simd.convert(zero, simd.zeros_f64())
    top = _highest(x, n, w, simd.splat(zero, -np.inf))
    # Where all are -inf the difference would be NaN, which is the whole column's affair.
    base = simd.select(simd.equal(top, simd.splat(top, -np.inf)), zero, top)
    start = origin(base)
    total = lost = wide
    for j in range(0, n, BLOCK):
        partial = zero
        for i in range(j, min(n, j + BLOCK)):
            partial = partial + weights(_get(x, i * w, zero), start)
        total, lost = _add(total, lost, simd.convert(partial, wide))
    simd.store(work, 0, simd.convert(top, wide))
    simd.store(work, w, simd.convert(base, wide))
    simd.store(work, 2 * w, total)
    for k in range(w):
        c, p = k % inner, place + k // inner
        tops[c, p] = simd.get(work, k)
        totals[c, p] = simd.get(work, 2 * w + k) * math.exp(-excess(simd.splat(zero, simd.get(work, w + k))))


@register_jitable
def _vectors(x):
    """Whole vectors in one x[i], and the pieces that they are shared out in."""
    _, n, inner = x.shape
    w = simd.lanes(_zero(x))
    return n * inner // w, max(1, n * inner // PIECE)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def narrow_sums(x, tops, totals, first, end):
    """Maxima and sums of pieces first to end, numbered through all of x; the last of an x[i] has its last elements."""
    _, n, inner = x.shape
    vectors, pieces = _vectors(x)
    zero = _zero(x)
    w = simd.lanes(zero)
    wide = simd.convert(zero, simd.zeros_f64())
    numbers = np.empty(3 * w, np.float64)
    x, work = simd.data(x), simd.data(numbers)
    for task in range(first, end):
        i, p = task // pieces, task % pieces
        a, b = p * vectors // pieces, (p + 1) * vectors // pieces
        row = simd.offset(x, i * n * inner)
        _down_lanes(simd.offset(row, a * w), b - a, zero, work, tops[i], totals[i], p * (w // inner))
        if p == pieces - 1:
            rest = n * inner - vectors * w
            simd.store(work, 0, simd.convert(_get(row, n * inner - w, zero), wide))
            for k in range(w // inner * inner):
                value = simd.get(work, w - rest + k) if k < rest else -np.inf
                top = simd.splat(zero, value)
                place = pieces * (w // inner) + k // inner
                tops[i, k % inner, place] = value
                weight = simd.reduce_max(weights(top, origin(top))) * math.exp(-excess(top))
                totals[i, k % inner, place] = 0.0 if value == -np.inf else weight
    return numbers.size  # keeps it alive


@numba.njit(cache=True, nogil=True, error_model="numpy")
def narrow_merge(x, tops, totals, high, sums):
    """Maxima and sums of whole columns out of those of pieces, by lane, to high and sums (outer, lanes)."""
    zero = _zero(x)
    for i in range(tops.shape[0]):
        for c in range(tops.shape[1]):
            top, total = _combine(tops[i, c], totals[i, c])
            high[i, c :: tops.shape[1]] = top
            sums[i, c :: tops.shape[1]] = total * math.exp(excess(simd.splat(zero, top)))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def narrow_quotients(x, out, high, sums, first, end):
    """Results of pieces first to end, backwards: the end of x is still in the caches."""
    _, n, inner = x.shape
    vectors, pieces = _vectors(x)
    zero = _zero(x)
    w = simd.lanes(zero)
    wide = simd.convert(zero, simd.zeros_f64())
    x, out, high, sums = simd.data(x), simd.data(out), simd.data(high), simd.data(sums)
    for back in range(end - first):
        task = end - 1 - back
        i, p = task // pieces, task % pieces
        start = origin(simd.convert(simd.load_as(high, i * w, wide), zero))
        factor = reciprocal(simd.load_as(sums, i * w, wide), zero)
        a, b = simd.offset(x, i * n * inner), simd.offset(out, i * n * inner)
        if p == pieces - 1:
            _put(b, n * inner - w, _part(weights(_get(a, n * inner - w, zero), start), factor))
        for j in range(p * vectors // pieces, (p + 1) * vectors // pieces):
            _put(b, j * w, _part(weights(_get(a, j * w, zero), start), factor))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def narrow(x, out):
    """x (outer, n, inner), n large, inner a divisor of the number of lanes: weights are computed twice."""
    outer, _, inner = x.shape
    w, pieces = simd.lanes(_zero(x)), _vectors(x)[1]
    tops = np.empty((outer, inner, (pieces + 1) * (w // inner)))
    totals, high, sums = np.empty_like(tops), np.empty((outer, w)), np.empty((outer, w))
    narrow_sums(x, tops, totals, 0, outer * pieces)
    narrow_merge(x, tops, totals, high, sums)
    narrow_quotients(x, out, high, sums, 0, outer * pieces)


@numba.njit(cache=True, parallel=True, error_model="numpy")
def narrow_parallel(x, out, threads):
    """As `narrow`, the pieces of all columns shared out."""
    outer, _, inner = x.shape
    w, pieces = simd.lanes(_zero(x)), _vectors(x)[1]
    tasks = outer * pieces
    tops = np.empty((outer, inner, (pieces + 1) * (w // inner)))
    totals, high, sums = np.empty_like(tops), np.empty((outer, w)), np.empty((outer, w))
    for t in numba.prange(threads):
        narrow_sums(x, tops, totals, t * tasks // threads, (t + 1) * tasks // threads)
    narrow_merge(x, tops, totals, high, sums)
    for t in numba.prange(threads):
        narrow_quotients(x, out, high, sums, t * tasks // threads, (t + 1) * tasks // threads)


# Short rows: as many of them as a vector has lanes are transposed into a tile.


@register_jitable
def _weigh_lanes(x, n, start, buffer, zero):
    """Weights of n vectors of x into buffer; returns their sums."""
    w = simd.lanes(zero)
    total = zero
    for j in range(0, n, BLOCK):
        partial = zero
        for i in range(j, min(n, j + BLOCK)):
            e = weights(_get(x, i * w, zero), start)
            simd.store(buffer, i * w, e)
            partial = partial + e
        total = total + partial
    return total


@register_jitable
def _lanes(x, n, buffer, zero):
    """As `_weigh_lanes`; returns the reciprocals of the sums. For few vectors: all is added up in the type of x."""
    guess = simd.maximum(_get(x, 0, zero), _get(x, (n - 1) * simd.lanes(zero), zero))
    if is_near(guess, zero):
        total = _weigh_lanes(x, n, from_guess(guess, zero), buffer, zero)
        if is_sound(total, zero):
            return reciprocal(total, zero)
    top = _highest(x, n, simd.lanes(zero), simd.splat(zero, -np.inf))
    return reciprocal(_weigh_lanes(x, n, origin(top), buffer, zero), zero)


@register_jitable
def _turned(x, start, step):
    """The columns of a matrix of 4 x 4 elements whose rows are `step` apart."""
    return simd.transpose4(
        simd.load4(x, start),
        simd.load4(x, start + step),
        simd.load4(x, start + 2 * step),
        simd.load4(x, start + 3 * step),
    )


@numba.njit(cache=True, nogil=True, error_model="numpy")
def short(x, out, first, end):
    """Rows first to end of x (outer, n, 1), n small."""
    n = x.shape[1]
    work = _scratch(x, n * 16)
    padded_x, padded_out = np.zeros(n * 16, x.dtype), np.empty(n * 16, x.dtype)
    x, out, buffer = simd.data(x), simd.data(out), simd.data(work)
    turned_x, turned_out = simd.data(padded_x), simd.data(padded_out)
    zero = _zero(x)
    w = simd.lanes(zero)
    i = first
    while i < end:
        count = min(w, end - i)
        if count == w and n >= 4:
            # Eight rows at a time: 3% faster in float32 than four.
            for r in range(0, w, 8):
                a, b = (i + r) * n, (i + r + 4) * n
                j = 0
                while True:
                    p, q, s, t = _turned(x, a + j, n)
                    p2, q2, s2, t2 = _turned(x, b + j, n)
                    simd.store(turned_x, j * w + r, simd.join(p, p2))
                    simd.store(turned_x, (j + 1) * w + r, simd.join(q, q2))
                    simd.store(turned_x, (j + 2) * w + r, simd.join(s, s2))
                    simd.store(turned_x, (j + 3) * w + r, simd.join(t, t2))
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
        factor = _lanes(turned_x, n, buffer, zero)
        for j in range(n):
            _put(turned_out, j * w, quotient(simd.load_as(buffer, j * w, zero), factor))
        if count == w and n >= 4:
            for r in range(0, w, 4):
                a = (i + r) * n
                j = 0
                while True:
                    p, q, s, t = _turned(turned_out, j * w + r, w)
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
