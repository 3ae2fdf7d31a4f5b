"""The timing logic, written once: asv benchmark classes that an operation's module fills in.

asv calls `setup` before every timed call of a process, so `setup` does its work once for a set of parameters: it
loads the implementation, compiles it, checks the very arrays that will be timed, and then decides how many calls make
a sample. Abstract classes are not benchmarks to asv.
"""

from __future__ import annotations

import abc
import os
import time
import zlib
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

import impls
from impls import backends, contract, layout

from . import grid, journal, workloads

SAMPLE_SECONDS = 0.01  # a sample is as many calls as take this long, at least one


class Cell(abc.ABC):
    """One implementation on one input, in one process. Parameters always begin with the implementation."""

    version = "1"
    timeout = 900
    rounds = grid.rounds()
    warmup_time = 0  # setup has warmed up
    number = 1
    repeat = 1
    param_names: ClassVar[list[str]]
    params: ClassVar[list[list[Any]]]
    remark = ""  # what is to be said of a result that was timed

    @property
    @abc.abstractmethod
    def operation(self) -> str:
        """softmax or argmax."""

    def setup(self, name: str, *rest: Any) -> None:
        """Prepare once for these parameters, and say in the journal what came of it.

        Raises:
            NotImplementedError: not supported, unavailable or unknown here; asv records it as skipped.
            RuntimeError: the result is wrong; asv records a failure and times nothing.
            journal.Interrupted: the run is being stopped.
        """
        if getattr(self, "_prepared", None) == (name, *rest):
            return
        try:
            if journal.stopped():
                raise journal.Interrupted
            self.prepare(self._load(name), *rest)
        except NotImplementedError as error:
            self._note(name, rest, "skipped", str(error))
            raise
        except journal.Interrupted as error:
            self._note(name, rest, "interrupted", str(error))
            raise
        except Exception as error:
            self._note(name, rest, "failed", f"{type(error).__name__}: {error}")
            raise
        self._note(name, rest, "ok", self.remark)
        self._prepared = (name, *rest)

    @abc.abstractmethod
    def prepare(self, implementation: impls.Implementation, *rest: Any) -> None:
        """Do what `setup` is for; raises as it does."""

    def _load(self, name: str) -> impls.Implementation:
        try:
            return impls.load(self.operation, name)
        except (impls.Unavailable, impls.UnknownImplementation) as error:
            raise NotImplementedError(str(error)) from None

    def _note(self, name: str, rest: tuple[Any, ...], status: str, detail: str) -> None:
        more = {key: getattr(self, key, None) for key in ("shape", "dtype", "repeat", "number")}
        journal.note(self, (name, *rest), status, detail, **more)


def declared(kernel: impls.Kernel, dtype: str, mismatch: contract.Mismatch) -> str:
    """The remark on a result that differs from the contract as its author has declared, or nothing."""
    try:
        from impls.agreement import TIMED, difference
    except ImportError:  # an old commit, whose implementations declare nothing
        return ""
    found = difference(kernel, TIMED, dtype, mismatch)
    return f"differs: {found[1]} ({mismatch})" if found else ""


class Timed(Cell):
    """A steady call of the kernel on a preallocated `out`."""

    unit = "seconds"

    @abc.abstractmethod
    def array(self, *rest: Any) -> np.ndarray:
        """The input of shape (outer, n, inner) for the parameters after the implementation."""

    def prepare(self, implementation: impls.Implementation, *rest: Any) -> None:
        kernel = implementation.kernel
        x = self.array(*rest)
        self.shape, self.dtype = x.shape, x.dtype.name
        if refusal := kernel.refusal(x.dtype.name, x.size):
            raise NotImplementedError(refusal)
        operation = contract.OPERATIONS[self.operation]
        before = _checksum(x)
        # One copy of input and output each, for an array that fills half of the memory.
        self._x = kernel.backend.put(x)
        out = operation.allocate(x)
        self._out = out if kernel.backend is backends.HOST else kernel.backend.put(out)
        del x, out
        self._run, self._wait = kernel.run, kernel.backend.synchronize
        result = self._run(self._x, self._out)
        self._wait()
        given = kernel.backend.get(self._x)
        if _checksum(given) != before:
            raise RuntimeError("wrong result: the input was overwritten")
        self._judge(kernel, operation.verify(given, kernel.backend.get(result)))
        self.number, self.repeat = calibrate(self.call)

    def _judge(self, kernel: impls.Kernel, mismatch: contract.Mismatch | None) -> None:
        """Only what agrees, or differs as declared, is timed."""
        self.remark = declared(kernel, self.dtype, mismatch) if mismatch else ""
        if mismatch and not self.remark:
            raise RuntimeError(f"wrong result: {mismatch}")

    def call(self) -> None:
        """What is timed: the kernel on a preallocated output, until it has finished."""
        self._run(self._x, self._out)
        self._wait()

    def time_call(self, *params: Any) -> None:
        """Seconds of one call."""
        self.call()


