"""Softmax and argmax of arrays in main memory: axis, dtype, layout and `out`, handled once for every kernel.

`impls.api` has the public functions, and documents arguments, results and errors.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from . import contract, inputs, registry
from .backends import HOST
from .contract.dtypes import name_of, named
from .layout import Axis, Fold, fold, fold_shape, overlaps_itself

# dtype.name is computed anew at every use and slower than a small kernel.
_name_of = functools.lru_cache(name_of)
_FLOATS = frozenset(contract.SOFTMAX.dtypes)
_INDEX = np.dtype(np.int64)
# Argmax of so many elements in so few rows takes NumPy less time than preparing a call of a kernel takes.
NUMPY_ELEMENTS, NUMPY_ROWS = 1024, 64


def softmax(x: ArrayLike, axis: Axis, out: np.ndarray | None = None, impl: str | None = None) -> Any:
    """`impls.softmax` of what `inputs.as_array` makes a NumPy array of."""
    a, dtype = _native(x, contract.SOFTMAX)
    if dtype not in _FLOATS:
        a, dtype = a.astype(np.float64), "float64"
    folded = fold(a, axis)
    filled = None if out is None else _checked(out, a.shape, a.dtype, folded)
    if a.size == 0:
        _refuse_empty(folded, "softmax")
        return np.empty_like(a) if out is None else out
    view = folded.apply(a)
    implementation = _choose("softmax", impl, dtype, a.size)
    if filled is not None and not np.may_share_memory(view, filled):
        target = filled.reshape(view.shape)
        result = _run(implementation, dtype, view, target)
        if result is not target:
            target[...] = result
        return out
    result = folded.restore(_run(implementation, dtype, view, np.empty(view.shape, view.dtype)))
    if out is not None:
        out[...] = result
        return out
    return result if result.ndim else result[()]


def argmax(
    a: ArrayLike,
    axis: SupportsIndex | None,
    out: np.ndarray | None = None,
    keepdims: bool = False,
    impl: str | None = None,
) -> Any:
    """`impls.argmax` of what `inputs.as_array` makes a NumPy array of."""
    keepdims = keepdims or (axis is not None and isinstance(a, np.matrix))
    x, dtype = _native(a, contract.ARGMAX)
    if axis is not None and type(axis) is not int and isinstance(axis, Sequence):
        raise TypeError(f"argmax takes one axis or None, got {axis!r}")
    folded = fold(x, axis, order_matters=True)
    shape = folded.keepdims if keepdims else folded.reduced
    filled = None if out is None else _checked(out, shape, _INDEX, folded)
    if x.size == 0:
        _refuse_empty(folded, "argmax")
        return np.empty(shape, _INDEX) if out is None else out
    view = folded.apply(x)
    implementation = _choose("argmax", impl, dtype, x.size)
    columns = (view.shape[0], view.shape[2])
    if filled is not None and not np.may_share_memory(view, filled):
        target = filled.reshape(columns)
        result = _run(implementation, dtype, view, target)
        if result is not target:
            target[...] = result
        return out
    result = _run(implementation, dtype, view, np.empty(columns, _INDEX))
    result = result.T.reshape(shape, order="F") if folded.transposed else result.reshape(shape)
    if out is not None:
        out[...] = result
        return out
    return result if shape else result[()]


@functools.lru_cache(maxsize=1024)
def known(
    operation: str, dtype: np.dtype, shape: tuple[int, ...], axis: int | None
) -> Callable[[np.ndarray], Any] | None:
    """The whole call for aligned, C-contiguous, writable arrays that are small; None for others, which go on.

    Of a call on a small array most of the time is finding out what to do.
    """
    if (
        not shape
        or 0 in shape
        or (name := _name_of(dtype)) is None
        or name not in contract.OPERATIONS[operation].dtypes
    ):
        return None
    try:
        folded = fold_shape(shape, axis, order_matters=True)
    except ValueError:  # the axis, of which the error tells
        return None
    rows, n, inner = folded.shape
    if (
        operation == "argmax"
        and inner == 1
        and rows <= NUMPY_ROWS
        and rows * n <= NUMPY_ELEMENTS
        and np.intp == np.int64
    ):
        return lambda x: x.argmax(axis)
    if (implementation := registry.of_any_size(operation, name)) is None or implementation.kernel.bind is None:
        return None
    if (call := implementation.kernel.bind(dtype, folded.shape)) is None:
        return None
    given = folded.shape

    def softmax_of(x: np.ndarray) -> np.ndarray:
        result = np.empty(given, dtype)
        call(x.reshape(given), result)
        return result.reshape(shape)

    reduced, columns = folded.reduced, (given[0], given[2])

    def argmax_of(x: np.ndarray) -> Any:
        result = np.empty(columns, _INDEX)
        call(x.reshape(given), result)
        return result.reshape(reduced) if reduced else result[0, 0]

    return softmax_of if operation == "softmax" else argmax_of


def _native(x: ArrayLike, operation: contract.Operation) -> tuple[np.ndarray, str]:
    """x as an ndarray of an accepted dtype in native byte order, and the name of that."""
    a = x if type(x) is np.ndarray else inputs.as_array(x, operation)
    if (name := _name_of(a.dtype)) is not None:
        return a, name
    native = a.dtype if a.dtype.isnative else a.dtype.newbyteorder("=")
    if (name := _name_of(native)) is None:
        raise inputs.refused(x, a.dtype, operation)
    return a.astype(native, copy=False), name


def _choose(operation: str, impl: str | None, dtype: str, size: int) -> registry.Implementation:
    wider = contract.WIDER.get(dtype, dtype)
    if impl is None:
        return registry.default(operation, wider, size)
    implementation = registry.load(operation, impl)
    kernel = implementation.kernel
    if dtype not in kernel.dtypes and wider in kernel.dtypes:
        dtype = wider  # as which `_run` gives it
    if refusal := kernel.refusal(dtype, size):
        error = ValueError if dtype in kernel.dtypes else TypeError
        raise error(f"{operation}.{impl} does not support this input: {refusal}")
    return implementation


def _run(implementation: registry.Implementation, dtype: str, view: np.ndarray, out: np.ndarray) -> np.ndarray:
    kernel = implementation.kernel
    if dtype not in kernel.dtypes:
        wider = contract.WIDER[dtype]
        wide = out if out.dtype == _INDEX else np.empty(out.shape, named(wider))
        out[...] = _run(implementation, wider, view.astype(named(wider)), wide)
        return out
    if kernel.backend is HOST:
        result: np.ndarray = kernel.run(view, out)
        return result
    if (run_host := kernel.backend.run_host) is not None:
        result = run_host(kernel.run, view, out)
        return result
    put = kernel.backend.put
    return kernel.backend.get(kernel.run(put(view), put(out)))


def _checked(out: np.ndarray, shape: tuple[int, ...], dtype: np.dtype, folded: Fold) -> np.ndarray | None:
    """out, which must fit the result, as an array that a kernel can fill; None where it needs a copy of the result."""
    direct = folded.moved is None
    usual = type(out) is np.ndarray and out.dtype == dtype and out.shape == shape and out.flags.carray
    if usual and direct and not folded.transposed:
        return out
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"out is a {type(out).__name__}: accepted is a numpy.ndarray, which has no mask")
    if out.dtype not in (dtype, dtype.newbyteorder()):
        raise TypeError(f"out has dtype {out.dtype}: the result has {dtype}, and accepted are both of its byte orders")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}: the result has {shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only: accepted is a writable array")
    if overlaps_itself(out):
        raise ValueError(f"out has strides {out.strides}, elements that overlap: accepted is memory for each of them")
    flat = np.asarray(out.T if folded.transposed else out)
    return flat if direct and flat.dtype == dtype and flat.flags.carray else None


def _refuse_empty(folded: Fold, operation: str) -> None:
    if folded.shape[1] == 0:
        raise ValueError(f"{operation} of an empty axis: there is no element to choose from")
