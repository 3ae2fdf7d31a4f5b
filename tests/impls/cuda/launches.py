"""Stand-ins for the driver and for compiled kernels: what is launched, with which parameters, is shown without a GPU.

Device arrays, their types and the layout of parameters are numba-cuda's own.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numba.cuda import types
from numba.cuda.cudadrv.devicearray import DeviceNDArray
from numba.cuda.dispatcher import _Kernel
from numba.cuda.typing.typeof import Purpose, typeof


class Launched(NamedTuple):
    """One launch by the driver.

    Attributes:
        function: the kernel's handle.
        threads, shared: of a block, and bytes of its dynamic shared memory.
    """

    function: int
    grid: tuple[int, int, int]
    threads: int
    stream: int
    parameters: list[int]
    shared: int = 0


class Driver:
    """Stands for `cuda.bindings.driver`.

    Attributes:
        launches: what has been launched.
        result: what launches return.
        device: the number of the current device; None without a context.
        capturing: streams that a CUDA graph is captured from.
        lengths: by kernel handle, how many parameters it has.
        during: called in each launch.
        allowed: by kernel handle and device, the bytes of dynamic shared memory that it may be launched with.
        shared: the most that may be allowed.
    """

    def __init__(self) -> None:
        self.launches: list[Launched] = []
        self.result: Any = 0
        self.device: int | None = 0
        self.capturing: set[int] = set()
        self.lengths: dict[int, int] = {}
        self.during: Callable[[], None] = lambda: None
        self.allowed: dict[tuple[int, int | None], int] = {}
        self.shared = 227 << 10

    CUfunction = CUstream = int
    CUfunction_attribute = SimpleNamespace(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES=8)

    def cuKernelGetAttribute(self, attribute: int, kernel: int, device: int) -> tuple[int, int]:  # noqa: N802
        assert attribute == 8
        return 0, self.allowed.get((kernel, device), 0)

    def cuKernelSetAttribute(self, attribute: int, value: int, kernel: int, device: int) -> tuple[int]:  # noqa: N802
        assert attribute == 8
        if value > self.shared:
            return (1,)
        self.allowed[kernel, device] = value
        return (0,)

    def cuLaunchKernel(self, function: int, *rest: Any) -> tuple[Any]:  # noqa: N802
        x, y, z, threads, one, other, shared, stream, parameters, extra = rest
        assert (one, other, extra) == (1, 1, 0)
        assert shared <= max(48 << 10, self.allowed.get((function, self.device), 0))
        if self.result == 0:
            self.during()
            pointers = (ctypes.c_void_p * self.lengths[function]).from_address(parameters)
            words = [ctypes.c_uint64.from_address(pointer or 0).value for pointer in pointers]
            self.launches.append(Launched(function, (x, y, z), threads, stream, words, shared))
        return (self.result,)

    def cuCtxGetDevice(self) -> tuple[int, int]:  # noqa: N802
        return (201, 0) if self.device is None else (0, self.device)

    def cuStreamIsCapturing(self, stream: int) -> tuple[int, int]:  # noqa: N802
        return (0, int(stream in self.capturing))


class Stream:
    """Stands for a stream of Numba."""

    auto_synchronize = None

    def __init__(self, handle: int) -> None:
        self.handle = handle


class Kernel:
    """Stands for a kernel that `numba.cuda.jit` has made, and for all that it compiles to.

    Attributes:
        calls: (grid, threads, stream, arguments) of each launch by numba-cuda's launcher.
    """

    def __init__(self, driver: Driver, handle: int) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.overloads: dict[Any, Any] = {}
        self.driver, self.handle = driver, handle

    def __getitem__(self, configuration: tuple[Any, ...]) -> Callable[..., None]:
        def launch(*arguments: Any) -> None:
            self.calls.append((*configuration[:3], arguments))
            self.compile(tuple(typeof(argument, Purpose.argument) for argument in arguments))

        return launch

    def compile(self, kinds: tuple[Any, ...]) -> Any:
        return self.overloads.setdefault(kinds, self._compiled(kinds))

    def typeof_pyval(self, value: Any) -> Any:
        return typeof(value, Purpose.argument)

    def _compiled(self, kinds: tuple[Any, ...]) -> Any:
        self.driver.lengths[self.handle] = sum(
            5 + 2 * kind.ndim if isinstance(kind, types.Array) else 1 for kind in kinds
        )
        compiled = SimpleNamespace(debug=False, cooperative=False, extensions=[], argument_types=kinds)
        compiled._prepare_args = lambda *a: _Kernel._prepare_args(compiled, *a)  # type: ignore[arg-type]
        compiled._codelibrary = SimpleNamespace(get_cufunc=lambda: SimpleNamespace(handle=self.handle))
        return compiled


def device_array(
    address: int, *shape: int, dtype: Any = np.float32, device: int = 0, strides: tuple[int, ...] | None = None
) -> Any:
    """A device array of Numba that begins at an address, where nothing is."""
    like = np.empty(shape, dtype)
    context = SimpleNamespace(device=SimpleNamespace(id=device))
    memory = SimpleNamespace(device_ctypes_pointer=ctypes.c_size_t(address), context=context)
    return DeviceNDArray(shape, strides or like.strides, like.dtype, gpu_data=memory)
