"""Argmax in Numba on all CPU cores: SIMD maxima and the blocks they were found in; prange over shares of the work.

Every regime is a function over a range of tasks, for one thread, and a parallel one that gives each thread a share.
No branch depends on the data except where a NaN was seen, so the order of the input does not matter.
"""

from __future__ import annotations

import numpy as np

from ... import simd
from ...caches import last_level
from ...contract import DTYPES
from ...cpu.argmax_columns import strided, strided_parallel, tiles_of
from ...cpu.argmax_rows import merge, pieces_parallel, rows, rows_parallel
from ...cpu.argmax_short import few, few_parallel, fours, fours_parallel, short, short_parallel
from ...registry import implements
from ...threads import in_parallel, numbas
from ...views import plain

# What is said to be measured was so side by side with other values, on an AMD Zen 3 with AVX2 if nothing else is said.
# Bytes from which a call is shared out among threads. With two, float32, inner 1 and 64: 4 to 26% faster in rows of 8,
# 64 and 1024, but 19% slower in one x[i] of 1024 x 64; at half of it 26% slower to 9% faster.
PARALLEL = 1 << 19
PIECE = 1 << 17  # bytes of a piece of a long row; not measured
# Vectors ahead of those at work that are fetched, up to half of the last cache: up to 20% faster; beyond the cache what
# the processor fetches by itself is up to 18% faster, and between the two either, as others use the cache too. On an
# Intel Emerald Rapids 64 to 256 are 1 to 6% faster than 32 within its last cache, and 1.1 to 1.4 times faster than none
# beyond; that processor stands here for all whose registers are as long as a line.
LONG = simd.register_bytes() == simd.VECTOR_BYTES
FETCH = 64 if LONG else 32
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
        tasks = outer * tiles_of(inner, lanes)
        parts = max(1, min(-(-4 * threads // tasks), nbytes // tasks // PIECE)) if threads > 1 else 1
        parts = max(parts, n >> 30)  # a position within a part is an int32
        winners = b.reshape(outer, 1, inner) if parts == 1 else np.empty((outer, parts, inner), np.int64)
        tasks *= parts
        if not (threads > 1 and tasks > 1 and in_parallel(strided_parallel, a, winners, half, tasks, threads)):
            strided(a, winners, half, 0, tasks)
        if parts > 1:
            merge(a, winners, b, half)
    elif x.itemsize == 4 and n == 4:
        if not (threads > 1 and in_parallel(fours_parallel, a, b, threads)):
            fours(a, b, 0, outer)
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
