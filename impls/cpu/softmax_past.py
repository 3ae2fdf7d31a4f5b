"""Results of softmax's rows past the caches, each line in one piece, also one that two rows share.

Such a line waits in `line`, with a vector's room before it, until it is whole: ordinary stores to a line that is also
streamed fetch it, which made rows of 128 columns 5 times slower. Only the first and the last row of a share of the work
store so.
"""

from __future__ import annotations

from numba.extending import register_jitable

from .. import simd
from ..vector_math import quotient
from .softmax_elements import into_line


@register_jitable
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


@register_jitable
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
