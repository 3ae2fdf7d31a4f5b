"""Argmax in Numba on all CPU cores: SIMD maxima and the blocks they were found in; prange over shares of the work.

Every regime is a function over a range of tasks, of which each thread is given a share.
No branch depends on the data except where a NaN was seen, so the order of the input does not matter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ... import parallel, simd
from ...caches import last_level
from ...contract import DTYPES
from ...cpu.argmax_columns import strided, tiles_of
from ...cpu.argmax_rows import merge, pieces, rows
from ...cpu.argmax_short import few_for, fours, short
from ...registry import implements
from ...threads import numbas
from ...views import is_viewed, plain

# What is said to be measured was so side by side with other values, on an AMD Zen 3 with AVX2 if nothing else is said.
# Bytes from which a call is shared out among threads. With two, float32, inner 1 and 64: 4 to 26% faster in rows of 8,
# 64 and 1024, but 19% slower in one x[i] of 1024 x 64; at half of it 26% slower to 9% faster.
PARALLEL = 1 << 19
PIECE = 1 << 17  # bytes of a piece of a long row; not measured
# Vectors ahead of those at work that are fetched, up to half of the last cache: up to 20% faster; beyond the cache what
# the processor fetches by itself is up to 18% faster, and between the two either, as others use the cache too. On an
# Intel Emerald Rapids 64 to 256 are 1 to 6% faster than 32 within its last cache, and 1.1 to 1.4 times faster than none
# beyond; that processor stands here for all whose registers are as long as a line.
LONG = simd.has_long_registers()
FETCH = 64 if LONG else 32
FEW, FEW_WIDE = 64, 32  # columns of rows that are searched in registers; of integers of 8 bytes, for lack of a maximum
SHORT = 3  # vectors of columns below which rows are transposed, so that each lane has a row of its own


class _Kind(NamedTuple):
    """What is to be known of a dtype: its bytes, vectors that are fetched ahead as elements, the most columns that are
    searched in registers (0: none), the fewest of rows that are not short, and what `plain` and `half` need."""

    itemsize: int
    ahead: int
    few: int
    rows: int
    viewed: bool
    half: bool | None


def _kind(dtype: np.dtype) -> _Kind:
    lanes = simd.VECTOR_BYTES // dtype.itemsize
    few = 0
    if dtype.itemsize >= 4:
        few = FEW_WIDE if dtype.itemsize == 8 and dtype.kind in "iu" else FEW
    end = max(few + 1, SHORT * lanes if dtype.itemsize > 1 else lanes)
    return _Kind(dtype.itemsize, FETCH * lanes, few, end, is_viewed(dtype), True if dtype.char == "e" else None)


# By character, of which an integer may have two. To ask x takes 0.1 to 0.4 us a question where the call before has
# emptied the caches, of the 140 us that argmax of 4 MB takes.
_KINDS = {char: _kind(np.dtype(char)) for char in np.typecodes["All"] if np.dtype(char).name in DTYPES}


@implements(dtypes=DTYPES, threads="many")
def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Argmax over axis 1 of x (outer, n, inner) into out (outer, inner)."""
    outer, n, inner = x.shape
    itemsize, ahead, few_end, rows_from, viewed, half = _KINDS[x.dtype.char]
    nbytes = outer * n * inner * itemsize
    if nbytes == 0:
        return out
    a = plain(x) if viewed or not x.flags.behaved else x
    threads = numbas() if nbytes >= PARALLEL else 1
    if inner > 1:
        _strided(a, out, half, threads)
    elif n < rows_from:
        _short(a, out, half, few_end, threads)
    else:
        if not (LONG or 2 * nbytes <= last_level()):
            ahead = 0
        _rows(a, out, half, ahead, threads)
    return out


def _strided(x: np.ndarray, out: np.ndarray, half: bool | None, threads: int) -> None:
    """Argmax where inner > 1."""
    outer, n, inner = x.shape
    tasks = outer * tiles_of(inner, simd.VECTOR_BYTES // x.itemsize)
    parts = max(1, min(-(-4 * threads // tasks), x.nbytes // tasks // PIECE)) if threads > 1 else 1
    parts = max(parts, n >> 30)  # a position within a part is an int32
    winners = out.reshape(outer, 1, inner) if parts == 1 else np.empty((outer, parts, inner), np.int64)
    tasks *= parts
    parallel.run(strided, (x, winners, half), tasks, threads)
    if parts > 1:
        merge(x, winners, out, half)


def _short(x: np.ndarray, out: np.ndarray, half: bool | None, few_end: int, threads: int) -> None:
    """Argmax of short rows; by one thread without `parallel`, which takes a tenth of the shortest calls."""
    outer, n, _ = x.shape
    if x.itemsize == 4 and n == 4:
        if threads > 1:
            parallel.run(fours, (x, out), outer, threads)
        else:
            fours(x, out, 0, outer)
    elif n * x.itemsize >= simd.VECTOR_BYTES // 2 and n <= few_end:
        few = few_for(n, x.itemsize)
        if threads > 1:
            parallel.run(few, (x, out), outer, threads)
        else:
            few(x, out, 0, outer)
    elif threads > 1:
        parallel.run(short, (x, out, half), outer, threads)
    else:
        short(x, out, half, 0, outer)


def _rows(x: np.ndarray, out: np.ndarray, half: bool | None, ahead: int, threads: int) -> None:
    """Argmax of rows, or of the pieces of few and long ones if there are several threads."""
    outer, n, _ = x.shape
    if threads > 1 and outer < 4 * threads and n * x.itemsize >= 2 * PIECE:
        winners = np.empty((outer, n * x.itemsize // PIECE, 1), np.int64)
        parallel.run(pieces, (x, half, ahead, winners), winners.shape[0] * winners.shape[1], threads)
        merge(x, winners, out, half)
    elif threads > 1:
        parallel.run(rows, (x, out, half, ahead), outer, threads)
    else:
        rows(x, out, half, ahead, 0, outer)
