"""Softmax of rows that fit the registers of the threads that share them: one read, one write.

A few lanes, a warp or a whole block take a row, by its length. `coupled` spreads a longer row over several
blocks, which exchange one maximum and one sum each through memory and still read the row once.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import cuda

from .compiling import RESIDENT_THREADS, device, kernel
from .elements import Element
from .groups import LANES, add, exponentials, larger, rescaled, row_reduction
from .intrinsics import bits_float, float_bits, load_shared_word, pause, store_shared_word
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


@functools.cache
def coupled(element: Element, threads: int, vectors: int, alignment: Alignment) -> Any:
    """The kernel (x, out, tops, totals, tickets, blocks) for rows spread over `blocks` <= 32 blocks each.

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
    sum_of, rescale = exponentials(register, 1, count), rescaled(register)
    maximum_of_block, sum_of_block = row_reduction(larger, register, threads), row_reduction(add, register, threads)
    maximum_of_warp, sum_of_warp = row_reduction(larger, register, LANES), row_reduction(add, register, LANES)
    load, store = part.load, part.store
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
    def softmax_coupled(x, out, tops, totals, tickets, blocks):
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
        first = which * share
        values = cuda.local.array(count, register)
        load(values, x, base, t, n, first)
        top = values[0]
        for j in range(1, count):
            top = larger(top, values[j])
        top = maximum_of_block(top, t)
        # A part of -inf only adds nothing to its row.
        total = sum_of(values, 0, top if top != lowest else zero)
        total = sum_of_block(total, t)
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
        scale = scales[0]
        for j in range(count):
            values[j] *= scale
        store(out, base, t, n, first, values)

    return softmax_coupled
