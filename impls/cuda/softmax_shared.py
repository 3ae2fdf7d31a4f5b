"""Softmax of rows that fit the shared memory of a block, or of several that exchange a maximum and a sum: read once.

A thread copies vectors of a row there without holding them in registers, as they are stored, and reads them back for
the maximum, the sum and the result. It reads only what it copied, so no barrier is needed for that.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import cuda

from .compiling import RESIDENT_THREADS, device, kernel
from .elements import VECTOR_BYTES, Element
from .groups import LANES, accumulate, add, exponential, exponentials, larger, rescaled, row_reduction
from .intrinsics import (
    access,
    bits_float,
    copy_async,
    float_bits,
    load_relaxed,
    pause,
    store_relaxed,
    wait_for_copies,
)
from .platform import SIMULATED
from .tiles import Alignment, tile

_ALIGNMENT = None if SIMULATED else VECTOR_BYTES  # the simulator accepts none, and needs none


@functools.cache
def shared(element: Element, threads: int, vectors: int, alignment: Alignment, alone: bool) -> Any:
    """The kernel (x, out) of a row by one block, alone, or (x, out, tops, totals, tickets, blocks, share) by several.

    x and out have shape (outer, n, 1). A block has dynamic shared memory for all vectors of a row, or for the `share`
    of them that each of `blocks` blocks takes; `vectors` at a time are in a thread's registers.

    Blocks take tickets as they start, row after row, and wait for the other blocks of their row: `blocks` must not
    exceed the blocks that the device can hold at once. A block's results are words that are never all ones (only a
    NaN could be, and it is shown as +inf, which makes the row NaN as well), so an entry of all ones is one that is
    still to come and no other synchronisation is needed.

    tops, totals: 2 * gridDim.x unsigned words of the register's size, all ones at first; launches use one half in
    turn and clear the other. tickets: one uint64, 0 at first. They serve launches of one grid size on one stream.
    """
    part = tile(element, threads, vectors, alignment)
    register, count, edges, lowest = element.register, part.inner, part.edges, element.lowest
    width, slots, size, room = part.width, part.slots, part.vectors, max(edges, 1)
    kept = element.storage == np.dtype(register)  # exponentials take the place of their elements
    exp, rescale, sum_of = exponential(register), rescaled(register), exponentials(register, 1, count)
    maximum_of_block, sum_of_block = row_reduction(larger, register, threads), row_reduction(add, register, threads)
    maximum_of_warp, sum_of_warp = row_reduction(larger, register, LANES), row_reduction(add, register, LANES)
    body, edge = part.body, part.edge
    _, _, load_shared, store_shared, store_vector, load_one, store_one = access(element)
    word = np.uint64 if element.wide else np.uint32
    empty = word(2 ** (64 if element.wide else 32) - 1)
    inf, nan, one, zero = register(np.inf), register(np.nan), register(1), register(0)

    @device
    def load(values, buffer, i, t, mine):
        """The vectors of a thread among the `size` from number i of the block's `mine` on."""
        for v in range(slots):
            at = i + v * threads + t
            load_shared(values, v * width, buffer, at, at < mine)

    @device
    def copy(buffer, edge_values, x, base, n, first, mine, t):
        """Copy the block's vectors to `buffer`, and to `edge_values` those edges of the row that are the thread's."""
        head, whole = body(x, base, n)
        for i in range(t, mine, threads):
            copy_async(buffer, i, x, base + head + (first + i) * width)
        for e in range(edges):
            c = edge(e, t, head, whole)
            edge_values[e] = load_one(x, base + c) if first == 0 and c < n else lowest
        wait_for_copies()

    @device
    def reduce(buffer, edge_values, mine, t):
        """The maximum and the sum of the block's part of a row, in every thread."""
        values = cuda.local.array(count, register)
        top = lowest
        for e in range(edges):
            top = larger(top, edge_values[e])
        for i in range(0, mine, size):
            load(values, buffer, i, t, mine)
            for j in range(count):
                top = larger(top, values[j])
        top = maximum_of_block(top, t)
        base = top if top != lowest else zero  # a part of -inf only adds nothing to its row
        total, lost = zero, zero
        for e in range(edges):
            edge_values[e] = exp(edge_values[e], base)
            total += edge_values[e]
        for i in range(0, mine, size):
            load(values, buffer, i, t, mine)
            total, lost = accumulate(total, lost, sum_of(values, 0, base))
            if kept:
                for v in range(slots):
                    at = i + v * threads + t
                    if at < mine:
                        store_shared(buffer, at, values, v * width)
        return top, sum_of_block(total - lost, t)

    @device
    def finish(out, buffer, edge_values, base, n, first, mine, t, top, scale):
        """Write the block's part of a row: exp(x - top) * scale, where `top` is the block's maximum."""
        values = cuda.local.array(count, register)
        head, whole = body(out, base, n)
        for i in range(0, mine, size):
            load(values, buffer, i, t, mine)
            for j in range(count):
                values[j] = (values[j] if kept else exp(values[j], top)) * scale
            for v in range(slots):
                at = i + v * threads + t
                if at < mine:
                    store_vector(out, base + head + (first + at) * width, values, v * width)
        for e in range(edges):
            c = edge(e, t, head, whole)
            if first == 0 and c < n:
                store_one(out, base + c, edge_values[e] * scale)

    @kernel(threads, RESIDENT_THREADS if element.wide else 3 * RESIDENT_THREADS)
    def softmax_shared(x, out):
        buffer = cuda.shared.array(0, np.uint32, _ALIGNMENT)
        edge_values = cuda.local.array(room, register)
        t = cuda.threadIdx.x
        n = x.shape[1]
        base = np.int64(cuda.blockIdx.x) * n
        first = np.int64(0)
        _, whole = body(x, base, n)
        mine = np.int32(whole)
        copy(buffer, edge_values, x, base, n, first, mine, t)
        top, total = reduce(buffer, edge_values, mine, t)
        finish(out, buffer, edge_values, base, n, first, mine, t, top, one / total if lowest < top < inf else nan)

    @device
    def wait_for(words, index):
        seen = load_relaxed(words, index)
        while seen == empty:
            pause(32)
            seen = load_relaxed(words, index)
        return bits_float(seen)

    @kernel(threads, RESIDENT_THREADS if element.wide else 3 * RESIDENT_THREADS)
    def softmax_coupled(x, out, tops, totals, tickets, blocks, share):
        buffer = cuda.shared.array(0, np.uint32, _ALIGNMENT)
        edge_values = cuda.local.array(room, register)
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
        _, whole = body(x, base, n)
        mine = np.int32(min(whole - first, share))
        copy(buffer, edge_values, x, base, n, first, mine, t)
        top, total = reduce(buffer, edge_values, mine, t)
        if t < LANES:
            if t == 0:
                finite = top < inf  # not +inf and not NaN
                store_relaxed(totals, slot, float_bits(total if finite else one))
                store_relaxed(tops, slot, float_bits(top if finite else inf))
            other_top, other_total = lowest, zero
            for other in range(t, blocks, LANES):
                new = wait_for(tops, slot - which + other)
                most = larger(other_top, new)
                added = rescale(wait_for(totals, slot - which + other), new, most)
                other_total = rescale(other_total, other_top, most) + added
                other_top = most
            row_top = maximum_of_warp(other_top, t)
            row_total = sum_of_warp(rescale(other_total, other_top, row_top), t)
            if t == 0:
                usable = lowest < row_top and row_top < inf
                scales[0] = rescale(one / row_total, top, row_top) if usable else nan
        cuda.syncthreads()
        finish(out, buffer, edge_values, base, n, first, mine, t, top if top != lowest else zero, scales[0])

    return softmax_shared if alone else softmax_coupled
