"""The memory bandwidth of the CPU: kernels that copy or read an array and do nothing else.

Ordinary stores are fastest while the arrays fit the caches. Beyond them non-temporal (streaming) stores are, with
several streams interleaved: an ordinary store to memory reads the cache line first. All variants are given, serial and
parallel; the caller measures which is fastest at a size.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from maxbench.impls import simd
from maxbench.impls.compilation import cached_njit
from maxbench.impls.threads import in_parallel, numbas

INTERLEAVE = 4  # streams of a copy: one core copies 18% faster so than from end to end, on an Emerald Rapids
UNROLLED = 4  # vectors in flight, so that no load waits for an addition


@cached_njit(nogil=True)
def _copy(x, out, first, end, streaming, interleave):
    """Copy the cache lines from first to end of int64 arrays, as `interleave` streams in turn."""
    w = simd.VECTOR_BYTES // x.itemsize
    part = (end - first) // interleave
    x, out = simd.data(x), simd.data(out)
    if interleave > 1:  # with streaming stores only
        for i in range(first * w, (first + part) * w, w):
            for k in range(interleave):
                simd.stream(out, i + k * part * w, simd.load(x, i + k * part * w))
        first += interleave * part
    if streaming:
        for i in range(first * w, end * w, w):
            simd.stream(out, i, simd.load(x, i))
    else:
        for i in range(first * w, end * w, w):
            simd.store(out, i, simd.load(x, i))


@cached_njit(parallel=True)
def _copy_parallel(x, out, streaming, interleave, threads):
    lines = x.size * x.itemsize // simd.VECTOR_BYTES
    for t in numba.prange(threads):
        _copy(x, out, t * lines // threads, (t + 1) * lines // threads, streaming, interleave)


@cached_njit(nogil=True)
def _read(x, sums, t, first, end):
    """Add up the cache lines from first to end into sums[t]: LLVM removes the loads of a sum that is not used."""
    w = simd.VECTOR_BYTES // x.itemsize
    x = simd.data(x)
    a = simd.broadcast(x, 0)
    b, c, d = a, a, a
    i = first * w
    while i + UNROLLED * w <= end * w:
        a = a + simd.load(x, i)
        b = b + simd.load(x, i + w)
        c = c + simd.load(x, i + 2 * w)
        d = d + simd.load(x, i + 3 * w)
        i += UNROLLED * w
    while i < end * w:
        a = a + simd.load(x, i)
        i += w
    sums[t] = simd.reduce_add((a + b) + (c + d))


@cached_njit(parallel=True)
def _read_parallel(x, sums, threads):
    lines = x.size * x.itemsize // simd.VECTOR_BYTES
    for t in numba.prange(threads):
        _read(x, sums, t, t * lines // threads, (t + 1) * lines // threads)


def copies(x: np.ndarray, out: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Calls that copy x to out, by name: C-contiguous arrays of one size, aligned and a multiple of 64 bytes.

    Raises:
        ValueError: the arrays are not as described.
    """
    a, b = _lines(x), _lines(out)
    if a.size != b.size:
        raise ValueError(f"x has {x.nbytes} bytes and out {out.nbytes}")
    threads = numbas()
    ways: dict[str, Callable[[], Any]] = {"NumPy": functools.partial(np.copyto, b, a)}
    kinds = {
        "ordinary stores": (False, 1),
        "streaming stores": (True, 1),
        f"{INTERLEAVE} interleaved streams of streaming stores": (True, INTERLEAVE),
    }
    for name, (streaming, interleave) in kinds.items():
        ways[name] = functools.partial(_copy, a, b, 0, a.nbytes // simd.VECTOR_BYTES, streaming, interleave)
        if threads > 1:
            call = functools.partial(in_parallel, _copy_parallel, a, b, streaming, interleave, threads)
            ways[f"{name}, {threads} threads"] = call
    return ways


def reads(x: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Calls that read all of x, by name: C-contiguous, aligned and a multiple of 64 bytes.

    Raises:
        ValueError: the array is not as described.
    """
    a = _lines(x)
    threads = numbas()
    sums = np.empty(threads, np.int64)
    ways: dict[str, Callable[[], Any]] = {"sum": functools.partial(_read, a, sums, 0, 0, a.nbytes // simd.VECTOR_BYTES)}
    if threads > 1:
        ways[f"sum, {threads} threads"] = functools.partial(in_parallel, _read_parallel, a, sums, threads)
    return ways


def _lines(x: np.ndarray) -> np.ndarray:
    if not x.flags.c_contiguous or x.nbytes % simd.VECTOR_BYTES or x.ctypes.data % simd.VECTOR_BYTES:
        raise ValueError("the array is not C-contiguous, aligned and a multiple of 64 bytes")
    return x.reshape(-1).view(np.int64)
