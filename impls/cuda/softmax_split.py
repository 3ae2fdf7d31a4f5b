"""Softmax of rows too long for registers: partial maxima and sums by many blocks a row, then a second read.

Traffic: two reads and one write. Both kernels run on a grid of (rows, parts); a part is a run of whole tiles.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from .compiling import device, kernel
from .elements import Element
from .groups import accumulate, add, exponential, exponentials, larger, rescaled, row_reduction
from .tiles import Alignment, tile


class Split(NamedTuple):
    """The two kernels.

    Attributes:
        size: elements of a tile.
        partial: (x, tops, totals, tiles): the maximum and the sum of each part into tops and totals, which have
            shape (rows, parts) and the element's register type. tiles: tiles of a part.
        finish: (x, out, tops, totals, tiles).
    """

    size: int
    partial: Any
    finish: Any


@functools.cache
def split(element: Element, threads: int, vectors: int, alignment: Alignment) -> Split:
    """The kernels for x and out of shape (outer, n, 1)."""
    part = tile(element, threads, vectors, alignment)
    register, count, share, lowest = element.register, part.registers, part.vectors, element.lowest
    sum_of = exponentials(register, 1, count)
    exp, rescale = exponential(register), rescaled(register)
    maximum_of_block, sum_of_block = row_reduction(larger, register, threads), row_reduction(add, register, threads)
    load, store, body = part.load, part.store, part.body
    inf, nan, one, zero = register(np.inf), register(np.nan), register(1), register(0)

    @device
    def take(values, top, total, lost):
        """The maximum and the sum, with what it lost, once these values are added, which are replaced."""
        new_top = top
        for j in range(count):
            new_top = larger(new_top, values[j])
        if new_top != lowest:  # else there is nothing to add
            if new_top != top:
                total, lost = rescale(total, top, new_top), rescale(lost, top, new_top)
            total, lost = accumulate(total, lost, sum_of(values, 0, new_top))
        return new_top, total, lost

    @kernel(threads)
    def softmax_partial(x, tops, totals, tiles):
        t = cuda.threadIdx.x
        row = np.int64(cuda.blockIdx.x)
        n = x.shape[1]
        base = row * n
        _, vectors = body(x, base, n)
        values = cuda.local.array(count, register)
        top, total, lost = lowest, zero, zero
        first = np.int64(cuda.blockIdx.y) * tiles
        for i in range(first, first + tiles):
            if i > 0 and i * share >= vectors:
                break
            load(values, x, base, t, n, i * share)
            top, total, lost = take(values, top, total, lost)
        block_top = maximum_of_block(top, t)
        block_total = sum_of_block(rescale(total, top, block_top), t)
        if t == 0:
            tops[row, cuda.blockIdx.y] = block_top
            totals[row, cuda.blockIdx.y] = block_total

    @kernel(threads)
    def softmax_finish(x, out, tops, totals, tiles):
        t = cuda.threadIdx.x
        row = np.int64(cuda.blockIdx.x)
        n = x.shape[1]
        base = row * n
        _, vectors = body(x, base, n)
        values = cuda.local.array(count, register)
        top, total = lowest, zero
        for p in range(t, tops.shape[1], threads):
            new_top = larger(top, tops[row, p])
            total = rescale(total, top, new_top) + rescale(totals[row, p], tops[row, p], new_top)
            top = new_top
        row_top = maximum_of_block(top, t)
        total = sum_of_block(rescale(total, top, row_top), t)
        scale = one / total if lowest < row_top and row_top < inf else nan
        first = np.int64(cuda.blockIdx.y) * tiles
        for i in range(first, first + tiles):
            if i > 0 and i * share >= vectors:
                break
            load(values, x, base, t, n, i * share)
            for j in range(count):
                values[j] = exp(values[j], row_top) * scale
            store(out, base, t, n, i * share, values)

    return Split(part.size, softmax_partial, softmax_finish)
