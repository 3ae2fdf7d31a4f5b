"""Argmax over the last axis: each thread keeps the largest value and where it found it, then the row's threads meet.

A row that fits the registers of its threads is searched there for the first position of its maximum. A longer one
goes by tiles: of every vector only the maximum is compared, the first vector that improved is remembered, and it is
read again at the end. Traffic: one read. The longest rows are cut into parts, and `finish` combines them.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import cuda

from .compiling import device, kernel
from .elements import Element
from .groups import better, key, larger, row_argmax
from .intrinsics import access
from .tiles import Alignment, tile

_NO_INDEX = np.uint32(0xFFFFFFFF)


@functools.cache
def rows(element: Element, threads: int, row_threads: int, vectors: int, alignment: Alignment) -> Any:
    """The kernel (x, out) for rows of at most ``tile(...).vectors`` whole vectors.

    A block takes threads // row_threads rows. x has shape (outer, n, 1), out (outer, 1).
    """
    part = tile(element, row_threads, vectors, alignment)
    register, slots, width, count = element.register, part.slots, part.width, part.registers
    load, body, edge, inner, edges = part.load, part.body, part.edge, part.inner, part.edges
    key_of, combine = key(element), row_argmax(element, row_threads)
    floating = element.floating
    rows_per_block = threads // row_threads

    @kernel(threads)
    def argmax_rows(x, out):
        t = cuda.threadIdx.x % row_threads
        row = np.int64(cuda.blockIdx.x) * rows_per_block + cuda.threadIdx.x // row_threads
        n = x.shape[1] if row < x.shape[0] else 0  # a row too many has no columns, but its lanes take part
        base = row * x.shape[1]
        values = cuda.local.array(count, register)
        load(values, x, base, t, n, 0)
        best = values[0]
        for j in range(1, count):
            best = larger(best, values[j])
        head, vectors = body(x, base, n)
        index = _NO_INDEX
        for v in range(slots - 1, -1, -1):
            at = v * row_threads + t
            if at < vectors:
                for j in range(width - 1, -1, -1):
                    value = values[v * width + j]
                    if value == best or (floating and value != value):
                        index = np.uint32(head + at * width + j)
        for i in range(edges):
            c, value = edge(i, t, head, vectors), values[inner + i]
            if c < n and (value == best or (floating and value != value)):
                index = min(index, np.uint32(c))
        _, index = combine(key_of(best), index, t)
        if t == 0 and row < x.shape[0]:
            out[row, 0] = np.int64(index)

    return argmax_rows


@functools.cache
def parts(element: Element, threads: int, vectors: int, alignment: Alignment, alone: bool) -> Any:
    """The kernel for rows of any length, a block a part; tiles: tiles of a part, less than 2^32 elements.

    alone: one part a row: (x, out, tiles) on a grid of rows. Otherwise (x, keys, indices, tiles) on a grid of (rows,
    parts), where keys (uint64) and indices (int64) of shape (parts, rows) become the order-preserving key of each
    part's maximum and its place in the row, for `finish`.
    """
    part = tile(element, threads, vectors, alignment)
    register, slots, width, share, lowest = element.register, part.slots, part.width, part.vectors, element.lowest
    load, load_vector, body, edge, edges = part.load, part.load_vector, part.body, part.edge, part.edges
    load_one = access(element).load
    key_of, combine, improves = key(element), row_argmax(element, threads), better(element)
    count = part.registers
    floating = element.floating

    @device
    def search(x, t, row, which, tiles):
        """The key and the index of the maximum of a part, right in the first thread."""
        n = x.shape[1]
        base = row * n
        head, vectors = body(x, base, n)
        values = cuda.local.array(count, register)
        first = which * tiles * share
        start = head + first * width if which > 0 else np.int64(0)  # the column at which this part begins
        best = lowest
        place = first + t  # the vector that holds the best, once it is seen
        for _ in range(tiles):
            if first >= vectors:
                break
            load(values, x, base, t, n, first)
            for v in range(slots):
                top = values[v * width]
                for j in range(1, width):
                    top = larger(top, values[v * width + j])
                if improves(top, best):
                    best = top
                    place = first + v * threads + t
            first += share
        index = _NO_INDEX
        if place < vectors:
            load_vector(values, 0, x, base + head + place * width)
            for j in range(width - 1, -1, -1):
                value = values[j]
                if value == best or (floating and value != value):
                    index = np.uint32(head + place * width + j - start)
        for i in range(edges):
            c = edge(i, t, head, vectors)
            if which == 0 and c < n:
                value = load_one(x, base + c)
                equal = value == best or (floating and value != value and best != best)
                if improves(value, best) or (equal and np.uint32(c) < index):
                    best = value
                    index = np.uint32(c)
        top_key, index = combine(key_of(best), index, t)
        return top_key, start + np.int64(index)

    @kernel(threads)
    def argmax_whole(x, out, tiles):
        t = cuda.threadIdx.x
        row = np.int64(cuda.blockIdx.x)
        _, index = search(x, t, row, 0, tiles)
        if t == 0:
            out[row, 0] = index

    @kernel(threads)
    def argmax_parts(x, keys, indices, tiles):
        t = cuda.threadIdx.x
        row = np.int64(cuda.blockIdx.x)
        which = np.int64(cuda.blockIdx.y)
        top_key, index = search(x, t, row, which, tiles)
        if t == 0:
            keys[which, row] = top_key
            indices[which, row] = index

    return argmax_whole if alone else argmax_parts


@functools.cache
def finish(threads: int) -> Any:
    """The kernel (keys, indices, out): for each of the lines of out, the first index of the largest key.

    keys and indices have shape (parts, lines), out (outer, inner) with outer * inner lines. A thread a line.
    """

    @kernel(threads)
    def argmax_finish(keys, indices, out):
        line = np.int64(cuda.blockIdx.x) * threads + cuda.threadIdx.x
        if line < keys.shape[1]:
            best = keys[0, line]
            index = indices[0, line]
            for p in range(1, keys.shape[0]):
                # Parts follow each other, so of equal keys the first is right.
                if keys[p, line] > best:
                    best = keys[p, line]
                    index = indices[p, line]
            row = line // out.shape[1]
            out[row, line - row * out.shape[1]] = index

    return argmax_finish
