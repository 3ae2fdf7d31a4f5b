"""Softmax of rows of a few vectors, all of which stay in registers."""

from __future__ import annotations

import functools

from .. import simd
from ..compilation import cached_njit
from ..internal import internal
from ..simd.exp import from_guess, is_near, is_sound, kept, quotient, reciprocal, weights
from .softmax_elements import ahead, read, rest, scratch_like, zero_like
from .softmax_past import fetch, put
from .softmax_rows import guess_at, scale, weigh

MOST = 8  # vectors

# Functions that are made for a number of vectors, which lie in a tuple: indices in it have to be constants.


def _weights_of(vectors):
    """A function that computes the weights of a row; the last vector may begin within the one before it."""
    if vectors == 1:
        return internal(lambda row, last, start, zero: (weights(read(row, last, zero), start),))
    others = _weights_of(vectors - 1)

    @internal
    def weigh_row(row, last, start, zero):
        before = min((vectors - 2) * simd.lanes(zero), last)
        return (*others(row, before, start, zero), weights(read(row, last, zero), start))

    return weigh_row


def _sum_of(vectors, first=0):
    """A function that adds up vectors of a tuple from one on, in pairs, without what the last of all shares."""
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
        def store(e, out, last, factor, past, zero):
            put(out, last, quotient(e[here], factor), past)

        return store
    others = _results_of(vectors - 1)

    @internal
    def store_row(e, out, last, factor, past, zero):
        others(e, out, min((vectors - 2) * simd.lanes(zero), last), factor, past, zero)
        put(out, last, quotient(e[here], factor), past)

    return store_row


@internal
def _factor(total, zero):
    """The `reciprocal` of a sum in the type of x, by a vector no longer than has to be: the row waits for it."""
    half = simd.half_line(zero)
    high, low = reciprocal(simd.splat(half, total), half)
    return simd.splat(zero, simd.first(high)), simd.splat(zero, simd.first(low))


def _rows_of(vectors):
    """A function for rows first to end of so many vectors; returns the first whose guess at a maximum did not serve.

    Without a branch that goes on otherwise: what it calls would have constants wait in memory.
    """
    weigh_row, store_row = _weights_of(vectors), _results_of(vectors)
    all_but_last = _sum_of(vectors - 1)
    end_of_row = vectors - 1

    @internal
    def weighed(row, n, guess, zero):
        """The weights of a row, their sum, and whether the guess served."""
        w = simd.lanes(zero)
        e = weigh_row(row, n - w, kept(from_guess(guess, zero)), zero)
        total = simd.reduce_add(all_but_last(e) + rest(e[end_of_row], vectors * w - n))
        return e, total, is_near(guess, zero) and is_sound(total, zero)

    @internal
    def rows(x, out, n, past, first, end, zero):
        w = simd.lanes(zero)
        below = guess_at(simd.offset(x, min(first + 1, end - 1) * n), n, zero)
        e, total, sound = weighed(simd.offset(x, first * n), n, guess_at(simd.offset(x, first * n), n, zero), zero)
        if not sound:
            return first
        for i in range(first + 1, end):
            row, to = simd.offset(x, i * n), simd.offset(out, (i - 1) * n)
            for k in range(vectors):
                simd.prefetch(row, k * w + ahead(row))
                fetch(to, k * w, past)
            guess, below = below, guess_at(simd.offset(x, min(i + 1, end - 1) * n), n, zero)
            f, next_total, sound = weighed(row, n, guess, zero)
            store_row(e, to, n - w, _factor(total, zero), past, zero)
            if not sound:
                return i
            e, total = f, next_total
        store_row(e, simd.offset(out, (end - 1) * n), n - w, _factor(total, zero), past, zero)
        return end

    return rows


@functools.cache
def few(vectors):
    """The kernel (x, out, past, first, end) for rows first to end of x (outer, n, 1) of float32 or float64.

    Results go past the caches if `past` is True, for which n must be whole vectors and out begin a line. It is None if
    not, as each way is compiled by itself. So is each number of vectors, 2 to `MOST`, when it is first asked for.
    """
    rows_of_few = _rows_of(vectors)

    @cached_njit(nogil=True, error_model="numpy")
    def few_rows(x, out, past, first, end):
        n = x.shape[1]
        spare = scratch_like(x, n)
        x, out, scratch = simd.data(x), simd.data(out), simd.data(spare)
        zero = simd.register(zero_like(x))
        i = rows_of_few(x, out, n, past, first, end, zero) if first < end else end
        while i < end:
            row = simd.offset(x, i * n)
            total = weigh(row, n, guess_at(row, n, zero), scratch, True, zero)[1]
            scale(scratch, n, reciprocal(total, zero), simd.offset(out, i * n), zero)
            i = rows_of_few(x, out, n, past, i + 1, end, zero) if i + 1 < end else end
        return spare.size  # keeps it alive

    return few_rows


@functools.cache
def few_for(n, itemsize):
    """The kernel of `few` for rows of n elements of so many bytes: those of the fewest vectors."""
    return few(max(2, -(-n * itemsize // max(simd.VECTOR_BYTES // 2, simd.register_bytes()))))
