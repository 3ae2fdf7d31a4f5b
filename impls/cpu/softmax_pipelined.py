"""Software-pipelined rows: one loop exponentiates row i and normalises row i - 1; interleaved, of two rows at a time.

Loads and stores overlap so; in two loops, one after the other, they use memory by turns. It takes 32 registers.
Interleaved rows come from the two halves of a thread's chunk: memory serves two places at a time faster than one.
"""

from __future__ import annotations

import numba
import numpy as np

from .. import simd
from ..compilation import cached_njit
from ..internal import generated, internal
from ..simd.exp import estimated_shift, exponentials, in_range, is_verified, pinned, quotient, reciprocal
from .softmax_elements import ADDENDS, BLOCKS, kahan_add, prefetch_distance, read, scratch_like, zero_like
from .softmax_rows import avoid_aliasing, estimate_maximum, exp_sum, exp_sum_exact, exp_sum_shifted, exp_sum_tail
from .streaming_stores import stream_head, stream_tail


@generated
def _head(buffer, factor, out, line, first, zero, streaming):
    """Results of a row before its first whole cache line, if `streaming`; returns how many."""
    if streaming is numba.types.none:
        return lambda buffer, factor, out, line, first, zero, streaming: 0
    return lambda buffer, factor, out, line, first, zero, streaming: stream_head(buffer, factor, out, line, first, zero)


@generated
def _tail(buffer, j, n, factor, out, line, last, zero, streaming):
    """Results of a row of n elements from element j on."""

    def ordinary(buffer, j, n, factor, out, line, last, zero, streaming):
        w = simd.lanes(zero)
        while j < n:
            at = min(j, n - w)
            simd.store(out, at, quotient(simd.load_as(buffer, at, zero), factor))
            j += w

    def streamed(buffer, j, n, factor, out, line, last, zero, streaming):
        stream_tail(buffer, j, n, factor, out, line, last, zero)

    return ordinary if streaming is numba.types.none else streamed


@internal
def _exp_sum(x, n, estimate, buffer, other, zero):
    """The sum of the exponentials of x[:n], and how many elements of the other row were normalised."""
    if in_range(estimate, zero):
        total = exp_sum_shifted(x, n, pinned(estimated_shift(estimate, zero)), buffer, True, other, zero)
        pair = 2 * simd.lanes(zero)
        moved = min(n, other[3]) // pair * pair
        if is_verified(total, zero):
            return total, moved
        return exp_sum_exact(x, n, buffer, True, zero)[1], moved
    return exp_sum_exact(x, n, buffer, True, zero)[1], 0


@cached_njit(nogil=True, error_model="numpy")
def pipelined(x, out, streaming, first, end):
    """Rows first to end of x (outer, n, 1) of float32 or float64, n at least one vector.

    Non-temporal stores if `streaming` is True; ordinary ones if None.
    """
    n = x.shape[1]
    apart = (n + 15) // 16 * 16
    # A cache line with a vector's room on both sides, up to 4096 bytes that `avoid_aliasing` skips, and two rows.
    spare = scratch_like(x, 48 + 1024 + 2 * apart)
    if first >= end:
        return spare.size
    x, out, work = simd.data(x), simd.data(out), simd.data(spare)
    zero, register = zero_like(x), simd.register(zero_like(x))
    line = simd.offset(work, 16)
    scratch = avoid_aliasing(x, simd.offset(work, 48), zero)
    row = simd.offset(x, first * n)
    total = exp_sum(row, n, estimate_maximum(row, n, register), scratch, True, register)[1]
    estimate = estimate_maximum(simd.offset(row, n), n, register) if first + 1 < end else 0
    for i in range(first, end - 1):
        old, new = simd.offset(scratch, (i - first) % 2 * apart), simd.offset(scratch, (i + 1 - first) % 2 * apart)
        row, to = simd.offset(x, (i + 1) * n), simd.offset(out, i * n)
        next_estimate = estimate_maximum(simd.offset(row, n), n, register) if i + 2 < end else estimate
        factor = reciprocal(total, zero)
        j = _head(old, factor, to, line, i == first, zero, streaming)
        other = simd.offset(old, j), reciprocal(total, register), simd.offset(to, j), n - j, streaming
        total, moved = _exp_sum(row, n, estimate, new, other, register)
        _tail(old, j + moved, n, factor, to, line, False, zero, streaming)
        estimate = next_estimate
    old, to = simd.offset(scratch, (end - 1 - first) % 2 * apart), simd.offset(out, (end - 1) * n)
    factor = reciprocal(total, zero)
    j = _head(old, factor, to, line, end - 1 == first, zero, streaming)
    _tail(old, j, n, factor, to, line, True, zero, streaming)
    return spare.size  # keeps it alive


