"""Register-resident softmax: the exponentials of a row of a few vectors stay in registers."""

from __future__ import annotations

import functools

from .. import simd
from ..compilation import cached_njit
from ..internal import internal
from ..simd.exp import estimated_shift, exponentials, in_range, is_verified, pinned, quotient, reciprocal
from .softmax_elements import prefetch_distance, read, scratch_like, without_first, zero_like
from .softmax_rows import estimate_maximum, exp_sum, normalise
from .streaming_stores import prefetch_store, store_or_stream

MOST_VECTORS = 8  # vectors

# Functions made for one number of vectors, which are in a tuple: its indices have to be constants.


def _exponentials_of(vectors):
    """A function that computes the exponentials of a row; the last vector may overlap the one before it."""
    if vectors == 1:
        return internal(lambda row, last, start, zero: (exponentials(read(row, last, zero), start),))
    others = _exponentials_of(vectors - 1)

    @internal
    def exponentiate(row, last, start, zero):
        before = min((vectors - 2) * simd.lanes(zero), last)
        return (*others(row, before, start, zero), exponentials(read(row, last, zero), start))

    return exponentiate


def _sum_of(vectors, first=0):
    """A function that adds up `vectors` vectors of a tuple from `first` on, in pairs."""
    if vectors == 1:
        return internal(lambda e: e[first])
    half = vectors // 2
    left, right = _sum_of(half, first), _sum_of(vectors - half, first + half)
    return internal(lambda e: left(e) + right(e))


def _results_of(vectors):
    """A function that stores the results of a row."""
    here = vectors - 1
    if vectors == 1:

        @internal
        def store(e, out, last, factor, streaming, zero):
            store_or_stream(out, last, quotient(e[here], factor), streaming)

        return store
    others = _results_of(vectors - 1)

    @internal
    def store_row(e, out, last, factor, streaming, zero):
        others(e, out, min((vectors - 2) * simd.lanes(zero), last), factor, streaming, zero)
        store_or_stream(out, last, quotient(e[here], factor), streaming)

    return store_row


@internal
def _factor(total, zero):
    """The `reciprocal` of a sum in the type of x. The row waits for it, so the shortest vector divides."""
    half = simd.half_line(zero)
    high, low = reciprocal(simd.broadcast(half, total), half)
    return simd.broadcast(zero, simd.first(high)), simd.broadcast(zero, simd.first(low))


def _rows_of(vectors):
    """A function for rows first to end of so many vectors; returns the first whose estimate the sum did not verify.

    It returns instead of calling the fallback: a call in the loop would spill the constants to the stack.
    """
    exponentiate, store_row = _exponentials_of(vectors), _results_of(vectors)
    all_but_last = _sum_of(vectors - 1)
    end_of_row = vectors - 1

    @internal
    def exponentiated(row, n, estimate, zero):
        """The exponentials of a row, their sum, and whether it verified the estimate."""
        w = simd.lanes(zero)
        e = exponentiate(row, n - w, pinned(estimated_shift(estimate, zero)), zero)
        total = simd.reduce_add(all_but_last(e) + without_first(e[end_of_row], vectors * w - n))
        return e, total, in_range(estimate, zero) and is_verified(total, zero)

    @internal
    def rows(x, out, n, streaming, first, end, zero):
        w = simd.lanes(zero)
        next_estimate = estimate_maximum(simd.offset(x, min(first + 1, end - 1) * n), n, zero)
        e, total, verified = exponentiated(
            simd.offset(x, first * n), n, estimate_maximum(simd.offset(x, first * n), n, zero), zero
        )
        if not verified:
            return first
        for i in range(first + 1, end):
            row, to = simd.offset(x, i * n), simd.offset(out, (i - 1) * n)
            for k in range(vectors):
                simd.prefetch(row, k * w + prefetch_distance(row))
                prefetch_store(to, k * w, streaming)
            estimate, next_estimate = next_estimate, estimate_maximum(simd.offset(x, min(i + 1, end - 1) * n), n, zero)
            f, next_total, verified = exponentiated(row, n, estimate, zero)
            store_row(e, to, n - w, _factor(total, zero), streaming, zero)
            if not verified:
                return i
            e, total = f, next_total
        store_row(e, simd.offset(out, (end - 1) * n), n - w, _factor(total, zero), streaming, zero)
        return end

    return rows


@functools.cache
def registers(vectors):
    """The kernel (x, out, streaming, first, end) for rows first to end of x (outer, n, 1) of float32 or float64.

    Non-temporal stores if `streaming` is True: then n must be whole vectors and out be aligned to one; ordinary ones if
    None. Each number of vectors, 2 to `MOST_VECTORS`, is compiled when it is first used.
    """
    resident_rows = _rows_of(vectors)

    @cached_njit(nogil=True, error_model="numpy")
    def register_rows(x, out, streaming, first, end):
        n = x.shape[1]
        spare = scratch_like(x, n)
        x, out, scratch = simd.data(x), simd.data(out), simd.data(spare)
        zero = simd.register(zero_like(x))
        i = resident_rows(x, out, n, streaming, first, end, zero) if first < end else end
        while i < end:
            row = simd.offset(x, i * n)
            total = exp_sum(row, n, estimate_maximum(row, n, zero), scratch, True, zero)[1]
            normalise(scratch, n, reciprocal(total, zero), simd.offset(out, i * n), zero)
            i = resident_rows(x, out, n, streaming, i + 1, end, zero) if i + 1 < end else end
        return spare.size  # keeps it alive

    return register_rows


@functools.cache
def registers_for(n, itemsize):
    """The kernel of `registers` of the fewest vectors that hold n elements of so many bytes."""
    return registers(max(2, -(-n * itemsize // max(simd.VECTOR_BYTES // 2, simd.register_bytes()))))
