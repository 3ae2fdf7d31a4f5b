"""Softmax in Numba on all CPU cores: SIMD vectors within a thread, prange over shares of the work.

Every regime is a function over a range of tasks, for one thread, and a parallel one that gives each thread a share.
A row (or a tile of rows) passes twice through a core's cache: weights and their sum, quotients. Weights are relative to
a guess at the maximum, from the row's first and last elements, for which the sum shows whether it served; if not, the
maximum is sought and the weights are computed again. A guess changes weights by a power of 2, which cancels. Sums go on
in float64 after a fixed number of additions in the type of x, so that errors do not grow with n.
"""

from __future__ import annotations

import numba
import numpy as np

from ... import simd
from ...caches import last_level, second_level
from ...cpu.softmax_beside import beside, beside_parallel
from ...cpu.softmax_columns import columns, columns_parallel, columns_split
from ...cpu.softmax_pieces import PIECE, long_parallel
from ...cpu.softmax_rows import rows, rows_parallel
from ...cpu.softmax_short import short, short_parallel
from ...cpu.softmax_tiles import strided, strided_parallel, tiles_of
from ...registry import implements
from ...threads import in_parallel, numbas
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
# Whether rows two of which and their weights fit a core's second cache are computed beside each other: where there are
# 32 registers. On an Emerald Rapids 1.02 to 1.34 times faster within its last cache and 1.04 to 1.6 beyond its second,
# but 0.68 to 0.9 times as fast for rows longer than that; in code for AVX2 0.84 to 1.1 there. On an AMD Zen 3 0.9 to
# 0.96 times as fast beyond the caches.
BESIDE = simd.register_bytes() == simd.VECTOR_BYTES
TILE = 1 << 15  # bytes of weights that a strided tile may keep
TILE_STREAMING = 1 << 18  # the same where results go past the caches
TILE_VECTORS = 8


@implements(dtypes=("float16", "float32", "float64"), threads="many")
def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Softmax over axis 1 of x (outer, n, inner) into out."""
    outer, n, inner = x.shape
    if x.size == 0:
        return out
    a, b = plain(x), plain(out)
    threads = numbas() if x.nbytes >= PARALLEL else 1
    lanes = 8 if x.itemsize == 8 else 16
    if inner > 1:
        _strided(a, b, threads, lanes)
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
        if BESIDE and x.itemsize > 2 and 6 * row <= second_level():
            serial, shared, past = beside, beside_parallel, streaming or None
        else:
            serial, shared, past = rows, rows_parallel, streaming
        if not (threads > 1 and outer > 1 and in_parallel(shared, a, b, past, threads)):
            serial(a, b, past, 0, outer)
    return out


def _strided(x: np.ndarray, out: np.ndarray, threads: int, lanes: int) -> None:
    """Softmax where inner > 1, of views as `plain` makes them."""
    outer, n, inner = x.shape
    tile = TILE_VECTORS * lanes
    size = 8 if lanes == 8 else 4
    streaming = x.itemsize > 2 and inner >= lanes and 2 * x.nbytes >= last_level()
    kept = n * min(inner, tile) * size
    tasks = outer * tiles_of(inner, lanes, tile)
    few = threads > tasks and n * inner >= threads * PIECE
    if few or (inner < lanes and n > TILE // 64) or (streaming and kept > TILE_STREAMING):
        _columns(x, out, threads)
        return
    direct = False
    if not streaming:
        vectors = min(TILE_VECTORS, TILE // (64 * n))
        # Weights that take more than a core's nearest cache wait in the rows of out; float16 has no room for them.
        direct = vectors < TILE_VECTORS and x.itemsize > 2 and inner >= lanes
        tile = (TILE_VECTORS if direct else max(1, vectors)) * lanes
        tasks = outer * tiles_of(inner, lanes, tile)
    if not (
        threads > 1 and tasks > 1 and in_parallel(strided_parallel, x, out, tile, direct, streaming, tasks, threads)
    ):
        strided(x, out, tile, direct, streaming, 0, tasks)


def _columns(x: np.ndarray, out: np.ndarray, threads: int) -> None:
    """As `_strided`, for long columns."""
    # Kept weights: 1.5 times faster by two threads if x and out are in the caches; in float32 10% slower if not.
    keep, sound = 2 * x.nbytes < last_level(), np.ones(len(x), np.bool_)
    # A piece of less than a vector would be read beyond its end.
    split = len(x) < threads and x[0].size >= threads * PIECE
    shared = columns_split if split else columns_parallel
    if not (threads > 1 and in_parallel(shared, x, out, keep, sound, threads)):
        columns(x, out, keep, sound, 0, len(x))
    for i in np.flatnonzero(~sound):
        # Guesses at the maxima did not serve.
        rows_of_x = np.ascontiguousarray(x[i].T)[:, :, None]
        out[i] = run(rows_of_x, np.empty_like(rows_of_x))[:, :, 0].T
