"""asv's benchmark classes, written once: an operation's module fills in their parameters.

asv gives every cell (an implementation on one input) a process of its own, keeps results, compares and publishes them.
It does not time: asv_runner times single calls, with what it costs to read a clock in each, and looks at no result. A
cell therefore takes all of its samples in `setup`, by `bench.timing`, and `time_call` only advances a clock by them.
A cell whose results are not right at the end raises in `setup`, so that asv never gets a time of it. Abstract classes
are not benchmarks to asv.
"""

from __future__ import annotations

import abc
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from maxbench import impls
from maxbench.impls import backends, contract

from .. import timing
from ..inputs import grid
from ..inputs.array_files import read_array
from ..inputs.recipe import Input
from ..inputs.workloads import ALL, sweep_shape
from ..processes import messages
from ..processes.link import Link
from ..processes.messages import CellDone, Outcome, Status
from ..timing.ready import described
from ..timing.schedules import Unsound

SAMPLE_SECONDS = 0.005 if grid.name() == "quick" else 0.01
TIMEOUT = 240.0  # seconds of a cell; compiling all that one needs takes up to about 30


INTERRUPTED = "the run was interrupted before this was measured"


class Cell(abc.ABC):
    """One implementation on one input, in one process. Parameters always begin with the implementation."""

    version = "2"
    timeout = TIMEOUT
    rounds = grid.rounds()
    warmup_time = 0
    number = 1
    repeat = 1
    param_names: ClassVar[list[str]]
    params: ClassVar[list[list[Any]]]

    @property
    @abc.abstractmethod
    def operation(self) -> str:
        """softmax or argmax."""

    def setup(self, *params: Any) -> None:
        """Measure once for these parameters, and report the result to the parent.

        Raises:
            NotImplementedError: not supported, unavailable or unknown here; asv records it as skipped.
            RuntimeError: it failed, or its result is wrong; asv records a failure.
        """
        if getattr(self, "_prepared", None) == params:
            return
        kind = type(self)
        self.link = Link(messages.Cell(
            f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}", [repr(value) for value in params],
            str(Path(impls.__file__).resolve().parent),
        ))  # fmt: skip
        self.outcome = Outcome()
        if refusal := self.link.welcome.refusal:
            self._end("failed", refusal)
        if self.link.welcome.stop:
            self._end("interrupted", INTERRUPTED)
        try:
            remark = self.measure(*params)
        except NotImplementedError as error:
            self._end("skipped", str(error))
        except Unsound as error:
            self._end("wrong" if isinstance(error.outcome, timing.Wrong) else "failed", str(error))
        except BaseException as error:  # a plug-in may raise anything, KeyboardInterrupt included
            self._end("failed", described(error))
        self._prepared = params
        self.done(remark)

    def done(self, remark: str) -> None:
        """Say that the cell is measured."""
        self._say("ok", remark)

    @abc.abstractmethod
    def measure(self, name: str, *rest: Any) -> str:
        """Do what `setup` is for; returns what is to be said of it, and raises as it does."""

    def load(self, name: str) -> Any:
        """The kernel of an implementation.

        Raises:
            NotImplementedError: it is unavailable or unknown.
        """
        try:
            kernel = impls.load(self.operation, name).kernel
        except (impls.Unavailable, impls.UnknownImplementation) as error:
            raise NotImplementedError(str(error)) from None
        self.link.say(messages.Loaded(dict(getattr(kernel, "differs", {}))))
        return kernel

    def _say(self, status: Status, detail: str) -> None:
        self.outcome.status, self.outcome.detail = status, detail
        self.link.say(CellDone(self.outcome))

    def _end(self, status: Status, detail: str) -> None:
        self._say(status, detail)
        if status == "skipped":
            raise NotImplementedError(detail)
        raise RuntimeError(f"{status}: {detail}")


def told(found: Outcome) -> str:
    """What `Cell.measure` returns, or raises, of a cell that was measured elsewhere."""
    if found.status == "skipped":
        raise NotImplementedError(found.detail)
    if found.status != "ok":
        raise Unsound((timing.Wrong if found.status == "wrong" else timing.Failed)(found.detail))
    return found.detail


def value(found: Outcome, method: str) -> float:
    """What a method of a cell that was measured elsewhere returns."""
    assert found.values is not None
    return found.values[method]


def sound(outcome: Any) -> timing.Ready:
    """What `timing.prepare` made ready.

    Raises:
        NotImplementedError: the input is not supported.
        Unsound: the implementation is wrong or failed.
    """
    if isinstance(outcome, timing.Refused):
        raise NotImplementedError(outcome.reason)
    if isinstance(outcome, timing.Ready):
        return outcome
    raise Unsound(outcome)


class Replayed(Cell):
    """A cell whose samples `bench.timing` took, which asv is given: see the module's first lines."""

    unit = "seconds"

    def replay(self, samples: list[float], sampler: timing.Sampler) -> None:
        """Let asv have samples."""
        self.repeat = self.outcome.repeat = len(samples)
        self.outcome.number, self.outcome.samples = sampler.number, samples
        self._samples, self._clock = iter(samples), 0.0

    def timer(self) -> float:
        """The clock that asv reads around a call."""
        return getattr(self, "_clock", 0.0)

    def advance(self) -> None:
        """Let one call pass."""
        self._clock += next(self._samples)


