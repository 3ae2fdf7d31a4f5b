"""Rows of at least one vector in two loops: exponentials and their sum, then results, while a cache has them."""

from __future__ import annotations

import numba
import numpy as np

from .. import simd
from ..compilation import cached_njit
from ..internal import generated, internal
from ..simd.exp import estimated_shift, exponentials, in_range, is_verified, pinned, quotient, reciprocal, row_shift
from .softmax_elements import (
    ADDENDS,
    BLOCKS,
    SIXTEEN_BITS,
    capped_quotient,
    kahan_add,
    prefetch_distance,
    prefetch_pair,
    read,
    scratch_like,
    without_first,
    write,
    zero_like,
)
from .streaming_stores import prefetch_store, store_or_stream, stream_head, stream_tail

# Bytes of a row up to which its exponentials wait in a buffer and not in the output.
SEPARATE = 1 << 11
# Columns up to which a row is normalised after the next is exponentiated, which hides the latency of its sum.
DELAYED = 2048


@internal
def _maximum(x, n, zero):
    """The largest of x[:n], as a vector; NaN if one is NaN."""
    w = simd.lanes(zero)
    a = simd.broadcast(zero, -np.inf)
    b = a
    # One addition costs less than one comparison: where the sum is no NaN, no element is.
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
    if simd.any_lane(simd.unordered(total, total)) and _has_nan(x, n, zero):
        top = simd.reduce_add(simd.broadcast(zero, np.nan))
    return simd.broadcast(zero, top)


@internal
def _has_nan(x, n, zero):
    """Whether one of x[:n] is NaN, n at least one vector."""
    w = simd.lanes(zero)
    for j in range(0, n, w):
        p = read(x, min(j, n - w), zero)
        if simd.any_lane(simd.unordered(p, p)):
            return True
    return False


@internal
def estimate_maximum(x, n, zero):
    """An estimate of the maximum of x[:n] from below: the maximum of the first and the last vector."""
    # Both, since a mask often sets one of them to -inf.
    return simd.reduce_max(simd.maximum(read(x, 0, zero), read(x, n - simd.lanes(zero), zero)))


# LLVM does not inline it for 16 bits by itself, which is 2 to 5% slower.
@internal(forceinline=True)
def exp_sum(x, n, estimate, buffer, keep, zero):
    """Store the exponentials of x[:n] in buffer if `keep`; returns the shift that they have and their sum."""
    if in_range(estimate, zero):
        total = exp_sum_shifted(x, n, pinned(estimated_shift(estimate, zero)), buffer, keep, None, zero)
        if is_verified(total, zero):
            return estimate, total
    return exp_sum_exact(x, n, buffer, keep, zero)


@internal
def exp_sum_exact(x, n, buffer, keep, zero):
    """`exp_sum` with the exact maximum as the shift."""
    top = _maximum(x, n, zero)
    return simd.reduce_max(top), exp_sum_shifted(x, n, row_shift(top), buffer, keep, None, zero)


@generated
def _normalise_pair(other, j, zero):
    """Normalise two vectors of another row, if there is one: see `exp_sum_shifted`."""

    def move(other, j, zero):
        source, factor, to, _, streaming = other
        w = simd.lanes(zero)
        prefetch_store(to, j, streaming)
        prefetch_store(to, j + w, streaming)
        store_or_stream(to, j, quotient(simd.load_as(source, j, zero), factor), streaming)
        store_or_stream(to, j + w, quotient(simd.load_as(source, j + w, zero), factor), streaming)

    return (lambda other, j, zero: None) if other is numba.types.none else move


@internal
def _exp_sum_pairs(x, j, n, start, buffer, keep, other, total, lost, zero):
    """`exp_sum_shifted` of whole pairs of vectors of x[j:n]; returns their end, the sum, and its Kahan correction."""
    w = simd.lanes(zero)
    while j + 2 * w <= n:
        stop = min(n - 2 * w, j + (BLOCKS * ADDENDS - 1) * 2 * w)
        blocks = zero
        while j <= stop:
            end = min(stop, j + (ADDENDS - 1) * 2 * w)
            partial = zero
            while j <= end:
                prefetch_pair(x, j + prefetch_distance(x), zero)
                _normalise_pair(other, j, zero)
                # One vector after the other, so that 16 registers suffice.
                e = exponentials(read(x, j, zero), start)
                if keep:
                    simd.store(buffer, j, e)
                f = exponentials(read(x, j + w, zero), start)
                if keep:
                    simd.store(buffer, j + w, f)
                partial = partial + (e + f)
                j += 2 * w
            blocks = blocks + partial
        total, lost = kahan_add(total, lost, np.float64(simd.reduce_add(blocks)))
    return j, total, lost


