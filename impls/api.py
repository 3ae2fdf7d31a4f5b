"""The public softmax and argmax: axis, dtype, layout and `out`, handled once for every kernel."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import contract, devices, registry
from .backends import HOST
from .contract.dtypes import name_of, named
from .layout import Fold, fold

# dtype.name is computed anew at every use and slower than a small kernel.
_NAMES = {named(name): name for name in contract.DTYPES}
_FLOATS = frozenset(contract.SOFTMAX.dtypes)
_INDEX = np.dtype(np.int64)
_STREAM = "stream is for arrays in GPU memory, and this one is not"


def softmax(
    x: ArrayLike,
    axis: int | Sequence[int] | None = None,
    *,
    out: np.ndarray | None = None,
    impl: str | None = None,
    stream: Any = None,
) -> Any:
    """Softmax: ``exp(x_i) / sum_j exp(x_j)`` over an axis, as `scipy.special.softmax`.

    Args:
        x: real numbers of any shape. float16, float32, float64 and bfloat16 (of the package
            `ml_dtypes`) keep their dtype; integers and bool are computed as float64. bfloat16 is
            computed in float32 and rounded once, by an implementation that takes it as it is or
            else through a float32 copy.
        axis: the axis, or several, over which results sum to 1; None for the whole array.
        out: a C-contiguous, writable array of the result's shape and dtype to fill; it may be x.
        impl: the name of an implementation (``maxbench list`` shows them); None takes the best
            available one.
        stream: for x in GPU memory (see `impls.cuda.device_arrays`), the CUDA stream to run on.

    Returns:
        Probabilities in x's shape, `out` if given; a scalar for 0-dimensional x. A row with a NaN
        or +inf, or of -inf only, is NaN; -inf elsewhere gives exactly 0.

    Raises:
        numpy.exceptions.AxisError: x has no such axis.
        TypeError: a dtype of x or out that is not accepted; the message lists those that are.
        ValueError: an axis of length 0, an axis named twice, or an `out` of wrong shape or layout.
        impls.UnknownImplementation, impls.Unavailable: `impl` is not known, or not usable here.
    """
    if type(x) is not np.ndarray and devices.on_device(x):
        return _on_device().softmax(x, axis, out, impl, stream)
    if stream is not None:
        raise TypeError(_STREAM)
    a, dtype = _native(x, contract.SOFTMAX)
    if dtype not in _FLOATS:
        a, dtype = a.astype(np.float64), "float64"
    folded = fold(a, axis)
    if out is not None:
        _check_out(out, a.shape, a.dtype)
    if a.size == 0:
        _refuse_empty(folded, "softmax")
        return np.empty_like(a) if out is None else out
    view = folded.apply(a)
    implementation = _choose("softmax", impl, dtype, a.size)
    if out is not None and folded.in_place and not np.may_share_memory(a, out):
        target = out.reshape(view.shape)
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
    axis: int | None = None,
    *,
    out: np.ndarray | None = None,
    keepdims: bool = False,
    impl: str | None = None,
    stream: Any = None,
) -> Any:
    """The index of the largest element over an axis, as `numpy.argmax`.

    Args:
        a: real numbers or bool of any shape: bool, every integer, float16, float32, float64,
            and bfloat16 (of the package `ml_dtypes`), which an implementation that does not take
            it is given as float32, of the same values.
        axis: the axis to search; None for the flattened array.
        out: a C-contiguous, writable int64 array of the result's shape to fill.
        keepdims: leave the searched axis in the result with length 1.
        impl: the name of an implementation; None takes the best available one.
        stream: for a in GPU memory (see `impls.cuda.device_arrays`), the CUDA stream to run on.

    Returns:
        int64 indices in [0, n - 1], `out` if given; a scalar where the result has no axis. The
        first of several maxima; -0.0 equals 0.0; the first NaN counts as largest.

    Raises:
        numpy.exceptions.AxisError: a has no such axis.
        TypeError: a dtype of a or out that is not accepted; the message lists those that are.
        ValueError: the searched axis is empty, or an `out` of wrong shape or layout.
        impls.UnknownImplementation, impls.Unavailable: `impl` is not known, or not usable here.
    """
    if type(a) is not np.ndarray and devices.on_device(a):
        return _on_device().argmax(a, axis, out, keepdims, impl, stream)
    if stream is not None:
        raise TypeError(_STREAM)
    x, dtype = _native(a, contract.ARGMAX)
    if axis is not None and type(axis) is not int and isinstance(axis, Sequence):
        raise TypeError(f"argmax takes one axis or None, got {axis!r}")
    folded = fold(x, axis, order_matters=True)
    shape = folded.keepdims if keepdims else folded.reduced
    if out is not None:
        _check_out(out, shape, _INDEX)
    if x.size == 0:
        _refuse_empty(folded, "argmax")
        return np.empty(shape, _INDEX) if out is None else out
    view = folded.apply(x)
    implementation = _choose("argmax", impl, dtype, x.size)
    columns = (view.shape[0], view.shape[2])
    if out is not None and folded.in_place and not np.may_share_memory(x, out):
        target = out.reshape(columns)
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


def _native(x: ArrayLike, operation: contract.Operation) -> tuple[np.ndarray, str]:
    """x as an ndarray of an accepted dtype in native byte order, and the name of that."""
    a = np.asarray(x)
    if (name := _NAMES.get(a.dtype)) is not None:
        return a, name
    native = a.dtype.newbyteorder("=")
    if (name := name_of(native)) is None:
        raise TypeError(
            f"{operation.name} does not take {a.dtype}: accepted are {', '.join(contract.ARGMAX.dtypes)}"
            + (" (integers and bool are computed as float64)" if operation is contract.SOFTMAX else "")
        )
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
    if (through := getattr(kernel.backend, "run_host", None)) is not None:
        result = through(kernel.run, view, out)
        return result
    put = kernel.backend.put
    return kernel.backend.get(kernel.run(put(view), put(out)))


def _on_device() -> Any:
    """The same functions for arrays in GPU memory.

    Raises:
        impls.Unavailable: numba-cuda is missing or cannot be used here.
    """
    registry.load("softmax", "numba_cuda")
    return importlib.import_module(".cuda.device_arrays", __package__)


def _check_out(out: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> None:
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out is a {type(out).__name__}: accepted is a numpy.ndarray")
    if out.dtype != dtype:
        raise TypeError(f"out has dtype {out.dtype}: the result has {dtype}")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}: the result has {shape}")
    if not out.flags.c_contiguous:
        raise ValueError("out is not C-contiguous")
    if not out.flags.writeable:
        raise ValueError("out is read-only")


def _refuse_empty(folded: Fold, operation: str) -> None:
    if folded.shape[1] == 0:
        raise ValueError(f"{operation} of an empty axis: there is no element to choose from")
