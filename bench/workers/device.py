"""Measures on a GPU: runs tasks one after the other, and reports the result of each.

What is about to be done is said before it is done, so that who listens knows where a process was that ends or never
returns.
"""

from __future__ import annotations

import gc
import itertools
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from maxbench import impls
from maxbench.impls import agreement, contract

from .. import timing
from ..inputs import device_cells, workloads
from ..inputs.recipe import Input
from ..processes.link import Link
from ..processes.messages import (
    ApiTask,
    CellTask,
    CheckTask,
    DescribeTask,
    DeviceJob,
    LaunchTask,
    Loaded,
    MemoryTask,
    Outcome,
    PartBegins,
    PartDone,
    StartTask,
    Status,
    Task,
    TaskDone,
    TransferTask,
)  # fmt: skip
from ..suite import startup
from ..timing.ready import LONG_ROW, described, optional
from ..timing.sampling import Sampler
from ..timing.schedules import Contestant
from .check import about, allocate, run_trials
from .device_arrays import DeviceArrays, repeated

SPARE = 0.8  # of the free memory, that buffers may take
SIMULATED_SHAPE = (4, 32, 1)
SAMPLE_SECONDS, WARM_UP_SECONDS = 0.004, 0.02
LEAST_SAMPLES, MOST_SAMPLES = 5, 40
CEILINGS = 2  # ways to move the bytes that are sampled as long as an implementation, the fastest at first sight


def main(link: Link, job: DeviceJob) -> None:
    """Do the tasks."""
    work = Work(link, job.seconds, job.cache_bytes, job.simulated)
    for task in job.tasks:
        work.do(task)
        # Libraries stay: to look through their objects takes a large part of a second, several times a task.
        gc.freeze()


class LostContext(RuntimeError):
    """The CUDA context of this process cannot be used any more, after an illegal address for example."""


def context_error() -> str | None:
    """What every call on the device raises from now on, or None."""
    from numba import cuda

    try:
        cuda.synchronize()
    except Exception as error:  # of the driver
        return described(error)
    return None


