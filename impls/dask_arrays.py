"""Softmax and argmax of Dask arrays: lazy, chunk by chunk, by the steps of `impls.partials`.

Where a chunk holds all of the reduced axes, each chunk is one call. Else the partials of chunks are merged in a tree
(`split_every` of Dask's configuration), and softmax reads x a second time to normalise it: a copy of x's graph, under
other keys and bound to the partials, so that no chunk is held from the first read to the second. Every task computes
on its own thread alone, since the scheduler runs as many tasks side by side as there are cores.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
from dask._task_spec import GraphNode
from dask.base import clone_key
from dask.core import flatten
from dask.graph_manipulation import bind
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer

from . import contract, host_arrays, inputs, partials, threads
from .contract.dtypes import name_of
from .layout import Axis, fold_shape


def softmax(x: Any, axis: Axis, out: Any, impl: Any, stream: Any) -> Any:
    """`impls.softmax` of a Dask array: a Dask array of the same chunks, of which nothing is computed yet.

    Where the reduced axes are in several chunks, everything that x is computed from is computed twice, and has to give
    the same values both times.

    Raises:
        TypeError: `out`, `impl` or `stream` is given; chunks are no `numpy.ndarray`, or of a dtype not accepted.
        ValueError: an axis of length 0.
        numpy.exceptions.AxisError: x has no such axis.
        NotImplementedError: Dask's array.query-planning is on.
    """
    axes = _checked(contract.SOFTMAX, x, axis, out, impl, stream)
    dtype = partials.result_dtype(x.dtype)
    if _in_one_chunk(x, axes):
        return _blockwise(_softmax, x, dtype, axes=axes)
    parts = _blockwise(partials.softmax_partial, x, np.dtype(np.float64), axes, axes=axes)
    whole = _merged(parts, axes, partials.softmax_merge, _same, np.dtype(np.float64))
    return _blockwise(partials.softmax_normalise, _again(x, whole), dtype, (), whole, axes=axes)


def argmax(a: Any, axis: Any, out: Any, keepdims: bool, impl: Any, stream: Any) -> Any:
    """`impls.argmax` of a Dask array: a Dask array of int64, of which nothing is computed yet.

    Raises:
        TypeError: as for `softmax`; several axes.
        ValueError: the searched axis is empty, or its chunk sizes are unknown and more than one.
        numpy.exceptions.AxisError: a has no such axis.
    """
    if isinstance(axis, Sequence):
        raise TypeError(f"argmax takes one axis or None, got {axis!r}")
    axes = _checked(contract.ARGMAX, a, axis, out, impl, stream)
    over = None if axis is None else axes[0] if axes else None  # axis 0 of a scalar
    if _in_one_chunk(a, axes):
        found = _blockwise(_argmax, a, np.dtype(np.int64), axes, axis=over)
    else:
        needed = range(a.ndim) if axis is None else axes
        if unknown := [k for k in needed if math.isnan(a.shape[k])]:
            raise ValueError(
                f"argmax of a Dask array whose chunk sizes along axis {unknown[0]} are unknown: an index needs those "
                "of every chunk before it; accepted are known ones, as x.compute_chunk_sizes() finds them, or one chunk"
            )
        starts = [
            np.cumsum((0, *a.chunks[k][:-1])) * (math.prod(a.shape[k + 1 :]) if axis is None else 1) for k in axes
        ]
        first = np.zeros((1,) * a.ndim, np.int64)
        for k, of_axis in zip(axes, starts, strict=True):
            first = first + of_axis.reshape(*(-1 if i == k else 1 for i in range(a.ndim)))
        offsets = da.from_array(first, chunks=1)
        shape = a.shape if axis is None else ()
        parts = _blockwise(_argmax_partial, a, np.dtype(np.int64), axes, offsets, axis=over, shape=shape)
        found = _merged(parts, axes, partials.argmax_merge, partials.argmax_index, np.dtype(np.int64))
    return found if keepdims else found[tuple(0 if k in axes else slice(None) for k in range(a.ndim))]


def _checked(operation: contract.Operation, x: Any, axis: Axis, out: Any, impl: Any, stream: Any) -> tuple[int, ...]:
    """The reduced axes, of an input that is accepted."""
    name = operation.name
    if out is not None:
        raise TypeError(
            f"out is a {type(out).__name__}: {name} of a Dask array is lazy and takes no out; accepted is None; "
            "dask.array.store and to_zarr write the result"
        )
    if impl is not None:
        raise TypeError(f"impl is {impl!r}: {name} of a Dask array takes none, as chunks go to the default; pass None")
    if stream is not None:
        raise TypeError(inputs.STREAM)
    if da.array_expr_enabled():
        raise NotImplementedError(f"{name} of a Dask array with array.query-planning on: accepted is off, the default")
    if type(x._meta) is not np.ndarray:
        kind = f"{type(x._meta).__module__}.{type(x._meta).__qualname__}"
        raise TypeError(f"{name} of a Dask array with chunks of {kind}: accepted are chunks of numpy.ndarray")
    if name_of(x.dtype.newbyteorder("=")) is None:
        raise inputs.refused(x, x.dtype, operation)
    folded = fold_shape((2,) * x.ndim, axis)
    axes = tuple(k for k, length in enumerate(folded.keepdims) if length == 1)
    if any(x.shape[k] == 0 for k in axes):
        raise ValueError(f"{name} of an empty axis: there is no element to choose from")
    return axes


def _again(x: Any, after: Any) -> Any:
    """x, to be computed anew once `after` has been: what it is computed from has other keys."""
    seed = after.name
    again = bind(x, after, seed=seed)
    # Of tasks in materialised layers, as those of slices, bind changes the keys and not what they refer to (Dask
    # 2026.8): they would take the chunks of the first read, which are then held.
    keys = {key: clone_key(key, seed) for key in x.dask.get_all_external_keys()}
    layers = dict(again.dask.layers)
    for name in layers.keys() & {clone_key(name, seed) for name in x.dask.layers}:
        if isinstance(layers[name], MaterializedLayer):
            layers[name] = MaterializedLayer({key: _renamed(task, keys) for key, task in layers[name].items()})
    return da.Array(HighLevelGraph(layers, again.dask.dependencies), again.name, again.chunks, meta=again._meta)


def _renamed(task: Any, keys: dict[Any, Any]) -> Any:
    """A task that refers to other keys; it may be within one that waits."""
    if isinstance(task, tuple):
        return tuple(_renamed(part, keys) for part in task)
    return task.substitute(keys) if isinstance(task, GraphNode) else task


def _in_one_chunk(x: Any, axes: Sequence[int]) -> bool:
    return all(x.numblocks[k] == 1 for k in axes)


def _blockwise(
    task: Any, x: Any, dtype: np.dtype, shortened: Sequence[int] = (), *others: Any, **arguments: Any
) -> Any:
    """task(chunk, the others' chunks, arguments) of every chunk of x; of the shape of x but for length-1 axes."""
    axes = tuple(range(x.ndim))
    return da.blockwise(
        task, axes, x, axes, *itertools.chain.from_iterable((other, axes) for other in others),
        adjust_chunks=dict.fromkeys(shortened, 1), align_arrays=False,
        meta=np.empty((0,) * x.ndim, dtype), **arguments,
    )  # fmt: skip


def _merged(parts: Any, axes: Sequence[int], merge: Any, finish: Any, dtype: np.dtype) -> Any:
    """finish(merged partials), with length 1 in place of the axes."""
    step = functools.partial(_merge, merge)
    return da.reduction(
        parts, _same, functools.partial(step, finish), combine=functools.partial(step, _same), axis=axes, keepdims=True,
        concatenate=False, dtype=dtype, meta=np.empty((0,) * parts.ndim, dtype),
    )  # fmt: skip


# What tasks call; Dask gives axis and keepdims to those of a reduction.


def _same(partial: Any, axis: Any = None, keepdims: Any = None) -> Any:
    return partial


def _merge(merge: Any, finish: Any, found: Any, axis: Any, keepdims: Any) -> Any:
    """Merge a partial, or a list of lists of as many axes as are reduced."""
    return finish(merge(flatten(found) if isinstance(found, list) else [found]))


def _softmax(x: np.ndarray, axes: tuple[int, ...]) -> Any:
    with threads.serial():
        return host_arrays.softmax(x, axes)


def _argmax(x: np.ndarray, axis: int | None) -> Any:
    with threads.serial():
        return host_arrays.argmax(x, axis, keepdims=True)


def _argmax_partial(
    x: np.ndarray, first: np.ndarray, axis: int | None, shape: tuple[int, ...]
) -> partials.ArgmaxPartial:
    return partials.argmax_partial(x, axis, int(first.item()), shape)