@internal
def exp_sum_tail(x, j, n, start, buffer, keep, total, lost, zero):
    """`exp_sum_shifted` of x[j:n], added to a total with its Kahan correction."""
    w = simd.lanes(zero)
    j, total, lost = _exp_sum_pairs(x, j, n, start, buffer, keep, None, total, lost, zero)
    while j < n:
        # The last vector may overlap the one before it; the overlap counts once.
        at = min(j, n - w)
        e = exponentials(read(x, at, zero), start)
        if keep:
            simd.store(buffer, at, e)
        total, lost = kahan_add(total, lost, np.float64(simd.reduce_add(without_first(e, j - at))))
        j += w
    return total


@internal
def exp_sum_shifted(x, n, start, buffer, keep, other, zero):
    """The sum of the exponentials of x[:n] with a given shift, stored in buffer if `keep`.

    other is None or (exponentials, factor, results, count, streaming) of another row. Its first `count` elements, up to
    n and in whole pairs of vectors, are normalised in the same loop.
    """
    j, total, lost = np.intp(0), 0.0, 0.0  # no literal, for which what follows would be compiled once more
    if other is not None:
        j, total, lost = _exp_sum_pairs(x, j, min(n, other[3]), start, buffer, keep, other, total, lost, zero)
    return exp_sum_tail(x, j, n, start, buffer, keep, total, lost, zero)


def _normalising(by):
    """A function that multiplies exponentials by a factor."""

    @internal
    def normalise(buffer, n, factor, out, zero):
        w = simd.lanes(zero)
        last = by(simd.load_as(buffer, n - w, zero), factor)  # first, since buffer may be out
        j = 0
        while j + w <= n:
            write(out, j, by(simd.load_as(buffer, j, zero), factor))
            j += w
        write(out, n - w, last)

    return normalise


normalise, normalise_part = _normalising(quotient), _normalising(capped_quotient)


@internal
def avoid_aliasing(x, scratch, zero):
    """The first cache line of scratch that has no 4K aliasing with x, at most 4096 bytes on.

    A load waits for an earlier store whose address is the same modulo 4096: up to 20% of the time of long rows.
    """
    apart = (simd.address(x) + 1536) // simd.VECTOR_BYTES * simd.VECTOR_BYTES - simd.address(scratch)
    return simd.offset(scratch, apart % 4096 * simd.lanes(zero) // simd.VECTOR_BYTES)


@generated
def _buffer_of_row(out, scratch, n, i, apart):
    """Where the exponentials of row i wait for their sum: in out or, if `apart`, in scratch, which holds two rows."""
    if out.dtype in SIXTEEN_BITS:
        return lambda out, scratch, n, i, apart: simd.offset(scratch, i % 2 * n if n <= DELAYED else 0)
    return lambda out, scratch, n, i, apart: (
        simd.offset(scratch, i % 2 * n if n <= DELAYED else 0) if apart else simd.offset(out, i * n)
    )


@generated
def _normalise_row(out, scratch, n, i, factor, zero, line, apart, streaming, first, end):
    """Normalise row i of rows first to end."""

    def ordinary(out, scratch, n, i, factor, zero, line, apart, streaming, first, end):
        normalise(_buffer_of_row(out, scratch, n, i, apart), n, factor, simd.offset(out, i * n), zero)

    def either(out, scratch, n, i, factor, zero, line, apart, streaming, first, end):
        buffer, to = _buffer_of_row(out, scratch, n, i, apart), simd.offset(out, i * n)
        if streaming:
            j = stream_head(buffer, factor, to, line, i == first, zero)
            stream_tail(buffer, j, n, factor, to, line, i == end - 1, zero)
        else:
            normalise(buffer, n, factor, to, zero)

    return ordinary if out.dtype in SIXTEEN_BITS else either


@cached_njit(nogil=True, error_model="numpy")
def rows(x, out, streaming, first, end):
    """Rows first to end of x (outer, n, 1), n at least one vector."""
    n = x.shape[1]
    apart = streaming or x.itemsize == 2 or n * x.itemsize <= SEPARATE
    # A cache line with a vector's room on both sides, up to 4096 bytes that `avoid_aliasing` skips, and the rows.
    spare = scratch_like(x, 48 + 1024 + (0 if not apart else 2 * n if n <= DELAYED else n))
    if first >= end:
        return spare.size
    x, out, work = simd.data(x), simd.data(out), simd.data(spare)
    zero, register = zero_like(x), simd.register(zero_like(x))
    line = simd.offset(work, 16)
    scratch = avoid_aliasing(x, simd.offset(work, 48), zero)
    estimate = estimate_maximum(simd.offset(x, first * n), n, register)
    factor = zero, zero
    for i in range(first, end):
        a = simd.offset(x, i * n)
        next_estimate = estimate_maximum(simd.offset(a, n), n, register) if i + 1 < end else estimate
        total = exp_sum(a, n, estimate, _buffer_of_row(out, scratch, n, i, apart), True, register)[1]
        if n <= DELAYED and i > first:
            _normalise_row(out, scratch, n, i - 1, factor, zero, line, apart, streaming, first, end)
        factor = reciprocal(total, zero)
        if n > DELAYED or i == end - 1:
            _normalise_row(out, scratch, n, i, factor, zero, line, apart, streaming, first, end)
        estimate = next_estimate
    return spare.size  # keeps it alive
