"""The conversation between the process that decides and those that measure: all of its messages.

======================================  ==================================================================
a process that measures (`link`)        the process that decides (`hub`, and `crew` or asv's cells behind it)
======================================  ==================================================================
`Hello`                                 `Welcome`: the job, or whether a cell of asv is to be measured
`Check`                                 `Parts`; once these have come, as bytes: `verdict.Verdict`
`Array`, and then its elements          a `Command`
any other `Event`                       a `Command`; `Go` where nothing is to be said
======================================  ==================================================================

Each is one JSON object; of an event, a command, a job and a task one field says which it is. Messages are read strictly
in type and tolerantly in extent: fields that are not known are ignored, and one that is missing or of another type ends
the conversation; the reason names it. Of `impls` nothing is needed here, as it may be that of an old commit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta, Struct, field

from ..inputs import device_cells
from ..inputs.recipe import Input
from .verdict import Claim, Verdict

VERSION = 1  # of the conversation: of what fields mean, and of which must be there

# Numbers that measurements can have. Bounds exclude infinities and NaN, and integers that a float or int64 cannot hold.
Seconds = Annotated[float, Meta(gt=0, le=1e9)]
Amount = Annotated[float, Meta(ge=0, le=1e18)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Positive = Annotated[int, Meta(ge=1, le=2**53)]

Shape = tuple[Positive, Positive, Positive]
"""(outer, n, inner)."""
Quad = Annotated[list[float], Meta(min_length=4, max_length=4)]
"""The times of one call of two versions, [A, A, B, B]."""
Version = Annotated[int, Meta(ge=VERSION, le=VERSION)]
Status = Literal["ok", "skipped", "wrong", "failed", "interrupted"]
State = Literal["ok", "unknown", "unavailable", "not supported", "no device", "wrong", "failed"]
"""Of one version of a benchmark."""


# Beginning


class Cell(Struct):
    """What a process of asv is about to measure.

    Attributes:
        benchmark: module and class, ``softmax.Sweep``.
        params: the parameters as asv writes them, with `repr`; the implementation first.
        impls: the folder of the `impls` that it has imported.
    """

    benchmark: str
    params: list[str]
    impls: str


class Hello(Struct):
    """The first message of every process.

    Attributes:
        token: what the launcher gave it; empty of a process that asv has started.
        pid: its number.
        cell: of a process that asv has started.
    """

    version: Version
    token: str
    pid: Count
    cell: Cell | None = None


class Welcome(Struct):
    """The answer to `Hello`.

    Attributes:
        job: what a worker is to do.
        refusal: why a cell is not to be measured, and has failed; empty where it is to be.
        stop: a cell is not to be measured, because the run was interrupted.
    """

    version: Version
    job: AnyJob | None = None
    refusal: str = ""
    stop: bool = False


# Jobs: what a process of `bench.workers` is to do, once


class Job(Struct, tag_field="kind"):
    """What a worker is to do; its kind is the name of the module that does it."""


class CheckJob(Job, tag="check"):
    """Load and describe each of `names`; with `trials`, run those of the contract in `dtypes` (None: all)."""

    operation: str
    names: list[str]
    trials: bool = False
    dtypes: list[str] | None = None


class ResultsJob(Job, tag="results"):
    """Send the results of an implementation for each of `inputs`."""

    operation: str
    name: str
    inputs: list[Input]


class FirstCallJob(Job, tag="first_call"):
    """Load and call an implementation once: as installed, or of the version `role` in the folder `root`."""

    operation: str
    name: str
    dtype: str
    role: str = ""
    root: str | None = None


class CasesJob(Job, tag="cases"):
    """Run the cases of the contract, in `dtypes`, on a kernel of the version `role` in the folder `root`."""

    operation: str
    name: str
    dtypes: list[str]
    role: str
    root: str


class NoiseJob(Job, tag="noise"):
    """Time two identical arms: what this machine can see."""


class TurnsJob(Job, tag="turns"):
    """Do what the answer to each `Turn` says with an implementation, or with the ``ceiling``.

    Attributes:
        one_thread: time by the CPU clock.
    """

    operation: str
    name: str
    one_thread: bool


class Pair(Struct):
    """Two versions of a benchmark, to be compared.

    Attributes:
        id: unique within the job.
        shape: of x.
        pair: the versions; the first is the base of the ratio.
        extra: percent of the rows that the second computes on top: an injected slowdown.
    """

    id: str
    operation: str
    implementation: str
    dtype: str
    shape: Shape
    pair: tuple[str, str]
    extra: float = 0


class QuadsJob(Job, tag="quads"):
    """Load, compile and check every version of each benchmark, and then time the pairs.

    Attributes:
        versions: role -> folder; see `bench.processes.sides`.
        quads: how many of each pair; 0 to time none.
        seed: of the order of versions and benchmarks.
    """

    versions: dict[str, str]
    benchmarks: list[Pair]
    quads: Count
    seed: int


class CountedJob(Job, tag="counted"):
    """Load, compile and check every version of each benchmark; under valgrind, count the instructions of calls."""

    versions: dict[str, str]
    benchmarks: list[Pair]


class ProbeJob(Job, tag="probe"):
    """Say what the GPU is."""


class ExplainJob(Job, tag="explain"):
    """Say how `numba_parallel` does a call; with `code`, compile it, and look at its machine code."""

    operation: Literal["softmax", "argmax"]
    dtype: str
    shape: Shape
    code: bool = False


class TuneJob(Job, tag="tune"):
    """Time the kernels of `numba_parallel` on rows of these lengths, until the time is over.

    Attributes:
        gain: the fraction by which one must be faster than the built-in choice.
    """

    operation: Literal["softmax", "argmax"]
    dtypes: list[str]
    lengths: list[Positive]
    seconds: Seconds
    gain: Amount


class Task(Struct, tag_field="kind", kw_only=True):
    """What is to be measured on a GPU.

    Attributes:
        names: the parts: implementations, for most.
        without: parts that are left out.
    """

    id: Count
    operation: str
    names: list[str]
    without: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Which task it is."""
        return str(self.__struct_config__.tag)


