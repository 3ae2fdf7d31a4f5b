"""Non-temporal stores of softmax's rows, in whole cache lines, and ordinary stores with a prefetch.

`streaming` is True or None: each is compiled by itself. A cache line that two rows share is put together in `line`,
which has a vector's room before it: a line that gets both kinds of stores is read from memory, which made rows of 128
columns 5 times slower. Only the first and the last row of a chunk end in ordinary stores.
"""

from __future__ import annotations

import numba

from .. import simd
from ..internal import generated, internal
from ..simd.exp import quotient
from .softmax_elements import offset_in_line

# Prefetch distance of ordinary stores, in elements; 64 to 1024 are equal.
PREFETCH_STORES = 256


@generated
def store_or_stream(out, i, vector, streaming):
    """Store a vector from out[i] on, with a non-temporal store if `streaming`: out[i] must be aligned to a register."""
    if streaming is numba.types.none:
        return lambda out, i, vector, streaming: simd.store(out, i, vector)
    return lambda out, i, vector, streaming: simd.stream(out, i, vector)


@generated
def prefetch_store(out, i, streaming):
    """Prefetch the cache line of a later store, unless that is non-temporal."""
    if streaming is numba.types.none:
        return lambda out, i, streaming: simd.prefetch(out, i + PREFETCH_STORES)
    return lambda out, i, streaming: None


@internal
def stream_head(buffer, factor, out, line, first, zero):
    """Complete the cache line in which the results of a row begin; returns how many of its elements that takes."""
    before = offset_in_line(out, zero)
    if before == 0:
        return 0
    head = quotient(simd.load_as(buffer, 0, zero), factor)
    if first:
        simd.store(out, 0, head)
    else:
        simd.store(line, before, head)
        simd.stream(out, -before, simd.load_as(line, 0, zero))
    return simd.lanes(zero) - before


@internal
def stream_tail(buffer, j, n, factor, out, line, last, zero):
    """Results of a row of n elements from element j on, which begins a cache line of out."""
    w = simd.lanes(zero)
    while j + w <= n:
        simd.stream(out, j, quotient(simd.load_as(buffer, j, zero), factor))
        j += w
    if j < n:
        tail = quotient(simd.load_as(buffer, n - w, zero), factor)
        if last:
            simd.store(out, n - w, tail)
        else:
            simd.store(line, n - j - w, tail)
