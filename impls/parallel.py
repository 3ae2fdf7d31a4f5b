"""Chunks of a kernel's tasks on all threads: one compiled function for all kernels whose arguments have the same types.

It calls the compiled kernel by its address. One that named the kernel would be compiled for each, and would compile the
kernel again. Numba's threads are called as `numba.prange` calls them, which itself would compile a gufunc of its loop,
and the arrays of its reduction, as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba._dispatcher import compute_fingerprint
from numba.core import cgutils, types
from numba.extending import intrinsic

from .compilation import cached_njit, check_layer
from .threads import are_lost, in_parallel, layer

check_layer()


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
def _on_threads(typing: Any, address: Any, arguments: Any, tasks: Any, threads: Any) -> Any:
    """Call the kernel at an address, which returns nothing or an integer, for one chunk on each of Numba's threads.

    Returns how many calls raised an error: raised in another thread, it would be lost.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        # The chunks share a structure on this stack: what the kernel is called with, and the number that failed.
        shared = cgutils.alloca_once_value(
            builder, cgutils.make_anonymous_struct(builder, [*values, cgutils.intp_t(0)])
        )
        chunk = _chunk(context, builder.module, signature.args[1], shared.type)
        # As a gufunc over `threads` items; an item's only argument is its index, a pointer that starts at zero.
        index = cgutils.alloca_once_value(builder, cgutils.voidptr_t(None))
        items = cgutils.alloca_once_value(builder, values[3])
        step = cgutils.alloca_once_value(builder, cgutils.intp_t(1))
        kinds = [cgutils.voidptr_t] * 5 + [cgutils.intp_t] * 3
        parallel_for = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), kinds), "numba_parallel_for"
        )
        pointers = [builder.bitcast(one, cgutils.voidptr_t) for one in (chunk, index, items, step, shared)]
        builder.call(parallel_for, [*pointers, cgutils.intp_t(0), cgutils.intp_t(1), values[3]])
        return builder.load(cgutils.gep_inbounds(builder, shared, 0, 4))

    return types.intp(types.intp, arguments, types.intp, types.intp), generate


def _chunk(context: Any, module: Any, arguments: Any, shared_type: Any) -> Any:
    """The function that Numba's threads call with the first of their items, the number of them, and the structure."""
    intp = cgutils.intp_t
    kinds = [cgutils.voidptr_t.as_pointer(), intp.as_pointer(), intp.as_pointer(), cgutils.voidptr_t]
    name = module.get_unique_name("chunk")
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block())
    shared = builder.bitcast(function.args[3], shared_type)
    address, values, tasks, threads = (builder.load(cgutils.gep_inbounds(builder, shared, 0, i)) for i in range(4))
    start = builder.ptrtoint(builder.load(function.args[0]), intp)
    convention, signature = context.call_conv, [*arguments, types.intp, types.intp]
    # What returns nothing returns a null pointer, as large as an integer.
    kernel = builder.inttoptr(address, convention.get_function_type(types.intp, signature).as_pointer())
    with cgutils.for_range(builder, builder.load(function.args[1])) as loop:
        t = builder.add(start, loop.index)
        bounds = [builder.sdiv(builder.mul(n, tasks), threads) for n in (t, builder.add(t, intp(1)))]
        given = [*cgutils.unpack_tuple(builder, values), *bounds]
        status, _ = convention.call_function(builder, kernel, types.intp, signature, given)
        failed = cgutils.gep_inbounds(builder, shared, 0, 4)
        builder.atomic_rmw("add", failed, builder.zext(status.is_error, intp), "monotonic")
    builder.ret_void()
    return function


@cached_njit(nogil=True)
def _compiled(address: Any, arguments: Any, tasks: Any, threads: Any) -> Any:
    return _on_threads(address, arguments, tasks, threads)


_addresses: dict[tuple[Any, bytes], int] = {}
"""Of compiled kernels, by kernel and by the types of its arguments."""


def _address(kernel: Any, arguments: tuple[Any, ...]) -> int:
    layer()  # Numba's threads run from here on: without them `_compiled` would have nothing to call
    kinds = (*map(numba.typeof, arguments), types.intp, types.intp)
    kernel.compile(kinds)
    found = kernel.overloads[kinds]
    return int(found.library.get_pointer_to_function(found.fndesc.llvm_func_name))
