"""Argmax over the last axis: each thread keeps the largest value and where it found it, then the row's threads meet.

A row that fits the registers of its threads is searched there for the first position of its maximum. A longer one
goes by tiles: of every vector only the maximum is compared, the first vector that improved is remembered, and it is
read again at the end. Traffic: one read. Few long rows are cut into parts, a block each: the block that comes last to
a row combines its parts.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import cuda

from .compiling import device, kernel
from .elements import Element
from .groups import better, key, larger, row_argmax
from .intrinsics import access, load_relaxed
from .tiles import Alignment, tile

_NO_INDEX = np.uint32(0xFFFFFFFF)
_AT_ONCE = 8  # keys of parts that a thread waits for together


@device
def comes_last(arrived, line, parts, t):
    """Whether this block is the last of the `parts` blocks of a line, for all its threads, which must all ask.

    Then it sees, by `load_relaxed`, what the others had written to global memory; of each block, what its first
    thread wrote, and what the others did before a barrier. arrived: a uint32 a line, 0 at first and 0 again at the end.
    """
    before = cuda.shared.array(1, np.uint32)
    if t == 0:
        cuda.threadfence()
        before[0] = cuda.atomic.inc(arrived, line, np.uint32(parts - 1))
        cuda.threadfence()
    # A barrier that takes a value, as `syncthreads_or`, is copied into the branch of the first thread, whose warp then
    # waits for ever.
    cuda.syncthreads()
    return before[0] == np.uint32(parts - 1)


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

    alone: one part a row: (x, out, tiles) on a grid of rows. Otherwise (x, out, keys, indices, arrived, tiles) on a
    grid of (rows, parts). keys (of the register's size, unsigned) and indices (int64) of shape (rows, parts) become the
    order-preserving key of each part's maximum and its place in the row; arrived has a row's entry for `comes_last`.
    They serve launches on one stream.
    """
    part = tile(element, threads, vectors, alignment)
    register, slots, width, share, lowest = element.register, part.slots, part.width, part.vectors, element.lowest
    load, load_vector, body, edge, edges = part.load, part.load_vector, part.body, part.edge, part.edges
    load_one = access(element).load
    key_of, combine, improves = key(element), row_argmax(element, threads), better(element)
    count = part.registers
    word = np.uint64 if element.wide else np.uint32
    floating = element.floating

    @device
    def search(x, t, row, which, tiles):
        """Of what a thread has seen of a part: the largest key, its place in the part, and where the part begins."""
        n = x.shape[1]
        base = row * n
        head, vectors = body(x, base, n)
        values = cuda.local.array(count, register)
        first = which * tiles * share
        start = head + first * width if which > 0 else np.int64(0)  # the column at which this part begins
        best = lowest
        place = first + t  # the vector that holds the best, once it is seen
        ends = first + tiles * share >= vectors  # then this part has the edge after the body
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
            if (which == 0 if c < head else ends) and c < n:
                value = load_one(x, base + c)
                equal = value == best or (floating and value != value and best != best)
                if improves(value, best) or (equal and np.uint32(c - start) < index):
                    best = value
                    index = np.uint32(c - start)
        return word(key_of(best)), index, start

    @kernel(threads)
    def argmax_whole(x, out, tiles):
        t = cuda.threadIdx.x
        row = np.int64(cuda.blockIdx.x)
        top, index, _ = search(x, t, row, 0, tiles)
        _, index = combine(top, index, t)
        if t == 0:
            out[row, 0] = np.int64(index)

    @kernel(threads)
    def argmax_parts(x, out, keys, indices, arrived, tiles):
        t = cuda.threadIdx.x
        row = np.int64(cuda.blockIdx.x)
        which = np.int64(cuda.blockIdx.y)
        parts = np.int64(keys.shape[1])
        top, index, start = search(x, t, row, which, tiles)
        # `combine` has shared memory, so it is called here: linked through two functions it would be there twice.
        top, index = combine(top, index, t)
        if t == 0:
            keys[row, which] = top
            indices[row, which] = start + np.int64(index)
        if comes_last(arrived, row, parts, t):
            found = cuda.local.array(_AT_ONCE, word)
            best, winner = word(0), _NO_INDEX
            for p in range(t, parts, threads * _AT_ONCE):
                for i in range(_AT_ONCE):
                    found[i] = load_relaxed(keys, row * parts + min(p + i * threads, parts - 1))
                for i in range(_AT_ONCE):
                    # Parts follow each other, so of equal keys the first is right.
                    if found[i] > best or winner == _NO_INDEX:
                        best = found[i]
                        winner = np.uint32(min(p + i * threads, parts - 1))
            _, winner = combine(best, winner, t)
            if t == 0:
                out[row, 0] = load_relaxed(indices, row * parts + np.int64(winner))

    return argmax_whole if alone else argmax_parts
