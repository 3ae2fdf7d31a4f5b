"""Compiles the kernels of a device report, or of tuning, ahead of the process that measures, which finds them on disk.

It has no CUDA context, which would take memory and time of the device: what in numba-cuda asks for one is replaced.
Whatever fails here, the process that measures compiles itself.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from maxbench.impls import contract
from maxbench.impls.cuda import platform
from maxbench.impls.cuda.elements import ELEMENTS

from ..inputs import device_cells
from ..processes.link import Link
from ..processes.messages import AnyTask, CellTask, CheckTask, CompileJob, LaunchTask

# asv imports every module of `bench`, also where there is no CUDA in Numba.
with contextlib.suppress(ImportError):
    from maxbench.impls.cuda import plans, regimes, tuning

Shape = tuple[int, int, int]
Kernel = tuple[Any, tuple[Any, ...]]
"""A dispatcher of numba-cuda, and host arrays or numbers of the types of its arguments."""


def main(link: Link, job: CompileJob) -> None:
    """Compile every `of`-th kernel of the tasks, from the one numbered `first` on."""
    platform.require()
    with contextlib.suppress(AttributeError, OSError):
        os.nice(10)
    with without_device(job.compute_capability):
        table = regimes.built_in() if job.tasks is None else regimes.load(job.device)[0]
        device = plans.Device(job.multiprocessors, table, job.shared_bytes)
        wanted = candidates(device) if job.tasks is None else kernels(inputs(job.tasks), device)
        for number, (kernel, arguments) in enumerate(wanted):
            if number % job.of == job.first:
                with contextlib.suppress(Exception):
                    kernel.compile(tuple(kernel.typeof_pyval(one) for one in arguments))


def inputs(tasks: Sequence[AnyTask]) -> Iterator[tuple[str, str, Shape]]:
    """Operation, dtype and shape of what the tasks run our kernels on, in order; of a ceiling the operation ``copy``
    or ``read``."""
    for task in tasks:
        match task:
            case CellTask(cell=cell) if cell.benchmark == "Ceiling":
                yield "copy" if cell.operation == "softmax" else "read", cell.dtype, cell.shape
            case CellTask(cell=cell) if device_cells.OURS in task.names:
                yield cell.operation, cell.dtype, cell.shape
            case CheckTask() if device_cells.OURS in task.names:
                for case in contract.KERNEL_CASES:
                    if task.dtype in case.dtypes:
                        outer, n, inner = case.array(task.dtype).shape
                        yield task.operation, task.dtype, (outer, n, inner)
            case LaunchTask() if device_cells.OURS in task.names:
                yield task.operation, "float32", device_cells.LAUNCH_SHAPE


def kernels(wanted: Iterator[tuple[str, str, Shape]], device: plans.Device) -> Iterator[Kernel]:
    """The kernels that run on inputs, each once, in order."""
    return _once(
        found
        for operation, dtype, shape in dict.fromkeys(wanted)
        for found in (
            _ceiling(operation) if operation in ("copy", "read") else _planned(operation, dtype, shape, device)
        )
    )


def candidates(device: plans.Device) -> Iterator[Kernel]:
    """The kernels of all settings that tuning times on a device, each once, in order; what cannot be made is left."""

    def every() -> Iterator[Kernel]:
        for name, n in tuning.turns():
            cell = device_cells.tuning_cell(name, n)
            for regime in tuning.candidates(name, n, device):
                alone = replace(device, table={**device.table, name: (regime,)})
                planned: list[Kernel] = []
                with contextlib.suppress(Exception):
                    planned += _planned(cell.operation, cell.dtype, cell.shape, alone)
                yield from planned

    return _once(every())


def _once(found: Iterable[Kernel]) -> Iterator[Kernel]:
    seen: set[tuple[Any, ...]] = set()
    for kernel, arguments in found:
        key = (id(kernel), *(getattr(one, "dtype", type(one)) for one in arguments))
        if key not in seen:
            seen.add(key)
            yield kernel, arguments


def _planned(operation: str, dtype: str, shape: Shape, device: plans.Device) -> Iterator[Kernel]:
    """The kernels of a plan, whose launches are listed, with working memory on the host."""
    element = ELEMENTS[dtype]
    x = np.empty((1, 1, 1), element.storage)
    out = np.empty((1, 1, 1), element.storage) if operation == "softmax" else np.empty((1, 1), np.int64)
    with _memory_of_the_host():
        steps = plans.steps(operation, element, shape, x, out, device)
    yield from ((step.kernel, step.arguments) for step in steps)


def _ceiling(way: str) -> Iterator[Kernel]:
    from . import device_bandwidth

    for vectors in device_bandwidth.VECTORS:
        if way == "copy":
            flat = np.empty(4, np.float32)
            yield device_bandwidth.copy_kernel(vectors), (flat, flat)
        else:
            words = np.empty(4, np.int32)
            yield device_bandwidth.read_kernel(vectors), (words, words, 0)


@contextlib.contextmanager
def _memory_of_the_host() -> Iterator[None]:
    """Working memory of kernels is on the host, and as small as it can be."""
    from numba import cuda

    def device_array(shape: Any, dtype: Any) -> np.ndarray:
        return np.empty((1,) * (len(shape) if isinstance(shape, tuple) else 1), dtype)

    with _replaced(
        (cuda, "device_array", device_array), (cuda, "to_device", np.asarray), (cuda, "synchronize", lambda: None),
        (plans, "_captured", lambda stream: False), (plans, "current_number", lambda: 0),
    ):  # fmt: skip
        yield


@contextlib.contextmanager
def without_device(compute_capability: str) -> Iterator[None]:
    """Let numba-cuda compile, and write to its cache on disk, for a device of this compute capability."""
    from numba.cuda import codegen, dispatcher
    from numba.cuda.cudadrv.runtime import runtime

    major, minor = map(int, compute_capability.split("."))
    number = (major, minor, "a" if (major, minor) >= (9, 0) else "")  # as numba-cuda asks for on such a device
    device = SimpleNamespace(compute_capability=number[:2])
    with _replaced(
        (dispatcher, "get_current_device", lambda: device),
        (codegen.CUDACodeLibrary, "_ensure_cc", lambda self, cc=None: cc or number),
        (codegen.JITCUDACodegen, "magic_tuple", lambda self: (runtime.get_version(), number[:2])),
        (dispatcher._Kernel, "bind", lambda self: self._codelibrary.get_cubin(cc=number)),
    ):
        yield


@contextlib.contextmanager
def _replaced(*members: tuple[Any, str, Callable[..., Any]]) -> Iterator[None]:
    """Other functions in place of members of classes and modules."""
    before = [getattr(where, name) for where, name, _ in members]
    for where, name, function in members:
        setattr(where, name, function)
    try:
        yield
    finally:
        for (where, name, _), function in zip(members, before, strict=True):
            setattr(where, name, function)
