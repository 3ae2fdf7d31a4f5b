"""Argmax over a strided axis: columns side by side, each thread keeping the best of its elements of a column."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import cuda

from .columns import WALKING, columns
from .compiling import RESIDENT_THREADS, kernel
from .elements import Element
from .groups import better, key

_NO_INDEX = np.uint32(0xFFFFFFFF)


@functools.cache
def parts(element: Element, threads: int, deep: int, rows: int, vectors: bool, alone: bool) -> Any:
    """The kernel (x, keys, indices, size) on a grid of (sets of columns, parts): `size` < 2^32 elements a part.

    keys (uint64) and indices (int64) of shape (parts, outer * inner) become the order-preserving key of each part's
    maximum and its place in the column, for `argmax_rows.finish`. alone: one part; then keys is unused and indices
    is the result, of shape (outer, inner).
    """
    across = threads // deep
    part = columns(element, threads, across, deep, rows, vectors)
    width, register, lowest = part.width, element.register, element.lowest
    count, together = rows * width, threads * width
    locate, depth, load = part.locate, part.depth, part.load
    key_of, improves = key(element), better(element)
    word = np.uint64 if element.wide else np.uint32
    step = deep * rows

    # With 64 registers a thread, or 80 where a vector is 16 columns.
    resident = RESIDENT_THREADS * (3 if width > 8 else 4) // 2

    @kernel(threads, resident)
    def argmax_columns(x, keys, indices, size):
        t = cuda.threadIdx.x
        values = cuda.local.array(count, register)
        best = cuda.local.array(width, register)
        index = cuda.local.array(width, np.uint32)
        shared_keys = cuda.shared.array(together, word)
        shared_indices = cuda.shared.array(together, np.uint32)
        block = np.int64(cuda.blockIdx.x)
        while block * (across * width) < x.shape[0] * x.shape[2]:
            first, base = locate(x, block, t)
            begin = np.int64(cuda.blockIdx.y) * size
            last = min(x.shape[1], begin + size)
            start = begin + depth(t)
            for w in range(width):
                best[w] = lowest
                index[w] = np.uint32(depth(t)) if start < last else _NO_INDEX
            for _ in range(0, size, step):
                if start >= last:
                    break
                load(values, x, base, start, last)
                for i in range(rows):
                    for w in range(width):
                        value = values[i * width + w]
                        if improves(value, best[w]):
                            best[w] = value
                            index[w] = np.uint32(start - begin + i * deep)
                start += step
            if deep > 1:
                for w in range(width):
                    shared_keys[w * threads + t] = key_of(best[w])
                    shared_indices[w * threads + t] = index[w]
                cuda.syncthreads()
            if first >= 0:
                side = t % across
                for w in range(depth(t), width, deep):  # the threads that share columns combine one each
                    top = shared_keys[w * threads + side] if deep > 1 else key_of(best[w])
                    place = shared_indices[w * threads + side] if deep > 1 else index[w]
                    for d in range(1, deep):
                        other = shared_keys[w * threads + d * across + side]
                        there = shared_indices[w * threads + d * across + side]
                        if other > top or (other == top and there < place):
                            top = other
                            place = there
                    if alone:
                        row = first // indices.shape[1]
                        indices[row, first - row * indices.shape[1] + w] = begin + np.int64(place)
                    else:
                        keys[cuda.blockIdx.y, first + w] = top
                        indices[cuda.blockIdx.y, first + w] = begin + np.int64(place)
            if not WALKING:
                break
            cuda.syncthreads()
            block += cuda.gridDim.x

    return argmax_columns
