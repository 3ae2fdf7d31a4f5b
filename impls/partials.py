"""Softmax and argmax of an array that comes in chunks: a partial of each, merged, and for softmax a second read.

The steps are functions of NumPy arrays, apart from the engine that reads the chunks and calls them, so that any can.
Softmax: `softmax_partial` of each chunk, `softmax_merge` in any order and grouping, then `softmax_normalise` of each
chunk. Argmax: `argmax_partial`, `argmax_merge`, `argmax_index`. Each computes on the calling thread alone, and most of
its time without the global interpreter lock. `impls.dask_arrays` is the engine for Dask.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from . import contract, host_arrays, threads
from .contract.dtypes import name_of
from .cpu.softmax_split_rows import part_results, part_sums
from .layout import fold_shape
from .simd.exp import SHIFT
from .views import plain

# Elements of a chunk that are copied at a time, where it has no rows that the kernels take as they are: they and what
# is made of them stay in the L2. COLUMNS of a strided axis are copied together, so that the reads of a row are long.
BLOCK, COLUMNS = 1 << 16, 256
SHORTEST = 32  # columns that the kernels take, two vectors of float32; NumPy takes less time for fewer
_DIRECT = {np.dtype(name) for name in contract.FLOATS}


class SoftmaxPartial(NamedTuple):
    """What softmax has to know of some of the elements that it reduces.

    Attributes:
        top: float64, the chunk's shape with length 1 in place of reduced axes: a shift at or near the largest element,
            -inf where all are -inf or there are none, NaN or +inf where one is.
        total: of the same shape and dtype, the sum of ``exp(x - top)``; 0 where top is -inf, NaN where the result is.
    """

    top: np.ndarray
    total: np.ndarray


class ArgmaxPartial(NamedTuple):
    """What argmax has to know of some of the elements that it searches.

    Attributes:
        value: the order key: the largest element, a NaN where there is one; the chunk's dtype, and its shape with
            length 1 in place of searched axes.
        place: int64 of the same shape: the index of the first of them in the whole array, -1 where there is none.
    """

    value: np.ndarray
    place: np.ndarray


def result_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype of softmax of an array: float64 for integers and bool, else its own in native byte order."""
    native = dtype.newbyteorder("=")
    return native if name_of(native) in contract.SOFTMAX.dtypes else np.dtype(np.float64)


def softmax_partial(x: np.ndarray, axes: Sequence[int]) -> SoftmaxPartial:
    """The partial of a chunk.

    Args:
        x: a chunk of any layout, which may be empty, of a dtype that `impls.softmax` takes.
        axes: the axes that are reduced, not negative.
    """
    folded = fold_shape(x.shape, tuple(axes))
    view = folded.apply(x)
    top, total = np.full(folded.shape[::2], -np.inf), np.zeros(folded.shape[::2])
    for rows, cuts, columns in _blocks(view):
        found = softmax_merge([_sums(view[rows, cut, columns]) for cut in cuts])
        top[rows, columns], total[rows, columns] = found
    return SoftmaxPartial(top.reshape(folded.keepdims), total.reshape(folded.keepdims))


def softmax_merge(partials: Iterable[SoftmaxPartial]) -> SoftmaxPartial:
    """The partial of what several partials of the same shape stand for, at least one."""
    parts = list(partials)
    if len(parts) == 1:
        return parts[0]
    with np.errstate(all="ignore"):  # inf - inf, and tops that are far apart
        top = functools.reduce(np.maximum, (part.top for part in parts))
        total = np.zeros_like(top)
        for part in parts:
            total += np.where(part.top == -np.inf, part.total, part.total * np.exp(part.top - top))
    return SoftmaxPartial(top, total)


def softmax_normalise(x: np.ndarray, whole: SoftmaxPartial, axes: Sequence[int]) -> np.ndarray:
    """Softmax of a chunk, of its shape and of `result_dtype`.

    Args:
        x: the chunk, of the same values as when its partial was made.
        whole: the partial of all chunks that are reduced with it.
        axes: as of `softmax_partial`.
    """
    folded = fold_shape(x.shape, tuple(axes))
    view = folded.apply(x)
    out = np.empty(view.shape, result_dtype(x.dtype))
    top, total = (part.reshape(folded.shape[::2]) for part in whole)
    for rows, cuts, columns in _blocks(view):
        of_rows = SoftmaxPartial(top[rows, columns], total[rows, columns])
        for cut in cuts:
            _results(view[rows, cut, columns], of_rows, out[rows, cut, columns])
    return folded.restore(out)


def argmax_partial(x: np.ndarray, axis: int | None, first: int, shape: tuple[int, ...]) -> ArgmaxPartial:
    """The partial of a chunk.

    Args:
        x: a chunk of any layout, which may be empty, of a dtype that `impls.argmax` takes.
        axis: the axis that is searched, not negative; None for all.
        first: the index in the whole array, along the axis or of the flattened array, of the chunk's first element.
        shape: of the whole array; it is used with axis None alone.
    """
    if x.shape[axis] == 0 if axis is not None else x.size == 0:
        reduced = fold_shape(x.shape, axis).keepdims
        return ArgmaxPartial(np.zeros(reduced, x.dtype), np.full(reduced, -1))
    with threads.serial():
        index = np.asarray(host_arrays.argmax(x, axis, keepdims=True))
    if axis is not None:
        return ArgmaxPartial(np.take_along_axis(x, index, axis), index + first)
    # The first in the chunk's order is the first in that of the whole array.
    place = np.unravel_index(index, x.shape)
    return ArgmaxPartial(x[place], np.ravel_multi_index(place, shape) + first)


