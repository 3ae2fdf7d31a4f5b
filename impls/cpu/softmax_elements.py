"""Elements of softmax's arrays as vectors, whatever their type, and what all ways to go through them share.

x is read as vectors of float32 or float64; float16, whose arrays come as int16, is converted in registers.
"""

from __future__ import annotations

import numba
import numpy as np

from .. import simd
from ..internal import generated, internal
from ..simd.exp import quotient
from ..simd.half import from_half, to_half

LONG = simd.has_long_registers()
BLOCK = 16  # rows of a tile of columns that are read together
# Exponentials, or pairs of them, added one by one; such sums of a row added by lane before they are added over lanes
# with compensation, which stops the pipeline. With 16 and 4 sums that round badly came to 1.04 of the error bound.
ADDENDS, BLOCKS = 8, 8
# Elements ahead of those at work that are fetched, of float64 and of others, measured beside other values: on an AMD
# Zen 3 rows up to 2.4 times faster beyond the caches, up to 33% within. On an Intel Emerald Rapids 4096 bytes are best
# of 1024 to 32768: beyond the caches 2 to 20% faster than half or twice of it, within level.
FETCH_WIDE, FETCH = 512 if LONG else 1024, 1024


@generated
def ahead(x):
    """How many elements ahead of those at work x is fetched."""
    count = FETCH_WIDE if x.dtype is numba.types.float64 else FETCH
    return lambda x: count


@generated(inline="always")
def fetch_pair(x, i, like):
    """Ask for every line of the two vectors such as `like` from x[i] on, which need not exist."""
    if 2 * like.lanes * x.dtype.bitwidth // 8 <= simd.VECTOR_BYTES:
        return lambda x, i, like: simd.prefetch(x, i)

    def both(x, i, like):
        simd.prefetch(x, i)
        simd.prefetch(x, i + simd.lanes(like))

    return both


@generated(inline="always")
def read(x, i, like):
    """The vector of the type of `like` from x[i] on."""
    if x.dtype is numba.types.int16:
        return lambda x, i, like: from_half(simd.load_as(x, i, like))
    return lambda x, i, like: simd.load_as(x, i, like)


@generated(inline="always")
def write(out, i, p):
    """Store a vector of results from out[i] on."""
    if out.dtype is numba.types.int16:
        return lambda out, i, p: simd.store(out, i, to_half(p, out))
    return lambda out, i, p: simd.store(out, i, p)


@generated(inline="always")
def write_past(out, i, p):
    """As `write`, past the caches if out is of the type that p is computed in; out[i] must begin a register."""
    if out.dtype is numba.types.int16:
        return lambda out, i, p: write(out, i, p)
    return lambda out, i, p: simd.stream(out, i, p)


@generated
def zero_like(x):
    """A vector of zeros of the type that x is computed in."""
    if x.dtype is numba.types.float64:
        return lambda x: simd.zeros_f64()
    return lambda x: simd.zeros_f32()


@generated
def scratch_like(x, size):
    """An uninitialised array of the type that x is computed in."""
    kind = np.float64 if x.dtype is numba.types.float64 else np.float32
    return lambda x, size: np.empty(size, kind)


@generated
def buffer_of(out, scratch):
    """Where a row's weights wait for their sum: in the row of out, or for float16 in the scratch row."""
    if out.dtype is numba.types.int16:
        return lambda out, scratch: scratch
    return lambda out, scratch: out


@generated
def either_of(out, scratch, direct):
    """out, if it is asked for and can hold weights, or else scratch."""
    if out.dtype is numba.types.int16:
        return lambda out, scratch, direct: scratch
    return lambda out, scratch, direct: out if direct else scratch


@internal
def rest(vector, count):
    """The vector with its first `count` lanes set to 0."""
    lane = simd.lane_numbers(vector)
    return simd.select(simd.greater(simd.splat(lane, count), lane), simd.splat(vector, 0), vector)


@internal
def add(total, lost, term):
    """Kahan's sum: float64 too drifts over the blocks of a long row."""
    term = term - lost
    grown = total + term
    return grown, (grown - total) - term


@generated
def into_line(out, like):
    """Elements of the type of `like` between the line that out begins in and out."""
    size = like.element.bitwidth // 8
    return lambda out, like: simd.address(out) % simd.VECTOR_BYTES // size


@generated(inline="always")
def part(weight, factor):
    """`quotient` where the sum was put together from sums of pieces: rounded so often that it may come out above 1."""
    if weight.element is numba.types.float64:
        return lambda weight, factor: simd.minimum(simd.splat(weight, 1), quotient(weight, factor))  # NaN stays NaN
    return lambda weight, factor: quotient(weight, factor)


@internal
def larger(a, b):
    """The larger in every lane, NaN if one is NaN."""
    return simd.select(simd.beats(a, b), a, b)


@internal
def highest(x, n, stride, top):
    """The largest of top and n vectors of x, `stride` apart, lane by lane; NaN where one is NaN."""
    # A sum of all costs less than a comparison of each, and shows whether there can be a NaN.
    total, high = simd.splat(top, 0), top
    for i in range(n):
        v = read(x, i * stride, top)
        total = total + v
        high = simd.maximum(v, high)
    if simd.some(simd.unordered(total, total)):
        high = top
        for i in range(n):
            v = read(x, i * stride, top)
            high = larger(v, high)
    return high
