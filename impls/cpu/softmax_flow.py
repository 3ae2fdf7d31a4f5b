"""Results in the order of memory, mostly past the caches, where every column has a sum of its own.

A table has a row of columns of x[i] (n, inner) for each of: reciprocals of sums, high and low; and where weights are
computed from scores: lower ends and rounding numbers, as `simd.exp.from_guess` has them. Columns follow each other
in a circle, so the first ones of a row stand again behind its last.
"""

from __future__ import annotations

from .. import simd
from ..internal import internal
from ..simd.exp import constants_of, kept_constants, quotient, weights
from .softmax_elements import LONG, ahead, fetch_pair, into_line, part, read, write, write_past

SPARE = 32  # columns that stand again behind the last one, two registers of any processor


@internal
def wrap(row, inner, zero):
    """Repeat the first columns of a table's row behind its last; inner at least one vector."""
    w = simd.lanes(zero)
    for k in range(0, SPARE, w):
        simd.store(row, inner + k, simd.load_as(row, k, zero))


# Results of source[i] on in columns from c on, of weights or of scores.


@internal
def _from_weights(source, i, table, c, size, constants, like):
    factor = simd.load_as(table, c, like), simd.load_as(table, size + c, like)
    return quotient(simd.load_as(source, i, like), factor)


@internal
def _from_sums_of_pieces(source, i, table, c, size, constants, like):
    factor = simd.load_as(table, c, like), simd.load_as(table, size + c, like)
    return part(simd.load_as(source, i, like), factor)


@internal
def _from_scores(source, i, table, c, size, constants, like):
    factor = simd.load_as(table, c, like), simd.load_as(table, size + c, like)
    lower, rounding = simd.load_as(table, 2 * size + c, like), simd.load_as(table, 3 * size + c, like)
    return part(weights(read(source, i, like), (None, lower, rounding, constants, None)), factor)


@internal
def _after(c, step, inner):
    """The column `step` columns, less than all, behind column c."""
    return c + step - inner if c + step >= inner else c + step


def _flowing(result, put, fetched):
    """A function that computes results and stores them by `put`; `fetched`: its source is brought into the caches."""

    @internal
    def edge(source, out, count, begin, end, table, size, inner, at, zero, line):
        # In a vector that may begin before the edge and, where all are fewer, end behind what is asked for.
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
    def flow(source, out, count, table, size, inner, at, zero, line):
        """Results of `count` elements of source, the first in column `at`, into out.

        Lines that are not wholly out's are written by elements: an ordinary store to a line that is also written past
        the caches fetches it. Fewer elements than a vector has lanes need one that may be read.
        """
        register = simd.register(zero)
        w = simd.lanes(register)
        constants = kept_constants(register)
        j = min(count, -into_line(out, zero) % simd.lanes(zero))
        if j > 0:
            edge(source, out, count, 0, j, table, size, inner, at, zero, line)
        c, step = (at + j) % inner, 2 * w % inner
        if fetched and LONG:
            # In two places, which one core's memory is faster in: see `softmax_two`. What follows lies before it.
            apart = (count - j) // (4 * w) * (2 * w)
            d, stop = (c + apart) % inner, j + apart
            while j < stop:
                near = j + ahead(source) if j + ahead(source) < stop else j + ahead(source) - apart - count
                fetch_pair(source, near, register)
                fetch_pair(source, near + apart, register)
                pair(source, j, out, table, c, size, constants, register)
                pair(source, j + apart, out, table, d, size, constants, register)
                j, c, d = j + 2 * w, _after(c, step, inner), _after(d, step, inner)
            j, c = j + apart, d
        while j + 2 * w <= count:
            if fetched:
                fetch_pair(source, j + ahead(source), register)
            pair(source, j, out, table, c, size, constants, register)
            j, c = j + 2 * w, _after(c, step, inner)
        while j < count:
            end = min(count, j + simd.lanes(zero))
            edge(source, out, count, j, end, table, size, inner, at, zero, line)
            j = end

    return flow


flow_weights = _flowing(_from_weights, write_past, False)
flow_scores = _flowing(_from_scores, write_past, True)
flow_in_place = _flowing(_from_sums_of_pieces, write, False)