class DescribeTask(Task, tag="describe"):
    """What implementations declare."""


class CheckTask(Task, tag="check"):
    """The trials of the contract, in one dtype, for `seconds` at most; of those one in `every`."""

    dtype: str
    seconds: Seconds
    every: Positive = 1


class CellTask(Task, tag="cell"):
    """Device time of all implementations, in turn, on one input; or of the ceiling."""

    cell: device_cells.Cell


class LaunchTask(Task, tag="launch"):
    """What Python takes to start a call."""


class ApiTask(Task, tag="api"):
    """The public function on an array of the host."""


class TransferTask(Task, tag="transfer"):
    """Copies between host and device."""


class StartTask(Task, tag="start"):
    """Load and first call."""


class MemoryTask(Task, tag="memory"):
    """Device memory that a call takes beyond x and the result."""


AnyTask = DescribeTask | CheckTask | CellTask | LaunchTask | ApiTask | TransferTask | StartTask | MemoryTask


class DeviceJob(Job, tag="device"):
    """Do the tasks one after the other.

    Attributes:
        seconds: of sampling, for each input.
        cache_bytes: of the device's cache, which successive calls are to miss.
        simulated: on small inputs, in Numba's simulator.
    """

    tasks: list[AnyTask]
    seconds: float
    cache_bytes: Count
    simulated: bool


class CompileJob(Job, tag="compile"):
    """Compile, for tasks, every `of`-th kernel from the one numbered `first` on, without the device.

    Attributes:
        tasks: of a device report; None for all candidates that tuning times.
        device: its name.
        compute_capability: ``9.0``.
        shared_bytes: of shared memory that a block may have.
    """

    tasks: list[AnyTask] | None
    device: str
    compute_capability: str
    multiprocessors: Positive
    shared_bytes: Count
    first: Count
    of: Positive


AnyJob = (
    CheckJob | ResultsJob | FirstCallJob | CasesJob | NoiseJob | TurnsJob | QuadsJob | CountedJob | ProbeJob | DeviceJob
    | CompileJob | ExplainJob | TuneJob
)  # fmt: skip


# Events: what a process that measures says


class Event(Struct, tag_field="event"):
    """What a process that measures says of its work."""


class Loaded(Event, tag="loaded"):
    """An implementation has been loaded, which declares these differences; they hold for the results that follow."""

    differs: dict[str, str]


class Check(Event, tag="check"):
    """Of a result that is to be judged."""

    claim: Claim


class Array(Event, tag="array"):
    """A small array follows.

    Attributes:
        what: its name.
        index: of the input in `ResultsJob.inputs` that it is the result for.
        dtype_of_x: of the input, where that is not by index.
    """

    what: str
    shape: list[Count]
    dtype: str
    index: Count = 0
    dtype_of_x: str = ""


class Done(Event, tag="done"):
    """A worker has done its job. A process that ends without it has failed."""


class Failed(Event, tag="failed"):
    """A worker has raised something, and will end."""

    failure: str


