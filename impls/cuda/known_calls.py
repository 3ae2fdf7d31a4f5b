"""Calls with arrays on the device that were made before, repeated without their checks: a few microseconds each.

What is checked, and which kernels run, depends on the arrays' library, dtype, shape, strides, device and alignment, on
the axis and on the stream. Once a call has succeeded, others of its kind need only the addresses, and memory for the
result.
"""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from numba import cuda

from . import launching
from .elements import VECTOR_BYTES
from .platform import SIMULATED
from .streams import as_stream, at_address, current_stream


class _Library(NamedTuple):
    """How arrays of one library are read.

    Attributes:
        read: array -> (its address, all else that distinguishes it: dtype, shape, strides, device). Raises whatever
            it likes where that is not enough.
        address: array -> its address.
        stream: array -> the stream that its library works on, as Numba takes it, and the only one that its arrays are
            used on without the library's doing; None: that is the default stream, and any other will do.
    """

    read: Callable[[Any], tuple[int, Hashable]]
    address: Callable[[Any], int]
    stream: Callable[[Any], Any] | None


class Call:
    """One kind of call.

    Attributes:
        repeat: (input, its address, out, its address) -> the result, for out None a new array; None where the call
            must be made in full this once. None itself before a call has succeeded.
    """

    __slots__ = ("repeat",)

    def __init__(self) -> None:
        self.repeat: Callable[[Any, int, Any, int], Any] | None = None

    def learn(self, prepared: launching.Prepared | None, new: Any) -> None:
        """Note how a call that has succeeded, on the current device, is repeated, if it can be.

        Args:
            prepared: its launches.
            new: the array that it has made for the result; None if it was given one.
        """
        if prepared is None:
            return
        device = launching.current_device()
        run = _into(prepared) if new is None else _into_new(prepared, new)

        def repeat(x: Any, start: int, out: Any, out_start: int) -> Any:
            if launching.current_device() != device:
                with cuda.gpus[device]:
                    return run(x, start, out, out_start)
            return run(x, start, out, out_start)

        self.repeat = repeat


def _into(prepared: launching.Prepared) -> Callable[[Any, int, Any, int], Any]:
    def run(x: Any, start: int, out: Any, out_start: int) -> Any:
        prepared(start, out_start)
        return out

    return run


def _into_new(prepared: launching.Prepared, like: Any) -> Callable[[Any, int, Any, int], Any]:
    kind: Any = type(like)
    library, empty = _library(kind), _empty_like(like)
    address = launching.address if library is None else library.address
    offset = address(like) % VECTOR_BYTES

    def run(x: Any, start: int, out: Any, out_start: int) -> Any:
        out = empty(x)
        out_start = address(out)
        if out_start % VECTOR_BYTES != offset:
            return None
        prepared(start, out_start)
        return out

    return run


@functools.lru_cache(maxsize=512)
def _call(*key: Any) -> Call:
    return Call()


def repeat(operation: str, x: Any, axis: Any, out: Any, keepdims: bool, stream: Any) -> tuple[Any, Call | None]:
    """(result, None) if a call of this kind is known; else (None, what is to learn the call, if it can be repeated).

    Raises:
        TypeError: as `as_stream`.
    """
    kind: Any = type(x)
    library = _library(kind)
    # An axis of another type may equal an integer and be refused, as True is.
    if library is None or (axis is not None and type(axis) is not int):
        return None, None
    try:  # out may be of another library, and is then read as x is, or not at all
        start, layout = library.read(x)
        out_start, out_layout = (0, None) if out is None else library.read(out)
        queue = 0 if library.stream is None else library.stream(x)
    except Exception:  # foreign code; the checks name what is wrong
        return None, None
    if stream is not None:
        other = as_stream(stream)
        if library.stream is not None and other is not queue:
            return None, None
        queue = other
    offsets = start % VECTOR_BYTES, out_start % VECTOR_BYTES
    call = _call(operation, kind, layout, axis, out_layout, keepdims, offsets, queue)
    if call.repeat is None:
        return None, call
    result = call.repeat(x, start, out, out_start)
    return (None, call) if result is None else (result, None)


