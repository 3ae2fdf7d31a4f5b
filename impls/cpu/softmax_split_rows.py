"""Split rows: threads share a long row, and the sums of its parts, each with a shift of its own, are combined."""

from __future__ import annotations

import math

import numpy as np

from .. import simd
from ..compilation import cached_njit
from ..internal import internal
from ..parallel import run
from ..simd.exp import excess, exponentials, pinned, ratio, reciprocal, row_shift
from .softmax_elements import (
    AVX512,
    capped_quotient,
    kahan_add,
    offset_in_line,
    prefetch_distance,
    prefetch_pair,
    read,
    scratch_like,
    where_exponentials_wait,
    write,
    write_streaming,
    zero_like,
)
from .softmax_rows import estimate_maximum, exp_sum, normalise_part

# Memory serves two places at a time faster than one: see `softmax_pipelined`.
STREAMS = 2 if AVX512 else 1


@internal
def _part_sum(x, n, buffer, keep, zero):
    """(shift, sum of exponentials) of x[:n], (-inf, 0) if all are -inf; the exponentials go to buffer if `keep`."""
    base, total = exp_sum(x, n, estimate_maximum(x, n, zero), buffer, keep, zero)
    # The difference would be NaN, which is right only if the whole row is -inf.
    if base == -np.inf:
        return -np.inf, 0.0
    return np.float64(base), total * math.exp(-excess(simd.broadcast(zero, base)))


@cached_njit(error_model="numpy")
def combine(tops, totals):
    """(largest shift, sum of exponentials with it) of a row from those of its parts."""
    top = -np.inf
    for p in range(tops.size):
        top = max(top, tops[p])
    total = lost = 0.0
    for p in range(tops.size):
        if tops[p] > -np.inf or totals[p] != totals[p]:
            term = totals[p] * math.exp(tops[p] - top if tops[p] > -np.inf else 0.0)
            total, lost = kahan_add(total, lost, term)
    return top, total


@internal
def _recomputed(x, n, out, top, total):
    """Softmax of x[:n] from the shift of its row, a vector, and its sum; non-temporal stores, except for 16 bits."""
    w = simd.lanes(top)
    start = pinned(row_shift(top))
    factor = reciprocal(total * math.exp(excess(top)), top)
    begin = -offset_in_line(out, top) % (2 * w)  # two registers are at least a cache line
    j = 0
    while j < begin:
        write(out, j, capped_quotient(exponentials(read(x, j, top), start), factor))
        j += w
    j = begin
    # Parts are done backwards: the next one lies before this one.
    apart = (n - j) // (2 * STREAMS * w) * (2 * w)
    stop = j + apart
    while j < stop:
        near = j + prefetch_distance(x) if j + prefetch_distance(x) < stop else j + prefetch_distance(x) - apart - n
        for k in range(STREAMS):
            prefetch_pair(x, near + k * apart, top)
            p = capped_quotient(exponentials(read(x, j + k * apart, top), start), factor)
            q = capped_quotient(exponentials(read(x, j + k * apart + w, top), start), factor)
            # Together: a cache line whose halves are stored at different times may be written twice.
            write_streaming(out, j + k * apart, p)
            write_streaming(out, j + k * apart + w, q)
        j += 2 * w
    j += (STREAMS - 1) * apart
    while j < n:
        j = min(j, n - w)
        write(out, j, capped_quotient(exponentials(read(x, j, top), start), factor))
        j += w


@cached_njit(nogil=True, error_model="numpy")
def part_sums(x, out, keep, tops, totals, first, end):
    """Shifts and sums of parts first to end, numbered through all rows."""
    n, parts = x.shape[1], tops.shape[1]
    spare = scratch_like(x, 0)
    x, out, nowhere = simd.data(x), simd.data(out), simd.data(spare)
    register = simd.register(zero_like(x))
    for task in range(first, end):
        i, p = task // parts, task % parts
        a, b = p * n // parts, (p + 1) * n // parts
        row, to = simd.offset(x, i * n + a), simd.offset(out, i * n + a)
        tops[i, p], totals[i, p] = _part_sum(row, b - a, where_exponentials_wait(to, nowhere), keep, register)
    return spare.size  # keeps it alive


@cached_njit(nogil=True, error_model="numpy")
def part_results(x, out, keep, tops, high, total, first, end):
    """Results of parts first to end, backwards, since the caches still have the end of a row."""
    n, parts = x.shape[1], tops.shape[1]
    spare = scratch_like(x, 0)
    x, out, nowhere = simd.data(x), simd.data(out), simd.data(spare)
    zero, register = zero_like(x), simd.register(zero_like(x))
    for back in range(end - first):
        task = end - 1 - back
        i, p = task // parts, task % parts
        a, b = p * n // parts, (p + 1) * n // parts
        row, to = simd.offset(x, i * n + a), simd.offset(out, i * n + a)
        top = simd.broadcast(zero, high[i])
        power = ratio(top, simd.broadcast(zero, tops[i, p])) if keep else 0.0
        if power > 0:
            normalise_part(
                where_exponentials_wait(to, nowhere),
                b - a,
                reciprocal(total[i] * math.exp(excess(top)) * power, zero),
                to,
                zero,
            )
        else:
            _recomputed(row, b - a, to, simd.broadcast(register, high[i]), total[i])
    return spare.size  # keeps it alive


@cached_njit(error_model="numpy")
def _combine_all(tops, totals, high, total):
    for i in range(high.size):
        high[i], total[i] = combine(tops[i], totals[i])


def split_rows(x, out, parts, keep, threads):
    """Softmax of the rows of x (outer, n, 1), each in so many parts, which threads share.

    Exponentials wait in out if `keep`, else they are computed twice.
    """
    outer = len(x)
    tops, totals = np.empty((outer, parts)), np.empty((outer, parts))
    high, total = np.empty(outer), np.empty(outer)
    run(part_sums, (x, out, keep, tops, totals), outer * parts, threads)
    _combine_all(tops, totals, high, total)
    run(part_results, (x, out, keep, tops, high, total), outer * parts, threads)