class Work:
    """What a task needs: who listens, how long to sample, and the sizes of the device."""

    def __init__(self, link: Link, seconds: float, cache_bytes: int, simulated: bool) -> None:
        self.link, self.seconds, self.cache_bytes, self.simulated = link, seconds, cache_bytes, simulated
        self._tried: dict[tuple[str, str, str], set[int]] = {}  # trials of check tasks, by number

    def do(self, task: Task) -> None:
        """One task, whatever comes of it."""
        match task:
            case CellTask():
                self._cell(task)
            case DescribeTask():
                self._describe(task)
            case CheckTask():
                self._check(task)
            case LaunchTask():
                self._launch(task)
            case ApiTask():
                self._api(task)
            case TransferTask():
                self._transfer(task)
            case MemoryTask():
                self._memory(task)
            case StartTask():
                self._start(task)
        gc.collect()
        self.link.say(TaskDone(task.id))

    def _done(self, task: Task, name: str, outcome: Outcome) -> None:
        self.link.say(PartDone(task.id, name, outcome))

    def _sound(self) -> None:
        """Return if the device can still be used by this process.

        Raises:
            LostContext: it cannot: this process must end, and a new one goes on.
        """
        if not self.simulated and (error := context_error()) is not None:
            raise LostContext(f"the CUDA context is lost: {error}")

    def _named(self, task: Task) -> Iterator[str]:
        """The parts of a task that are not left out, each announced."""
        for name in task.names:
            if name not in task.without:
                self.link.say(PartBegins(task.id, name))
                yield name

    def _parts(self, task: Task) -> Iterator[tuple[str, impls.Implementation]]:
        """The implementations of a task that can be had, each announced; of the others the outcome is their reason."""
        for name in self._named(task):
            try:
                found = impls.load(task.operation, name)
            except (impls.Unavailable, impls.UnknownImplementation) as error:
                self._done(task, name, Outcome("skipped", str(error)))
                continue
            if found.kernel.backend.device == "cuda":
                yield name, found
            else:
                detail = f"its arrays are in the memory of the {found.kernel.backend.device}, not of a CUDA device"
                self._done(task, name, Outcome("skipped", detail))

    def _guarded(self, task: Task, name: str, measure: Callable[[], Outcome]) -> None:
        """The outcome of measuring one part; what it raises is its outcome as well."""
        try:
            found = measure()
        except NotImplementedError as error:
            found = Outcome("skipped", str(error))
        except Exception as error:  # a peer may raise anything; the others are measured all the same
            self._sound()
            found = Outcome("failed", described(error))
        self._done(task, name, found)

    def _cell(self, task: CellTask) -> None:
        cell = task.cell
        if cell.benchmark == "Ceiling":
            self._guarded(task, "ceiling", lambda: self._ceiling(task, cell))
            return
        ready: list[tuple[timing.Ready, Contestant, int]] = []
        arrays: DeviceArrays | None = None
        x: np.ndarray | None = None
        for name, implementation in self._parts(task):
            # Each may have its share of the memory that those before it have left.
            kernel = implementation.kernel
            cloned = optional(kernel.backend, "clone") is not None
            if cloned and arrays is None:
                arrays = DeviceArrays.of(cell)
            free = self._free() - (cell.nbytes if cloned else 0)  # of other values, at the end
            room = int(SPARE * free / (len(task.names) - len(ready)))
            copies = device_cells.buffers(cell.pair_bytes, self.cache_bytes, room)
            if copies < 1:
                detail = f"x and its result take {cell.pair_bytes} bytes, and {room} are free"
                self._done(task, name, Outcome("skipped", detail))
                continue
            self.link.say(Loaded(dict(kernel.differs)))
            if not cloned and x is None:
                x = cell.input.array()
            outcome = self._prepared(cell, kernel, copies, x, arrays if cloned else None)
            if isinstance(outcome, timing.Ready):
                ready.append((outcome, self._contestant(name, outcome.sampler), copies))
            else:
                statuses: dict[type, Status] = {
                    timing.Refused: "skipped", timing.Wrong: "wrong", timing.Failed: "failed",
                }  # fmt: skip
                if isinstance(outcome, timing.Failed):
                    self._sound()
                self._done(task, name, Outcome(statuses[type(outcome)], outcome.reason))
        del x
        self._sample(task, cell, ready)

    def _prepared(
        self, cell: device_cells.Cell, kernel: impls.Kernel, copies: int, x: np.ndarray | None,
        arrays: DeviceArrays | None,
    ) -> timing.Ready | timing.Refused | timing.Wrong | timing.Failed:  # fmt: skip
        """An implementation on so many copies of x and out: of the host's array, or of those on the device."""
        if arrays is None:
            return timing.prepare(self.link, cell.operation, kernel, cell.input, x=x, copies=copies)
        try:
            if refusal := kernel.refusal(cell.dtype, math.prod(cell.shape)):
                return timing.Refused(refusal)
            pairs = [arrays.pair(kernel.backend) for _ in range(copies)]
        except Exception as error:  # a library may raise anything
            return timing.Failed(described(error))
        return timing.prepare(
            self.link, cell.operation, kernel, cell.input, x=cell.input.like(), arrays=pairs, transfers=arrays
        )  # fmt: skip

    def _contestant(self, name: str, sampler: Sampler) -> Contestant:
        sampler.seconds = SAMPLE_SECONDS
        sampler.calibrate(WARM_UP_SECONDS)
        return Contestant(name, sampler)

    def _sample(
        self, task: CellTask, cell: device_cells.Cell, ready: list[tuple[timing.Ready, Contestant, int]]
    ) -> None:
        def announce(name: str) -> None:
            self.link.say(PartBegins(task.id, name))

        timing.in_turn(
            [one for _, one, _ in ready], self.seconds * max(1, len(ready)), least=LEAST_SAMPLES, most=MOST_SAMPLES,
            before=announce,
        )  # fmt: skip
        for prepared, one, copies in ready:
            announce(one.name)
            # To judge a very long row takes longer than all samples: it is judged before, and with other values after.
            if (wrong := prepared.finish(again=cell.shape[1] <= LONG_ROW)) is not None:
                status: Status = "wrong" if isinstance(wrong, timing.Wrong) else "failed"
                if status == "failed":
                    self._sound()
                self._done(task, one.name, Outcome(status, wrong.reason))
                continue
            beyond = device_cells.beyond_cache(cell.pair_bytes, copies, self.cache_bytes)
            self._done(task, one.name, Outcome(
                detail=prepared.declared, samples=one.samples, number=one.sampler.number, copies=copies,
                beyond_cache=beyond,
            ))  # fmt: skip

    def _ceiling(self, task: CellTask, cell: device_cells.Cell) -> Outcome:
        """The fastest way to copy or to read as many bytes."""
        from . import device_bandwidth  # imports numba-cuda

        self.link.say(PartBegins(task.id, "ceiling"))
        backend: Any = impls.backends.get("numba_cuda")
        copies = device_cells.buffers(cell.pair_bytes, self.cache_bytes, int(SPARE * self._free()))
        if copies < 1:
            raise NotImplementedError(f"{cell.pair_bytes} bytes do not fit the free memory")
        block = workloads.scores((1 << 16,), "float32")
        ways: dict[str, list[Callable[[], Any]]] = {}
        for _ in range(copies):
            given = repeated(block, cell.shape[1:2])
            if cell.operation == "softmax":
                moves = device_bandwidth.copies(given, backend.clone(given))
            else:
                moves = device_bandwidth.reads(given)
            for way, call in moves.items():
                ways.setdefault(way, []).append(call)
        ready, failures = [], []
        for way, calls in ways.items():
            sampler = Sampler(_turns(calls), backend.synchronize, "device", timer=backend.timer)
            try:
                ready.append(self._contestant(way, sampler))
            except Exception as error:  # where kernels do not compile, the driver copies all the same
                self._sound()
                failures.append(f"{way}: {described(error)}")
        if not ready:
            raise RuntimeError("; ".join(failures))
        timing.in_turn(ready, 0, least=LEAST_SAMPLES)
        ready.sort(key=_median)
        timing.in_turn(ready[:CEILINGS], self.seconds * CEILINGS, least=LEAST_SAMPLES, most=MOST_SAMPLES)
        best = min(ready[:CEILINGS], key=_median)
        return Outcome(
            ways={one.name: _median(one) for one in ready}, samples=best.samples, number=best.sampler.number,
            copies=copies,
        )  # fmt: skip

    def _describe(self, task: DescribeTask) -> None:
        """What the implementations declare."""
        for name, found in self._parts(task):
            self._done(task, name, Outcome(about=about(found)))

    def _check(self, task: CheckTask) -> None:
        """Agreement on the contract's cases for one implementation and dtype, until the task's seconds are over.

        Cases that an earlier task of this process has tried are not tried again.
        """
        end = time.monotonic() + task.seconds
        for name, implementation in self._parts(task):
            tried = self._tried.setdefault((task.operation, name, task.dtype), set())
            left = 0

            def trials(
                one: impls.Implementation = implementation, tried: set[int] = tried
            ) -> Iterator[agreement.Trial]:
                nonlocal left
                every = agreement.trials(one, agreement.wanted_dtypes(one.operation, [task.dtype]), allocate)
                for number, trial in enumerate(every):
                    if number in tried:
                        continue
                    if number % task.every or time.monotonic() > end:
                        left += 1
                        continue
                    self._sound()
                    tried.add(number)
                    yield trial

            self.link.say(Loaded(dict(implementation.kernel.differs)))
            run_trials(self.link, task.operation, implementation.kernel, trials())
            self._sound()
            done = Outcome("skipped", f"{left} of {left + len(tried)} cases were left out") if left else Outcome()
            self._done(task, name, done)

    def _launch(self, task: LaunchTask) -> None:
        """What Python takes to start a call on a tiny array."""
        x = workloads.scores(device_cells.LAUNCH_SHAPE, "float32")
        for name, implementation in self._parts(task):

            def measure(kernel: impls.Kernel = implementation.kernel) -> Outcome:
                given = kernel.backend.put(x)
                out = kernel.backend.put(contract.OPERATIONS[task.operation].allocate(x))
                times = launch_seconds(lambda: kernel.run(given, out), kernel.backend.synchronize)
                return Outcome(samples=times, number=20)

            self._guarded(task, name, measure)

    def _api(self, task: ApiTask) -> None:
        """End to end: the public function on a host array, copies in and out included."""
        given = Input("tiled", "float32", SIMULATED_SHAPE if self.simulated else device_cells.API_SHAPE)
        x = given.array()
        function = getattr(impls, task.operation)
        for name, implementation in self._parts(task):

            def measure(
                one: str = implementation.name,
                differs: dict[str, str] = dict(implementation.kernel.differs),  # noqa: B006
            ) -> Outcome:
                self.link.say(Loaded(differs))
                verdict = self.link.check(task.operation, given, function(x, axis=1, impl=one), case="timed", x=x)
                if verdict.status == "wrong":
                    return Outcome("wrong", verdict.detail)
                return Outcome(samples=self._wall(lambda: function(x, axis=1, impl=one)), number=1)

            self._guarded(task, name, measure)

    def _transfer(self, task: TransferTask) -> None:
        """Copies between host and device, of pinned and of ordinary memory."""
        from numba import cuda

        count = 256 if self.simulated else math.prod(device_cells.API_SHAPE)
        for name in self._named(task):

            def measure(pinned: bool = "pinned" in name, inwards: bool = "to device" in name) -> Outcome:
                host = cuda.pinned_array(count, np.float32) if pinned else np.empty(count, np.float32)
                host[...] = 1
                device = cuda.to_device(host)

                def copy() -> None:
                    device.copy_to_device(host) if inwards else device.copy_to_host(host)
                    cuda.synchronize()

                return Outcome(samples=self._wall(copy), number=1)

            self._guarded(task, name, measure)

    def _memory(self, task: MemoryTask) -> None:
        """Device memory that a call on a resident array takes beyond x and the result, working memory and pools."""
        shape = SIMULATED_SHAPE if self.simulated else (1 << 14, 1024, 1)
        x = workloads.scores(shape, "float32")
        for name, implementation in self._parts(task):

            def measure(kernel: impls.Kernel = implementation.kernel) -> Outcome:
                if self.simulated:
                    raise NotImplementedError("a simulated device has no memory of its own")
                given = kernel.backend.put(x)
                out = kernel.backend.put(contract.OPERATIONS[task.operation].allocate(x))
                kernel.backend.synchronize()
                before = self._free()
                result = kernel.run(given, out)
                kernel.backend.synchronize()
                taken = max(0, before - self._free())
                del result
                return Outcome(values={"track_peak_memory": float(taken)})

            self._guarded(task, name, measure)

    def _start(self, task: StartTask) -> None:
        """Load and first call in processes of their own, with an empty compile cache and with the one then filled."""
        from ..processes.crew import Crew  # here: it needs psutil

        with Crew() as crew:
            for name in self._named(task):
                self._done(task, name, startup.measure(crew, task.operation, name, "float32"))

    def _wall(self, call: Callable[[], Any]) -> list[float]:
        """Seconds of calls that wait for their end, by the host's clock; the first is not among them."""
        call()
        times: list[float] = []
        end = time.monotonic() + self.seconds
        while len(times) < LEAST_SAMPLES or (time.monotonic() < end and len(times) < MOST_SAMPLES):
            begin = time.perf_counter()
            call()
            times.append(time.perf_counter() - begin)
        return times

    def _free(self) -> int:
        """Bytes of device memory that are free; the simulator has the host's and is given little."""
        if self.simulated:
            return 1 << 26
        from numba import cuda

        return int(cuda.current_context().get_memory_info().free)


def _median(contestant: Contestant) -> float:
    """Seconds of one call, so far."""
    return float(np.median(contestant.samples))


def _turns(calls: list[Callable[[], Any]]) -> Callable[[], Any]:
    """The calls one after the other, again and again."""
    turns = itertools.cycle(calls)
    return lambda: next(turns)()


def launch_seconds(start: Callable[[], Any], synchronize: Callable[[], None]) -> list[float]:
    """Seconds that Python takes to start one call, without waiting for the device: of each of 20 batches of 20 calls.

    A batch is short enough for the queue of the device, so that starting never waits.
    """
    batch = 20
    found = []
    for _ in range(batch):
        start()
    for _ in range(20):
        synchronize()
        begin = time.perf_counter()
        for _ in range(batch):
            start()
        found.append((time.perf_counter() - begin) / batch)
    synchronize()
    return found
