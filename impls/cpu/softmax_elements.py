"""How softmax's kernels read and write elements of each dtype, and the steps that they share.

x is read as vectors of float32 or float64. float16 and bfloat16, whose arrays come as int16 and uint16, are converted
to and from float32 in registers.
"""

from __future__ import annotations

import numba
import numpy as np

from .. import simd
from ..internal import generated, internal
from ..simd.exp import quotient
from ..simd.half import from_bfloat16, from_half, to_bfloat16, to_half

AVX512 = simd.has_avx512()
FLOAT16, BFLOAT16 = numba.types.int16, numba.types.uint16  # what their arrays come as
SIXTEEN_BITS = FLOAT16, BFLOAT16
BLOCK = 16  # rows of a tile of columns that are read together
# Exponentials (or pairs of them) that are added one by one, and such sums that are added lane by lane before a Kahan
# step over all lanes, which stalls the pipeline. With 16 and 4, sums that round badly reached 1.04 of the error bound.
ADDENDS, BLOCKS = 8, 8
# Prefetch distances in elements, of float64 and of the other dtypes.
PREFETCH_WIDE, PREFETCH = 512 if AVX512 else 1024, 1024


@generated
def prefetch_distance(x):
    """The prefetch distance of x in elements."""
    count = PREFETCH_WIDE if x.dtype is numba.types.float64 else PREFETCH
    return lambda x: count


@generated
def prefetch_pair(x, i, like):
    """Prefetch the cache lines of two vectors of the type of `like` from x[i] on, which need not exist."""
    if 2 * like.lanes * x.dtype.bitwidth // 8 <= simd.VECTOR_BYTES:
        return lambda x, i, like: simd.prefetch(x, i)

    def both(x, i, like):
        simd.prefetch(x, i)
        simd.prefetch(x, i + simd.lanes(like))

    return both


@generated
def read(x, i, like):
    """The vector of the type of `like` from x[i] on."""
    if x.dtype is FLOAT16:
        return lambda x, i, like: from_half(simd.load_as(x, i, like))
    if x.dtype is BFLOAT16:
        return lambda x, i, like: from_bfloat16(simd.load_as(x, i, like))
    return lambda x, i, like: simd.load_as(x, i, like)


@generated
def write(out, i, p):
    """Store a vector of results from out[i] on."""
    if out.dtype is FLOAT16:
        return lambda out, i, p: simd.store(out, i, to_half(p, out))
    if out.dtype is BFLOAT16:
        return lambda out, i, p: simd.store(out, i, to_bfloat16(p, out))
    return lambda out, i, p: simd.store(out, i, p)


@generated
def write_streaming(out, i, p):
    """`write` by non-temporal stores, unless p is rounded to 16 bits; out[i] must be aligned to a register."""
    if out.dtype in SIXTEEN_BITS:
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
def where_exponentials_wait(out, scratch):
    """Where the exponentials of a row wait for their sum: in the row of out, for 16 bits in the scratch row."""
    if out.dtype in SIXTEEN_BITS:
        return lambda out, scratch: scratch
    return lambda out, scratch: out


@generated
def output_or(out, scratch, direct):
    """out if `in_output` and it can hold exponentials, else scratch."""
    if out.dtype in SIXTEEN_BITS:
        return lambda out, scratch, direct: scratch
    return lambda out, scratch, direct: out if direct else scratch


@internal
def without_first(vector, count):
    """The vector with its first `count` lanes set to 0."""
    lane = simd.lane_numbers(vector)
    return simd.select(simd.greater(simd.broadcast(lane, count), lane), simd.broadcast(vector, 0), vector)


@internal
def kahan_add(total, lost, term):
    """A step of Kahan's compensated sum; returns the total and its correction. Even float64 drifts over a long row."""
    term = term - lost
    grown = total + term
    return grown, (grown - total) - term


@generated
def offset_in_line(out, like):
    """How many elements of the type of `like` lie between the start of out's cache line and out."""
    size = like.element.bitwidth // 8
    return lambda out, like: simd.address(out) % simd.VECTOR_BYTES // size


@generated
def capped_quotient(exponential, factor):
    """`quotient` where partial sums were combined: they are rounded so often that a result might exceed 1."""
    if exponential.element is numba.types.float64:
        return lambda exponential, factor: simd.minimum(
            simd.broadcast(exponential, 1), quotient(exponential, factor)
        )  # NaN stays NaN
    return lambda exponential, factor: quotient(exponential, factor)


@internal
def greater_or_nan_of(a, b):
    """The maximum lane by lane; NaN where one is NaN."""
    return simd.select(simd.greater_or_nan(a, b), a, b)


@internal
def maximum_down(x, n, stride, top):
    """The maximum, lane by lane, of top and n vectors of x that lie `stride` apart; NaN where one is NaN."""
    # One addition costs less than one comparison, and the sum shows whether there is a NaN.
    total, high = simd.broadcast(top, 0), top
    for i in range(n):
        v = read(x, i * stride, top)
        total = total + v
        high = simd.maximum(v, high)
    if simd.any_lane(simd.unordered(total, total)):
        high = top
        for i in range(n):
            v = read(x, i * stride, top)
            high = greater_or_nan_of(v, high)
    return high