class Timed(Replayed):
    """A steady call of the kernel on a preallocated `out`."""

    limited: ClassVar = True  # to the elements that `grid.refusal` lets a slow implementation have

    @abc.abstractmethod
    def input(self, *rest: Any) -> Input:
        """The input for the parameters after the implementation."""

    def measure(self, name: str, *rest: Any) -> str:
        return self._take(self.load(name), self.input(*rest))

    def _take(self, kernel: Any, given: Input) -> str:
        if self.limited and (refusal := grid.refusal(kernel, math.prod(given.shape))):
            raise NotImplementedError(refusal)
        x = given.array()
        self.outcome.shape, self.outcome.dtype = (x.shape[0], x.shape[1], x.shape[2]), x.dtype.name
        ready = sound(timing.prepare(self.link, self.operation, kernel, given, x=x))
        ready.sampler.seconds = SAMPLE_SECONDS
        self.replay(timing.alone(ready, grid.seconds()), ready.sampler)
        return ready.declared

    def time_call(self, *params: Any) -> None:
        """Seconds of one call."""
        self.advance()


class Sweep(Timed):
    """The kernel against n, with a constant number of elements in all."""

    param_names: ClassVar = ["implementation", "dtype", "n"]

    def input(self, dtype: str, n: int) -> Input:
        """Rows of n scores, 2^20 in all."""
        return Input("scores", dtype, sweep_shape(n))


class Workloads(Timed):
    """The kernel on the shapes of real programs."""

    param_names: ClassVar = ["implementation", "dtype", "workload"]

    def input(self, dtype: str, workload: str) -> Input:
        """The scores of a named workload."""
        return Input("scores", dtype, ALL[workload].shape)


class Own(Timed):
    """The kernel on the user's own array, copied once into aligned memory, or on scores of the user's shape."""

    limited = False
    param_names: ClassVar = ["implementation"]

    def input(self) -> Input:
        """The array that the environment names, folded around its axis."""
        path, key, shape = (os.environ.get(name) for name in (grid.ARRAY, grid.ARRAY_KEY, grid.ARRAY_SHAPE))
        axis = int(os.environ[grid.ARRAY_AXIS]) if grid.ARRAY_AXIS in os.environ else None
        if shape is None:
            dtype = read_array(str(path), key).dtype.newbyteorder("=").name
        else:
            dtype = os.environ[grid.DTYPES].split(",")[-1]
        if self.operation == "softmax" and dtype not in contract.FLOATS:
            dtype = "float64"
        if shape is None:
            return Input("array", dtype, name=str(path), key=key, axis=axis)
        from maxbench.impls.layout import fold_shape  # here: an old commit has none

        return Input("scores", dtype, fold_shape(tuple(map(int, shape.split("x"))), axis).shape)


class Api(Timed):
    """The public function as users call it: it checks its input and allocates its result."""

    param_names: ClassVar = ["implementation", "dtype", "n"]

    def input(self, dtype: str, n: int) -> Input:
        """Rows of n scores, 2^20 in all."""
        return Input("scores", dtype, sweep_shape(n))

    def measure(self, name: str, *rest: Any) -> str:
        return self._take(Public(self.operation, name, self.load(name)), self.input(*rest))


class Public:
    """The public function with one implementation, in the form of a kernel on host arrays."""

    backend = backends.HOST  # what comes back is a host array, so there is nothing to wait for

    def __init__(self, operation: str, name: str, kernel: Any) -> None:
        function = getattr(impls, operation)
        self.refusal, self.threads = kernel.refusal, kernel.threads
        self.largest = getattr(kernel, "largest", None)
        self.largest_reason = getattr(kernel, "largest_reason", "")
        self.run: Callable[[Any, Any], Any] = lambda x, out: function(x, axis=1, impl=name)


class Memory(Cell):
    """The most memory the whole process held; the implementation ``(arrays only)`` is the baseline to subtract."""

    rounds = 1
    ELEMENTS = 1 << 24
    BASELINE = "(arrays only)"
    param_names: ClassVar = ["implementation", "dtype"]

    def measure(self, name: str, *rest: Any) -> str:
        (dtype,) = rest
        shape = (self.ELEMENTS // 1024, 1024, 1)
        self.outcome.shape, self.outcome.dtype = shape, dtype
        self._result: Any = None
        kernel = None if name == self.BASELINE else self.load(name)
        if kernel is not None and (refusal := kernel.refusal(dtype, self.ELEMENTS)):
            raise NotImplementedError(refusal)
        # Few distinct values: an array that takes little beyond its own memory to make.
        self._input = Input("another", dtype, shape)
        x = self._input.array()
        out = contract.OPERATIONS[self.operation].allocate(x)
        if kernel is None:
            self._call: Callable[[], Any] = lambda: (x, out)
        elif kernel.backend is backends.HOST:
            self._call = lambda: kernel.run(x, out)
        else:
            self._call = lambda: _called(kernel, x, out)
        self._kernel = kernel
        return ""

    def done(self, remark: str) -> None:
        """Nothing yet: `teardown` says it, after the call."""

    def peakmem_call(self, *params: Any) -> None:
        """Peak resident memory of a process that makes one call on 2^24 elements."""
        self._result = self._call()

    def teardown(self, *params: Any) -> None:
        """Check what the call returned; asv has read the process's memory by then."""
        if getattr(self, "_prepared", None) is None:
            return
        from asv_runner.benchmarks._maxrss import get_maxrss  # here: only asv's processes have it

        self.outcome.values = {"peakmem_call": get_maxrss()}
        if self._kernel is not None:
            result = self._kernel.backend.get(self._result)
            verdict = self.link.check(self.operation, self._input, result, case="timed")
            if verdict.status == "wrong":
                self._end("wrong", verdict.detail)
        super().done("")


def _called(kernel: Any, x: np.ndarray, out: np.ndarray) -> Any:
    result = kernel.run(kernel.backend.put(x), kernel.backend.put(out))
    kernel.backend.synchronize()
    return result
