"""Packed rows: a vector holds several rows of four elements; maxima and sums are of groups of four lanes."""

from __future__ import annotations

from .. import simd
from ..compilation import cached_njit
from ..internal import internal
from ..simd.exp import estimated_shift, exponentials, in_range, is_verified, quotient, reciprocal, shift
from .softmax_elements import greater_or_nan_of, prefetch_distance, read, zero_like
from .streaming_stores import store_or_stream


@internal
def _sum(v):
    """The sum of each group of four lanes, in all of them."""
    v = v + simd.shuffle_xor(v, 1)
    return v + simd.shuffle_xor(v, 2)


@internal
def _exact(v):
    """Softmax of every four lanes with the exact maximum as the shift."""
    top = greater_or_nan_of(v, simd.shuffle_xor(v, 1))
    e = exponentials(v, shift(greater_or_nan_of(top, simd.shuffle_xor(top, 2))))
    return quotient(e, reciprocal(_sum(e), v))


@cached_njit(nogil=True, error_model="numpy")
def packed(x, out, streaming, first, end):
    """Vectors first to end of x (outer, 4, 1) of float32 or float64, at least one vector.

    They are numbered through all rows; the last may overlap the one before it. Non-temporal stores if `streaming` is
    True: then all must be whole and out be aligned to one; ordinary stores if None.
    """
    elements = x.size
    x, out = simd.data(x), simd.data(out)
    w = simd.lanes(zero_like(x))
    for i in range(first, end):
        simd.prefetch(x, i * w + prefetch_distance(x))
        at = min(i * w, elements - w)
        v = read(x, at, zero_like(x))
        top = simd.maximum(v, simd.shuffle_xor(v, 1))
        top = simd.maximum(top, simd.shuffle_xor(top, 2))
        e = exponentials(v, estimated_shift(top, top))
        total = _sum(e)
        # Where the maximum has dropped a NaN, the sum is too large.
        p = quotient(e, reciprocal(total, top)) if in_range(top, top) and is_verified(total, top) else _exact(v)
        store_or_stream(out, at, p, streaming)