def argmax_merge(partials: Iterable[ArgmaxPartial]) -> ArgmaxPartial:
    """The partial of what several partials of the same shape stand for, at least one, in any order."""
    return functools.reduce(_better, partials)


def argmax_index(whole: ArgmaxPartial) -> np.ndarray:
    """The indices of the partial of all chunks.

    Raises:
        ValueError: there was no element, which unknown chunk sizes had hidden.
    """
    if (whole.place < 0).any():
        raise ValueError("argmax of an empty axis: there is no element to choose from")
    return whole.place


def _better(a: ArgmaxPartial, b: ArgmaxPartial) -> ArgmaxPartial:
    """The preferred of two partials, element by element: the larger, a NaN above all, the first of equal ones."""
    with np.errstate(invalid="ignore"):  # a NaN in bfloat16 warns
        a_nan, b_nan = a.value != a.value, b.value != b.value
        larger = (b.value > a.value) & ~a_nan | b_nan & ~a_nan
        equal = (a.value == b.value) | a_nan & b_nan
    wins = (b.place >= 0) & ((a.place < 0) | larger | equal & (b.place < a.place))
    return ArgmaxPartial(np.where(wins, b.value, a.value), np.where(wins, b.place, a.place))


def _computed(dtype: np.dtype) -> np.dtype:
    """The dtype that softmax of an array is computed in."""
    return np.dtype(np.float64 if result_dtype(dtype) == np.float64 else np.float32)


Block = tuple[slice, list[slice], slice]


def _blocks(view: np.ndarray) -> Iterator[Block]:
    """Cut (outer, n, inner): a slice of outer, those that n is cut into, one of inner; not where nothing is copied."""
    outer, n, inner = view.shape
    if view.size == 0:
        return
    if _is_direct(view):
        yield slice(None), [slice(None)], slice(None)
        return
    wide = min(inner, max(COLUMNS, BLOCK // n))
    long = min(n, max(SHORTEST, BLOCK // wide))
    many = max(1, BLOCK // (n * wide))
    cuts = [slice(j, j + long) for j in range(0, n, long)]
    for i in range(0, outer, many):
        for k in range(0, inner, wide):
            yield slice(i, i + many), cuts, slice(k, k + wide)


def _is_direct(block: np.ndarray) -> bool:
    """Whether (outer, n, inner) is rows that the kernels take as they are."""
    return block.shape[2] == 1 and block.shape[1] >= SHORTEST and block.dtype in _DIRECT and block.flags.c_contiguous


def _as_rows(block: np.ndarray) -> np.ndarray:
    """A block (r, m, c) as rows (r * c, m, 1), which the kernels take; a copy unless it is that."""
    if _is_direct(block):
        return block
    rows = np.ascontiguousarray(block.swapaxes(1, 2), _computed(block.dtype))
    return rows.reshape(-1, block.shape[1], 1)


def _sums(block: np.ndarray) -> SoftmaxPartial:
    """The partial (r, c) of a block (r, m, c)."""
    if block.shape[1] < SHORTEST:
        x = block.astype(_computed(block.dtype), copy=False)
        top = x.max(axis=1)
        total = np.where(top == -np.inf, 0, _exponentials(x, top).sum(axis=1, dtype=np.float64))
        return SoftmaxPartial(top.astype(np.float64), total)
    rows = plain(_as_rows(block))
    tops, totals = np.empty((len(rows), 1)), np.empty((len(rows), 1))
    part_sums(rows, rows, False, tops, totals, 0, len(rows))
    totals *= 2.0 ** -SHIFT[_computed(block.dtype).name]
    return SoftmaxPartial(tops.reshape(block.shape[::2]), totals.reshape(block.shape[::2]))


def _results(block: np.ndarray, whole: SoftmaxPartial, out: np.ndarray) -> None:
    """Softmax of a block (r, m, c), whose rows have the partial `whole` (r, c), into out (r, m, c)."""
    if block.shape[1] < SHORTEST:
        x = block.astype(_computed(block.dtype), copy=False)
        with np.errstate(all="ignore"):
            out[...] = _exponentials(x, whole.top.astype(x.dtype)) / whole.total.astype(x.dtype)[:, None]
        return
    rows = _as_rows(block)
    results = out if rows is block else np.empty_like(rows)
    top, total = (part.flatten() for part in whole)
    # The kernels' exponentials are scaled; see `simd.exp`.
    total *= 2.0 ** SHIFT[_computed(block.dtype).name]
    part_results(plain(rows), plain(results, True), False, top[:, None], top, total, 0, len(rows))
    if results is not out:
        r, m, c = block.shape
        out[...] = results.reshape(r, c, m).swapaxes(1, 2)


def _exponentials(x: np.ndarray, top: np.ndarray) -> np.ndarray:
    """exp(x - top) of a few columns: x (r, m, c), top (r, c) of the same dtype."""
    with np.errstate(all="ignore"):
        terms: np.ndarray = np.exp(x - top[:, None])
    return terms
