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
from .intrinsics import load_shared_word, pause, reciprocal, store_shared_word


def resident(element: Element, count: int, cached: bool = False) -> int:
    """Threads that a multiprocessor is to hold of `tile` or `cached`, each with `count` elements.

    As many as the registers suffice for without spilling: 64 of each thread, 80 or 128.
    """
    narrow = element.per_vector > 4  # twice the columns a thread, each with a maximum and a sum
    if element.wide or count > 32 or (cached and narrow):
        return RESIDENT_THREADS
    return RESIDENT_THREADS * 3 // 2 if cached or narrow else RESIDENT_THREADS * 2


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


@functools.cache
def cached(element: Element, threads: int, across: int, deep: int, rows: int, vectors: bool) -> Any:
    """The kernel (x, out, tops, totals, done, ready, tickets, band, lag): two reads, the second one from the L2 cache.

    Columns are cut into parts of deep * rows elements. A task is one part of one set of columns, and tasks are
    numbered in bands of `band` sets: within a band the sets of the first part, those of the second, and so on. Blocks
    take numbers from a counter, one after the other. With number i a block reduces task i to its maxima and sums, and
    then normalises task i - lag, whose columns are reduced by then: reads and writes overlap, and what was read last
    is still in the cache. The block that reduces the last part of a set combines its parts.

    tops, totals: shape (parts + 1, outer * inner), of the element's register type; the last row receives the maximum
    of each column and the reciprocal of its sum.
    done, ready: uint32, one for each set, 0 before the first launch. They and tickets, one uint64, stay with the
    kernel from launch to launch: a launch of the same grid on the same stream goes on where the one before it ended.
    lag: at least the tasks of a band, so that no block waits for one that has not begun; at most all tasks.
    """
    part = columns(element, threads, across, deep, rows, vectors)
    width, count, register, lowest = part.width, rows * part.width, element.register, element.lowest
    locate, depth, load, store = part.locate, part.depth, part.load, part.store
    maxima, sums = part.meet(larger), part.meet(add)
    sum_of, inverse_of = exponentials(register, width, rows), inverse(register)
    exp, rescale = exponential(register), rescaled(register)
    inf, nan, zero = register(np.inf), register(np.nan), register(0)
    step = deep * rows

    @device
    def place(task, band, sets, parts):
        """The set of columns and the part of a task."""
        size, width_of_band = np.uint32(band * parts), np.uint32(band)
        start = np.uint32(np.uint32(task) // size * width_of_band)
        rest = np.uint32(np.uint32(task) % size)
        side_by_side = min(width_of_band, np.uint32(np.uint32(sets) - start))
        which = np.uint32(rest // side_by_side)
        return np.int64(start + rest - which * side_by_side), np.int64(which)

    @kernel(threads, resident(element, count, cached=True))
    def softmax_cached(x, out, tops, totals, done, ready, tickets, band, lag):
        t = cuda.threadIdx.x
        values = cuda.local.array(count, register)
        best = cuda.local.array(width, register)
        mine = cuda.local.array(width, register)
        total = cuda.local.array(width, register)
        order = cuda.shared.array(3, np.int32)
        begin = cuda.shared.array(1, np.uint64)
        n = x.shape[1]
        parts, sets = np.int32(tops.shape[0] - 1), np.int32(done.shape[0])
        tasks, lag = np.int32(sets * parts), np.int32(lag)
        upcoming = np.int32(0)
        if t == 0:
            # What one launch takes: each block ends with one number too many.
            cycle = np.uint64(tasks + lag + cuda.gridDim.x)
            ticket = cuda.atomic.add(tickets, 0, np.uint64(1))
            launch = ticket // cycle
            begin[0] = launch * cycle
            order[0] = np.int32(ticket - begin[0])
            order[1] = np.int32(np.uint32(launch + np.uint64(1)))
        cuda.syncthreads()
        task, turn = order[0], np.uint32(order[1])
        while task < tasks + lag:
            if t == 0:
                upcoming = np.int32(cuda.atomic.add(tickets, 0, np.uint64(1)) - begin[0])
            block = np.int64(0)
            if task < tasks:
                block, which = place(task, band, sets, parts)
                first, base = locate(x, block, t)
                load(values, x, base, which * step + depth(t), n)
                for w in range(width):
                    best[w] = values[w]
                    for i in range(1, rows):
                        best[w] = larger(best[w], values[i * width + w])
                maxima(best, t)
                for w in range(width):
                    # A part of -inf only adds nothing to its column.
                    total[w] = sum_of(values, w, best[w]) if best[w] != lowest else zero
                sums(total, t)
                if depth(t) == 0 and first >= 0:
                    for w in range(width):
                        tops[which, first + w] = best[w]
                        totals[which, first + w] = total[w]
            cuda.syncthreads()
            # The loads of the other task are under way while this one's results become known.
            other, other_which = place(max(task - lag, 0), band, sets, parts)
            other_first, other_base = locate(x, other, t) if task >= lag else (np.int64(-1), np.int64(-1))
            load(values, x, other_base, other_which * step + depth(t), n)
            if t == 0:
                cuda.threadfence()
                known = load_shared_word(ready, other) == turn
                last = False
                if task < tasks:
                    before = cuda.atomic.add(done, block, np.uint32(1))
                    last = np.uint32(before + np.uint32(1)) == np.uint32(turn * np.uint32(parts))
                cuda.threadfence()
                order[1] = 1 if last else 0
                order[2] = 1 if known or task < lag else 0
            cuda.syncthreads()
            if order[2] == 0:
                if t == 0:
                    while load_shared_word(ready, other) != turn:
                        pause(32)
                    cuda.threadfence()
                cuda.syncthreads()
            if other_first >= 0:
                for w in range(width):
                    top, scale = tops[parts, other_first + w], totals[parts, other_first + w]
                    for i in range(rows):
                        values[i * width + w] = exp(values[i * width + w], top) * scale
            store(out, other_base, other_which * step + depth(t), n, values)
            if order[1] == 1:  # all parts of the set that this block reduced a part of
                block, _ = place(task, band, sets, parts)
                first, _ = locate(x, block, t)
                for w in range(width):
                    mine[w], total[w] = lowest, zero
                if first >= 0:
                    for p in range(depth(t), parts, deep):
                        for w in range(width):
                            top = larger(mine[w], tops[p, first + w])
                            term = rescale(totals[p, first + w], tops[p, first + w], top)
                            total[w] = rescale(total[w], mine[w], top) + term
                            mine[w] = top
                for w in range(width):
                    best[w] = mine[w]
                maxima(best, t)
                for w in range(width):
                    total[w] = rescale(total[w], mine[w], best[w])
                sums(total, t)
                if depth(t) == 0 and first >= 0:
                    for w in range(width):
                        usable = lowest < best[w] and best[w] < inf
                        tops[parts, first + w] = best[w]
                        totals[parts, first + w] = inverse_of(total[w]) if usable else nan
                cuda.syncthreads()
                if t == 0:
                    cuda.threadfence()
                    store_shared_word(ready, block, turn)
            if t == 0:
                order[0] = upcoming
            cuda.syncthreads()
            task = order[0]

    return softmax_cached


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
