"""Launches of compiled kernels with their parameters laid out once: a driver call each, about a microsecond.

numba-cuda's own launcher works out types and parameters anew at every call, for 20 to 60 microseconds a kernel. What
it makes of the arguments of one call serves all others of the same shapes and dtypes: only the addresses of the arrays
differ. `prepare` uses interfaces of numba-cuda that are not public; where they are not as it knows them there is no
prepared launch, and numba-cuda's own launcher stays in use.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from numba import cuda

try:
    from cuda.bindings import driver
except ImportError:
    driver = None

UNASKED_SHARED = 48 << 10  # bytes of shared memory that a block may have without `allow_shared`

X, OUT = object(), object()
"""Stand for the input and the result in the arguments of a `Step`."""


class Step(NamedTuple):
    """A kernel launch, as a plan makes it.

    Attributes:
        kernel: what `numba.cuda.jit` made.
        grid: blocks, in one or two dimensions.
        threads: of a block.
        arguments: of the kernel: `X`, `OUT`, device arrays and integers.
        shared: bytes of dynamic shared memory of a block.
    """

    kernel: Any
    grid: int | tuple[int, int]
    threads: int
    arguments: tuple[Any, ...]
    shared: int = 0


Prepared = Callable[[int, int], None]
"""(address of x, address of out): makes all launches of a plan on its stream, in the current context; does not wait."""


class _UnknownInterfaceError(Exception):
    """numba-cuda is not as `prepare` knows it."""


def prepare(steps: Sequence[Step], x: Any, out: Any, stream: Any) -> Prepared | None:
    """A function that repeats launches with other arrays; None where this version of numba-cuda does not allow it.

    The launches must have been made by numba-cuda before, so that the kernels are compiled and loaded. The function
    keeps all that the launches use, working memory included, and may be called by several threads.

    Args:
        steps: the launches, in order.
        x, out: Numba device arrays like those that it will be called with.
        stream: a stream of Numba, or 0.
    """
    if driver is None:
        return None
    try:
        return _prepare(steps, x, out, handle_of(stream))
    except (_UnknownInterfaceError, AttributeError, LookupError, NotImplementedError, TypeError, ValueError):
        return None


def _prepare(steps: Sequence[Step], x: Any, out: Any, stream: int) -> Prepared:
    arrays = {id(X): x, id(OUT): out}
    words: list[int] = []
    x_places: list[int] = []
    out_places: list[int] = []
    begins, functions = [], []
    for step in steps:
        arguments = [arrays.get(id(argument), argument) for argument in step.arguments]
        kernel = _compiled(step.kernel, arguments)
        begins.append(len(words))
        functions.append(kernel._codelibrary.get_cufunc())
        for kind, given, argument in zip(kernel.argument_types, step.arguments, arguments, strict=True):
            parameters = _parameters(kernel, kind, argument, stream)
            if given is X or given is OUT:
                place = len(words) + _place(parameters, address(argument))
                (x_places if given is X else out_places).append(place)
            words += parameters
    values = (ctypes.c_uint64 * len(words))(*words)
    begin = ctypes.addressof(values)
    pointers = (ctypes.c_void_p * len(words))(*range(begin, begin + 8 * len(words), 8))
    launches = [
        (
            driver.CUfunction(int(function.handle)), *_three(step.grid), step.threads, 1, 1,
            step.shared, driver.CUstream(stream), ctypes.addressof(pointers) + 8 * start, 0,
        )
        for step, function, start in zip(steps, functions, begins, strict=True)
    ]  # fmt: skip
    memory = [a for step in steps for a in step.arguments if not (isinstance(a, int) or a is X or a is OUT)]
    lock = threading.Lock()  # the driver reads the parameters, and working memory serves one call after another
    launch, used = driver.cuLaunchKernel, (pointers, functions, tuple(steps))

    def prepared(x: int, out: int) -> None:
        with lock:
            if memory and capturing(stream):
                keep(used)
            for place in x_places:
                values[place] = x
            for place in out_places:
                values[place] = out
            for arguments in launches:
                if (result := launch(*arguments)[0]) != 0:
                    _fail(result)

    return prepared


def _fail(result: Any, doing: str = "launching a kernel") -> None:
    from numba.cuda.cudadrv.driver import CudaAPIError

    raise CudaAPIError(int(result), f"{doing} failed: {getattr(result, 'name', result)}")


def _compiled(dispatcher: Any, arguments: list[Any]) -> Any:
    """The compiled kernel that a dispatcher launches with these arguments."""
    kernel = dispatcher.overloads[tuple(dispatcher.typeof_pyval(argument) for argument in arguments)]
    if kernel.debug or kernel.cooperative or kernel.extensions or getattr(kernel, "launch_config_sensitive", False):
        raise _UnknownInterfaceError("a kernel that is not launched by its parameters alone")
    return kernel


def _parameters(kernel: Any, kind: Any, argument: Any, stream: int) -> list[int]:
    """What an argument of a kernel is passed as: parameters of 64 bits, or less, each in a word of its own."""
    after: list[Any] = []
    parameters: list[Any] = []
    kernel._prepare_args(kind, argument, stream, after, parameters)
    if after:
        raise _UnknownInterfaceError("something is left to be done after the launch")
    return [_word(parameter) for parameter in parameters]


def _word(parameter: Any) -> int:
    if type(parameter) is int:  # numba-cuda passes those as 64 bits
        return parameter % (1 << 64)
    if isinstance(parameter, ctypes._SimpleCData) and ctypes.sizeof(parameter) <= 8:
        return int.from_bytes(bytes(parameter), sys.byteorder)
    raise _UnknownInterfaceError(f"a parameter is a {type(parameter).__name__}")


def _place(parameters: list[int], value: int) -> int:
    """Which parameter of an array is its address."""
    if parameters.count(value) != 1:
        raise _UnknownInterfaceError("no parameter, or more than one, is the address of the array")
    return parameters.index(value)


def most_shared(device: Any) -> int:
    """Bytes of shared memory that a block may have on a device of Numba."""
    return UNASKED_SHARED if driver is None else int(device.MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)


def allow_shared(kernel: Any, arguments: Sequence[Any], size: int) -> None:
    """Let a kernel, compiled for these arguments, be launched with so many bytes of dynamic shared memory.

    More than `UNASKED_SHARED` must be requested, on every device, and numba-cuda does not. Needs cuda.bindings.
    """
    if size <= UNASKED_SHARED:
        return
    compiled = kernel.compile(tuple(kernel.typeof_pyval(argument) for argument in arguments))
    function, device = compiled._codelibrary.get_cufunc(), current_device()
    attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    result, now = driver.cuKernelGetAttribute(attribute, function.handle, device)
    if result == 0 and now < size:  # other launches of the kernel may need more
        (result,) = driver.cuKernelSetAttribute(attribute, size, function.handle, device)
    if result != 0:
        _fail(result, "asking for shared memory")


def _three(grid: int | tuple[int, int]) -> tuple[int, int, int]:
    return (grid, 1, 1) if isinstance(grid, int) else (*grid, 1)


def address(array: Any) -> int:
    """Where a Numba device array begins."""
    return array.device_ctypes_pointer.value or 0


def handle_of(stream: Any) -> int:
    """The driver's handle of a stream of Numba; 0 for the default one."""
    return int(stream.handle) if stream else 0


def current_device() -> int:
    """The number of the device whose context is current; makes one current where there is none."""
    if driver is not None:
        result, device = driver.cuCtxGetDevice()
        if result == 0:
            return int(device)
    return int(cuda.get_current_device().id)


def capturing(stream: int) -> bool:
    """Whether launches on the stream of this handle go into a CUDA graph: then nothing can be allocated."""
    if driver is None:
        return False
    result, status = driver.cuStreamIsCapturing(driver.CUstream(stream))
    return bool(result != 0 or status != 0)


def keep(memory: Sequence[Any]) -> None:
    """Never free working memory: a CUDA graph holds its address, and can be launched at any time."""
    _kept[id(memory)] = memory


_kept: dict[int, Any] = {}
