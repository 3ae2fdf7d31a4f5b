"""Where a column of a strided axis lies, and how the threads of a block share columns.

x has shape (outer, n, inner) and the middle axis is reduced. All outer * inner columns are numbered in memory order.
A thread takes `width` neighbouring columns (a 16-byte vector, or one), `across` threads lie side by side so that
memory is read in whole sectors, and `deep` such rows of threads share the columns, every deep-th element each. These
across * deep threads are a group. A block is one group, or several that fit a warp and have columns of their own.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from .compiling import device
from .elements import Element
from .groups import LANES
from .intrinsics import access, shuffle_xor
from .platform import SIMULATED

WALKING = SIMULATED
"""Whether blocks walk over the sets of columns: what a device computes before such a loop costs it registers."""


class Columns(NamedTuple):
    """Device functions for the columns of a block.

    Attributes:
        width: columns of a thread.
        together: columns of a block.
        depth: (t) -> the row of threads that a thread is in, its first element of each of its columns.
        locate: (x, block, t) -> (first, base): the number of the thread's first column and the address of its first
            element; both are -1 where there is none.
        load: (registers, x, base, j, last): `rows` elements of each column, from row j in steps of `deep`, into
            registers[i * width + w]; rows from `last` on, and all where base is -1, become `lowest`.
        store: (out, base, j, last, registers).
        meet: (combine) -> the device function (registers, t) that combines registers[w] over the threads that share
            the columns, in each of them. A group of more than a warp meets at one barrier; two such functions, or one
            with a barrier between its uses, do not disturb each other.
    """

    width: int
    together: int
    depth: Any
    locate: Any
    load: Any
    store: Any
    meet: Any


@functools.cache
def columns(element: Element, threads: int, across: int, deep: int, rows: int, vectors: bool) -> Columns:
    """The columns for threads that hold `rows` elements of each at a time.

    threads: of a block; across and deep are powers of two.
    vectors: inner is a whole number of vectors and x and out start at 16-byte boundaries.
    """
    width = element.per_vector if vectors else 1
    group = across * deep
    assert threads == group or (group <= LANES and threads % group == 0), (threads, across, deep)
    side = threads // deep  # threads side by side in a block
    steps = (min(group, LANES) // min(across, LANES)).bit_length() - 1  # exchanges within a warp
    line = max(across, LANES)  # threads of whom one of each column is left after them
    lines = max(1, group // line)
    room = lines * width * across
    apart = min(lines, line // across)
    reads, last_steps = lines // apart, apart.bit_length() - 1
    register, lowest = element.register, element.lowest
    _, load_vector_if, _, _, store_vector, load_one, store_one = access(element)
    limit, step = 0xFFFFFFFF, deep * rows

    @device
    def depth(t):
        return t // across % deep

    @device
    def locate(x, block, t):
        first = (block * side + t // group * across + t % across) * width
        total = x.shape[0] * x.shape[2]
        if first >= total:
            return np.int64(-1), np.int64(-1)
        # A division of 32 bits is several times faster.
        outer = np.int64(np.uint32(first) // np.uint32(x.shape[2])) if total <= limit else first // x.shape[2]
        return first, outer * (x.shape[1] - 1) * x.shape[2] + first

    @device
    def rows_left(base, j, last):
        """Of 32 bits, so that a row's place is compared by one instruction."""
        return np.int32(min(np.int64(last - j), np.int64(step))) if base >= 0 else np.int32(0)

    @device
    def load(registers, x, base, j, last):
        left = rows_left(base, j, last)
        at = base + j * x.shape[2]
        for i in range(rows):
            inside = i * deep < left
            if width > 1:
                load_vector_if(registers, i * width, x, at, inside)
            elif inside:
                registers[i] = load_one(x, at)
            else:
                registers[i] = lowest
            at += deep * x.shape[2]

    @device
    def store(out, base, j, last, registers):
        left = rows_left(base, j, last)
        at = base + j * out.shape[2]
        for i in range(rows):
            if i * deep < left:
                if width > 1:
                    store_vector(out, at, registers, i * width)
                else:
                    store_one(out, at, registers[i])
            at += deep * out.shape[2]

    @functools.cache
    def meet(combine: Any) -> Any:
        @device
        def over_lanes(registers, levels):
            for i in range(levels):
                for w in range(width):
                    registers[w] = combine(registers[w], shuffle_xor(registers[w], across << i))

        @device
        def within_warp(registers, t):
            over_lanes(registers, steps)

        @device
        def within_block(registers, t):
            shared = cuda.shared.array(room, register)
            over_lanes(registers, steps)
            place = t % across
            if t % line < across:
                for w in range(width):
                    shared[(t // line * width + w) * across + place] = registers[w]
            cuda.syncthreads()
            # The lanes of a column read a few of its lines each.
            mine = t % line // across % lines
            for w in range(width):
                registers[w] = shared[(mine * width + w) * across + place]
            for i in range(1, reads):
                for w in range(width):
                    registers[w] = combine(registers[w], shared[((mine + i * apart) * width + w) * across + place])
            over_lanes(registers, last_steps)

        return within_block if lines > 1 else within_warp

    return Columns(width, side * width, depth, locate, load, store, meet)
