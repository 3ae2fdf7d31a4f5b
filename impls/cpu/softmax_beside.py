"""Softmax of rows, the weights of one and the results of the row before it in one loop.

After one another the two use memory by turns: while results are stored little is read, and the other way round. Beside
each other they need more registers than the 16 that processors without AVX-512 have.
"""

from __future__ import annotations

import numba

from .. import simd
from ..compilation import cached_njit
from ..internal import generated, internal
from ..simd.exp import from_guess, is_near, is_sound, kept, quotient, reciprocal
from .softmax_elements import scratch_like, zero_like
from .softmax_past import begin_past, end_past
from .softmax_rows import clear_of, guess_at, weigh, weigh_exactly, weigh_from


@generated
def _begin(buffer, factor, out, line, first, zero, past):
    """Results of a row before its first whole line, if they go past the caches; returns how many."""
    if past is numba.types.none:
        return lambda buffer, factor, out, line, first, zero, past: 0
    return lambda buffer, factor, out, line, first, zero, past: begin_past(buffer, factor, out, line, first, zero)


@generated
def _end(buffer, j, n, factor, out, line, last, zero, past):
    """Results of a row of n elements from element j on."""

    def ordinary(buffer, j, n, factor, out, line, last, zero, past):
        w = simd.lanes(zero)
        while j < n:
            at = min(j, n - w)
            simd.store(out, at, quotient(simd.load_as(buffer, at, zero), factor))
            j += w

    def streamed(buffer, j, n, factor, out, line, last, zero, past):
        end_past(buffer, j, n, factor, out, line, last, zero)

    return ordinary if past is numba.types.none else streamed


@internal
def _weigh(x, n, guess, buffer, other, zero):
    """The sum of the weights of x[:n], and how many elements of the other row have become results."""
    if is_near(guess, zero):
        total = weigh_from(x, n, kept(from_guess(guess, zero)), buffer, True, other, zero)
        pair = 2 * simd.lanes(zero)
        moved = min(n, other[3]) // pair * pair
        if is_sound(total, zero):
            return total, moved
        return weigh_exactly(x, n, buffer, True, zero)[1], moved
    return weigh_exactly(x, n, buffer, True, zero)[1], 0


@cached_njit(nogil=True, error_model="numpy")
def beside(x, out, past, first, end):
    """Rows first to end of x (outer, n, 1) of float32 or float64, n at least one vector.

    Results go past the caches if `past` is True; it is None if not, as each way is compiled by itself.
    """
    n = x.shape[1]
    apart = (n + 15) // 16 * 16
    # A line with a vector's room on both sides, what `clear_of` may leave out, and two rows.
    spare = scratch_like(x, 48 + 1024 + 2 * apart)
    if first >= end:
        return spare.size
    x, out, work = simd.data(x), simd.data(out), simd.data(spare)
    zero, register = zero_like(x), simd.register(zero_like(x))
    line = simd.offset(work, 16)
    scratch = clear_of(x, simd.offset(work, 48), zero)
    row = simd.offset(x, first * n)
    total = weigh(row, n, guess_at(row, n, register), scratch, True, register)[1]
    guess = guess_at(simd.offset(row, n), n, register) if first + 1 < end else 0
    for i in range(first, end - 1):
        old, new = simd.offset(scratch, (i - first) % 2 * apart), simd.offset(scratch, (i + 1 - first) % 2 * apart)
        row, to = simd.offset(x, (i + 1) * n), simd.offset(out, i * n)
        below = guess_at(simd.offset(row, n), n, register) if i + 2 < end else guess
        factor = reciprocal(total, zero)
        j = _begin(old, factor, to, line, i == first, zero, past)
        other = simd.offset(old, j), reciprocal(total, register), simd.offset(to, j), n - j, past
        total, moved = _weigh(row, n, guess, new, other, register)
        _end(old, j + moved, n, factor, to, line, False, zero, past)
        guess = below
    old, to = simd.offset(scratch, (end - 1 - first) % 2 * apart), simd.offset(out, (end - 1) * n)
    factor = reciprocal(total, zero)
    j = _begin(old, factor, to, line, end - 1 == first, zero, past)
    _end(old, j, n, factor, to, line, True, zero, past)
    return spare.size  # keeps it alive