class About(Struct):
    """What an implementation declares.

    Attributes:
        device: ``cpu`` or ``cuda``.
        threads: ``one`` or ``many``.
        backend: the name of where its arrays live.
        layer: Numba's threading layer, where it uses that.
        source, path: of its module, where known.
    """

    device: str
    threads: str
    dtypes: list[str]
    differs: dict[str, str]
    backend: str = ""
    doc: str = ""
    source: str | None = None
    path: str | None = None
    layer: str | None = None


class Outcome(Struct):
    """The outcome of measuring one implementation on one input.

    Attributes:
        detail: why the status is not ok, or how an ok one differs from the contract, as its author has declared.
        shape, dtype: of the input.
        repeat: samples that were taken.
        number: calls of a sample.
        samples: each sample of a time, in seconds a call.
        values: what asv's other methods return, by their names: bytes, seconds or ulp.
        copies: arrays that the calls of a sample went through, on a device.
        beyond_cache: whether those are larger than the device's cache.
        ways: of a ceiling, seconds of one call by every way to move the bytes.
        about: what the implementation declares, where the task was to describe it.
    """

    status: Status = "ok"
    detail: str = ""
    shape: Shape | None = None
    dtype: str | None = None
    repeat: Positive | None = None
    number: Positive | None = None
    samples: list[Seconds] | None = None
    values: dict[str, Amount] | None = None
    copies: Count | None = None
    beyond_cache: bool | None = None
    ways: dict[str, Amount] | None = None
    about: About | None = None


class CellDone(Event, tag="cell done"):
    """A process of asv has measured its cell, or why it has not."""

    outcome: Outcome


class Unavailable(Event, tag="unavailable"):
    """An implementation, or the GPU, cannot be used.

    Attributes:
        broken: it does not load although nothing that it needs is missing.
    """

    name: str
    reason: str
    broken: bool = False


class Described(Event, tag="described"):
    """An implementation has been loaded, and what it declares."""

    name: str
    about: About


class Trial(Event, tag="trial"):
    """A trial of the contract begins."""

    case: str
    dtype: str


class Tried(Event, tag="tried"):
    """A trial is over.

    Attributes:
        status: ``agrees`` where it has given all of its results, which the judge decides on; ``wrong``, ``failed`` or
            ``not supported`` where there is none.
    """

    case: str
    dtype: str
    status: Literal["agrees", "wrong", "failed", "not supported"] = "agrees"
    detail: str = ""


class NoResult(Event, tag="no result"):
    """There is no result for an input, as it was refused (skipped) or something was raised (failed)."""

    status: Literal["skipped", "failed"]
    detail: str
    index: Count = 0


class Started(Event, tag="started"):
    """Seconds that loading and the first call took, by the wall clock and by the CPU's."""

    load: Amount
    first_call: Amount
    load_cpu: Amount
    first_call_cpu: Amount


class Imported(Event, tag="imported"):
    """The version of a `CasesJob` has been imported."""


class Begins(Event, tag="begins"):
    """What a comparison of versions is at: importing a version, preparing its benchmark, or measuring a benchmark.

    Attributes:
        id: of the benchmark; None while the version is imported.
        role: of the version; None of both.
    """

    id: str | None = None
    role: str | None = None


class Prepared(Event, tag="prepared"):
    """The state of one version of a benchmark once it is prepared; sent again where its result is wrong after timing.

    Attributes:
        clock: that it asks to be timed by; None where it is not ok.
    """

    id: str
    role: str
    status: State
    detail: str
    clock: Literal["cpu", "wall", "device"] | None = None


class Measured(Event, tag="measured"):
    """Nanoseconds of one call of either version of a benchmark."""

    id: str
    quads: list[Quad]


class Ready(Event, tag="ready"):
    """All is prepared for the noise; it is measured once this is answered, so that no two processes do so at a time."""


class Noise(Event, tag="noise"):
    """The noise of this machine.

    Attributes:
        layer: Numba's threading layer.
        start: CPU seconds until it could begin.
        quad_seconds: that a quad takes.
        quads: of each kernel, in seconds.
    """

    layer: str
    start: Amount
    quad_seconds: Amount
    quads: dict[str, list[Quad]]


class Turn(Event, tag="turn"):
    """The outcome of loading, and then of each command; the answer, once it is its turn again, is the next command.

    Attributes:
        number: calls of a sample, once that is settled.
        seconds: of one call, where a sample was to be taken.
    """

    status: Status = "ok"
    detail: str = ""
    number: Positive = 1
    seconds: Seconds | None = None


class Considered(Struct):
    """A regime of the table, in order, and what speaks against it; it is the chosen one where nothing does."""

    regime: str
    reason: str
    against: list[str]


