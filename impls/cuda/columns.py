"""Where a column of a strided axis lies, and how the threads of a block share columns.

x has shape (outer, n, inner) and the middle axis is reduced. All outer * inner columns are numbered in memory order.
A thread takes `width` neighbouring columns (a 16-byte vector, or one), `across` threads lie side by side so that
memory is read in whole cache lines, and `deep` such rows of threads share the columns, every deep-th element each.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from .compiling import device
from .elements import Element
from .intrinsics import access


class Columns(NamedTuple):
    """Device functions for the columns of a block of `across` * `deep` threads.

    Attributes:
        width: columns of a thread.
        locate: (x, block, t) -> (first, base): the number of the thread's first column and the address of its first
            element; first is -1 where there is none.
        load: (registers, x, base, first, j, last): `rows` elements of each column, from row j in steps of `deep`, into
            registers[i * width + w]; rows from `last` on, and all where first is -1, become `lowest`.
        store: (out, base, first, j, last, registers).
        meet: (registers, t, combine): combines registers[w] over the threads that share the columns, in each of
            them. Meets at barriers.
    """

    width: int
    locate: Any
    load: Any
    store: Any
    meet: Any


@functools.cache
def columns(element: Element, across: int, deep: int, rows: int, vectors: bool) -> Columns:
    """The columns for threads that hold `rows` elements of each at a time.

    vectors: inner is a whole number of vectors and x and out start at 16-byte boundaries.
    """
    width = element.per_vector if vectors else 1
    together, levels = across * deep * width, deep.bit_length() - 1
    register, lowest = element.register, element.lowest
    load_vector, _, store_vector, load_one, store_one = access(element)
    limit = 0xFFFFFFFF

    @device
    def locate(x, block, t):
        first = (block * across + t % across) * width
        total = x.shape[0] * x.shape[2]
        if first >= total:
            return np.int64(-1), np.int64(0)
        # A division of 32 bits is several times faster.
        outer = np.int64(np.uint32(first) // np.uint32(x.shape[2])) if total <= limit else first // x.shape[2]
        return first, outer * (x.shape[1] - 1) * x.shape[2] + first

    @device
    def load(registers, x, base, first, j, last):
        for i in range(rows):
            row = j + i * deep
            if first >= 0 and row < last:
                if width > 1:
                    load_vector(registers, i * width, x, base + row * x.shape[2])
                else:
                    registers[i] = load_one(x, base + row * x.shape[2])
            else:
                for w in range(width):
                    registers[i * width + w] = lowest

    @device
    def store(out, base, first, j, last, registers):
        for i in range(rows):
            row = j + i * deep
            if first >= 0 and row < last:
                if width > 1:
                    store_vector(out, base + row * out.shape[2], registers, i * width)
                else:
                    store_one(out, base + row * out.shape[2], registers[i])

    @functools.cache
    def meet(combine: Any) -> Any:
        @device
        def over_threads(registers, t):
            if deep > 1:
                shared = cuda.shared.array(together, register)
                for w in range(width):
                    shared[t * width + w] = registers[w]
                cuda.syncthreads()
                for level in range(levels):
                    half = deep >> (level + 1)
                    if t < half * across:
                        for w in range(width):
                            other = shared[(t + half * across) * width + w]
                            shared[t * width + w] = combine(shared[t * width + w], other)
                    cuda.syncthreads()
                for w in range(width):
                    registers[w] = shared[t % across * width + w]
                cuda.syncthreads()

        return over_threads

    return Columns(width, locate, load, store, meet)
