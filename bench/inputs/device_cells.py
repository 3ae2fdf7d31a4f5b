"""What is measured on a GPU: inputs, their priority, and how many copies of each lie beyond its cache."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from . import workloads
from .recipe import Input

OURS = "numba_cuda"
COMPILE_EACH = ("torch_cuda_compiled", "jax_cuda")  # take seconds for every new shape
SLOW = ("cupy",)  # take as long as all others together, and come after them where inputs are many
IMPLEMENTATIONS = (OURS, "torch_cuda", "torch_cuda_compiled", "cupy", "jax_cuda")

SWEEP_BYTES = 1 << 29  # of x: with the result 1 GiB of traffic for softmax
TUNING_BYTES = 1 << 28  # of x: 512 MiB of traffic for softmax, several times the cache
TUNING_INNER = 1024  # neighbouring columns of a strided axis
API_SHAPE = (65536, 1024, 1)  # of end-to-end calls and of transfers: 256 MiB of float32
LAUNCH_SHAPE = (1, 32, 1)
_SIZES = (2, 10, 32, 64, 256, 1024, 4096, 8192, 16384, 32768, 131072, 524288, 4194304)
_OTHER_SIZES = (32, 1024, 16384, 131072)  # of the dtypes other than float32
_STRIDED = {
    "strided, 21 of 16,384": (390, 21, 16384),
    "strided, 1,024 of 1,024": (128, 1024, 1024),
    "strided, 16,384 of 4,096": (2, 16384, 4096),
}
# Most wanted first: what is left when the time is spent was wanted least.
PRIMARY, PUBLISHED, SECONDARY, REST = 0, 1, 2, 3

LARGE = 1 << 26  # bytes of x from which on its bandwidth depends little on its size

BEYOND_CACHE = 4  # times the cache that lies between two uses of a buffer
MOST_BUFFERS = 256


@dataclass(frozen=True)
class Cell:
    """One input that all implementations of an operation are timed on.

    Attributes:
        benchmark: Sweep, Workloads, or Ceiling, as in the CPU's results.
        label: the last parameter there: n, or the workload's name.
        shape: (outer, n, inner).
        priority: PRIMARY to REST.
    """

    operation: str
    benchmark: str
    dtype: str
    label: int | str
    shape: tuple[int, int, int]
    priority: int

    @property
    def nbytes(self) -> int:
        """Of x."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def pair_bytes(self) -> int:
        """Of x and the result."""
        out = self.nbytes if self.operation == "softmax" else 8 * self.shape[0] * self.shape[2]
        return self.nbytes + out

    @property
    def input(self) -> Input:
        """x."""
        return Input("tiled", self.dtype, self.shape)


def tuning_cell(table: str, n: int, *, simulated: bool = False) -> Cell:
    """The input that candidates for rows (or columns) of n are timed on; table: ``softmax rows``, for example."""
    operation, layout = table.split()
    nbytes = 1024 if simulated else TUNING_BYTES
    inner = 1 if layout == "rows" else 16 if simulated else TUNING_INNER
    return Cell(operation, "Sweep", "float32", n, (max(1, nbytes // 4 // (n * inner)), n, inner), 0)


def cells(operations: Iterable[str], dtypes: Iterable[str] | None = None, *, simulated: bool = False) -> list[Cell]:
    """The inputs, the most wanted first; ceilings before what they are the ceilings of.

    Args:
        dtypes: narrows those measured.
        simulated: a few tiny inputs instead, which touch every step.
    """
    found: list[Cell] = []
    for operation in operations:
        mine = list(_simulated(operation) if simulated else _all(operation))
        mine = [cell for cell in mine if dtypes is None or cell.dtype in set(dtypes)]
        found += [*mine, *_ceilings(operation, mine)]
    return sorted(found, key=lambda c: (c.priority, c.benchmark != "Ceiling"))


def _all(operation: str) -> Iterable[Cell]:
    for n in _SIZES:
        wanted = PRIMARY if n in (32, 1024, 16384, 131072) else SECONDARY
        yield _sweep(operation, "float32", n, SWEEP_BYTES, wanted)
    for name, shape in _STRIDED.items():
        yield Cell(operation, "Workloads", "float32", name, shape, PRIMARY if "1,024" in name else SECONDARY)
    for name, workload in workloads.WORKLOADS.items():
        yield Cell(operation, "Workloads", "float32", name, workload.shape, PUBLISHED)
    for n in _OTHER_SIZES:
        yield _sweep(operation, "float16", n, SWEEP_BYTES, PRIMARY if n == 1024 else REST)
        yield _sweep(operation, "float64", n, SWEEP_BYTES, PRIMARY if n == 1024 else REST)
        if operation == "argmax":
            yield _sweep(operation, "int8", n, SWEEP_BYTES, REST)


def _simulated(operation: str) -> Iterable[Cell]:
    for n in (2, 48):
        yield _sweep(operation, "float32", n, 1024, PRIMARY)
    yield Cell(operation, "Workloads", "float32", "strided, 6 of 9", (2, 6, 9), PRIMARY)
    yield _sweep(operation, "float16", 48, 1024, REST)


def _sweep(operation: str, dtype: str, n: int, nbytes: int, priority: int) -> Cell:
    rows = max(1, nbytes // np.dtype(dtype).itemsize // n)
    return Cell(operation, "Sweep", dtype, n, (rows, n, 1), priority)


def _ceilings(operation: str, mine: Iterable[Cell]) -> Iterable[Cell]:
    """One for every size of inputs, as wanted as the most wanted of them: for large ones a power of two near it.

    A small array takes about as long to read as one of half its bytes, so that its ceiling must have its own size.
    """
    wanted: dict[int, int] = {}
    for cell in mine:
        n = max(cell.nbytes // 16, 1) * 4 if cell.nbytes < LARGE else 1 << round(math.log2(cell.nbytes // 4))
        wanted[n] = min(wanted.get(n, REST), cell.priority)
    return [Cell(operation, "Ceiling", "float32", n, (1, n, 1), priority) for n, priority in sorted(wanted.items())]


def buffers(pair_bytes: int, cache_bytes: int, free_bytes: int) -> int:
    """Copies of an input and its result that calls go through in turn, so that none finds its own in the cache.

    At least two where they fit, and no more than fit the memory given; 0 where not even one does.
    """
    wanted = max(2, math.ceil(BEYOND_CACHE * cache_bytes / pair_bytes))
    return min(wanted, MOST_BUFFERS, free_bytes // pair_bytes)


def beyond_cache(pair_bytes: int, count: int, cache_bytes: int) -> bool:
    """Whether so many copies are larger than the cache."""
    return pair_bytes * count > cache_bytes
