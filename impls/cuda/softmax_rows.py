"""Softmax of rows that fit the registers of the threads that share them: one read, one write.

A few lanes, a warp or a whole block take a row, by its length.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import cuda

from .compiling import RESIDENT_THREADS, kernel
from .elements import Element
from .groups import add, exponentials, larger, row_reduction
from .tiles import Alignment, tile


@functools.cache
def rows(element: Element, threads: int, row_threads: int, vectors: int, alignment: Alignment) -> Any:
    """The kernel (x, out) for rows of at most ``tile(...).vectors`` whole vectors.

    A block of `threads` threads takes threads // row_threads rows: x[i] for i from there on. x and out have
    shape (outer, n, 1).
    """
    part = tile(element, row_threads, vectors, alignment)
    register, count = element.register, part.registers
    sum_of = exponentials(register, 1, count)
    maximum_of_row = row_reduction(larger, register, row_threads)
    sum_of_row = row_reduction(add, register, row_threads)
    load, store = part.load, part.store
    rows_per_block = threads // row_threads

    @kernel(threads, RESIDENT_THREADS if element.wide else 2 * RESIDENT_THREADS)
    def softmax_rows(x, out):
        t = cuda.threadIdx.x % row_threads
        row = np.int64(cuda.blockIdx.x) * rows_per_block + cuda.threadIdx.x // row_threads
        n = x.shape[1] if row < x.shape[0] else 0  # a row too many has no columns, but its lanes take part
        base = row * x.shape[1]
        values = cuda.local.array(count, register)
        load(values, x, base, t, n, 0)
        top = values[0]
        for j in range(1, count):
            top = larger(top, values[j])
        top = maximum_of_row(top, t)
        scale = register(1) / sum_of_row(sum_of(values, 0, top), t)
        for j in range(count):
            values[j] *= scale
        store(out, base, t, n, 0, values)

    return softmax_rows
