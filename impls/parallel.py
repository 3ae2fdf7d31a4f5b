"""Chunks of a kernel's tasks on all threads: one compiled loop for all kernels whose arguments have the same types.

The loop calls the compiled kernel by its address. A loop that named the kernel would be compiled for each, and would
compile the kernel again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba._dispatcher import compute_fingerprint
from numba.core import cgutils, types
from numba.extending import intrinsic

from .compilation import cached_njit
from .threads import are_lost, in_parallel


def run(kernel: Any, arguments: tuple[Any, ...], tasks: int, threads: int) -> None:
    """Call kernel(*arguments, first, end) for all tasks, a contiguous chunk of them in each thread.

    Args:
        kernel: of `cached_njit`.
        arguments: arrays, numbers, bool or None.
    """
    if threads < 2 or tasks < 2:
        kernel(*arguments, 0, tasks)
        return
    key = kernel, compute_fingerprint(arguments)
    if (address := _addresses.get(key)) is None:
        address = _addresses[key] = _address(kernel, arguments)
    _share_out(address, kernel, arguments, tasks, threads)


def bound(
    kernel: Any, arguments: tuple[Any, ...], tasks: int, threads: int
) -> Callable[[np.ndarray, np.ndarray], None]:
    """A function of two arrays that calls kernel(*arrays, *arguments, first, end) as `run` does.

    It must always be given arrays of the same types. It does not check them, which takes a microsecond.
    """
    if threads < 2 or tasks < 2:
        return lambda x, out: kernel(x, out, *arguments, 0, tasks)
    address = None

    def call(x: np.ndarray, out: np.ndarray) -> None:
        nonlocal address
        if address is None:
            address = _address(kernel, (x, out, *arguments))
        _share_out(address, kernel, (x, out, *arguments), tasks, threads)

    return call


def _share_out(address: int, kernel: Any, arguments: tuple[Any, ...], tasks: int, threads: int) -> None:
    if are_lost() or in_parallel(_compiled, address, arguments, tasks, threads):
        # The same chunks; where one failed, this raises its error or succeeds.
        for t in range(threads):
            kernel(*arguments, t * tasks // threads, (t + 1) * tasks // threads)


@intrinsic
def _fails(typing: Any, address: Any, arguments: Any, first: Any, end: Any) -> Any:
    """Call the kernel at an address, which returns nothing or an integer: 1 if it raises an error, else 0."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        convention, kinds = context.call_conv, [*signature.args[1], types.intp, types.intp]
        # What returns nothing returns a null pointer, as large as an integer.
        kernel = builder.inttoptr(values[0], convention.get_function_type(types.intp, kinds).as_pointer())
        unpacked = [*cgutils.unpack_tuple(builder, values[1]), *values[2:]]
        status, _ = convention.call_function(builder, kernel, types.intp, kinds, unpacked)
        return builder.zext(status.is_error, cgutils.intp_t)

    return types.intp(types.intp, arguments, types.intp, types.intp), generate


@cached_njit(parallel=True)
def _compiled(address: Any, arguments: Any, tasks: Any, threads: Any) -> Any:
    """The number of chunks that failed: an error that is raised in another thread would be lost."""
    failed = 0
    for t in numba.prange(threads):
        failed += _fails(address, arguments, t * tasks // threads, (t + 1) * tasks // threads)
    return failed


_addresses: dict[tuple[Any, bytes], int] = {}
"""Of compiled kernels, by kernel and by the types of its arguments."""


def _address(kernel: Any, arguments: tuple[Any, ...]) -> int:
    kinds = (*map(numba.typeof, arguments), types.intp, types.intp)
    kernel.compile(kinds)
    found = kernel.overloads[kinds]
    return int(found.library.get_pointer_to_function(found.fndesc.llvm_func_name))
