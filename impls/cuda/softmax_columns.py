"""Softmax over a strided axis: columns side by side, a tile of them in registers; long ones in two reads."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from .columns import WALKING, columns
from .compiling import RESIDENT_THREADS, device, kernel
from .elements import Element
from .groups import accumulate, add, exponential, exponentials, larger, rescaled
from .intrinsics import reciprocal


def resident(element: Element, count: int) -> int:
    """Threads that a multiprocessor is to hold of `tile`, each with `count` elements.

    As many as the registers suffice for without spilling: 64 of each thread, 80 or 128.
    """
    if element.wide or count > 32:
        return RESIDENT_THREADS
    narrow = element.per_vector > 4  # twice the columns a thread, each with a maximum and a sum
    return RESIDENT_THREADS * 3 // 2 if narrow else RESIDENT_THREADS * 2


@functools.cache
def inverse(register: Any) -> Any:
    """The device function (sum of exponentials) -> its reciprocal, which takes float32 no slow path with registers."""

    @device
    def single(total):
        return reciprocal(total)

    @device
    def double(total):
        return register(1) / total

    return double if register is np.float64 else single


@functools.cache
def tile(element: Element, threads: int, across: int, deep: int, rows: int, vectors: bool) -> Any:
    """The kernel (x, out) for n <= deep * rows, n = rows if deep is 1: one read, one write.

    A block takes a set of columns; simulated, where blocks are dear, they walk over the sets.
    """
    part = columns(element, threads, across, deep, rows, vectors)
    width, together, count, register = part.width, part.together, rows * part.width, element.register
    locate, depth, load, store = part.locate, part.depth, part.load, part.store
    maxima, sums = part.meet(larger), part.meet(add)
    sum_of, inverse_of = exponentials(register, width, rows), inverse(register)

    @kernel(threads, resident(element, count))
    def softmax_columns(x, out):
        t = cuda.threadIdx.x
        n = rows if deep == 1 else x.shape[1]
        values = cuda.local.array(count, register)
        tops = cuda.local.array(width, register)
        totals = cuda.local.array(width, register)
        block = np.int64(cuda.blockIdx.x)
        while block * together < x.shape[0] * x.shape[2]:
            _, base = locate(x, block, t)
            load(values, x, base, depth(t), n)
            for w in range(width):
                tops[w] = values[w]
                for i in range(1, rows):
                    tops[w] = larger(tops[w], values[i * width + w])
            maxima(tops, t)
            for w in range(width):
                totals[w] = sum_of(values, w, tops[w])
            sums(totals, t)
            for w in range(width):
                scale = inverse_of(totals[w])
                for i in range(rows):
                    values[i * width + w] *= scale
            store(out, base, depth(t), n, values)
            if not WALKING:
                break
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
def split(element: Element, threads: int, deep: int, rows: int, vectors: bool) -> Split:
    """The kernels for columns of any length: two reads, one write."""
    part = columns(element, threads, threads // deep, deep, rows, vectors)
    width, count, register, lowest = part.width, rows * part.width, element.register, element.lowest
    exp, rescale = exponential(register), rescaled(register)
    locate, depth, load, store = part.locate, part.depth, part.load, part.store
    maxima, sums = part.meet(larger), part.meet(add)
    sum_of, inverse_of = exponentials(register, width, rows), inverse(register)
    inf, nan, zero = register(np.inf), register(np.nan), register(0)
    step = deep * rows

    @kernel(threads)
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
            load(values, x, base, start + depth(t), last)
            for w in range(width):
                top = mine[w]
                for i in range(rows):
                    top = larger(top, values[i * width + w])
                if top != lowest:  # else there is nothing to add
                    total[w], lost[w] = rescale(total[w], mine[w], top), rescale(lost[w], mine[w], top)
                    mine[w] = top
                    total[w], lost[w] = accumulate(total[w], lost[w], sum_of(values, w, top))
            start += step
        for w in range(width):
            best[w] = mine[w]
        maxima(best, t)
        for w in range(width):
            total[w] = rescale(total[w], mine[w], best[w])
        sums(total, t)
        if depth(t) == 0 and first >= 0:
            for w in range(width):
                tops[cuda.blockIdx.y, first + w] = best[w]
                totals[cuda.blockIdx.y, first + w] = total[w]

    @kernel(threads)
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
            scale[w] = inverse_of(total[w]) if lowest < best[w] and best[w] < inf else nan
        start = np.int64(cuda.blockIdx.y) * size
        last = min(x.shape[1], start + size)
        while start < last:
            load(values, x, base, start + depth(t), last)
            for i in range(rows):
                for w in range(width):
                    values[i * width + w] = exp(values[i * width + w], best[w]) * scale[w]
            store(out, base, start + depth(t), last, values)
            start += step

    return Split(softmax_partial, softmax_finish)
