"""Softmax over a strided axis: columns side by side, a tile of them in registers; long ones in two reads."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from .columns import columns
from .compiling import kernel
from .elements import Element
from .groups import ADDENDS, accumulate, add, exponential, larger, rescaled


@functools.cache
def tile(element: Element, across: int, deep: int, rows: int, vectors: bool) -> Any:
    """The kernel (x, out) for n <= deep * rows: one read, one write. Blocks walk over the sets of columns."""
    part = columns(element, across, deep, rows, vectors)
    run = min(rows, ADDENDS)
    width, count, register = part.width, rows * part.width, element.register
    exp = exponential(register)
    locate, load, store = part.locate, part.load, part.store
    maxima, sums = part.meet(larger), part.meet(add)

    @kernel(across * deep)
    def softmax_columns(x, out):
        t = cuda.threadIdx.x
        n = x.shape[1]
        values = cuda.local.array(count, register)
        tops = cuda.local.array(width, register)
        totals = cuda.local.array(width, register)
        block = np.int64(cuda.blockIdx.x)
        while block * (across * width) < x.shape[0] * x.shape[2]:
            first, base = locate(x, block, t)
            load(values, x, base, first, t // across, n)
            for w in range(width):
                tops[w] = values[w]
                for i in range(1, rows):
                    tops[w] = larger(tops[w], values[i * width + w])
            maxima(tops, t)
            for w in range(width):
                total, lost = register(0), register(0)
                for group in range(rows // run):
                    some = register(0)
                    for i in range(group * run, (group + 1) * run):
                        values[i * width + w] = exp(values[i * width + w], tops[w])
                        some += values[i * width + w]
                    total, lost = accumulate(total, lost, some)
                totals[w] = total
            sums(totals, t)
            for w in range(width):
                scale = register(1) / totals[w]
                for i in range(rows):
                    values[i * width + w] *= scale
            store(out, base, first, t // across, n, values)
            block += cuda.gridDim.x

    return softmax_columns


class Split(NamedTuple):
    """Two kernels on a grid of (sets of columns, parts).

    Attributes:
        partial: (x, tops, totals, size): the maximum and the sum of `size` elements of each column into tops and
            totals, which have shape (parts, outer * inner) and the element's register type.
        finish: (x, out, tops, totals, size).
    """

    partial: Any
    finish: Any


@functools.cache
def split(element: Element, across: int, deep: int, rows: int, vectors: bool) -> Split:
    """The kernels for columns of any length: two reads, one write."""
    part = columns(element, across, deep, rows, vectors)
    run = min(rows, ADDENDS)
    width, count, register, lowest = part.width, rows * part.width, element.register, element.lowest
    exp, rescale = exponential(register), rescaled(register)
    locate, load, store = part.locate, part.load, part.store
    maxima, sums = part.meet(larger), part.meet(add)
    inf, nan, one, zero = register(np.inf), register(np.nan), register(1), register(0)
    step = deep * rows

    @kernel(across * deep)
    def softmax_partial(x, tops, totals, size):
        t = cuda.threadIdx.x
        values = cuda.local.array(count, register)
        best = cuda.local.array(width, register)
        mine = cuda.local.array(width, register)
        total = cuda.local.array(width, register)
        lost = cuda.local.array(width, register)
        for w in range(width):
            mine[w], total[w], lost[w] = lowest, zero, zero
        first, base = locate(x, np.int64(cuda.blockIdx.x), t)
        start = np.int64(cuda.blockIdx.y) * size
        last = min(x.shape[1], start + size)
        while start < last:
            load(values, x, base, first, start + t // across, last)
            for w in range(width):
                top = mine[w]
                for i in range(rows):
                    top = larger(top, values[i * width + w])
                if top != lowest:  # else there is nothing to add
                    total[w], lost[w] = rescale(total[w], mine[w], top), rescale(lost[w], mine[w], top)
                    mine[w] = top
                    for group in range(rows // run):
                        some = zero
                        for i in range(group * run, (group + 1) * run):
                            some += exp(values[i * width + w], top)
                        total[w], lost[w] = accumulate(total[w], lost[w], some)
            start += step
        for w in range(width):
            best[w] = mine[w]
        maxima(best, t)
        for w in range(width):
            total[w] = rescale(total[w], mine[w], best[w])
        sums(total, t)
        if t < across and first >= 0:
            for w in range(width):
                tops[cuda.blockIdx.y, first + w] = best[w]
                totals[cuda.blockIdx.y, first + w] = total[w]

    @kernel(across * deep)
    def softmax_finish(x, out, tops, totals, size):
        t = cuda.threadIdx.x
        values = cuda.local.array(count, register)
        best = cuda.local.array(width, register)
        total = cuda.local.array(width, register)
        rest = cuda.local.array(width, register)
        scale = cuda.local.array(width, register)
        first, base = locate(x, np.int64(cuda.blockIdx.x), t)
        for w in range(width):
            best[w], total[w], rest[w] = lowest, zero, zero
        if first >= 0:
            for p in range(tops.shape[0]):
                for w in range(width):
                    top = larger(best[w], tops[p, first + w])
                    old, lost = rescale(total[w], best[w], top), rescale(rest[w], best[w], top)
                    term = rescale(totals[p, first + w], tops[p, first + w], top)
                    total[w], rest[w] = accumulate(old, lost, term)
                    best[w] = top
        for w in range(width):
            scale[w] = one / total[w] if lowest < best[w] and best[w] < inf else nan
        start = np.int64(cuda.blockIdx.y) * size
        last = min(x.shape[1], start + size)
        while start < last:
            load(values, x, base, first, start + t // across, last)
            for i in range(rows):
                for w in range(width):
                    values[i * width + w] = exp(values[i * width + w], best[w]) * scale[w]
            store(out, base, first, start + t // across, last, values)
            start += step

    return Split(softmax_partial, softmax_finish)
