"""The public softmax and argmax, of arrays in main memory, in GPU memory, and in Dask's chunks."""

from __future__ import annotations

import functools
import importlib
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from . import devices, host_arrays, inputs, registry
from .host_arrays import known
from .layout import Axis


def softmax(
    x: ArrayLike,
    axis: Axis = None,
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
        and (call := known("softmax", x.dtype, x.shape, axis)) is not None
    ):  # fmt: skip
        return call(x)
    if type(x) is not np.ndarray:
        if devices.on_device(x):
            return _on_device().softmax(x, axis, out, impl, stream)
        if inputs.is_dask(x):
            return _on_dask().softmax(x, axis, out, impl, stream)
    if stream is not None:
        raise TypeError(inputs.STREAM)
    return host_arrays.softmax(x, axis, out, impl)


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
        and (call := known("argmax", a.dtype, a.shape, axis)) is not None
    ):  # fmt: skip
        return call(a)
    if type(a) is not np.ndarray:
        if devices.on_device(a):
            return _on_device().argmax(a, axis, out, keepdims, impl, stream)
        if inputs.is_dask(a):
            return _on_dask().argmax(a, axis, out, keepdims, impl, stream)
    if stream is not None:
        raise TypeError(inputs.STREAM)
    return host_arrays.argmax(a, axis, out, keepdims, impl)


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
