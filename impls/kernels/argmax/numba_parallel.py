"""Argmax in Numba on all CPU cores: SIMD maxima and the blocks they were found in; prange over shares of the work.

Every regime is a function over a range of tasks, for one thread, and a parallel one that gives each thread a share.
No branch depends on the data except where a NaN was seen, so the order of the input does not matter.
"""

from __future__ import annotations

import numba
import numpy as np
from numba.extending import overload, register_jitable

from ... import simd
from ...caches import last_level
from ...contract import DTYPES
from ...registry import implements
from ...threads import in_parallel, numbas
from ...views import plain

# What is said to be measured was so side by side with other values, on an AMD Zen 3 with AVX2, as were on one thread
# BLOCK (4, 8), TILE_VECTORS (16 to 128), DOWN (4 to 64) and NEAR (0 to 64 KiB). PIECE is not measured.
# Bytes from which a call is shared out among threads. With two, float32, inner 1 and 64: 4 to 26% faster in rows of 8,
# 64 and 1024, but 19% slower in one x[i] of 1024 x 64; at half of it 26% slower to 9% faster.
PARALLEL = 1 << 19
PIECE = 1 << 17  # bytes of a piece of a long row
# Vectors ahead of those at work that are fetched, up to half of the last cache: up to 20% faster; beyond the cache what
# the processor fetches by itself is up to 18% faster, and between the two either, as others use the cache too. On an
# Intel Emerald Rapids 64 to 256 are 1 to 6% faster than 32 within its last cache, and 1.1 to 1.4 times faster than none
# beyond; that processor stands here for all whose registers are as long as a line.
LONG = simd.register_bytes() == simd.VECTOR_BYTES
FETCH = 64 if LONG else 32
FETCH_FEW = 128  # the same for rows of up to 64, in registers: up to 1.7 times faster at 8 columns of float64
FETCH_ROWS = 8  # the same for strided rows: up to 1.6 times faster in float64, 1.16 times in float32
BATCH = 64  # rows of up to 64 that are looked through for a NaN at a time
BLOCK = 4  # vectors whose maximum is taken before it is compared with the best so far
TILE_VECTORS = 128  # vectors of the inner axis that are searched together
DOWN = 16  # rows up to which a strided maximum and its position stay in registers
NEAR = 1 << 14  # bytes of strided rows up to which they do so for more rows: then the cache holds them all
FEW, FEW_WIDE = 64, 32  # columns of rows that are searched in registers; of integers of 8 bytes, for lack of a maximum
SHORT = 3  # vectors of columns below which rows are transposed, so that each lane has a row of its own