@internal
def _exp_sum_two(x, y, n, shifts, buffers, others, zero):
    """`exp_sum_shifted` of x[:n] and y[:n] in one loop, their other rows stored by non-temporal stores.

    Returns both sums, and how many elements of each other row were normalised.
    """
    w = simd.lanes(zero)
    a = pinned(shifts[0])
    # The constants of both in one set of registers.
    b = shifts[1][0], shifts[1][1], shifts[1][2], a[3], shifts[1][4]
    to_a, to_b = buffers
    source_a, factor_a, out_a, count_a = others[0]
    source_b, factor_b, out_b, count_b = others[1]
    room = min(n, min(count_a, count_b))
    total_a = lost_a = total_b = lost_b = 0.0
    j = 0
    while j + w <= room:
        # Sums as in `exp_sum_shifted`.
        stop = min(room - w, j + (BLOCKS * ADDENDS - 1) * w)
        blocks_a = blocks_b = zero
        while j <= stop:
            end = min(stop, j + (ADDENDS - 1) * w)
            partial_a = partial_b = zero
            while j <= end:
                simd.prefetch(x, j + prefetch_distance(x))
                simd.stream(out_a, j, quotient(simd.load_as(source_a, j, zero), factor_a))
                e = exponentials(read(x, j, zero), a)
                simd.store(to_a, j, e)
                partial_a = partial_a + e
                simd.prefetch(y, j + prefetch_distance(y))
                simd.stream(out_b, j, quotient(simd.load_as(source_b, j, zero), factor_b))
                f = exponentials(read(y, j, zero), b)
                simd.store(to_b, j, f)
                partial_b = partial_b + f
                j += w
            blocks_a, blocks_b = blocks_a + partial_a, blocks_b + partial_b
        total_a, lost_a = kahan_add(total_a, lost_a, np.float64(simd.reduce_add(blocks_a)))
        total_b, lost_b = kahan_add(total_b, lost_b, np.float64(simd.reduce_add(blocks_b)))
    total_a = exp_sum_tail(x, j, n, a, to_a, True, total_a, lost_a, zero)
    total_b = exp_sum_tail(y, j, n, b, to_b, True, total_b, lost_b, zero)
    return total_a, total_b, j


@cached_njit(nogil=True, error_model="numpy")
def interleaved(x, out, first, end):
    """Rows first to end of x (outer, n, 1) of float32 or float64, n at least one vector; non-temporal stores."""
    n, half = x.shape[1], (end - first) // 2
    if half == 0:
        return pipelined(x, out, True, first, end)
    apart = (n + 15) // 16 * 16
    # As in `pipelined`, twice.
    spare = scratch_like(x, 96 + 2 * (1024 + 2 * apart))
    rows, results, work = simd.data(x), simd.data(out), simd.data(spare)
    zero, register = zero_like(rows), simd.register(zero_like(rows))
    line_a, line_b = simd.offset(work, 16), simd.offset(work, 64)
    a, b = simd.offset(rows, first * n), simd.offset(rows, (first + half) * n)
    to_a, to_b = simd.offset(results, first * n), simd.offset(results, (first + half) * n)
    scratch_a = avoid_aliasing(a, simd.offset(work, 96), zero)
    scratch_b = avoid_aliasing(b, simd.offset(work, 96 + 1024 + 2 * apart), zero)
    total_a = exp_sum(a, n, estimate_maximum(a, n, register), scratch_a, True, register)[1]
    total_b = exp_sum(b, n, estimate_maximum(b, n, register), scratch_b, True, register)[1]
    for i in range(half):
        old_a, old_b = simd.offset(scratch_a, i % 2 * apart), simd.offset(scratch_b, i % 2 * apart)
        new_a, new_b = simd.offset(scratch_a, (i + 1) % 2 * apart), simd.offset(scratch_b, (i + 1) % 2 * apart)
        factor_a, factor_b = reciprocal(total_a, zero), reciprocal(total_b, zero)
        j = stream_head(old_a, factor_a, to_a, line_a, i == 0, zero)
        k = stream_head(old_b, factor_b, to_b, line_b, i == 0, zero)
        moved = 0
        if i + 1 < half:
            a, b = simd.offset(a, n), simd.offset(b, n)
            estimate_a, estimate_b = estimate_maximum(a, n, register), estimate_maximum(b, n, register)
            exact_a = exact_b = True
            if in_range(estimate_a, register) and in_range(estimate_b, register):
                other_a = simd.offset(old_a, j), reciprocal(total_a, register), simd.offset(to_a, j), n - j
                other_b = simd.offset(old_b, k), reciprocal(total_b, register), simd.offset(to_b, k), n - k
                shifts = estimated_shift(estimate_a, register), estimated_shift(estimate_b, register)
                total_a, total_b, moved = _exp_sum_two(a, b, n, shifts, (new_a, new_b), (other_a, other_b), register)
                exact_a, exact_b = not is_verified(total_a, register), not is_verified(total_b, register)
            if exact_a:
                total_a = exp_sum_exact(a, n, new_a, True, register)[1]
            if exact_b:
                total_b = exp_sum_exact(b, n, new_b, True, register)[1]
        stream_tail(old_a, j + moved, n, factor_a, to_a, line_a, i + 1 == half, zero)
        stream_tail(old_b, k + moved, n, factor_b, to_b, line_b, i + 1 == half, zero)
        to_a, to_b = simd.offset(to_a, n), simd.offset(to_b, n)
    return spare.size + pipelined(x, out, True, first + 2 * half, end)  # keeps it alive
