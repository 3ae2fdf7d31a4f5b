"""Normalisation pass in memory order, where every column has a sum of its own: mostly with non-temporal stores.

A table has a row for each of these, by column of x[i] (n, inner): the reciprocals of the sums, high and low; and, where
exponentials are recomputed, the lower ends and rounding numbers of `simd.exp.estimated_shift`. In memory the first
column follows the last, so the first entries of a row are repeated behind its last.
"""

from __future__ import annotations

from .. import simd
from ..internal import internal
from ..simd.exp import constants_of, exponentials, pinned_constants, quotient
from .softmax_elements import (
    AVX512,
    capped_quotient,
    offset_in_line,
    prefetch_distance,
    prefetch_pair,
    read,
    write,
    write_streaming,
)

SPARE = 32  # entries that are repeated, two registers of any processor


@internal
def repeat_first(row, inner, zero):
    """Repeat the first entries of a table's row behind its last; inner is at least one vector."""
    w = simd.lanes(zero)
    for k in range(0, SPARE, w):
        simd.store(row, inner + k, simd.load_as(row, k, zero))


# Results of source[i:], which are exponentials or scores, in columns from c on.


@internal
def _from_exponentials(source, i, table, c, size, constants, like):
    factor = simd.load_as(table, c, like), simd.load_as(table, size + c, like)
    return quotient(simd.load_as(source, i, like), factor)


@internal
def _from_split_sums(source, i, table, c, size, constants, like):
    factor = simd.load_as(table, c, like), simd.load_as(table, size + c, like)
    return capped_quotient(simd.load_as(source, i, like), factor)


@internal
def _from_scores(source, i, table, c, size, constants, like):
    factor = simd.load_as(table, c, like), simd.load_as(table, size + c, like)
    lower, rounding = simd.load_as(table, 2 * size + c, like), simd.load_as(table, 3 * size + c, like)
    return capped_quotient(exponentials(read(source, i, like), (None, lower, rounding, constants, None)), factor)


@internal
def _after(c, step, inner):
    """The column `step` columns behind column c, step less than inner."""
    return c + step - inner if c + step >= inner else c + step


def _normalising(result, put, fetched):
    """A function that stores results by `put`; with a prefetch of the source if `fetched`."""

    @internal
    def edge(source, out, count, begin, end, table, size, inner, at, zero, line):
        # By a vector that may begin before the edge and, where `count` is less than a vector, ends behind it.
        first = max(0, min(begin, count - simd.lanes(zero)))
        p = result(source, first, table, (at + first) % inner, size, constants_of(zero), zero)
        write(line, 0, p)
        for k in range(begin, end):
            simd.put(out, k, simd.get(line, k - first))

    @internal
    def pair(source, j, out, table, c, size, constants, like):
        w = simd.lanes(like)
        p = result(source, j, table, c, size, constants, like)
        q = result(source, j + w, table, c + w, size, constants, like)
        put(out, j, p)
        put(out, j + w, q)

    @internal
    def normalise(source, out, count, table, size, inner, at, zero, line):
        """Results of `count` elements of source, the first in column `at`, into out.

        Cache lines that are not wholly out's are written by elements: a line that also gets an ordinary vector store is
        read from memory. Where there are fewer elements than a vector has, a whole vector is readable.
        """
        register = simd.register(zero)
        w = simd.lanes(register)
        constants = pinned_constants(register)
        j = min(count, -offset_in_line(out, zero) % simd.lanes(zero))
        if j > 0:
            edge(source, out, count, 0, j, table, size, inner, at, zero, line)
        c, step = (at + j) % inner, 2 * w % inner
        if fetched and AVX512:
            # In two places at a time: see `softmax_pipelined`. The next chunk lies before this one.
            apart = (count - j) // (4 * w) * (2 * w)
            d, stop = (c + apart) % inner, j + apart
            while j < stop:
                near = (
                    j + prefetch_distance(source)
                    if j + prefetch_distance(source) < stop
                    else j + prefetch_distance(source) - apart - count
                )
                prefetch_pair(source, near, register)
                prefetch_pair(source, near + apart, register)
                pair(source, j, out, table, c, size, constants, register)
                pair(source, j + apart, out, table, d, size, constants, register)
                j, c, d = j + 2 * w, _after(c, step, inner), _after(d, step, inner)
            j, c = j + apart, d
        while j + 2 * w <= count:
            if fetched:
                prefetch_pair(source, j + prefetch_distance(source), register)
            pair(source, j, out, table, c, size, constants, register)
            j, c = j + 2 * w, _after(c, step, inner)
        while j < count:
            end = min(count, j + simd.lanes(zero))
            edge(source, out, count, j, end, table, size, inner, at, zero, line)
            j = end

    return normalise


normalise_exponentials = _normalising(_from_exponentials, write_streaming, False)
normalise_scores = _normalising(_from_scores, write_streaming, True)
normalise_in_place = _normalising(_from_split_sums, write, False)
