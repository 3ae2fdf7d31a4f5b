"""softmax and argmax of arrays that are already on the device: no copy in, the result stays there.

Taken are Numba's device arrays, whatever states the CUDA array interface (CuPy, PyTorch, JAX), and whatever hands out
its memory by DLPack; bfloat16, which the interface has no name for, by DLPack alone. The result is an array of the same
library for Numba, CuPy and PyTorch; for others it is a Numba device array, which states the interface itself. It is on
the device of the input, where there are several. Without a stream, work goes to the one that PyTorch or CuPy is using,
else to the default stream.

A first call compiles and prepares (see `plans.Plan`). A further call of which only the arrays' addresses differ takes a
few microseconds (see `known_calls`) and what it takes to allocate the result: `out` spares that, which for Numba's
arrays is most of the time. It does not synchronise, so it can be captured into a CUDA graph, if its result is given or
its library can allocate it then, as PyTorch does and Numba does not; `plans.Plan` says which calls must come before.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import cuda

from .. import contract
from ..layout import Fold, fold_shape
from . import known_calls, plans
from .elements import storage
from .launching import handle_of
from .streams import as_stream, current_stream

NAME = "numba_cuda"
_LEGACY_DEFAULT_STREAM = 1  # by its number there; Numba's default stream is that one


def softmax(x: Any, axis: int | Sequence[int] | None, out: Any, impl: str | None, stream: Any) -> Any:
    """As `impls.softmax` for x, and out if given, in device memory; starts on stream and does not wait."""
    _check_implementation("softmax", impl)
    result, call = known_calls.repeat("softmax", x, axis, out, False, stream)
    if result is not None:
        return result
    with _on_device_of(x):
        a, folded, queue = _prepare(x, axis, contract.SOFTMAX, stream)
        result = _like(x, tuple(a.shape), a.dtype) if out is None else out
        target = _view(out, tuple(a.shape), a.dtype, x, queue) if out is not None else _as_numba(result, queue)
        _run("softmax", a, target, folded, folded.shape, queue, call, result if out is None else None)
    return result


def argmax(x: Any, axis: int | None, out: Any, keepdims: bool, impl: str | None, stream: Any) -> Any:
    """As `impls.argmax` for x, and out if given, in device memory; starts on stream and does not wait."""
    _check_implementation("argmax", impl)
    result, call = known_calls.repeat("argmax", x, axis, out, bool(keepdims), stream)
    if result is not None:
        return result
    with _on_device_of(x):
        a, folded, queue = _prepare(x, axis, contract.ARGMAX, stream)
        shape, index = folded.keepdims if keepdims else folded.reduced, np.dtype(np.int64)
        result = _like(x, shape, index) if out is None else out
        target = _view(out, shape, index, x, queue) if out is not None else _as_numba(result, queue)
        _run(
            "argmax",
            a,
            target,
            folded,
            (folded.shape[0], folded.shape[2]),
            queue,
            call,
            result if out is None else None,
        )
    return result


def _check_implementation(operation: str, impl: str | None) -> None:
    if impl not in (None, NAME):
        raise ValueError(f"{operation}.{impl} does not take arrays on a device: {NAME} does")


def _prepare(x: Any, axis: Any, operation: contract.Operation, stream: Any) -> tuple[Any, Fold, Any]:
    """x as a Numba device array, how it folds, and the stream as Numba's.

    Raises:
        TypeError: a dtype that is not accepted.
        ValueError: x is not C-contiguous, so that taking it would need a copy; or its axis is empty.
    """
    queue = as_stream(current_stream(x) if stream is None else stream)
    a = _as_numba(x, queue)
    if a.dtype.name not in operation.dtypes:
        raise TypeError(
            f"{operation.name} on the device does not take {a.dtype}: accepted are {', '.join(operation.dtypes)}"
        )
    _check_contiguous("the array", a)
    if operation is contract.ARGMAX and isinstance(axis, Sequence):
        raise TypeError(f"argmax takes one axis or None, got {axis!r}")
    folded = fold_shape(tuple(a.shape), axis, order_matters=True)
    if folded.moved is not None:
        raise ValueError(f"axes {folded.moved} are not neighbours: on the device that would need a copy of the array")
    if folded.shape[1] == 0:
        raise ValueError(f"{operation.name} of an empty axis: there is no element to choose from")
    return a, folded, queue


def _run(
    operation: str, a: Any, target: Any, folded: Fold, out_shape: tuple[int, ...], stream: Any,
    call: known_calls.Call | None, new: Any,
) -> None:  # fmt: skip
    if math.prod(folded.shape):
        x, out = a.reshape(folded.shape), target.reshape(out_shape)
        plans.run(operation, x, out, stream)
        if call is not None:
            call.learn(plans.prepared(operation, x, out, stream), new)


def _number(x: Any) -> int | None:
    """The number of the device that holds x, or None where it does not say."""
    if hasattr(type(x), "__dlpack_device__"):
        return int(x.__dlpack_device__()[1])
    context = getattr(getattr(x, "gpu_data", None), "context", None)  # Numba's own arrays
    return None if context is None else int(context.device.id)


def _on_device_of(x: Any) -> contextlib.AbstractContextManager[Any]:
    """Makes the device that holds x the current one, if it is another."""
    number = _number(x)
    return contextlib.nullcontext() if number in (None, plans.current_number()) else cuda.gpus[number]


def _view(out: Any, shape: tuple[int, ...], dtype: np.dtype, x: Any, queue: Any) -> Any:
    """out as a Numba device array, once it is shown to fit."""
    from ..devices import on_device

    if not on_device(out):
        raise TypeError(f"out is a {type(out).__name__}: for an array on the device it must be on the device too")
    if None not in (here := _number(x), there := _number(out)) and here != there:
        raise ValueError(f"out is on device {there}, and the array on device {here}")
    array = _as_numba(out, queue)
    if array.dtype != dtype:
        raise TypeError(f"out has dtype {array.dtype}: the result has {dtype}")
    if tuple(array.shape) != shape:
        raise ValueError(f"out has shape {tuple(array.shape)}: the result has {shape}")
    _check_contiguous("out", array)
    return array


def _check_contiguous(what: str, array: Any) -> None:
    if not array.is_c_contiguous():
        raise ValueError(f"{what} is not C-contiguous: on the device only C-contiguous arrays are taken, uncopied")


def _as_numba(x: Any, queue: Any) -> Any:
    """x as a Numba device array over the same memory, for work on a stream; what its producer has begun comes first.

    Raises:
        TypeError: x does not hand out its memory, or holds a dtype that no interface can state.
    """
    if getattr(x, "__cuda_ndarray__", False):
        return x
    # A tensor that records gradients refuses the interface; its values are the same without them.
    plain = x.detach() if hasattr(x, "detach") else x
    try:
        if (stated := _interface(plain)) is not None:
            if stated.get("stream") == _handle(queue):  # what follows comes after; numba-cuda would wait nonetheless
                stated = {**stated, "stream": None}
            return cuda.from_cuda_array_interface(stated, owner=plain)
        return _from_dlpack(plain, queue)
    except (AttributeError, BufferError, NotImplementedError) as error:
        what = f"{type(x).__module__}.{type(x).__name__}"
        raise TypeError(
            f"{what} hands out its memory neither by the CUDA array interface nor by DLPack: {error}"
        ) from None


def _interface(x: Any) -> dict[str, Any] | None:
    """What x states by the CUDA array interface; None where it states nothing, or of bfloat16 only its two bytes."""
    try:
        stated: dict[str, Any] | None = getattr(x, "__cuda_array_interface__", None)
    except KeyError:  # how older versions of PyTorch refuse a dtype
        return None
    return None if stated is None or stated["typestr"] == "<V2" else stated


def _from_dlpack(x: Any, queue: Any) -> Any:
    """x as a Numba device array through DLPack, by way of what numba-cuda reads DLPack with.

    The producer makes its work be done before what the stream does from here on.
    """
    from cuda.core.utils import StridedMemoryView

    view = StridedMemoryView.from_dlpack(x, stream_ptr=_handle(queue))
    if not view.is_device_accessible:
        raise BufferError("its memory is not the device's")
    strides = None if view.strides is None else tuple(step * view.dtype.itemsize for step in view.strides)
    described = {
        "shape": tuple(view.shape),
        "strides": strides,
        "typestr": storage(view.dtype).str,
        "data": (view.ptr, view.readonly),
        "version": 3,
    }
    return cuda.from_cuda_array_interface(described, owner=view).view(view.dtype)


def _handle(stream: Any) -> int:
    """A stream's handle as arrays state it and DLPack has it."""
    return handle_of(stream) or _LEGACY_DEFAULT_STREAM


def _like(x: Any, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """An uninitialised array on the device, of x's own library where that is Numba, CuPy or PyTorch."""
    library = type(x).__module__.partition(".")[0]
    if library == "torch":
        import torch

        return torch.empty(shape, dtype=getattr(torch, dtype.name), device=x.device)
    if library == "cupy":
        import cupy

        return cupy.empty(shape, dtype)
    return cuda.device_array(shape, dtype)
