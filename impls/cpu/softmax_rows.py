"""Softmax of rows of at least one vector: weights and their sum, then quotients, while the row is in a core's cache."""

from __future__ import annotations

import numba
import numpy as np

from .. import simd
from ..compilation import cached_njit
from ..internal import generated, internal
from ..simd.exp import from_guess, is_near, is_sound, kept, origin_of_row, quotient, reciprocal, weights
from .softmax_elements import (
    ADDENDS,
    BLOCKS,
    add,
    ahead,
    fetch_pair,
    part,
    read,
    rest,
    scratch_like,
    write,
    zero_like,
)
from .softmax_past import begin_past, end_past, fetch, put

# Measured side by side with other values, on an AMD Zen 3.
# Bytes of a row up to which its weights wait apart from out. One thread: 12 to 22% faster at 96 to 256 columns of
# float32, level at 512; 5 to 12% faster at 96 and 128 of float64, level at 256, and at 512 to 2000 16 to 23% slower.
APART = 1 << 11
# Columns up to which a row's quotients are computed after the weights of the row below: they wait for the row's sum.
# One thread: 12 to 14% faster at 80 to 128 columns of float32, 10% at 256, 3% at 1000; in float64 9% at 64, 2% at 128.
AHEAD = 2048


@internal
def _maximum(x, n, zero):
    """The largest of x[:n], as a vector; NaN if one is NaN."""
    w = simd.lanes(zero)
    a = simd.splat(zero, -np.inf)
    b = a
    # A sum of all costs less than a comparison of each: if it is no NaN, none is.
    total = zero
    j = 0
    while j + 4 * w <= n:
        p, q, r, s = read(x, j, zero), read(x, j + w, zero), read(x, j + 2 * w, zero), read(x, j + 3 * w, zero)
        total = total + ((p + q) + (r + s))
        a, b = simd.maximum(simd.maximum(p, q), a), simd.maximum(simd.maximum(r, s), b)
        j += 4 * w
    while j < n:
        p = read(x, min(j, n - w), zero)
        total = total + p
        a = simd.maximum(p, a)
        j += w
    top = simd.reduce_max(simd.maximum(a, b))
    if simd.some(simd.unordered(total, total)) and _has_nan(x, n, zero):
        top = simd.reduce_add(simd.splat(zero, np.nan))
    return simd.splat(zero, top)


@internal
def _has_nan(x, n, zero):
    """Whether one of x[:n] is NaN, n at least one vector."""
    w = simd.lanes(zero)
    for j in range(0, n, w):
        p = read(x, min(j, n - w), zero)
        if simd.some(simd.unordered(p, p)):
            return True
    return False


@internal
def guess_at(x, n, zero):
    """A number that the maximum of x[:n] is at least, and probably not far above."""
    # Of both ends, since masks often leave one of them at -inf.
    return simd.reduce_max(simd.maximum(read(x, 0, zero), read(x, n - simd.lanes(zero), zero)))


# By itself LLVM calls it where x is float16, 2 to 5% slower.
@internal(forceinline=True)
def weigh(x, n, guess, buffer, keep, zero):
    """Weights of x[:n] into buffer, if they are to be kept; returns what they are relative to, and their sum."""
    if is_near(guess, zero):
        total = weigh_from(x, n, kept(from_guess(guess, zero)), buffer, keep, None, zero)
        if is_sound(total, zero):
            return guess, total
    return weigh_exactly(x, n, buffer, keep, zero)


@internal
def weigh_exactly(x, n, buffer, keep, zero):
    """As `weigh`, relative to the maximum."""
    top = _maximum(x, n, zero)
    return simd.reduce_max(top), weigh_from(x, n, origin_of_row(top), buffer, keep, None, zero)


@generated(inline="always")
def _move(other, j, zero):
    """Turn two vectors of weights of another row, if there is one, into results: see `weigh_from`."""

    def move(other, j, zero):
        source, factor, to, _, past = other
        w = simd.lanes(zero)
        fetch(to, j, past)
        fetch(to, j + w, past)
        put(to, j, quotient(simd.load_as(source, j, zero), factor), past)
        put(to, j + w, quotient(simd.load_as(source, j + w, zero), factor), past)

    return (lambda other, j, zero: None) if other is numba.types.none else move


@generated
def _room(other, n):
    """Elements of x[:n] beside which there are some of another row."""
    if other is numba.types.none:
        return lambda other, n: 0
    return lambda other, n: min(n, other[3])


@internal
def _weigh_pairs(x, j, n, start, buffer, keep, other, total, lost, zero):
    """As `weigh_from`, for pairs of vectors of x[j:n]; returns where they end, the sum and what rounding took."""
    w = simd.lanes(zero)
    while j + 2 * w <= n:
        stop = min(n - 2 * w, j + (BLOCKS * ADDENDS - 1) * 2 * w)
        blocks = zero
        while j <= stop:
            end = min(stop, j + (ADDENDS - 1) * 2 * w)
            partial = zero
            while j <= end:
                fetch_pair(x, j + ahead(x), zero)
                _move(other, j, zero)
                # One after the other: what both need at a time fits 16 registers.
                e = weights(read(x, j, zero), start)
                if keep:
                    simd.store(buffer, j, e)
                f = weights(read(x, j + w, zero), start)
                if keep:
                    simd.store(buffer, j + w, f)
                partial = partial + (e + f)
                j += 2 * w
            blocks = blocks + partial
        total, lost = add(total, lost, np.float64(simd.reduce_add(blocks)))
    return j, total, lost


