"""Argmax over a strided axis: columns side by side, each thread keeping the best of its elements of a column."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import cuda

from .argmax_rows import comes_last
from .columns import WALKING, columns
from .compiling import RESIDENT_THREADS, device, kernel
from .elements import Element
from .groups import better, key
from .intrinsics import load_relaxed

_NO_INDEX = np.uint32(0xFFFFFFFF)


@functools.cache
def parts(element: Element, threads: int, deep: int, rows: int, vectors: bool, alone: bool) -> Any:
    """The kernel for columns, by parts of `size` < 2^32 elements.

    alone: one part a column: (x, out, size) on a grid of sets of columns. Otherwise (x, out, keys, indices, arrived,
    size) on a grid of (sets of columns, parts). keys (of the register's size, unsigned) and indices (int64) of shape
    (parts, outer * inner) become the order-preserving key of each part's maximum and its place in the column; arrived
    has a set's entry for `comes_last`. They serve launches on one stream.
    """
    across = threads // deep
    part = columns(element, threads, across, deep, rows, vectors)
    width, register, lowest = part.width, element.register, element.lowest
    count, together = rows * width, threads * width
    locate, depth, load = part.locate, part.depth, part.load
    key_of, improves = key(element), better(element)
    word = np.uint64 if element.wide else np.uint32
    step = deep * rows
    at_once = max(1, 16 // width)  # keys of a column's parts that a thread waits for together
    in_flight = at_once * width

    # With 64 registers a thread, or 80 where a vector is 16 columns.
    resident = RESIDENT_THREADS * (3 if width > 8 else 4) // 2

    @device
    def search(x, base, t, which, size, keys, places):
        """The key of the maximum of each of the thread's columns in a part, and its place there."""
        values = cuda.local.array(count, register)
        best = cuda.local.array(width, register)
        begin = which * size
        last = min(x.shape[1], begin + size)
        start = begin + depth(t)
        for w in range(width):
            best[w] = lowest
            places[w] = np.uint32(depth(t)) if start < last else _NO_INDEX
        for _ in range(0, size, step):
            if start >= last:
                break
            load(values, x, base, start, last)
            for i in range(rows):
                for w in range(width):
                    value = values[i * width + w]
                    if improves(value, best[w]):
                        best[w] = value
                        places[w] = np.uint32(start - begin + i * deep)
            start += step
        for w in range(width):
            keys[w] = key_of(best[w])

    @device
    def show(keys, places, t, shared_keys, shared_places):
        """Let the threads that share columns see each other's."""
        if deep > 1:
            for w in range(width):
                shared_keys[w * threads + t] = keys[w]
                shared_places[w * threads + t] = places[w]
            cuda.syncthreads()

    @device
    def winner(w, keys, places, t, shared_keys, shared_places):
        """The largest key of a column, and its smallest place, over the threads that share it."""
        if deep == 1:
            return keys[w], places[w]
        side = t % across
        top = shared_keys[w * threads + side]
        place = shared_places[w * threads + side]
        for d in range(1, deep):
            other = shared_keys[w * threads + d * across + side]
            there = shared_places[w * threads + d * across + side]
            if other > top or (other == top and there < place):
                top = other
                place = there
        return top, place

    @kernel(threads, resident)
    def argmax_columns(x, out, size):
        t = cuda.threadIdx.x
        keys = cuda.local.array(width, word)
        places = cuda.local.array(width, np.uint32)
        shared_keys = cuda.shared.array(together, word)
        shared_places = cuda.shared.array(together, np.uint32)
        block = np.int64(cuda.blockIdx.x)
        while block * (across * width) < x.shape[0] * x.shape[2]:
            first, base = locate(x, block, t)
            search(x, base, t, np.int64(0), size, keys, places)
            show(keys, places, t, shared_keys, shared_places)
            if first >= 0:
                row = first // out.shape[1]
                for w in range(depth(t), width, deep):  # the threads that share columns combine one each
                    _, place = winner(w, keys, places, t, shared_keys, shared_places)
                    out[row, first - row * out.shape[1] + w] = np.int64(place)
            if not WALKING:
                break
            cuda.syncthreads()
            block += cuda.gridDim.x

    @kernel(threads, resident)
    def argmax_columns_parts(x, out, part_keys, part_indices, arrived, size):
        t = cuda.threadIdx.x
        keys = cuda.local.array(width, word)
        places = cuda.local.array(width, np.uint32)
        shared_keys = cuda.shared.array(together, word)
        shared_places = cuda.shared.array(together, np.uint32)
        block, which = np.int64(cuda.blockIdx.x), np.int64(cuda.blockIdx.y)
        parts, lines = np.int64(part_keys.shape[0]), np.int64(part_keys.shape[1])
        first, base = locate(x, block, t)
        search(x, base, t, which, size, keys, places)
        show(keys, places, t, shared_keys, shared_places)
        if first >= 0:
            for w in range(depth(t), width, deep):
                top, place = winner(w, keys, places, t, shared_keys, shared_places)
                part_keys[which, first + w] = top
                part_indices[which, first + w] = which * size + np.int64(place)
        cuda.syncthreads()
        if comes_last(arrived, block, parts, t):
            found = cuda.local.array(in_flight, word)
            for w in range(width):
                keys[w], places[w] = word(0), _NO_INDEX
            if first >= 0:
                for p in range(depth(t), parts, deep * at_once):
                    for i in range(at_once):
                        for w in range(width):
                            at = min(p + i * deep, parts - 1) * lines + first + w
                            found[i * width + w] = load_relaxed(part_keys, at)
                    for i in range(at_once):
                        for w in range(width):
                            # Parts follow each other, so of equal keys the first is right.
                            if found[i * width + w] > keys[w] or places[w] == _NO_INDEX:
                                keys[w] = found[i * width + w]
                                places[w] = np.uint32(min(p + i * deep, parts - 1))
            show(keys, places, t, shared_keys, shared_places)
            if first >= 0:
                row = first // out.shape[1]
                for w in range(depth(t), width, deep):
                    _, place = winner(w, keys, places, t, shared_keys, shared_places)
                    index = load_relaxed(part_indices, np.int64(place) * lines + first + w)
                    out[row, first - row * out.shape[1] + w] = index

    return argmax_columns if alone else argmax_columns_parts
