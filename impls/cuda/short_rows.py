"""Softmax and argmax of rows of at most 32 columns, 8 of 64 bits: a thread takes a row alone.

Threads that read a short row each would touch memory in steps of a row, so a block moves all its rows at once
between memory and shared memory, by 16-byte vectors, whatever n is. In shared memory a row takes an odd number of
words, so that the 32 threads of a warp find their columns in 32 different banks. n is a constant of the kernel: the
row is in registers, and a division by n is a multiplication.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from .compiling import device, kernel
from .elements import Element
from .groups import better, exponentials, larger
from .intrinsics import access
from .tiles import tile

REGISTERS = 32  # of 32 bits, for the row that a thread holds


def longest(element: Element) -> int:
    """The most columns of a row that one thread takes alone."""
    # Of 64 bits it is two registers each, and the exponential takes many more by itself.
    return REGISTERS // (4 if element.wide else 1)


class Batch(NamedTuple):
    """Device functions that move the rows of a block.

    Attributes:
        rows: rows of a block.
        words: shared memory that they take, in register values.
        stride: from one row to the next there.
        load: (shared, x, row, t): x[row : row + rows] into shared memory.
        store: (out, row, t, shared): the reverse.
    """

    rows: int
    words: int
    stride: int
    load: Any
    store: Any


@functools.cache
def batch(element: Element, threads: int, n: int, rows_per_thread: int, vectors: bool) -> Batch:
    """The batches of threads * rows_per_thread rows; with `vectors` False elements are moved one by one.

    With vectors, x and out start at a 16-byte boundary, and a batch is a whole number of vectors.
    """
    rows = threads * rows_per_thread
    count = rows * n
    part = tile(element, threads, -(-count // (threads * element.per_vector)), "aligned")
    slots, width, registers = part.slots, part.width, part.registers
    move_in, move_out = part.load, part.store
    load_one, store_one = access(element).load, access(element).store
    register = element.register
    even = n % 2 == 0

    @device
    def place(e):
        """Where element e of the batch is in shared memory."""
        return e + np.int32(np.uint32(e) // np.uint32(n)) if even else e

    @device
    def load(shared, x, row, t):
        base = row * n
        size = x.size - base
        if vectors and size >= count:
            values = cuda.local.array(registers, register)
            move_in(values, x, base, t, count, 0)
            for v in range(slots):
                for j in range(width):
                    e = np.int32((v * threads + t) * width + j)
                    if e < count:
                        shared[place(e)] = values[v * width + j]
        else:  # the last rows, or unaligned ones: one by one
            for e in range(t, min(size, count), threads):
                shared[place(e)] = load_one(x, base + e)

    @device
    def store(out, row, t, shared):
        base = row * n
        size = out.size - base
        if vectors and size >= count:
            values = cuda.local.array(registers, register)
            for v in range(slots):
                for j in range(width):
                    e = np.int32((v * threads + t) * width + j)
                    if e < count:
                        values[v * width + j] = shared[place(e)]
            move_out(out, base, t, count, 0, values)
        else:
            for e in range(t, min(size, count), threads):
                store_one(out, base + e, shared[place(e)])

    return Batch(rows, rows * (n | 1), n | 1, load, store)


@functools.cache
def softmax(element: Element, threads: int, n: int, rows_per_thread: int, vectors: bool) -> Any:
    """The kernel (x, out) for x of shape (outer, n, 1), a batch a block."""
    rows, words, stride, load, store = batch(element, threads, n, rows_per_thread, vectors)
    register = element.register
    sum_of = exponentials(register, 1, n)

    @kernel(threads)
    def softmax_short(x, out):
        shared = cuda.shared.array(words, register)
        values = cuda.local.array(n, register)
        t = cuda.threadIdx.x
        row = np.int64(cuda.blockIdx.x) * rows
        load(shared, x, row, t)
        cuda.syncthreads()
        for i in range(rows_per_thread):
            mine = (i * threads + t) * stride
            if row + i * threads + t < x.shape[0]:
                for j in range(n):
                    values[j] = shared[mine + j]
                top = values[0]
                for j in range(1, n):
                    top = larger(top, values[j])
                scale = register(1) / sum_of(values, 0, top)
                for j in range(n):
                    shared[mine + j] = values[j] * scale
        cuda.syncthreads()
        store(out, row, t, shared)

    return softmax_short


@functools.cache
def argmax(element: Element, threads: int, n: int, rows_per_thread: int, vectors: bool) -> Any:
    """The kernel (x, out) for x of shape (outer, n, 1), out of shape (outer, 1), a batch a block."""
    rows, words, stride, load, _ = batch(element, threads, n, rows_per_thread, vectors)
    register = element.register
    improves = better(element)

    @kernel(threads)
    def argmax_short(x, out):
        shared = cuda.shared.array(words, register)
        t = cuda.threadIdx.x
        row = np.int64(cuda.blockIdx.x) * rows
        load(shared, x, row, t)
        cuda.syncthreads()
        for i in range(rows_per_thread):
            mine = (i * threads + t) * stride
            if row + i * threads + t < x.shape[0]:
                best = shared[mine]
                index = np.int32(0)
                for j in range(1, n):
                    value = shared[mine + j]
                    if improves(value, best):
                        best = value
                        index = np.int32(j)
                out[row + i * threads + t, 0] = index

    return argmax_short
