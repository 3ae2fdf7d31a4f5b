"""Softmax of rows of four elements, of which a vector holds several: maxima and sums over groups of its lanes."""

from __future__ import annotations

from .. import simd
from ..compilation import cached_njit
from ..internal import internal
from ..simd.exp import from_guess, is_near, is_sound, origin, quotient, reciprocal, weights
from .softmax_elements import ahead, larger, read, zero_like
from .softmax_past import put


@internal
def _sum(v):
    """The sum of each group of four lanes, in all of them."""
    v = v + simd.swap(v, 1)
    return v + simd.swap(v, 2)


@internal
def _exactly(v):
    """Softmax of every four lanes, where one has a NaN or lies too far from 0."""
    top = larger(v, simd.swap(v, 1))
    e = weights(v, origin(larger(top, simd.swap(top, 2))))
    return quotient(e, reciprocal(_sum(e), v))


@cached_njit(nogil=True, error_model="numpy")
def fours(x, out, past, first, end):
    """Vectors first to end of x (outer, 4, 1) of float32 or float64, at least one vector.

    They are numbered through all rows; a last one that would be too long begins within the one before it. Results go
    past the caches if `past` is True, for which all must be whole and out begin a line; it is None if not.
    """
    elements = x.size
    x, out = simd.data(x), simd.data(out)
    w = simd.lanes(zero_like(x))
    for i in range(first, end):
        simd.prefetch(x, i * w + ahead(x))
        at = min(i * w, elements - w)
        v = read(x, at, zero_like(x))
        top = simd.maximum(v, simd.swap(v, 1))
        top = simd.maximum(top, simd.swap(top, 2))
        e = weights(v, from_guess(top, top))
        total = _sum(e)
        # A NaN that the maximum lost has made its sum too large.
        p = quotient(e, reciprocal(total, top)) if is_near(top, top) and is_sound(total, top) else _exactly(v)
        put(out, at, p, past)