@implements(dtypes=DTYPES, threads="many")
def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Argmax over axis 1 of x (outer, n, inner) into out (outer, inner)."""
    outer, n, inner = x.shape
    nbytes = x.nbytes
    if nbytes == 0:
        return out
    a, b = plain(x), plain(out)
    half = True if x.dtype.char == "e" else None
    threads = numbas() if nbytes >= PARALLEL else 1
    lanes = simd.VECTOR_BYTES // x.itemsize
    if inner > 1:
        tasks = outer * _tiles(inner, lanes)
        parts = max(1, min(-(-4 * threads // tasks), nbytes // tasks // PIECE)) if threads > 1 else 1
        parts = max(parts, n >> 30)  # a position within a part is an int32
        winners = b.reshape(outer, 1, inner) if parts == 1 else np.empty((outer, parts, inner), np.int64)
        tasks *= parts
        if not (threads > 1 and tasks > 1 and in_parallel(strided_parallel, a, winners, half, tasks, threads)):
            strided(a, winners, half, 0, tasks)
        if parts > 1:
            merge(a, winners, b, half)
    elif x.itemsize >= 4 and lanes // 2 <= n <= (FEW_WIDE if x.itemsize == 8 and x.dtype.kind in "iu" else FEW):
        if not (threads > 1 and in_parallel(few_parallel, a, b, threads)):
            few(a, b, 0, outer)
    elif n < lanes or (n < SHORT * lanes and x.itemsize > 1):
        if not (threads > 1 and in_parallel(short_parallel, a, b, half, threads)):
            short(a, b, half, 0, outer)
    else:
        ahead = FETCH * lanes if LONG or 2 * nbytes <= last_level() else 0
        if threads > 1 and outer < 4 * threads and n * x.itemsize >= 2 * PIECE:
            winners = np.empty((outer, n * x.itemsize // PIECE, 1), np.int64)
            if in_parallel(pieces_parallel, a, half, ahead, winners, threads):
                merge(a, winners, b, half)
                return out
        if not (threads > 1 and outer > 1 and in_parallel(rows_parallel, a, b, half, ahead, threads)):
            rows(a, b, half, ahead, 0, outer)
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
def _row(x, n, half, ahead):
    """The position of the first maximum in x[:n], n at least one vector; what lies `ahead` is fetched meanwhile."""
    w = simd.lanes(_get(x, 0, half))
    if n < 2 * BLOCK * w:
        return _short_row(x, n, half)
    # The first level: by lane, the best and the first block that has it.
    best = _get(x, 0, half)
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
        a, b = _get(x, j, half), _get(x, j + w, half)
        nan = nan + simd.widened(simd.unordered(a, b), best)
        top = simd.maximum(a, b)
        for k in range(2, BLOCK, 2):
            a, b = _get(x, j + k * w, half), _get(x, j + (k + 1) * w, half)
            nan = nan + simd.widened(simd.unordered(a, b), best)
            top = simd.maximum(simd.maximum(a, b), top)
        where = simd.select(simd.greater(top, best), simd.splat(where, block), where)
        best = simd.maximum(top, best)
    j = blocks * BLOCK * w
    while j < n:
        # The last vector begins within the one before it: what both hold is found there first.
        v = _get(x, min(j, n - w), half)
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
        found = simd.select(simd.equal(_get(x, at, half), top), simd.splat(where, at - j), found)
    return j + np.int64(simd.reduce_min(simd.select(simd.equal(found, far), far, found + lane)))


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
def rows(x, out, half, ahead, first, end):
    """Rows first to end of x (outer, n, 1), n at least one vector."""
    n = x.shape[1]
    x, out = simd.data(x), simd.data(out)
    for i in range(first, end):
        simd.put(out, i, _row(simd.offset(x, i * n), n, half, ahead))


@numba.njit(cache=True, parallel=True)
def rows_parallel(x, out, half, ahead, threads):
    """Rows in one contiguous share a thread."""
    outer = x.shape[0]
    for t in numba.prange(threads):
        rows(x, out, half, ahead, t * outer // threads, (t + 1) * outer // threads)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def pieces(x, half, ahead, winners, first, end):
    """Positions of the maxima of pieces first to end, numbered through all rows, into winners (outer, pieces, 1)."""
    n, count = x.shape[1], winners.shape[1]
    x = simd.data(x)
    for task in range(first, end):
        i, p = task // count, task % count
        a, b = p * n // count, (p + 1) * n // count
        winners[i, p, 0] = a + _row(simd.offset(x, i * n + a), b - a, half, ahead)


@numba.njit(cache=True, parallel=True)
def pieces_parallel(x, half, ahead, winners, threads):
    """Pieces in one contiguous share a thread."""
    tasks = winners.shape[0] * winners.shape[1]
    for t in numba.prange(threads):
        pieces(x, half, ahead, winners, t * tasks // threads, (t + 1) * tasks // threads)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def merge(x, winners, out, half):
    """Of the winners (outer, parts, inner) of parts of the rows the first with the best element, into out."""
    outer, n, inner = x.shape
    parts = winners.shape[1]
    x = simd.data(x)
    for i in range(outer):
        for c in range(inner):
            best = winners[i, 0, c]
            top = _element(x, (i * n + best) * inner + c, half)
            for p in range(1, parts):
                rival = winners[i, p, c]
                value = _element(x, (i * n + rival) * inner + c, half)
                if _better(value, top):
                    best, top = rival, value
            out[i, c] = best


# Strided rows: each lane has a column of its own. A task is a tile of columns of a part of the rows.


def _positions(x, size):
    """An array of positions: integers as wide as those of `simd.lane_numbers`."""


@overload(_positions)
def _positions_overload(x, size):
    dtype = np.int64 if x.dtype.bitwidth == 64 else np.int32
    return lambda x, size: np.empty(size, dtype)


@register_jitable
def _tiles(inner, lanes):
    return -(-inner // (TILE_VECTORS * lanes))


@numba.njit(error_model="numpy")
def _tile(x, n, stride, width, best, where, half):
    """Argmax down `width` columns of x, at least one vector, whose rows lie `stride` apart, into `where`.

    best and where hold a row; four rows at a time, so that they are loaded and stored a fourth as often.
    """
    w = simd.lanes(_get(x, 0, half))
    lane = simd.lane_numbers(_get(x, 0, half))
    nan = simd.widened(simd.unordered(_get(x, 0, half), _get(x, 0, half)), _get(x, 0, half))
    k = 0
    while k < width:
        # The last vector begins within the one before it: taking a row twice changes nothing.
        at = min(k, width - w)
        v = _get(x, at, half)
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
            a, b = _get(row, at, half), _get(row, stride + at, half)
            nan = nan + simd.widened(simd.unordered(a, b), a)
            place = simd.select(simd.greater(a, top), simd.splat(lane, j), place)
            top = simd.maximum(a, top)
            place = simd.select(simd.greater(b, top), simd.splat(lane, j + 1), place)
            top = simd.maximum(b, top)
            a, b = _get(row, 2 * stride + at, half), _get(row, 3 * stride + at, half)
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
            top, v = simd.load(best, at), _get(x, j * stride + at, half)
            nan = nan + simd.widened(simd.unordered(v, v), v)
            better = simd.greater(v, top)
            simd.store(where, at, simd.select(better, simd.splat(lane, j), simd.load_as(where, at, lane)))
            simd.store(best, at, simd.maximum(v, top))
            k += w
        j += 1
    if simd.some(simd.nonzero(nan)):
        _tile_nan(x, n, stride, width, where)


@numba.njit(error_model="numpy")
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


@numba.njit(error_model="numpy")
def _down(x, n, stride, width, winners, half):
    """As `_tile`, straight into winners[:width], one vector of columns after the other: for few rows."""
    w = simd.lanes(_get(x, 0, half))
    k = 0
    while k < width:
        at = min(k, width - w)
        best = _get(x, at, half)
        place = simd.splat(simd.lane_numbers(best), 0)
        for j in range(1, n):
            v = _get(x, j * stride + at, half)
            better = simd.beats(v, best)
            best = simd.select(better, v, best)
            place = simd.select(better, simd.splat(place, j), place)
        simd.store(winners, at, simd.convert(place, winners))
        k += w


@numba.njit(error_model="numpy")
def _narrow(x, n, inner, best, where, winners, half):
    """Argmax down `inner` columns, fewer than a vector has lanes, into winners[:inner].

    As many rows as a vector has lanes are taken for one row of whole vectors; its columns that are one column of x
    are compared at the end.
    """
    w = simd.lanes(_get(x, 0, half))
    wide = n // w
    if wide > 1:
        _tile(x, wide, inner * w, inner * w, best, where, half)
    for c in range(inner):
        chosen = np.int64(0)
        top = _element(x, c, half)
        if wide > 1:
            for lane in range(w):
                j = np.int64(simd.get(where, lane * inner + c)) * w + lane
                value = _element(x, j * inner + c, half)
                same = value == top or (value != value and top != top)
                if _better(value, top) or (same and j < chosen):
                    chosen, top = j, value
        for j in range(wide * w if wide > 1 else 0, n):
            value = _element(x, j * inner + c, half)
            if _better(value, top):
                chosen, top = j, value
        simd.put(winners, c, chosen)


@numba.njit(cache=True, nogil=True, error_model="numpy")
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
    tiles = _tiles(inner, w)
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


@numba.njit(cache=True, parallel=True)
def strided_parallel(x, winners, half, tasks, threads):
    """Tasks in one contiguous share a thread."""
    for t in numba.prange(threads):
        strided(x, winners, half, t * tasks // threads, (t + 1) * tasks // threads)


@numba.njit(error_model="numpy")
def _column(x, n, half):
    """The position of the first maximum among n elements."""
    best = 0
    top = _element(x, 0, half)
    for j in range(1, n):
        value = _element(x, j, half)
        if _better(value, top):
            best, top = j, value
    return best


# Short rows, as some vectors of half a line each: all at once, and the bits of the lanes that have the maximum.


@register_jitable
def _has(v, top, at):
    """The lanes of v that equal top, as bits from bit `at` on."""
    return simd.mask_bits(simd.equal(v, top)) << np.uint64(at)


def _rows_of(vectors):
    """A function as `few`, for rows of up to a number of vectors that is known when it is compiled."""

    @numba.njit(error_model="numpy")
    def rows(x, out, n, first, end):
        like = simd.half_line(x)
        w = simd.lanes(like)
        last = n - w
        for begin in range(first, end, BATCH):
            stop = min(end, begin + BATCH)
            seen = like
            for i in range(begin, stop):
                row = simd.offset(x, i * n)
                simd.prefetch(row, FETCH_FEW * w)
                # The last vector begins within the one before it: what both hold is found twice in one place.
                top = total = simd.load_as(row, last, like)
                for k in range(vectors - 1):
                    v = simd.load_as(row, min(k * w, last), like)
                    top, total = simd.maximum(v, top), total + v
                seen = seen + total
                top = simd.splat(top, simd.reduce_max(top))
                bits = _has(simd.load_as(row, last, like), top, last)
                for k in range(vectors - 1):
                    at = min(k * w, last)
                    bits |= _has(simd.load_as(row, at, like), top, at)
                simd.put(out, i, simd.lowest_bit(bits))
            # A sum of all is NaN if one is; also of two infinities, where nothing is lost but time.
            if simd.some(simd.unordered(seen, seen)):
                for i in range(begin, stop):
                    simd.put(out, i, _column(simd.offset(x, i * n), n, None))

    return rows


def _rows_of_least(vectors, *more):
    """The function of `_rows_of` for the least of several numbers of vectors that hold a row; the last holds any."""
    these = _rows_of(vectors)
    if not more:
        return these
    others = _rows_of_least(*more)

    @register_jitable
    def choose(x, out, n, first, end):
        if n <= vectors * simd.lanes(simd.half_line(x)):
            these(x, out, n, first, end)
        else:
            others(x, out, n, first, end)

    return choose


_rows_of_few = _rows_of_least(2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def few(x, out, first, end):
    """Rows first to end of x (outer, n, 1), n from half a line to FEW."""
    n = x.shape[1]
    x, out = simd.data(x), simd.data(out)
    _rows_of_few(x, out, n, first, end)


@numba.njit(cache=True, parallel=True)
def few_parallel(x, out, threads):
    """Rows in one contiguous share a thread."""
    outer = x.shape[0]
    for t in numba.prange(threads):
        few(x, out, t * outer // threads, (t + 1) * outer // threads)


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
        if end - i < w or n == 1 or n == 3 or (w == simd.VECTOR_BYTES and n > 2):
            # Lanes of one byte have positions of four: their masks would be taken apart lane by lane.
            simd.put(out, i, _column(simd.offset(x, i * n), n, half))
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
