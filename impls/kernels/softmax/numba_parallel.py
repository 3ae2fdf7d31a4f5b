"""Softmax in Numba on all CPU cores: SIMD vectors within a thread, prange over shares of the work.

Every regime is a function over a range of tasks, of which each thread is given a share.
A row (or a tile of rows) passes twice through a core's cache: weights and their sum, quotients. Weights are relative to
a guess at the maximum, from the row's first and last elements, for which the sum shows whether it served; if not, the
maximum is sought and the weights are computed again. A guess changes weights by a power of 2, which cancels. Sums go on
in float64 after a fixed number of additions in the type of x, so that errors do not grow with n.
"""

from __future__ import annotations

import numpy as np

from ... import parallel, simd
from ...caches import last_level, second_level
from ...cpu.softmax_beside import beside
from ...cpu.softmax_columns import columns, columns_split
from ...cpu.softmax_few import MOST, few_for
from ...cpu.softmax_fours import fours
from ...cpu.softmax_pieces import PIECE, long_rows
from ...cpu.softmax_rows import rows
from ...cpu.softmax_short import short
from ...cpu.softmax_tiles import strided, tiles_of
from ...cpu.softmax_tiles_beside import strided_beside
from ...cpu.softmax_two import two
from ...registry import implements
from ...threads import numbas
from ...views import plain

# What is said to be measured was so side by side with other values, on an AMD Zen 3 with 32 MiB of last cache.
# Bytes from which a call is shared out among threads. With two, float32, rows of 8, 64 and 1024, inner 1 and 64: 3 to
# 37% faster, but for one x[i] of 1024 x 64, which is one task; at half of it level to 32% slower.
PARALLEL = 1 << 17
LEAST = 16  # columns that a row needs to be worked on by itself
# Columns below which rows are transposed, so that each lane has a row of its own, of float64 and of others. Rows of
# their own are as fast at 64 to 96 columns of float32 (at 64, and half the clock, 1.4 to 1.8 times faster), and in
# float64 13% faster at 32.
SHORT_WIDE, SHORT = 32, 64
SPLIT = 1 << 16  # columns from which a row is shared out among threads that would have none
# Whether vector registers are as long as a cache line (AVX-512), and whether there are 32 of them, which register-
# resident rows and software pipelining need. Measured on an Intel Emerald Rapids (AVX-512):
# - Rows of a few vectors that stay in registers: 1.2 to 1.5 times as fast as the ways below at 32 to 96 columns of
#   float32, 1.08 to 1.25 times at 16 to 64 of float64; level at 24 of float32, 20% slower at 12 of float64. Past the
#   caches 1.17 to 1.5 times.
# - Rows two of which fit a core's second cache with their weights, computed beside each other: level to 1.34 times as
#   fast within its last cache, 1.02 to 1.44 past the caches; longer ones would be 10 to 30% slower. In code for AVX2
#   there 0.84 to 1.1 times as fast within, and on an AMD Zen 3 0.9 to 0.96 past the caches.
# - Past the caches two such rows at a time, from either half of all: 1.03 to 1.26 times as fast in float32, 0.99 to
#   1.15 in float64; 0.9 times where four do not fit that cache.
# - Rows of four in groups of lanes: 1.5 to 2.2 times as fast in float32, 0.97 to 1.2 in float64, 0.9 to 0.97 if there
#   are but 20 of them. Rows of 8 and 16 would be 0.7 to 1.2 times as fast so.
LONG, MANY = simd.has_long_registers(), simd.register_count() >= 32
TILE = 1 << 15  # bytes of weights that a strided tile may keep
TILE_STREAMING = 1 << 18  # the same where results go past the caches
TILE_VECTORS = 8