@internal
def weigh_rest(x, j, n, start, buffer, keep, total, lost, zero):
    """As `weigh_from`, of x[j:n], added to a total that has lost something to rounding."""
    w = simd.lanes(zero)
    j, total, lost = _weigh_pairs(x, j, n, start, buffer, keep, None, total, lost, zero)
    while j < n:
        # The last vector may begin within the one before it; what both hold counts once.
        at = min(j, n - w)
        e = weights(read(x, at, zero), start)
        if keep:
            simd.store(buffer, at, e)
        total, lost = add(total, lost, np.float64(simd.reduce_add(rest(e, j - at))))
        j += w
    return total


@internal
def weigh_from(x, n, start, buffer, keep, other, zero):
    """The sum of the weights of x[:n], which go to buffer if they are to be kept.

    other is None or (weights, factor, results, count, past) of another row: as many pairs of vectors of it as x has,
    and no more than `count` elements, become results meanwhile, past the caches if `past` is not None.
    """
    j, total, lost = _weigh_pairs(x, 0, _room(other, n), start, buffer, keep, other, 0.0, 0.0, zero)
    return weigh_rest(x, j, n, start, buffer, keep, total, lost, zero)


def _scaling(by):
    """A function that turns weights into results."""

    @internal
    def scale(buffer, n, factor, out, zero):
        w = simd.lanes(zero)
        last = by(simd.load_as(buffer, n - w, zero), factor)  # at once, since buffer may be out
        j = 0
        while j + w <= n:
            write(out, j, by(simd.load_as(buffer, j, zero), factor))
            j += w
        write(out, n - w, last)

    return scale


scale, scale_piece = _scaling(quotient), _scaling(part)


@internal
def clear_of(x, scratch, zero):
    """The first line from scratch on, within 4096 bytes, that no load from x shortly after a store to it waits for.

    A load waits for stores before it to an address that is the same modulo 4096: up to 20% of the time of long rows.
    """
    apart = (simd.address(x) + 1536) // simd.VECTOR_BYTES * simd.VECTOR_BYTES - simd.address(scratch)
    return simd.offset(scratch, apart % 4096 * simd.lanes(zero) // simd.VECTOR_BYTES)


@generated
def _waiting(out, scratch, n, i, apart):
    """Where the weights of row i wait for their sum: in out, or apart from it in scratch, with room for two rows."""
    if out.dtype is numba.types.int16:
        return lambda out, scratch, n, i, apart: simd.offset(scratch, i % 2 * n if n <= AHEAD else 0)
    return lambda out, scratch, n, i, apart: (
        simd.offset(scratch, i % 2 * n if n <= AHEAD else 0) if apart else simd.offset(out, i * n)
    )


@generated
def _finish(out, scratch, n, i, factor, zero, line, apart, streaming, first, end):
    """Quotients of row i, one of rows first to end."""

    def ordinary(out, scratch, n, i, factor, zero, line, apart, streaming, first, end):
        scale(_waiting(out, scratch, n, i, apart), n, factor, simd.offset(out, i * n), zero)

    def either(out, scratch, n, i, factor, zero, line, apart, streaming, first, end):
        buffer, to = _waiting(out, scratch, n, i, apart), simd.offset(out, i * n)
        if streaming:
            j = begin_past(buffer, factor, to, line, i == first, zero)
            end_past(buffer, j, n, factor, to, line, i == end - 1, zero)
        else:
            scale(buffer, n, factor, to, zero)

    return ordinary if out.dtype is numba.types.int16 else either


@cached_njit(nogil=True, error_model="numpy")
def rows(x, out, streaming, first, end):
    """Rows first to end of x (outer, n, 1), n at least one vector."""
    n = x.shape[1]
    apart = streaming or x.itemsize == 2 or n * x.itemsize <= APART
    # A line with a vector's room on both sides, what `clear_of` may leave out, and the rows.
    spare = scratch_like(x, 48 + 1024 + (0 if not apart else 2 * n if n <= AHEAD else n))
    if first >= end:
        return spare.size
    x, out, work = simd.data(x), simd.data(out), simd.data(spare)
    zero, register = zero_like(x), simd.register(zero_like(x))
    line = simd.offset(work, 16)
    scratch = clear_of(x, simd.offset(work, 48), zero)
    guess = guess_at(simd.offset(x, first * n), n, register)
    factor = zero, zero
    for i in range(first, end):
        a = simd.offset(x, i * n)
        below = guess_at(simd.offset(a, n), n, register) if i + 1 < end else guess
        total = weigh(a, n, guess, _waiting(out, scratch, n, i, apart), True, register)[1]
        if n <= AHEAD and i > first:
            _finish(out, scratch, n, i - 1, factor, zero, line, apart, streaming, first, end)
        factor = reciprocal(total, zero)
        if n > AHEAD or i == end - 1:
            _finish(out, scratch, n, i, factor, zero, line, apart, streaming, first, end)
        guess = below
    return spare.size  # keeps it alive