class Loop(Struct):
    """The hottest loop of a kernel.

    Attributes:
        instructions: of a turn.
        vectors: those of vectors among them.
        exponentials: vectors of exponentials that a turn computes.
        code: the instructions, a line each.
    """

    kernel: str
    instructions: Count
    vectors: Count
    exponentials: Count
    code: str


class Explained(Event, tag="explained"):
    """How a call is done.

    Attributes:
        machine: the facts of `impls.cpu.machine.Machine`.
        threads: that share it.
        parts: of a row, or of the rows of columns.
        tile: elements of a tile of columns; 0 without.
        considered: the regimes up to the chosen one.
        bytes: of x.
        reads: how often as many bytes are read.
        writes: how often they are written.
        ceiling: seconds of a copy (softmax) or a read (argmax) of x.
        way: the fastest way of that.
        warnings: why a table of this machine is not used.
    """

    machine: dict[str, Count]
    threads: Positive
    parts: Positive
    tile: Count
    considered: list[Considered]
    bytes: Positive
    reads: Amount
    writes: Amount
    ceiling: Seconds
    way: str
    loops: list[Loop]
    warnings: list[str]


class Timed(Event, tag="timed"):
    """A kernel beside the built-in choice.

    Attributes:
        n: columns of a row.
        beyond: whether x and the result exceed the last-level cache.
        whole: whether rows are whole vectors.
        variant: its number in `impls.cpu.regimes.LIMITS`.
        seconds: of a call of the built-in choice.
        gain: how many times as fast it is: the least of all settings, or of the first where it does not win.
        wrong: what is wrong with a result; empty where nothing is.
    """

    operation: Literal["softmax", "argmax"]
    dtype: str
    n: Positive
    beyond: bool
    whole: bool
    variant: Count
    seconds: Amount
    gain: Amount
    wrong: str


class Gpu(Event, tag="gpu"):
    """What the GPU is.

    Attributes:
        shared_bytes: of shared memory that a block may have.
        cuda: the newest version that its driver is made for.
    """

    name: str
    simulated: bool
    cache_bytes: Count
    compute_capability: str | None = None
    multiprocessors: Count | None = None
    shared_bytes: Count | None = None
    memory_bytes: Count | None = None
    cuda: str | None = None


class PartBegins(Event, tag="part begins"):
    """A part of a task is about to be done."""

    task: Count
    part: str


class PartDone(Event, tag="part done"):
    """The outcome of a part of a task."""

    task: Count
    part: str
    outcome: Outcome


class TaskDone(Event, tag="task done"):
    """All parts of a task are done."""

    task: Count


AnyEvent = (
    Loaded | Check | Array | Done | Failed | CellDone | Unavailable | Described | Trial | Tried | NoResult | Started
    | Imported | Begins | Prepared | Measured | Ready | Noise | Turn | Gpu | PartBegins | PartDone | TaskDone
    | Explained | Timed
)  # fmt: skip


# Answers


class Parts(Struct):
    """The parts of a result that the judge wants, each to be sent as bytes: first and last row, first and last of the
    neighbouring columns."""

    parts: list[tuple[Count, Count, Count, Count]]


class Command(Struct, tag_field="do"):
    """What is to be done next."""


class Go(Command, tag="go"):
    """What was to be done anyway."""


class Prepare(Command, tag="prepare"):
    """Make the implementation ready on an input.

    Attributes:
        bytes: of x, which the ceiling is to move.
        show: send the first rows of the result as well.
    """

    input: Input
    bytes: Count
    show: bool = False


class Calibrate(Command, tag="calibrate"):
    """Settle how many calls make a sample."""


class Sample(Command, tag="sample"):
    """Take a sample."""


class Finish(Command, tag="finish"):
    """Have results checked again."""


class Quit(Command, tag="quit"):
    """End: the job is done."""


AnyCommand = Go | Prepare | Calibrate | Sample | Finish | Quit


# Notices: what whoever listens to the hub hears beside what processes say


@dataclass(frozen=True)
class Checked:
    """A result was judged."""

    claim: Claim
    verdict: Verdict


@dataclass(frozen=True)
class Given:
    """An array was received, as `Array` announced it."""

    about: Array
    values: np.ndarray


@dataclass(frozen=True)
class Ended:
    """The last of every process, however it ended: its conversation is over.

    Attributes:
        problem: what it said that it must not; empty where it merely ended.
    """

    problem: str = ""


Message = Hello | Event | Checked | Given | Ended
"""What whoever listens to the hub hears."""
Answer = Welcome | Command
