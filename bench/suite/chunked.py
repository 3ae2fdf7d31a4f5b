"""Arrays that memory need not hold: read from a file in chunks, the result written to another in chunks."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..inputs.recipe import Input
from . import base

PARTS = 16


class Stored:
    """An array (1, n, 1) or (1, 1) in a file, read and written by slices.

    Attributes:
        read: elements that have been read so far.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: str) -> None:
        self.path, self.shape, self.dtype, self.ndim = path, shape, np.dtype(dtype), len(shape)
        self.read = 0
        self._lock = threading.Lock()
        with path.open("wb") as file:
            file.truncate(int(np.prod(shape)) * self.dtype.itemsize)

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        first, end, _ = index[1].indices(self.shape[1])
        with self._lock:
            self.read += end - first
        flat = np.fromfile(self.path, self.dtype, end - first, offset=first * self.dtype.itemsize)
        return flat.reshape(1, -1, *self.shape[2:])

    def __setitem__(self, index: tuple[slice, ...], values: np.ndarray) -> None:
        with self.path.open("r+b") as file:
            file.seek(index[1].indices(self.shape[1])[0] * self.dtype.itemsize)
            np.ascontiguousarray(values).tofile(file)


class Chunked(base.Cell):
    """A call on an array in a file, in 16 chunks along the axis: its time, peak memory, and how often chunks are read.

    Each of the three is a benchmark to asv, in a process of its own that measures all.
    """

    rounds = 1
    unit = ""
    ELEMENTS = 1 << 24
    param_names: ClassVar = ["implementation", "dtype"]

    def measure(self, name: str, *rest: Any) -> str:
        (dtype,) = rest
        shape = (1, self.ELEMENTS, 1)
        self.outcome.shape, self.outcome.dtype = shape, dtype
        kernel = self.load(name)
        given = Input("another", dtype, shape)
        with tempfile.TemporaryDirectory(prefix="maxbench-chunks-") as folder:
            x, out = self._arrays(Path(folder), shape, dtype)
            step = -(-self.ELEMENTS // PARTS)
            block = given.repeated()
            assert block is not None
            for first in range(0, self.ELEMENTS, step):
                count = min(step, self.ELEMENTS - first)
                x.stored[:, first : first + count] = np.resize(np.roll(block, -first), count)
            kernel.run(*self._arrays(Path(folder, "few"), (1, 64 * PARTS, 1), dtype))  # compiles
            with Peak() as peak:
                start = time.perf_counter()
                kernel.run(x, out)
                seconds = time.perf_counter() - start
            self.outcome.values = {
                "track_time": seconds, "track_peak_memory": peak.bytes, "track_loads": x.stored.read / self.ELEMENTS,
            }  # fmt: skip
            verdict = self.link.check(self.operation, given, out.stored[:, :], case="timed")
        if verdict.status == "wrong":
            self._end("wrong", verdict.detail)
        return verdict.detail if verdict.status == "differs" else ""

    def _arrays(self, folder: Path, shape: tuple[int, ...], dtype: str) -> tuple[Any, Any]:
        """x and out in files of a folder."""
        from maxbench.impls.backends import dask  # here: the implementation has loaded it

        folder.mkdir(exist_ok=True)
        result = (shape, dtype) if self.operation == "softmax" else ((1, 1), "int64")
        x, out = Stored(folder / "x", shape, dtype), Stored(folder / "out", *result)
        return dask.chunked(x, PARTS), dask.chunked(out, 1)

    def track_time(self, *params: Any) -> float:
        """Seconds of one call, reading and writing included."""
        return base.value(self.outcome, "track_time")

    def track_peak_memory(self, *params: Any) -> float:
        """Bytes of memory that the process held at most during the call, beyond those that it held before."""
        return base.value(self.outcome, "track_peak_memory")

    def track_loads(self, *params: Any) -> float:
        """How often each element was read."""
        return base.value(self.outcome, "track_loads")


class Peak:
    """The most resident memory within a with block, beyond that at its start: looked at every 2 ms.

    Attributes:
        bytes: that many.
    """

    def __enter__(self) -> Peak:
        import psutil  # here: an environment of asv may lack it

        self._held = psutil.Process().memory_info
        self._before = self._held().rss
        self.bytes, self._done = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(0.002):
            self.bytes = max(self.bytes, self._held().rss - self._before)

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()
