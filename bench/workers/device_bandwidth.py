"""The memory bandwidth of a CUDA device: kernels that copy or read an array and do nothing else."""

from __future__ import annotations

import contextlib
import functools
import itertools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from maxbench.impls.cuda.elements import ELEMENTS
from maxbench.impls.cuda.platform import SIMULATED

# asv imports every module of `bench`, also where there is no CUDA in Numba. A global, which the simulator replaces.
with contextlib.suppress(ImportError):
    from numba import cuda

_FLOAT, _WORD = ELEMENTS["float32"], ELEMENTS["int32"]
_WIDTH = _FLOAT.per_vector
VECTORS = (1, 2, 4, 8)  # of a thread, in flight together: few where the array is small, many where it is large
COPY_THREADS = (256, 512, 1024)  # of a block that copies
READ_THREADS = (128, 256, 512)  # of a block that reads
_SIMULATED_WAYS = ((4, 4),)


def _tools(element: Any) -> tuple[Any, Any, Any]:
    """The decorator of kernels, and the device functions that load and store a vector; they need numba-cuda."""
    from maxbench.impls.cuda.compiling import kernel
    from maxbench.impls.cuda.intrinsics import access

    load_vector, store_vector = access(element).load_vector, access(element).store_vector
    return kernel, load_vector, store_vector


@functools.cache
def copy_kernel(vectors: int) -> Any:
    """The kernel (x, out) for flat float32 arrays of whole vectors, which each thread copies so many of.

    Loads pass by the first-level cache, and stores are the first to leave the second. All loads of a thread are in
    flight before its first store; the vectors of a block lie side by side.
    """
    kernel, load_vector, store_vector = _tools(_FLOAT)
    width, count = _WIDTH, vectors * _WIDTH

    @kernel(max(COPY_THREADS))
    def copy(x, out):
        values = cuda.local.array(count, np.float32)
        threads = np.int64(cuda.blockDim.x)
        first = np.int64(cuda.blockIdx.x) * vectors * threads + cuda.threadIdx.x
        # Beyond the end the last vector is copied again: without a condition all loads are in flight together.
        last = x.shape[0] // width - 1
        for v in range(vectors):
            load_vector(values, v * width, x, min(first + v * threads, last) * width)
        for v in range(vectors):
            store_vector(out, min(first + v * threads, last) * width, values, v * width)

    return copy


@functools.cache
def read_kernel(vectors: int) -> Any:
    """The kernel (x, found, wanted) for a flat int32 array of whole vectors, of which each thread reads so many once.

    A thread whose elements have all the bits of `wanted` together, and no others, writes them to found[0]: loads that
    nothing depends on would be removed. Of arrays that are timed no thread does.
    """
    kernel, load_vector, _ = _tools(_WORD)
    width, count = _WIDTH, vectors * _WIDTH

    @kernel(max(READ_THREADS))
    def read(x, found, wanted):
        values = cuda.local.array(count, np.int32)
        threads = np.int64(cuda.blockDim.x)
        first = np.int64(cuda.blockIdx.x) * vectors * threads + cuda.threadIdx.x
        last = x.shape[0] // width - 1  # read again beyond the end, as in `copy_kernel`
        for v in range(vectors):
            load_vector(values, v * width, x, min(first + v * threads, last) * width)
        bits = np.int32(0)
        for j in range(count):
            bits |= values[j]
        if bits == wanted:
            found[0] = bits

    return read


@functools.lru_cache(maxsize=256)
def _plan(make: Callable[[int], Any], vectors: int, threads: int, length: int, *more: int) -> Any:
    """The launch of a kernel on arrays of so many elements, prepared as those of the implementations are.

    Through numba-cuda's own launcher it would take longer than the device does with a few MiB.
    """
    from maxbench.impls.cuda.plans import Launch, Plan

    launch = Launch(make(vectors), -(-length // (_WIDTH * vectors * threads)), threads)
    return Plan(lambda x, out, stream: launch(stream, x, out, *more))


def copies(x: Any, out: Any) -> dict[str, Callable[[], Any]]:
    """Calls that copy x to out, by name: flat float32 device arrays of a whole number of 16-byte vectors; none waits.

    PyTorch's is among them where this process has imported PyTorch.

    Raises:
        ValueError: the arrays are not as described.
    """
    _check(x)
    _check(out)
    if x.shape != out.shape:
        raise ValueError(f"x has {x.shape[0]} elements and out {out.shape[0]}")
    stream = cuda.default_stream()  # without a stream the driver's copy waits
    ways: dict[str, Callable[[], Any]] = {"the driver's copy": lambda: out.copy_to_device(x, stream=stream)}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        source, target = torch.as_tensor(x, device="cuda"), torch.as_tensor(out, device="cuda")
        ways["PyTorch's copy_"] = lambda: target.copy_(source)
    for vectors, threads in _SIMULATED_WAYS if SIMULATED else itertools.product(VECTORS, COPY_THREADS):
        plan = _plan(copy_kernel, vectors, threads, x.shape[0])
        ways[f"a kernel, {vectors} x {threads} vectors a block"] = functools.partial(plan, x, out, 0)
    return ways


def reads(x: Any, found: Any = None, wanted: int = 0) -> dict[str, Callable[[], Any]]:
    """Calls that read all of x, by name: a flat float32 device array of a whole number of 16-byte vectors; none waits.

    Args:
        found: an int32 device array of one element, which `wanted` is written to where it is all the bits of what a
            thread reads; see `read_kernel`.

    Raises:
        ValueError: the array is not as described.
    """
    _check(x)
    if found is None:
        found = cuda.device_array(1, np.int32)
    words = x.view(np.int32)
    ways: dict[str, Callable[[], Any]] = {}
    for vectors, threads in _SIMULATED_WAYS if SIMULATED else itertools.product(VECTORS, READ_THREADS):
        plan = _plan(read_kernel, vectors, threads, x.shape[0], wanted)
        ways[f"a kernel, {vectors} x {threads} vectors a block"] = functools.partial(plan, words, found, 0)
    return ways


def _check(array: Any) -> None:
    if len(array.shape) != 1 or array.dtype != np.float32 or array.shape[0] % _WIDTH:
        raise ValueError(f"an array of shape {array.shape} and {array.dtype}: accepted are flat float32 arrays "
                         f"of a multiple of {_WIDTH} elements")  # fmt: skip