@functools.lru_cache(maxsize=64)
def _library(kind: Any) -> _Library | None:
    """How arrays of a type are read; None where each call is to be made in full."""
    if SIMULATED:
        return None
    known = _LIBRARIES.get(f"{kind.__module__}.{kind.__qualname__}")
    return _STATING if known is None and hasattr(kind, "__cuda_array_interface__") else known


@functools.cache
def _several_devices() -> bool:
    return len(cuda.gpus) > 1


def _read_numba(x: Any) -> tuple[int, Hashable]:
    device = x.gpu_data.context.device.id if _several_devices() else 0
    return x.device_ctypes_pointer.value, (x.shape, x.strides, x.dtype, device)


def _read_torch(x: Any) -> tuple[int, Hashable]:
    return x.data_ptr(), (x.shape, x.dtype, x.get_device(), x.is_contiguous())


def _torch_stream(x: Any) -> Any:
    raw = getattr(sys.modules["torch"]._C, "_cuda_getCurrentRawStream", None)  # as current_stream, twenty times faster
    if raw is None:
        return as_stream(current_stream(x))
    return at_address(handle) if (handle := raw(x.get_device())) else 0


def _read_cupy(x: Any) -> tuple[int, Hashable]:
    data = x.data
    return data.ptr, (x.shape, x.strides, x.dtype, data.device_id)


def _read_stated(x: Any) -> tuple[int, Hashable]:
    stated = x.__cuda_array_interface__
    if stated.get("stream") is not None or stated.get("mask") is not None or stated["typestr"][1] == "V":
        raise NotImplementedError
    strides = stated.get("strides")
    layout = (tuple(stated["shape"]), strides if strides is None else tuple(strides), stated["typestr"])
    device = x.__dlpack_device__()[1] if hasattr(type(x), "__dlpack_device__") else launching.current_device()
    return stated["data"][0], (layout, int(device))


_NUMBA = _Library(_read_numba, launching.address, None)
_TORCH = _Library(_read_torch, operator.methodcaller("data_ptr"), _torch_stream)
_CUPY = _Library(_read_cupy, operator.attrgetter("data.ptr"), lambda x: as_stream(current_stream(x)))
_STATING = _Library(_read_stated, lambda x: _read_stated(x)[0], None)
_LIBRARIES = {
    "numba.cuda.cudadrv.devicearray.DeviceNDArray": _NUMBA,
    "torch.Tensor": _TORCH,
    "torch.nn.parameter.Parameter": _TORCH,
    "cupy.ndarray": _CUPY,
    "cupy._core.core.ndarray": _CUPY,
}


def _empty_like(result: Any) -> Callable[[Any], Any]:
    """The function (input) -> another array like a C-contiguous result of Numba, CuPy or PyTorch."""
    kind: Any = type(result)
    library = _library(kind)
    if library is _TORCH:
        shape, dtype, empty_like = tuple(result.shape), result.dtype, sys.modules["torch"].empty_like

        def tensor(x: Any) -> Any:  # empty_like, of a C-contiguous tensor, takes half the time
            return empty_like(x) if x.dtype == dtype and x.shape == shape else x.new_empty(shape, dtype=dtype)

        return tensor
    if library is _CUPY:
        new: Callable[[], Any] = functools.partial(sys.modules["cupy"].empty, result.shape, result.dtype)
    else:
        new = _numba_empty(result)
    return lambda x: new()


def _numba_empty(result: Any) -> Callable[[], Any]:
    kind, shape, strides, dtype = type(result), result.shape, result.strides, result.dtype

    def empty() -> Any:
        try:  # as cuda.device_array, which queries the context several times
            return kind(shape, strides, dtype, gpu_data=allocate(size))
        except (AttributeError, TypeError):
            return cuda.device_array(shape, dtype)

    try:
        allocate, size = result.gpu_data.context.memalloc, result.alloc_size
    except AttributeError:
        return functools.partial(cuda.device_array, shape, dtype)
    return empty
