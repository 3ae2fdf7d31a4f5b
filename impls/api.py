"""The public softmax and argmax: axis, dtype, layout and `out`, handled once for every kernel."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from . import contract, devices, inputs, registry
from .backends import HOST
from .contract.dtypes import name_of, named
from .layout import Fold, fold, fold_shape, overlaps_itself

# dtype.name is computed anew at every use and slower than a small kernel.
_name_of = functools.lru_cache(name_of)
_FLOATS = frozenset(contract.SOFTMAX.dtypes)
_INDEX = np.dtype(np.int64)
# Argmax of so many elements in so few rows takes NumPy less time than preparing a call of a kernel takes.
NUMPY_ELEMENTS, NUMPY_ROWS = 1024, 64
STREAM = "stream is for arrays in GPU memory, and this one is not"


def softmax(
    x: ArrayLike,
    axis: SupportsIndex | Sequence[SupportsIndex] | None = None,
    *,
    out: np.ndarray | None = None,
    impl: str | None = None,
    stream: Any = None,
) -> Any:
    """Softmax: ``exp(x_i) / sum_j exp(x_j)`` over an axis, as `scipy.special.softmax`.

    Args:
        x: real numbers of any shape: an array, a nested list, or an object with ``__array__``, ``__dlpack__`` or the
            buffer protocol; a Dask array stays lazy (docs/dask.md). float16, float32, float64 and bfloat16 (of the
            package `ml_dtypes`) keep their dtype; integers and bool are computed as float64. bfloat16 is
            computed in float32 and rounded once, by an implementation that takes it as it is or
            else through a float32 copy.
        axis: the axis over which results sum to 1, or a tuple or list of several; None for the whole array. An
            axis is an int, a NumPy integer, or what else `operator.index` takes, but no bool. With no axis, ``()``,
            every element is a row of its own.
        out: a `numpy.ndarray` of the result's shape and dtype to fill: of any strides, alignment and byte order; it
            may be x or overlap it. Nothing is copied where it is C-contiguous (or Fortran-contiguous, as x is),
            aligned, in native byte order and shares no memory with x.
        impl: the name of an implementation (``maxbench list`` shows them); None takes the best
            available one.
        stream: for x in GPU memory (see `impls.cuda.device_arrays`), the CUDA stream to run on.

    Returns:
        Probabilities in x's shape, `out` if given; a scalar for 0-dimensional x. A row with a NaN
        or +inf, or of -inf only, is NaN; -inf elsewhere gives exactly 0.

    Raises:
        numpy.exceptions.AxisError: x has no such axis.
        TypeError: an x or a dtype that is not accepted, with a list of those that are; a masked array; an axis that
            is no integer; an `out` that is no `numpy.ndarray` of the result's dtype.
        ValueError: an axis of length 0, an axis named twice, a ragged list, or an `out` of another shape, read-only,
            or with elements that overlap one another.
        impls.UnknownImplementation, impls.Unavailable: `impl` is not known, or not usable here.
    """
    if (
        type(x) is np.ndarray and out is None and impl is None and stream is None
        and (axis is None or type(axis) is int) and x.flags.carray
        and (known := _known("softmax", x.dtype, x.shape, axis)) is not None
    ):  # fmt: skip
        return known(x)
    if type(x) is not np.ndarray:
        if devices.on_device(x):
            return _on_device().softmax(x, axis, out, impl, stream)
        if inputs.is_dask(x):
            return _on_dask().softmax(x, axis, out, impl, stream)
    if stream is not None:
        raise TypeError(STREAM)
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
    axis: SupportsIndex | None = None,
    out: np.ndarray | None = None,
    *,
    keepdims: bool = False,
    impl: str | None = None,
    stream: Any = None,
) -> Any:
    """The index of the largest element over an axis, as `numpy.argmax`.

    Args:
        a: real numbers or bool of any shape, an array or what else `softmax` takes: bool, every
            integer, float16, float32, float64, and bfloat16 (of the package `ml_dtypes`), which an
            implementation that does not take it is given as float32, of the same values.
        axis: the axis to search, an integer as for `softmax`; None for the flattened array, in C order.
        out: a `numpy.ndarray` of the result's shape and of int64 to fill, of any layout, as for `softmax`. Other
            integers, which `numpy.argmax` fills too and overflows, are refused.
        keepdims: leave the searched axis in the result with length 1, as it always is for a `numpy.matrix`.
        impl: the name of an implementation; None takes the best available one, and NumPy's own argmax for up to 1,024
            elements in few rows.
        stream: for a in GPU memory (see `impls.cuda.device_arrays`), the CUDA stream to run on.

    Returns:
        int64 indices in [0, n - 1], `out` if given; a scalar where the result has no axis. The
        first of several maxima; -0.0 equals 0.0; the first NaN counts as largest.

    Raises:
        numpy.exceptions.AxisError: a has no such axis.
        TypeError: as for `softmax`; several axes.
        ValueError: the searched axis is empty; a ragged list; an `out` as for `softmax`.
        impls.UnknownImplementation, impls.Unavailable: `impl` is not known, or not usable here.
    """
    if (
        type(a) is np.ndarray and out is None and impl is None and stream is None and not keepdims
        and (axis is None or type(axis) is int) and a.flags.carray
        and (known := _known("argmax", a.dtype, a.shape, axis)) is not None
    ):  # fmt: skip
        return known(a)
    if type(a) is not np.ndarray:
        if devices.on_device(a):
            return _on_device().argmax(a, axis, out, keepdims, impl, stream)
        if inputs.is_dask(a):
            return _on_dask().argmax(a, axis, out, keepdims, impl, stream)
        keepdims = keepdims or (axis is not None and isinstance(a, np.matrix))
    if stream is not None:
        raise TypeError(STREAM)
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
def _known(
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


@functools.cache
def _on_device() -> Any:
    """The same functions for arrays in GPU memory.

    Raises:
        impls.Unavailable: numba-cuda is missing or cannot be used here.
    """
    registry.load("softmax", "numba_cuda")
    return importlib.import_module(".cuda.device_arrays", __package__)


@functools.cache
def _on_dask() -> Any:
    """The same functions for Dask arrays."""
    return importlib.import_module(".dask_arrays", __package__)


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