class Sweep(Timed):
    """The kernel against n, with a constant number of elements in all."""

    param_names: ClassVar = ["implementation", "dtype", "n"]

    def array(self, dtype: str, n: int) -> np.ndarray:
        """Rows of n scores, 2^20 in all."""
        return workloads.scores(workloads.sweep_shape(n), dtype)


class Workloads(Timed):
    """The kernel on the shapes of real programs."""

    param_names: ClassVar = ["implementation", "dtype", "workload"]

    def array(self, dtype: str, workload: str) -> np.ndarray:
        """The scores of a named workload."""
        return workloads.scores(workloads.WORKLOADS[workload].shape, dtype)


class Own(Timed):
    """The kernel on the user's own array, copied once into aligned memory."""

    param_names: ClassVar = ["implementation"]

    def array(self) -> np.ndarray:
        """The array that the environment names, folded around its axis."""
        a = workloads.read_array(os.environ[grid.ARRAY], os.environ.get(grid.ARRAY_KEY))
        axis = os.environ.get(grid.ARRAY_AXIS)
        folded = layout.fold(a, int(axis) if axis is not None else None, order_matters=True)
        dtype = a.dtype.newbyteorder("=")
        if self.operation == "softmax" and dtype.name not in contract.FLOATS:
            dtype = np.dtype(np.float64)
        return folded.apply(a).astype(dtype, copy=False)


class Api(Timed):
    """The public function as users call it: it checks its input and allocates its result."""

    param_names: ClassVar = ["implementation", "dtype", "n"]

    def array(self, dtype: str, n: int) -> np.ndarray:
        """Rows of n scores, 2^20 in all."""
        return workloads.scores(workloads.sweep_shape(n), dtype)

    def prepare(self, implementation: impls.Implementation, *rest: Any) -> None:
        function = getattr(impls, self.operation)
        x, name = self.array(*rest), implementation.name
        self.shape, self.dtype = x.shape, x.dtype.name
        if refusal := implementation.kernel.refusal(x.dtype.name, x.size):
            raise NotImplementedError(refusal)
        self._judge(
            implementation.kernel, contract.OPERATIONS[self.operation].verify(x, function(x, axis=1, impl=name))
        )

        def call(x: np.ndarray, out: None) -> Any:
            return function(x, axis=1, impl=name)

        # What comes back is a host array, so there is nothing to wait for.
        self._run, self._wait = call, backends.HOST.synchronize
        self._x, self._out = x, None
        self.number, self.repeat = calibrate(self.call)


class Memory(Cell):
    """The most memory the whole process held; the implementation ``(arrays only)`` is the baseline to subtract."""

    rounds = 1
    ELEMENTS = 1 << 24
    BASELINE = "(arrays only)"
    param_names: ClassVar = ["implementation", "dtype"]

    def setup(self, name: str, *rest: Any) -> None:
        """As of any cell; the baseline loads nothing."""
        if name == self.BASELINE:
            self._fill(*rest)
            self._note(name, rest, "ok", "")
        else:
            super().setup(name, *rest)

    def _fill(self, dtype: str) -> None:
        self.shape, self.dtype = (self.ELEMENTS // 1024, 1024, 1), dtype
        self._x = np.zeros(self.shape, dtype)
        self._x[:, 0] = 1
        self._out = contract.OPERATIONS[self.operation].allocate(self._x)
        self._call: Callable[[], Any] = lambda: None

    def prepare(self, implementation: impls.Implementation, *rest: Any) -> None:
        kernel = implementation.kernel
        if refusal := kernel.refusal(rest[0], self.ELEMENTS):
            raise NotImplementedError(refusal)
        self._fill(*rest)

        def call() -> None:
            if kernel.backend.name == "host":
                kernel.run(self._x, self._out)
            else:
                kernel.run(kernel.backend.put(self._x), kernel.backend.put(self._out))
            kernel.backend.synchronize()

        self._call = call

    def peakmem_call(self, *params: Any) -> None:
        """Peak resident memory of a process that makes one call on 2^24 elements."""
        self._call()


def calibrate(call: Callable[[], None]) -> tuple[int, int]:
    """How many calls make a sample, and how many samples fit the time given, after warming up.

    Returns:
        (number, repeat): at least 1 each. A slow call gets few samples in a process, because processes and not samples
        are what an interval is made of.
    """
    budget = grid.seconds()
    times: list[float] = []
    end = time.perf_counter() + budget / 4
    while not times or (time.perf_counter() < end and len(times) < 1000):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    one = max(min(times), 1e-9)
    number = max(1, round(SAMPLE_SECONDS / one))
    return number, max(1, min(20, round(budget / (number * one))))


def _checksum(a: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(a).reshape(-1).view(np.uint8).data)
