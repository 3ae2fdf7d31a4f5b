"""Softmax of rows past the caches, two of them at a time, each from a half of the rows and beside the row before it.

One core's memory is faster in two places at a time: copies with stores past the caches are 1.12 times as fast in two
or more pages in turn as from end to end, and so are these rows (both on an Intel Emerald Rapids, in float32).
"""

from __future__ import annotations

import numpy as np

from .. import simd
from ..compilation import cached_njit
from ..internal import internal
from ..simd.exp import from_guess, is_near, is_sound, kept, quotient, reciprocal, weights
from .softmax_beside import beside
from .softmax_elements import ADDENDS, BLOCKS, add, ahead, read, scratch_like, zero_like
from .softmax_past import begin_past, end_past
from .softmax_rows import clear_of, guess_at, weigh, weigh_exactly, weigh_rest


@internal
def _weigh_two(x, y, n, starts, buffers, others, zero):
    """As `weigh_from` with all of their others' results past the caches, of x[:n] and y[:n] at a time.

    Returns both sums, and how many elements of either other row have become results.
    """
    w = simd.lanes(zero)
    a = kept(starts[0])
    # The same constants, in one set of registers.
    b = starts[1][0], starts[1][1], starts[1][2], a[3], starts[1][4]
    to_a, to_b = buffers
    source_a, factor_a, out_a, count_a = others[0]
    source_b, factor_b, out_b, count_b = others[1]
    room = min(n, min(count_a, count_b))
    total_a = lost_a = total_b = lost_b = 0.0
    j = 0
    while j + w <= room:
        # Sums as in `weigh_from`.
        stop = min(room - w, j + (BLOCKS * ADDENDS - 1) * w)
        blocks_a = blocks_b = zero
        while j <= stop:
            end = min(stop, j + (ADDENDS - 1) * w)
            partial_a = partial_b = zero
            while j <= end:
                simd.prefetch(x, j + ahead(x))
                simd.stream(out_a, j, quotient(simd.load_as(source_a, j, zero), factor_a))
                e = weights(read(x, j, zero), a)
                simd.store(to_a, j, e)
                partial_a = partial_a + e
                simd.prefetch(y, j + ahead(y))
                simd.stream(out_b, j, quotient(simd.load_as(source_b, j, zero), factor_b))
                f = weights(read(y, j, zero), b)
                simd.store(to_b, j, f)
                partial_b = partial_b + f
                j += w
            blocks_a, blocks_b = blocks_a + partial_a, blocks_b + partial_b
        total_a, lost_a = add(total_a, lost_a, np.float64(simd.reduce_add(blocks_a)))
        total_b, lost_b = add(total_b, lost_b, np.float64(simd.reduce_add(blocks_b)))
    total_a = weigh_rest(x, j, n, a, to_a, True, total_a, lost_a, zero)
    total_b = weigh_rest(y, j, n, b, to_b, True, total_b, lost_b, zero)
    return total_a, total_b, j


@cached_njit(nogil=True, error_model="numpy")
def two(x, out, first, end):
    """Rows first to end of x (outer, n, 1) of float32 or float64, n at least one vector; results go past the caches."""
    n, half = x.shape[1], (end - first) // 2
    if half == 0:
        return beside(x, out, True, first, end)
    apart = (n + 15) // 16 * 16
    # Two lines with a vector's room on both sides, and twice what `clear_of` may leave out and two rows.
    spare = scratch_like(x, 96 + 2 * (1024 + 2 * apart))
    rows, results, work = simd.data(x), simd.data(out), simd.data(spare)
    zero, register = zero_like(rows), simd.register(zero_like(rows))
    line_a, line_b = simd.offset(work, 16), simd.offset(work, 64)
    a, b = simd.offset(rows, first * n), simd.offset(rows, (first + half) * n)
    to_a, to_b = simd.offset(results, first * n), simd.offset(results, (first + half) * n)
    scratch_a = clear_of(a, simd.offset(work, 96), zero)
    scratch_b = clear_of(b, simd.offset(work, 96 + 1024 + 2 * apart), zero)
    total_a = weigh(a, n, guess_at(a, n, register), scratch_a, True, register)[1]
    total_b = weigh(b, n, guess_at(b, n, register), scratch_b, True, register)[1]
    for i in range(half):
        old_a, old_b = simd.offset(scratch_a, i % 2 * apart), simd.offset(scratch_b, i % 2 * apart)
        new_a, new_b = simd.offset(scratch_a, (i + 1) % 2 * apart), simd.offset(scratch_b, (i + 1) % 2 * apart)
        factor_a, factor_b = reciprocal(total_a, zero), reciprocal(total_b, zero)
        j = begin_past(old_a, factor_a, to_a, line_a, i == 0, zero)
        k = begin_past(old_b, factor_b, to_b, line_b, i == 0, zero)
        moved = 0
        if i + 1 < half:
            a, b = simd.offset(a, n), simd.offset(b, n)
            guess_a, guess_b = guess_at(a, n, register), guess_at(b, n, register)
            exactly_a = exactly_b = True
            if is_near(guess_a, register) and is_near(guess_b, register):
                other_a = simd.offset(old_a, j), reciprocal(total_a, register), simd.offset(to_a, j), n - j
                other_b = simd.offset(old_b, k), reciprocal(total_b, register), simd.offset(to_b, k), n - k
                starts, buffers = (from_guess(guess_a, register), from_guess(guess_b, register)), (new_a, new_b)
                total_a, total_b, moved = _weigh_two(a, b, n, starts, buffers, (other_a, other_b), register)
                exactly_a, exactly_b = not is_sound(total_a, register), not is_sound(total_b, register)
            if exactly_a:
                total_a = weigh_exactly(a, n, new_a, True, register)[1]
            if exactly_b:
                total_b = weigh_exactly(b, n, new_b, True, register)[1]
        end_past(old_a, j + moved, n, factor_a, to_a, line_a, i + 1 == half, zero)
        end_past(old_b, k + moved, n, factor_b, to_b, line_b, i + 1 == half, zero)
        to_a, to_b = simd.offset(to_a, n), simd.offset(to_b, n)
    return spare.size + beside(x, out, True, first + 2 * half, end)  # keeps it alive
