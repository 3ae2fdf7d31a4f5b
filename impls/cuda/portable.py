"""Softmax and argmax in portable CUDA: a group of threads a line, reduced through shared memory.

A line is what is reduced: x[o, :, k]. A block walks over sets of lines; a group of threads shares
one line, or each thread has its own where lines are short or lie side by side (inner > 1).
"""

from __future__ import annotations

import contextlib
import functools
import math
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import cuda

from .platform import SIMULATED

THREADS = 8 if SIMULATED else 256
BLOCKS = 2 if SIMULATED else 4096
SHORT = 2048 if SIMULATED else 32  # up to this length a thread takes a line alone


@contextlib.contextmanager
def launching() -> Iterator[None]:
    """While a simulated kernel runs, let Python switch threads often: the simulator's own loop polls."""
    if not SIMULATED:
        yield
        return
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def launch(kernel: Any, x: Any, out: Any) -> None:
    """Run a kernel of (x, out, threads a line) over all lines of x."""
    outer, n, inner = x.shape
    group = 1 if n <= SHORT or (inner >= 32 and not SIMULATED) else THREADS
    sets = -(-outer * inner // (THREADS // group))
    with launching():
        kernel[min(sets, BLOCKS), THREADS](x, out, group)


@functools.cache
def softmax_kernel(work: type) -> Any:
    """The softmax kernel that computes in float32 or float64."""

    @cuda.jit
    def softmax(x, out, group):
        tops = cuda.shared.array(THREADS, work)
        sums = cuda.shared.array(THREADS, work)
        t = cuda.threadIdx.x
        first = t - t % group
        outer, n, inner = x.shape
        lines = outer * inner
        step = cuda.blockDim.x // group
        for start in range(cuda.blockIdx.x * step, lines, cuda.gridDim.x * step):
            line = start + t // group
            live = line < lines
            o = line // inner
            k = line - o * inner
            top = work(-np.inf)
            if live:
                for j in range(t - first, n, group):
                    value = work(x[o, j, k])
                    if not (value <= top) and top == top:  # a NaN stays
                        top = value
            tops[t] = top
            cuda.syncthreads()
            for i in range(first, first + group):
                value = tops[i]
                if not (value <= top) and top == top:
                    top = value
            # Kahan's sum: the error must not grow with n.
            total = work(0)
            lost = work(0)
            if live:
                for j in range(t - first, n, group):
                    term = work(math.exp(work(x[o, j, k]) - top)) - lost
                    grown = total + term
                    lost = (grown - total) - term
                    total = grown
            sums[t] = total
            cuda.syncthreads()
            total = work(0)
            for i in range(first, first + group):
                total += sums[i]
            cuda.syncthreads()
            if live:
                for j in range(t - first, n, group):
                    out[o, j, k] = work(math.exp(work(x[o, j, k]) - top)) / total

    return softmax


@functools.cache
def argmax_kernel(element: np.dtype) -> Any:
    """The argmax kernel for elements of this dtype; float16 is compared as float32."""
    work = np.float32 if element == np.float16 else element.type

    @cuda.jit
    def argmax(x, out, group):
        tops = cuda.shared.array(THREADS, work)
        places = cuda.shared.array(THREADS, np.int64)
        t = cuda.threadIdx.x
        first = t - t % group
        outer, n, inner = x.shape
        lines = outer * inner
        step = cuda.blockDim.x // group
        for start in range(cuda.blockIdx.x * step, lines, cuda.gridDim.x * step):
            line = start + t // group
            live = line < lines
            o = line // inner
            k = line - o * inner
            place = t - first
            if live and place < n:
                top = work(x[o, place, k])
                for j in range(t - first + group, n, group):
                    value = work(x[o, j, k])
                    if not (value <= top) and top == top:
                        top = value
                        place = j
                tops[t] = top
            places[t] = place
            cuda.syncthreads()
            if live and t == first:
                top = tops[t]
                for i in range(first + 1, first + group):
                    if places[i] < n:
                        value = tops[i]
                        if (not (value <= top) and top == top) or (
                            places[i] < place and (value == top or (value != value and top != top))
                        ):
                            top = value
                            place = places[i]
                out[o, k] = place
            cuda.syncthreads()

    return argmax
