"""Softmax of rows that fit on the multiprocessors that share them: one read, one write.

A few lanes, a warp or a block take a row into their registers, by its length. A longer row fills the shared memory of
a block as well (`block`), or of several blocks (`coupled`), which exchange one maximum and one sum each through memory.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from .compiling import RESIDENT_THREADS, device, kernel
from .elements import Element
from .groups import ADDENDS, LANES, accumulate, add, exponentials, larger, rescaled, row_reduction
from .intrinsics import bits_float, float_bits, load_shared_word, pause, store_shared_word
from .tiles import Alignment, Tile, tile


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


class _Tiles(NamedTuple):
    """Device functions for several tiles of a row in one block: the first in registers, the others in shared memory.

    `held` is the block's dynamic shared memory, with room for `more` tiles; each thread reads there only what it wrote.

    Attributes:
        load: (registers, held, x, base, t, n, first, more) -> the largest element of this thread; the tiles are those
            from vector `first` on.
        exponentials: (registers, held, t, top, more) -> the sum of exp(element - top) of this thread's elements, which
            they replace.
        store: (out, base, t, n, first, registers, held, more, scale): the elements times `scale`.
    """

    load: Any
    exponentials: Any
    store: Any


@functools.cache
def _tiles(element: Element, part: Tile) -> _Tiles:
    register, count, inner, threads, share = element.register, part.registers, part.inner, part.threads, part.vectors
    load_tile, store_tile, lowest, zero = part.load, part.store, element.lowest, element.register(0)
    group = min(ADDENDS, inner)
    sum_of, sum_of_group = exponentials(register, 1, count), exponentials(register, 1, group)

    @device
    def load(values, held, x, base, t, n, first, more):
        top = lowest
        for i in range(more):
            load_tile(values, x, base, t, n, first + (i + 1) * share)
            for j in range(inner):
                top = larger(top, values[j])
                held[(i * inner + j) * threads + t] = values[j]
        load_tile(values, x, base, t, n, first)
        for j in range(count):
            top = larger(top, values[j])
        return top

    @device
    def exponentials_of(values, held, t, top, more):
        some = cuda.local.array(group, register)
        total, lost = sum_of(values, 0, top), zero
        for i in range(more * (inner // group)):
            for j in range(group):
                some[j] = held[(i * group + j) * threads + t]
            total, lost = accumulate(total, lost, sum_of_group(some, 0, top))
            for j in range(group):
                held[(i * group + j) * threads + t] = some[j]
        return total - lost

    @device
    def store(out, base, t, n, first, values, held, more, scale):
        for j in range(count):
            values[j] *= scale
        store_tile(out, base, t, n, first, values)
        for i in range(more):
            for j in range(inner):
                values[j] = held[(i * inner + j) * threads + t] * scale
            store_tile(out, base, t, n, first + (i + 1) * share, values)

    return _Tiles(load, exponentials_of, store)


@functools.cache
def block(element: Element, threads: int, vectors: int, alignment: Alignment) -> Any:
    """The kernel (x, out, more) for a row by one block, on a grid of rows: of up to more + 1 tiles.

    more: tiles in dynamic shared memory, of which the launch must have as much.
    """
    part = tile(element, threads, vectors, alignment)
    register, count = element.register, part.registers
    tiles = _tiles(element, part)
    load, exponentials_of, store = tiles.load, tiles.exponentials, tiles.store
    maximum_of_block, sum_of_block = row_reduction(larger, register, threads), row_reduction(add, register, threads)

    @kernel(threads, RESIDENT_THREADS if element.wide else 2 * RESIDENT_THREADS)
    def softmax_block(x, out, more):
        t = cuda.threadIdx.x
        n = x.shape[1]
        base = np.int64(cuda.blockIdx.x) * n
        values = cuda.local.array(count, register)
        held = cuda.shared.array(0, register)
        top = maximum_of_block(load(values, held, x, base, t, n, 0, more), t)
        scale = register(1) / sum_of_block(exponentials_of(values, held, t, top, more), t)
        store(out, base, t, n, 0, values, held, more, scale)

    return softmax_block


@functools.cache
def coupled(element: Element, threads: int, vectors: int, alignment: Alignment) -> Any:
    """The kernel (x, out, tops, totals, tickets, blocks, more) for rows spread over `blocks` <= 32 blocks each.

    Each block takes more + 1 tiles, `more` of them in dynamic shared memory, of which the launch must have as much.
    Blocks take tickets as they start, row after row, and wait for the other blocks of their row: `blocks` must not
    exceed the blocks that the device can hold at once. A block's results are words that are never all ones (only a
    NaN could be, and it is shown as +inf, which makes the row NaN as well), so an entry of all ones is one that is
    still to come and no other synchronisation is needed.

    tops, totals: 2 * gridDim.x unsigned words of the register's size, all ones at first; launches use one half in
    turn and clear the other. tickets: one uint64, 0 at first. They serve launches of one grid size on one stream.
    """
    part = tile(element, threads, vectors, alignment)
    register, count, lowest = element.register, part.registers, element.lowest
    share = part.vectors
    tiles, rescale = _tiles(element, part), rescaled(register)
    load, exponentials_of, store = tiles.load, tiles.exponentials, tiles.store
    maximum_of_block, sum_of_block = row_reduction(larger, register, threads), row_reduction(add, register, threads)
    maximum_of_warp, sum_of_warp = row_reduction(larger, register, LANES), row_reduction(add, register, LANES)
    word = np.uint64 if element.wide else np.uint32
    empty = word(2 ** (64 if element.wide else 32) - 1)
    inf, nan, one, zero = register(np.inf), register(np.nan), register(1), register(0)

    @device
    def wait_for(words, index):
        seen = load_shared_word(words, index)
        while seen == empty:
            pause(32)
            seen = load_shared_word(words, index)
        return bits_float(seen)

    # Two blocks a multiprocessor and more: while one waits for others of its row, another loads or stores.
    @kernel(threads, RESIDENT_THREADS if element.wide else 2 * RESIDENT_THREADS)
    def softmax_coupled(x, out, tops, totals, tickets, blocks, more):
        t = cuda.threadIdx.x
        order = cuda.shared.array(3, np.int64)
        scales = cuda.shared.array(1, register)
        if t == 0:
            grid = np.uint64(cuda.gridDim.x)
            ticket = cuda.atomic.add(tickets, 0, np.uint64(1))
            launch = ticket // grid
            mine = np.uint32(ticket - launch * grid)
            row = mine // np.uint32(blocks)
            half = np.uint32(launch & np.uint64(1)) * np.uint32(grid)
            order[0] = row
            order[1] = mine - row * np.uint32(blocks)
            order[2] = half + mine
            other = np.uint32(grid) - half + mine
            tops[other] = empty
            totals[other] = empty
        cuda.syncthreads()
        row, which, slot = order[0], order[1], order[2]
        n = x.shape[1]
        base = row * n
        first = which * (more + 1) * share
        values = cuda.local.array(count, register)
        held = cuda.shared.array(0, register)
        top = maximum_of_block(load(values, held, x, base, t, n, first, more), t)
        # A part of -inf only adds nothing to its row.
        total = sum_of_block(exponentials_of(values, held, t, top if top != lowest else zero, more), t)
        if t < LANES:
            if t == 0:
                finite = top < inf  # not +inf and not NaN
                store_shared_word(totals, slot, float_bits(total if finite else one))
                store_shared_word(tops, slot, float_bits(top if finite else inf))
            other_top = lowest
            other_total = zero
            if t < blocks:
                other_top = wait_for(tops, slot - which + t)
                other_total = wait_for(totals, slot - which + t)
            row_top = maximum_of_warp(other_top, t)
            row_total = sum_of_warp(rescale(other_total, other_top, row_top), t)
            if t == 0:
                usable = lowest < row_top and row_top < inf
                scales[0] = rescale(one / row_total, top, row_top) if usable else nan
        cuda.syncthreads()
        store(out, base, t, n, first, values, held, more, scales[0])

    return softmax_coupled
