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

_ELEMENT = ELEMENTS["float32"]
_VECTORS = 4  # of a thread that reads, in flight together
READ_THREADS = 256  # of a block that reads
_BLOCKS_PER_MULTIPROCESSOR = 16
COPIED = (1, 2, 4, 8)  # vectors of a thread that copies
THREADS = (256, 512, 1024)  # of a block that copies
_MOST_THREADS = max(THREADS)


def _tools() -> tuple[Any, Any, Any]:
    """The decorator of kernels, and the device functions that load and store a vector; they need numba-cuda."""
    from maxbench.impls.cuda.compiling import kernel
    from maxbench.impls.cuda.intrinsics import access

    load_vector, _, store_vector, _, _ = access(_ELEMENT)
    return kernel, load_vector, store_vector


@functools.cache
def copy_kernel(vectors: int) -> Any:
    """The kernel (x, out) for flat float32 arrays of whole vectors, which each thread copies so many of.

    Loads pass by the first-level cache, and stores are the first to leave the second. All loads of a thread are in
    flight before its first store; the vectors of a block lie side by side.
    """
    kernel, load_vector, store_vector = _tools()
    width, count = _ELEMENT.per_vector, vectors * _ELEMENT.per_vector

    @kernel(_MOST_THREADS)
    def copy(x, out):
        values = cuda.local.array(count, np.float32)
        threads = np.int64(cuda.blockDim.x)
        first = np.int64(cuda.blockIdx.x) * vectors * threads + cuda.threadIdx.x
        for v in range(vectors):
            at = (first + v * threads) * width
            if at < x.shape[0]:
                load_vector(values, v * width, x, at)
        for v in range(vectors):
            at = (first + v * threads) * width
            if at < x.shape[0]:
                store_vector(out, at, values, v * width)

    return copy


@functools.cache
def read_kernel(threads: int) -> Any:
    """The kernel (x, sums): every thread adds up its vectors of a flat float32 array into its element of sums."""
    kernel, load_vector, _ = _tools()
    width, count = _ELEMENT.per_vector, _VECTORS * _ELEMENT.per_vector

    @kernel(threads)
    def read(x, sums):
        values = cuda.local.array(count, np.float32)
        mine = np.int64(cuda.blockIdx.x) * threads + cuda.threadIdx.x
        step = np.int64(cuda.gridDim.x) * threads
        total = np.float32(0)
        at = mine
        while at * width < x.shape[0]:
            for v in range(_VECTORS):
                place = (at + v * step) * width
                if place < x.shape[0]:
                    load_vector(values, v * width, x, place)
                else:
                    for j in range(width):
                        values[v * width + j] = np.float32(0)
            for j in range(count):
                total += values[j]
            at += _VECTORS * step
        sums[mine] = total  # the loads of a sum that is not used would be removed

    return read


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
    for vectors, threads in itertools.product((4,) if SIMULATED else COPIED, (4,) if SIMULATED else THREADS):
        blocks = -(-x.shape[0] // (_ELEMENT.per_vector * vectors * threads))
        launch = copy_kernel(vectors)[blocks, threads]
        ways[f"a kernel, {vectors} x {threads} vectors a block"] = functools.partial(launch, x, out)
    return ways


def reads(x: Any) -> dict[str, Callable[[], Any]]:
    """Calls that read all of x, by name: a flat float32 device array of a whole number of 16-byte vectors; none waits.

    Raises:
        ValueError: the array is not as described.
    """
    _check(x)
    threads = 4 if SIMULATED else READ_THREADS
    count = 2 if SIMULATED else cuda.get_current_device().MULTIPROCESSOR_COUNT * _BLOCKS_PER_MULTIPROCESSOR
    sums = cuda.device_array(count * threads, np.float32)

    def read() -> Any:
        read_kernel(threads)[count, threads](x, sums)
        return sums

    return {"a kernel that adds up": read}


def _check(array: Any) -> None:
    if len(array.shape) != 1 or array.dtype != np.float32 or array.shape[0] % _ELEMENT.per_vector:
        raise ValueError(f"an array of shape {array.shape} and {array.dtype}: accepted are flat float32 arrays "
                         f"of a multiple of {_ELEMENT.per_vector} elements")  # fmt: skip
