"""The memory bandwidth a kernel can hope for: copying and reading an array with nothing else to do.

Of the ways to copy, ordinary stores are fastest while the arrays fit the caches, and streaming stores beyond
them, in several places in turn: an ordinary store to memory reads the line first. All are given, serial and
shared out among threads; which is fastest at a size is for the caller to measure.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from . import simd
from .compilation import cached_njit
from .threads import in_parallel, numbas

PLACES = 4  # that are copied in turn: one core's memory is faster so than from end to end, by 18% on an Emerald Rapids
UNROLLED = 4  # vectors in flight, so that no load waits for an addition


@cached_njit(nogil=True)
def _copy(x, out, first, end, streaming, places):
    """Copy the 64-byte lines from first to end of int64 arrays, in so many places in turn."""
    w = simd.VECTOR_BYTES // x.itemsize
    part = (end - first) // places
    x, out = simd.data(x), simd.data(out)
    if places > 1:  # of streaming stores only
        for i in range(first * w, (first + part) * w, w):
            for k in range(places):
                simd.stream(out, i + k * part * w, simd.load(x, i + k * part * w))
        first += places * part
    if streaming:
        for i in range(first * w, end * w, w):
            simd.stream(out, i, simd.load(x, i))
    else:
        for i in range(first * w, end * w, w):
            simd.store(out, i, simd.load(x, i))


@cached_njit(parallel=True)
def _copy_parallel(x, out, streaming, places, threads):
    lines = x.size * x.itemsize // simd.VECTOR_BYTES
    for t in numba.prange(threads):
        _copy(x, out, t * lines // threads, (t + 1) * lines // threads, streaming, places)


@cached_njit(nogil=True)
def _read(x, sums, t, first, end):
    """Add up the lines from first to end into sums[t]: a sum that nobody asks for would not be computed."""
    w = simd.VECTOR_BYTES // x.itemsize
    x = simd.data(x)
    a = simd.splat(x, 0)
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
    """Ways to copy x to out, by name: C-contiguous arrays of one size, aligned and a multiple of 64 bytes.

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
        f"streaming stores in {PLACES} places": (True, PLACES),
    }
    for name, (streaming, places) in kinds.items():
        ways[name] = functools.partial(_copy, a, b, 0, a.nbytes // simd.VECTOR_BYTES, streaming, places)
        if threads > 1:
            call = functools.partial(in_parallel, _copy_parallel, a, b, streaming, places, threads)
            ways[f"{name}, {threads} threads"] = call
    return ways


def reads(x: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Ways to read all of x, by name: C-contiguous, aligned and a multiple of 64 bytes.

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
