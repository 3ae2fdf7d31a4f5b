"""Softmax and argmax of short columns of a strided axis with few neighbours: a thread takes a column alone.

Where inner is small, the columns that lie side by side are less than a cache line, and threads that read a column each
would touch a part of many lines at a time. A block moves its x[i], which follow each other in memory, element by
element in the order of memory, by way of shared memory. n and inner are constants of the kernel: a column is in
registers, and divisions by them are multiplications.
"""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from .compiling import device, kernel
from .elements import Element
from .groups import LANES, better, exponentials, larger
from .intrinsics import access
from .softmax_columns import inverse


class Batch(NamedTuple):
    """Device functions that move the x[i] of a block.

    Attributes:
        rows: x[i] of a block.
        words: shared memory that they take, in register values.
        stride: from one x[i] to the next there.
        divided: (t) -> which of the x[i] and which of its columns is the thread's.
        load: (shared, x, row, t): x[row : row + rows] into shared memory.
        store: (out, row, t, shared): the reverse.
    """

    rows: int
    words: int
    stride: int
    divided: Any
    load: Any
    store: Any


def padding(size: int, inner: int) -> int:
    """Words after each x[i] of `size` in shared memory, so that the lanes of a warp are in different banks."""

    def conflicts(pad: int) -> int:
        return max(Counter((k // inner * (size + pad) + k % inner) % LANES for k in range(LANES)).values())

    return min(range(size // 2 + 1), key=conflicts)


@functools.cache
def batch(element: Element, threads: int, n: int, inner: int) -> Batch:
    """The batches of as many x[i] of shape (n, inner) as have a column for each thread."""
    size, rows = n * inner, threads // inner
    pad, count = padding(size, inner), rows * n * inner
    stride, whole, each = size + pad, count // threads, -(-count // threads)
    register = element.register
    load_one, store_one = access(element).load, access(element).store

    @device
    def divided(t):
        """(t // inner, t % inner), by 32 bits without a sign."""
        line = np.int32(np.uint32(t) // np.uint32(inner))
        return line, t - line * inner

    @device
    def padded(e):
        return e + np.int32(np.uint32(e) // np.uint32(size)) * pad if pad else e

    @device
    def load(shared, x, row, t):
        base = row * size
        left = x.size - base
        if left >= count:  # all loads first, so that they are under way together
            values = cuda.local.array(each, register)
            for i in range(whole):
                values[i] = load_one(x, base + i * threads + t)
            if whole < each and whole * threads + t < count:
                values[whole] = load_one(x, base + whole * threads + t)
            for i in range(whole):
                shared[padded(i * threads + t)] = values[i]
            if whole < each and whole * threads + t < count:
                shared[padded(whole * threads + t)] = values[whole]
        else:
            for e in range(t, left, threads):
                shared[padded(e)] = load_one(x, base + e)

    @device
    def store(out, row, t, shared):
        base = row * size
        left = min(out.size - base, count)
        for i in range(each):
            e = i * threads + t
            if e < left:
                store_one(out, base + e, shared[padded(e)])

    return Batch(rows, rows * stride, stride, divided, load, store)


@functools.cache
def softmax(element: Element, threads: int, n: int, inner: int) -> Any:
    """The kernel (x, out) for x of shape (outer, n, inner), inner <= threads, a batch a block."""
    rows, words, stride, divided, load, store = batch(element, threads, n, inner)
    register = element.register
    sum_of, inverse_of = exponentials(register, 1, n), inverse(register)

    @kernel(threads)
    def softmax_short_columns(x, out):
        shared = cuda.shared.array(words, register)
        values = cuda.local.array(n, register)
        t = cuda.threadIdx.x
        row = np.int64(cuda.blockIdx.x) * rows
        line, column = divided(t)
        load(shared, x, row, t)
        cuda.syncthreads()
        if line < rows and row + line < x.shape[0]:
            mine = line * stride + column
            for j in range(n):
                values[j] = shared[mine + j * inner]
            top = values[0]
            for j in range(1, n):
                top = larger(top, values[j])
            scale = inverse_of(sum_of(values, 0, top))
            for j in range(n):
                shared[mine + j * inner] = values[j] * scale
        cuda.syncthreads()
        store(out, row, t, shared)

    return softmax_short_columns


@functools.cache
def argmax(element: Element, threads: int, n: int, inner: int) -> Any:
    """The kernel (x, out) for x of shape (outer, n, inner), out of shape (outer, inner), a batch a block."""
    rows, words, stride, divided, load, _ = batch(element, threads, n, inner)
    register = element.register
    improves = better(element)

    @kernel(threads)
    def argmax_short_columns(x, out):
        shared = cuda.shared.array(words, register)
        t = cuda.threadIdx.x
        row = np.int64(cuda.blockIdx.x) * rows
        line, column = divided(t)
        load(shared, x, row, t)
        cuda.syncthreads()
        if line < rows and row + line < x.shape[0]:
            mine = line * stride + column
            best = shared[mine]
            index = 0
            for j in range(1, n):
                value = shared[mine + j * inner]
                if improves(value, best):
                    best = value
                    index = j
            out[row + line, column] = index

    return argmax_short_columns
