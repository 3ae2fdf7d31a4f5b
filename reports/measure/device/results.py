"""The results of a device report in asv's format with the record and journal of a run, written as they come."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maxbench.bench.inputs import device_cells
from maxbench.bench.processes.messages import AnyTask, CellTask, Outcome
from maxbench.bench.suite import startup

from ...records import asv_writing, journal
from ...records.asv_writing import Params
from ...records.journal import Line
from ...records.run import RunRecord
from ..cells import MOST_DETAIL

SIMULATED = "Simulated"  # before a benchmark's name: no report ranks those
_DTYPED = ["implementation", "dtype"]
# AnyTask kind -> (benchmark, names of its parameters, what it is, unit).
_BENCHMARKS = {
    "launch": ("Launch", _DTYPED, "Seconds that Python takes to start a call on 32 elements.", "seconds"),
    "api": ("Api", [*_DTYPED, "n"], "The public function on a host array, copies included.", "seconds"),
    "transfer": ("Transfer", _DTYPED, "A copy between host and device.", "seconds"),
    "memory": ("DeviceMemory", _DTYPED, "Device memory of a call beyond x and its result.", "bytes"),
    "start": ("Start", _DTYPED, "Loading and the first call.", "seconds"),
}
NOT_STORED = ("check", "describe")  # kinds of tasks whose outcome is in the run record and the agreement file
_METHODS = {"memory": ["track_peak_memory"], "start": ["track_load", "track_first_call_cold", "track_first_call_warm"]}
_TIMED = ["time_call"]


class Results:
    """Result files of a folder, one for each dtype and kind, so that every set of parameters in a file was planned.

    Args:
        folder: of the run.
        tasks: everything that is to be recorded.
        record: of the run, for the machine and the commit.
        simulated: the figures are a simulator's.
    """

    def __init__(self, folder: Path, tasks: Sequence[AnyTask], record: RunRecord, simulated: bool) -> None:
        self._folder, self._simulated = folder, simulated
        self._where = asv_writing.machine_folder(folder, record.machine)
        self._commit = record.identity
        self._lists: dict[str, dict[str, list[list[str]]]] = {}  # file -> benchmark -> its parameter lists
        self._values: dict[tuple[str, Params], dict[str, Any]] = {}
        self.failures: dict[tuple[str, Params], str] = {}
        described: dict[str, tuple[dict[str, list[str]], str, str]] = {}
        for task in tasks:
            if task.kind in NOT_STORED:
                continue
            names, text, unit = self._about(task)
            for method in _METHODS.get(task.kind, _TIMED):
                benchmark = f"{self.benchmark(task)}.{method}"
                values = described.setdefault(benchmark, ({name: [] for name in names}, unit, text))[0]
                lists = self._lists.setdefault(self._file(task), {}).setdefault(benchmark, [[] for _ in names])
                for part, params in itertools.product(task.names, [self._params(task)]):
                    for known, value in zip((*lists, *values.values()), (repr(part), *params) * 2, strict=True):
                        if value not in known:
                            known.append(value)
        asv_writing.describe(self._where, described)
        for file in self._lists:
            self._write(file)

    def benchmark(self, task: AnyTask) -> str:
        """``operation.Class`` of a task."""
        name = task.cell.benchmark if isinstance(task, CellTask) else _BENCHMARKS[task.kind][0]
        return f"{task.operation}.{SIMULATED if self._simulated else ''}{name}"

    def record(self, task: AnyTask, name: str, found: Outcome) -> None:
        """Keep the outcome of one part of a task: a line of the journal, then the result file."""
        if task.kind in NOT_STORED:
            return
        params = (repr(name), *self._params(task))
        benchmark = self.benchmark(task)
        line = Line(
            benchmark=benchmark, params=list(params), status=found.status, detail=found.detail[:MOST_DETAIL],
            pid=os.getpid(), at=time.time(), shape=self._shape(task), dtype=self._dtype(task),
            repeat=len(found.samples) if found.samples else None, number=found.number, copies=found.copies,
            beyond_cache=found.beyond_cache, ways=found.ways,
        )  # fmt: skip
        if found.status in ("failed", "wrong"):
            self.failures[benchmark, params] = line.detail
        journal.append(self._folder / journal.FILE, line)
        for method in _METHODS.get(task.kind, _TIMED):
            self._values[f"{benchmark}.{method}", params] = _value(found, method)
        self._write(self._file(task))

    def _about(self, task: AnyTask) -> tuple[list[str], str, str]:
        if not isinstance(task, CellTask):
            _, names, text, unit = _BENCHMARKS[task.kind]
            return names, text, unit
        last = "workload" if task.cell.benchmark == "Workloads" else "n"
        return [*_DTYPED, last], "Device time of one call on resident arrays.", "seconds"

    def _params(self, task: AnyTask) -> Params:
        if isinstance(task, CellTask):
            return (repr(task.cell.dtype), repr(task.cell.label))
        return (repr("float32"), repr(1024)) if task.kind == "api" else (repr("float32"),)

    def _dtype(self, task: AnyTask) -> str:
        return task.cell.dtype if isinstance(task, CellTask) else "float32"

    def _shape(self, task: AnyTask) -> list[int] | None:
        from maxbench.bench.workers.device import SIMULATED_SHAPE

        small = list(SIMULATED_SHAPE)
        shapes = {
            "launch": list(device_cells.LAUNCH_SHAPE),
            "api": small if self._simulated else list(device_cells.API_SHAPE),
            "start": list(startup.START_SHAPE),
        }
        return list(task.cell.shape) if isinstance(task, CellTask) else shapes.get(task.kind)

    def _file(self, task: AnyTask) -> str:
        if not isinstance(task, CellTask):
            return task.kind
        return f"{task.cell.benchmark.lower()}-{task.cell.dtype}"

    def _write(self, file: str) -> None:
        results = {
            benchmark: (lists, {params: row for (name, params), row in self._values.items() if name == benchmark})
            for benchmark, lists in self._lists[file].items()
        }
        asv_writing.write(self._where, f"device-{file}", self._commit, "device 1", results)


def _value(found: Outcome, method: str) -> dict[str, Any]:
    """A row of asv's columns: null where something failed, NaN where it was skipped."""
    if found.status != "ok":
        return asv_writing.absent(found.status in ("failed", "wrong"))
    if found.samples and found.number:
        return asv_writing.sampled(found.samples, found.number)
    return {"result": (found.values or {}).get(method), "started_at": int(time.time() * 1000)}
