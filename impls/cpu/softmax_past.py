"""Results of softmax's rows past the caches, each line in one piece, also one that two rows share; or as usual.

`past` is True or None, as each way is compiled by itself. A line that two rows share waits in `line`, with a vector's
room before it, until it is whole: ordinary stores to a line that is also streamed fetch it, which made rows of 128
columns 5 times slower. Only the first and the last row of a share of the work store so.
"""

from __future__ import annotations

import numba

from .. import simd
from ..internal import generated, internal
from ..simd.exp import quotient
from .softmax_elements import into_line

# Elements ahead of those at work that are fetched where results will be: 4 to 10% faster in the last cache of an Intel
# Emerald Rapids; 64 to 1024 are as good.
FETCH_OUT = 256


@generated(inline="always")
def put(out, i, vector, past):
    """Store a vector from out[i] on, past the caches if `past`; then out[i] must begin a register."""
    if past is numba.types.none:
        return lambda out, i, vector, past: simd.store(out, i, vector)
    return lambda out, i, vector, past: simd.stream(out, i, vector)


@generated(inline="always")
def fetch(out, i, past):
    """Ask for the line that a store some turns later goes to, unless that goes past the caches."""
    if past is numba.types.none:
        return lambda out, i, past: simd.prefetch(out, i + FETCH_OUT)
    return lambda out, i, past: None


@internal
def begin_past(buffer, factor, out, line, first, zero):
    """Finish the line in which the results of a row begin; returns how many elements of the row that takes."""
    before = into_line(out, zero)
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
def end_past(buffer, j, n, factor, out, line, last, zero):
    """Results of a row of n elements from element j on, which begins a line of out."""
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
