"""The run record, `run.json`: what was measured, where, how, and with which versions."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, field

from maxbench.bench.processes.link import called
from maxbench.bench.processes.messages import Amount, Count, Positive

from ..system import files
from . import reading
from .reading import Problems, Record

SCHEMA = 1
FILE = "run.json"

Date = Annotated[datetime.datetime, Meta(tz=True)]
Availability = Literal["available", "unavailable", "failed", "wrong"]
State = Literal["running", "interrupted", "failed", "finished"]
Operation = Literal["softmax", "argmax"]
Ratio = Annotated[float, Meta(gt=0, le=1e18)]
Fraction = Annotated[float, Meta(ge=-1, le=1e18)]


class Gpu(Record):
    """A GPU, as its driver names it."""

    name: str
    driver: str | None = None


class Machine(Record):
    """The machine; sizes of memory and of caches in bytes."""

    name: str = "unknown"
    cpu: str = "unknown"
    arch: str = ""
    cores_physical: Positive | None = None
    cores_logical: Positive | None = None
    memory_bytes: Positive | None = None
    os: str = ""
    caches: dict[str, Positive] = field(default_factory=dict)
    gpu: list[Gpu] = field(default_factory=list)


class Threads(Record):
    """CPU threads of every library.

    Attributes:
        numba: how many.
        waiting: what a waiting thread does, as environment variables.
        layer: Numba's threading layer.
        quota: CPUs that the cgroups allow, None without a limit.
        affinity: the CPUs that a process may run on.
        variables: the environment of the processes.
    """

    numba: Positive | None = None
    waiting: str | None = None
    layer: str | None = None
    quota: Ratio | None = None
    affinity: list[Count] | None = None
    variables: dict[str, str] = field(default_factory=dict)


class Noise(Record):
    """What two identical arms differ by, as fractions of a time.

    Attributes:
        visible: the smallest effect that a comparison of a minute shows.
        bias: the change that was measured although there is none.
        spread: of the log ratio of one process, as a standard deviation.
        processes: how many measured it.
    """

    visible: Amount
    bias: Fraction
    spread: Amount
    processes: Positive


class Precheck(Record):
    """What a command found in its first seconds.

    Attributes:
        seconds: what that took.
        threads, layer: CPU threads of a process, and Numba's threading layer for them (None where it is not known).
        quota: CPUs that the cgroups allow, None without a limit.
        others, throttled, slower: as of `Disturbance`.
        noise: of each kernel of `bench.suite.anchor`; empty where it was not measured.
        problem: why it was not.
    """

    seconds: Amount
    threads: Positive
    layer: str | None = None
    quota: Ratio | None = None
    others: Amount | None = None
    throttled: Count | None = None
    slower: Ratio | None = None
    noise: dict[str, Noise] = field(default_factory=dict)
    problem: str = ""


class Disturbance(Record):
    """What else the machine did during a run, or a part of it up to an interruption.

    Attributes:
        seconds: its length.
        others: the share of CPU time that went to other programs; None where that cannot be told.
        throttled: how often heat lowered a clock; None where the system does not count it.
        slower: how many times as long as at the start a fixed loop took at the end.
    """

    seconds: Amount | None = None
    others: Amount | None = None
    throttled: Count | None = None
    slower: Ratio | None = None


class LoadAverage(Record):
    """Runnable processes over the last 1, 5 and 15 minutes, at both ends of a run."""

    start: list[Amount] | None = None
    end: list[Amount] | None = None


class Source(Record):
    """Where the measured `impls` is from.

    Attributes:
        version: of the package.
        commit, branch, dirty: where git tracks it.
        repository: the web address of a remote that has the commit.
        content: SHA-1 of the files of `impls` and `bench`.
    """

    version: str | None = None
    commit: str | None = None
    branch: str | None = None
    dirty: bool | None = None
    repository: str | None = None
    content: str | None = None


class Array(Record):
    """The user's own array: a file (None: seeded scores of a shape that was asked for), the key of an .npz file, the
    axis that is reduced (None for all), and the array's shape and dtype."""

    path: str | None = None
    key: str | None = None
    axis: Annotated[int, Meta(ge=-64, le=64)] | None = None
    shape: list[Count] = field(default_factory=list)
    dtype: str = ""


class Implementation(Record):
    """An implementation: what it declares, whether it runs here, and if not, why.

    Attributes:
        origin: the distribution that brings it, with its version.
        status, reason: available, or what it is instead and why.
        differs: its declared differences from the contract, by the pattern of the cases that they cover.
        source, file: its text, and its path below its top-level package.
        repository: the web address of its project.
    """

    operation: Operation
    name: str
    origin: str = ""
    status: Availability = "available"
    reason: str = ""
    device: str | None = None
    threads: str | None = None
    dtypes: list[str] = field(default_factory=list)
    differs: dict[str, str] = field(default_factory=dict)
    doc: str = ""
    source: str | None = None
    file: str | None = None
    repository: str | None = None


class RunRecord(Record):
    """A run.

    Attributes:
        schema: version of this format; others are not read.
        id: the run's name.
        command: the words of the command line.
        grid: which inputs.
        rounds: fresh processes a cell that were completed.
        disturbance: of each time that the run was resumed.
        simulated: whether a GPU's figures are a simulator's.
        device: the GPU of a device report, as its worker describes it.
    """

    schema: Annotated[int, Meta(ge=1)] = SCHEMA
    id: str = ""
    started: Date | None = None
    finished: Date | None = None
    state: State = "finished"
    command: list[str] = field(default_factory=list)
    grid: str = ""
    machine: Machine = field(default_factory=Machine)
    threads: Threads = field(default_factory=Threads)
    precheck: Precheck | None = None
    load_average: LoadAverage = field(default_factory=LoadAverage)
    versions: dict[str, str] = field(default_factory=dict)
    source: Source = field(default_factory=Source)
    array: Array | None = None
    implementations: list[Implementation] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    rounds: Count = 0
    disturbance: list[Disturbance] | None = None
    simulated: bool = False
    device: dict[str, Any] | None = None

    @property
    def identity(self) -> str:
        """What results are kept by: the commit, or the content of the files where there is none."""
        return self.source.commit or self.source.content or "unknown"

    def save(self, folder: Path) -> None:
        """Write `run.json` into a folder."""
        files.write_json(folder / FILE, self.as_json())


def load(folder: Path, problems: Problems) -> RunRecord | None:
    """The record of a run folder; None where it has none that can be used."""
    path = folder / FILE
    value = reading.load_object(path, problems)
    if value is None:
        return None
    schema = value.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        problems.add(path, "", f"schema {called(schema)}, expected {SCHEMA}")
        return None
    return reading.read(RunRecord, value, path, problems)


def now() -> datetime.datetime:
    """The time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)