@implements(dtypes=("float16", "float32", "float64"), threads="many")
def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Softmax over axis 1 of x (outer, n, inner) into out."""
    outer, n, inner = x.shape
    if x.size == 0:
        return out
    a, b = plain(x), plain(out, True)
    threads = numbas() if x.nbytes >= PARALLEL else 1
    lanes = 8 if x.itemsize == 8 else 16
    if inner > 1:
        _strided(a, b, threads, lanes)
    elif LONG and x.itemsize > 2 and n == 4 and outer * n >= lanes:
        _fours(a, b, threads, lanes)
    elif LONG and MANY and _are_few(x, lanes):
        past = True if _streams(x) and n % lanes == 0 and b.ctypes.data % simd.VECTOR_BYTES == 0 else None
        few = few_for(n, x.itemsize)
        if threads > 1:
            parallel.run(few, (a, b, past), outer, threads)
        else:
            few(a, b, past, 0, outer)
    elif n < LEAST or (n < (SHORT_WIDE if x.itemsize == 8 else SHORT) and outer >= lanes):
        if threads > 1:
            parallel.run(short, (a, b), outer, threads)
        else:
            short(a, b, 0, outer)
    else:
        _rows(a, b, threads)
    return out


def _streams(x: np.ndarray) -> bool:
    """Whether results go past the caches, which could not hold x and them anyway: see `caches`."""
    return x.itemsize > 2 and 2 * x.nbytes >= last_level()


def _fours(x: np.ndarray, out: np.ndarray, threads: int, lanes: int) -> None:
    """Softmax of rows of four, of which a vector holds several."""
    past = True if _streams(x) and x.size % lanes == 0 and out.ctypes.data % simd.VECTOR_BYTES == 0 else None
    vectors = -(-x.size // lanes)
    parallel.run(fours, (x, out, past), vectors, threads)


def _are_few(x: np.ndarray, lanes: int) -> bool:
    """Whether rows stay in registers, if these are long enough."""
    n = x.shape[1]
    if x.itemsize == 2 or not (16 if lanes == 8 else 25) <= n <= MOST * lanes:
        return False
    # That way has stores past the caches for whole vectors only. With the other one 5 to 38% faster at 60 columns of
    # float64 and 100 and 127 of float32; 26 to 38% slower at 30, and at 35 and 50.
    return n % lanes == 0 or n <= 6 * lanes or not _streams(x)


def _rows(x: np.ndarray, out: np.ndarray, threads: int) -> None:
    """Softmax of rows that are worked on by themselves, of views as `plain` makes them."""
    outer, n, _ = x.shape
    row, cache = n * x.itemsize, last_level()
    twice = _weighs_twice(x.itemsize, row, cache)
    if n >= SPLIT and (threads > outer or (LONG and twice and x.itemsize > 2)):
        long_rows(x, out, not twice, threads)
        return
    # Stores past the caches need these to hold a row's weights: up to 1.5 times faster in float32 and 1.3 times in
    # float64 beyond the caches, and up to 45% slower within.
    past = _streams(x) and 4 * threads * row <= cache
    if LONG and MANY and past and x.itemsize > 2 and 7 * row <= second_level():
        parallel.run(two, (x, out), outer, threads)
    elif LONG and MANY and x.itemsize > 2 and 5 * row <= second_level():
        parallel.run(beside, (x, out, past or None), outer, threads)
    else:
        parallel.run(rows, (x, out, past), outer, threads)


def _weighs_twice(itemsize: int, size: int, cache: int) -> bool:
    """Whether the weights of so many bytes of x are computed twice, as memory would be slower than that.

    float32: with two threads, two rows as long as the cache, 30% faster; 20% slower if both fit. float64: 15% slower.
    With long registers, one thread and two: rows of float32 1.17 to 1.36 times as fast at half of the cache counted on
    and at all of it; of float64 0.91 to 1.04 at half, 1.07 to 1.16 at all and twice of it. Columns of float32 0.96 to
    1.28 times at a quarter and more, of float64 0.87 to 0.96 at half, 1.11 to 1.44 at all and more.
    """
    if itemsize == 2:
        return True  # out has no room for them
    if itemsize == 8:
        return LONG and size >= cache
    return (4 if LONG else 2) * size > cache


def _strided(x: np.ndarray, out: np.ndarray, threads: int, lanes: int) -> None:
    """Softmax where inner > 1, of views as `plain` makes them."""
    outer, n, inner = x.shape
    tile = TILE_VECTORS * lanes
    size = 8 if lanes == 8 else 4
    streaming = inner >= lanes and _streams(x)
    kept = n * min(inner, tile) * size
    tasks = outer * tiles_of(inner, lanes, tile)
    few_tasks = threads > tasks and n * inner >= threads * PIECE
    if few_tasks or (inner < lanes and n > TILE // 64) or (streaming and kept > TILE_STREAMING):
        _columns(x, out, threads)
        return
    if LONG and MANY and streaming and inner % lanes == 0 and out.ctypes.data % simd.VECTOR_BYTES == 0:
        parallel.run(strided_beside, (x, out, tile), tasks, threads)
        return
    direct = False
    if not streaming:
        vectors = min(TILE_VECTORS, TILE // (64 * n))
        # Weights that take more than a core's nearest cache wait in the rows of out; float16 has no room for them.
        direct = vectors < TILE_VECTORS and x.itemsize > 2 and inner >= lanes
        tile = (TILE_VECTORS if direct else max(1, vectors)) * lanes
        tasks = outer * tiles_of(inner, lanes, tile)
    parallel.run(strided, (x, out, tile, direct, streaming), tasks, threads)


def _columns(x: np.ndarray, out: np.ndarray, threads: int) -> None:
    """As `_strided`, for long columns."""
    keep = not _weighs_twice(x.itemsize, x.nbytes, last_level())
    sound = np.ones(len(x), np.bool_)
    # A piece of less than a vector would be read beyond its end.
    split = len(x) < threads and x[0].size >= threads * PIECE
    if split:
        columns_split(x, out, keep, sound, threads)
    else:
        parallel.run(columns, (x, out, keep, sound), len(x), threads)
    for i in np.flatnonzero(~sound):
        # Guesses at the maxima did not serve.
        rows_of_x = np.ascontiguousarray(x[i].T)[:, :, None]
        out[i] = run(rows_of_x, np.empty_like(rows_of_x))[:, :, 0].T
