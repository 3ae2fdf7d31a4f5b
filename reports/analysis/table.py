"""The tidy table: one row per measurement, from every kind of results folder."""

from __future__ import annotations

import datetime
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from maxbench.bench.inputs import workloads
from maxbench.impls import contract

from ..records import runs
from ..records.asv_results import Measurement, ResultFile, literal
from ..records.journal import Line
from . import rules

# Every column, in order: (name, what it holds, unit).
COLUMNS = (
    ("run", "which run or commit the row is from: the run's id, or machine/commit", ""),
    ("machine", "the machine's name", ""),
    ("commit", "the commit measured, 40 hexadecimal digits", ""),
    ("date", "when it was measured, UTC", ""),
    ("operation", "softmax or argmax", ""),
    ("implementation", "name of the implementation", ""),
    (
        "benchmark",
        "name of the benchmark class: Sweep, Strided, Workloads, Own, Shapes, Ceiling, Api, Start, Memory, Accuracy, "
        "Orders, Chunked",
        "",
    ),
    (
        "statistic",
        "what was measured: time (of one call), first_call, load, peak_memory, largest_error, typical_error, "
        "loads (how often each element of the input is read)",
        "",
    ),
    ("dtype", "dtype of the input", ""),
    ("workload", "name of the workload, empty elsewhere", ""),
    ("n", "length of the reduced axis", "elements"),
    ("outer", "product of the axes before it", "elements"),
    ("inner", "product of the axes after it", "elements"),
    ("order", "order of the input's values (Orders only)", ""),
    ("cache", "state of the compile cache (Start only): cold or warm", ""),
    ("threads", "CPU threads that the run gave to implementations that use many", ""),
    ("value", "the median over processes of each process's median; NaN unless status is ok", "see unit"),
    ("unit", "s (seconds), B (bytes), ulp (units in the last place) or times", ""),
    ("low", "lower end of the interval", "see unit"),
    ("high", "upper end of the interval", "see unit"),
    (
        "interval",
        "range of process medians, from 9 processes on their 95% interval, asv 99% interval, or none",
        "",
    ),
    ("processes", "processes that measured it, NaN where the samples cannot be told apart", ""),
    ("samples", "samples over all processes", ""),
    ("process_medians", "the median of each process, in the order they ran", "see unit"),
    ("bandwidth", "least bytes of the operation over value", "GB/s (10^9 bytes)"),
    ("status", "ok, failed, skipped, wrong or interrupted", ""),
    ("reason", "why it is not ok, or how it differs from the contract", ""),
)
NAMES = [name for name, _, _ in COLUMNS]

RANGE, ORDER_95 = "range of process medians", "95% interval of process medians"
ASV_99, NONE = "asv 99% interval", "none"
_UNITS = {
    "time": "s",
    "first_call_cold": "s",
    "first_call_warm": "s",
    "load": "s",
    "peak_memory": "B",
    "largest_error": "ulp",
    "typical_error": "ulp",
    "loads": "times",
}
_PARAMETERS = {"dtype", "workload", "n", "rows", "order", "cache", "threads"}
# The parameters after the implementation, where asv's benchmarks.json is not at hand to name them.
_PARAM_NAMES = {
    "Sweep": ("dtype", "n"),
    "Workloads": ("dtype", "workload"),
    "Own": (),
    "Shapes": ("dtype", "rows", "n"),
    "Threads": ("dtype", "n", "threads"),
    "Orders": ("dtype", "order"),
    "Start": ("dtype",),
    "Memory": ("dtype",),
    "Chunked": ("dtype",),
}
_LATEST = datetime.datetime(2200, 1, 1, tzinfo=datetime.UTC).timestamp()
_LARGEST = 2**53  # of a length that is a number


def load(*folders: str | Path) -> pd.DataFrame:
    """The measurements of one or more results folders, one per row.

    Each folder is one that ``maxbench run`` wrote, or asv's own results folder. The columns are those of
    `COLUMNS`; times are in seconds, memory in bytes, sizes in elements, bandwidth in GB/s (10^9 bytes).

    Raises:
        reports.records.runs.NoResults: a folder is missing or holds no results.
    """
    return frame([runs.read(Path(folder)) for folder in folders])


def frame(stored: Sequence[runs.Run]) -> pd.DataFrame:
    """The same from runs that have been read."""
    rows = [row for run in stored for file in run.results.files for row in _rows(run, file)]
    with pd.option_context("mode.string_storage", "python"):  # Arrow's strings are slow to go through one by one
        table = pd.DataFrame(rows, columns=NAMES)
    for name in ("n", "outer", "inner", "threads", "processes", "samples"):
        table[name] = pd.to_numeric(table[name], errors="coerce").astype("Int64")
    for name in ("value", "low", "high", "bandwidth"):
        table[name] = table[name].astype(float)
    # The user's array has one dtype; a process that could not load its implementation did not see the array.
    own = table["benchmark"] == "Own"
    known = table[own & (table["dtype"] != "")].groupby(["run", "operation"])["dtype"].first()
    for index in table.index[own & (table["dtype"] == "")]:
        table.loc[index, "dtype"] = known.get((table.loc[index, "run"], table.loc[index, "operation"]), "")
    table["date"] = pd.to_datetime(table["date"], utc=True, errors="coerce")
    return table


def label(run: runs.Run, file: ResultFile) -> str:
    """What the column ``run`` says for a result file."""
    if run.about.id:
        return run.about.id
    same = {f.environment for f in run.results.files if (f.machine, f.commit) == (file.machine, file.commit)}
    return f"{file.machine}/{file.commit[:8]}{f' {file.environment}' if len(same) > 1 else ''}"


def _rows(run: runs.Run, file: ResultFile) -> Iterator[dict[str, Any]]:
    common = {
        "run": label(run, file),
        "machine": file.machine if run.record is None else run.record.machine.name,
        "commit": file.commit,
        "threads": run.about.threads.numba,
    }
    started = run.about.started and run.about.started.timestamp()
    for measurement in file.measurements:
        operation, _, rest = measurement.benchmark.partition(".")
        benchmark, _, method = rest.rpartition(".")
        if operation not in contract.OPERATIONS or not benchmark:
            continue
        date = started or measurement.started or file.date
        statistic, unit = _statistic(run, measurement.benchmark, method)
        notes = run.journal.get((f"{operation}.{benchmark}", measurement.params), [])
        row: dict[str, Any] = {
            **common,
            "date": datetime.datetime.fromtimestamp(date, datetime.UTC) if date and date < _LATEST else None,
            "operation": operation,
            "benchmark": benchmark,
            "statistic": statistic,
            "unit": unit,
            **_named(run, measurement, benchmark),
        }
        if statistic.startswith("first_call_"):
            row["statistic"], row["cache"] = "first_call", statistic.removeprefix("first_call_")
        row["outer"], row["n"], row["inner"] = _shape(row, notes)
        if row["dtype"] is None:
            row["dtype"] = next((note.dtype for note in notes if note.dtype), "")
        row["status"], row["reason"] = _status(measurement, notes)
        if row["status"] == "ok":
            estimate = estimate_of(measurement, notes)
            row.update(vars(estimate))
            if statistic == "time":
                row["bandwidth"] = _bandwidth(operation, row)
        row.pop("rows", None)  # a parameter that the column `outer` holds
        yield row


def _statistic(run: runs.Run, name: str, method: str) -> tuple[str, str]:
    kind, _, what = method.partition("_")
    statistic = {"time_call": "time", "peakmem_call": "peak_memory"}.get(method, what if kind == "track" else method)
    known = run.results.benchmarks.get(name, {}).get("unit")
    return statistic, _UNITS.get(statistic) or {"seconds": "s", "bytes": "B"}.get(str(known), str(known or ""))


def _named(run: runs.Run, measurement: Measurement, benchmark: str) -> dict[str, Any]:
    """The parameters by their names; those without a column of their own go into `workload` as name=value."""
    names = run.results.benchmarks.get(measurement.benchmark, {}).get("param_names")
    if not isinstance(names, list) or len(names) != len(measurement.params):
        names = ["implementation", *_PARAM_NAMES.get(benchmark, ("dtype", "n"))]
    row: dict[str, Any] = {"implementation": "", "dtype": None, "workload": "", "order": "", "cache": ""}
    others = []
    for name, text in zip(names, measurement.params, strict=False):
        value = literal(text)
        if name == "implementation" or name in _PARAMETERS:
            if name in ("n", "rows", "threads") and type(value) is int:
                row[name] = value if 1 <= value <= _LARGEST else None
            else:
                row[name] = str(value)
        else:
            others.append(f"{name}={value}")
    if others:
        row["workload"] = ", ".join([row["workload"], *others] if row["workload"] else others)
    return row


def _shape(row: dict[str, Any], notes: Sequence[Line]) -> tuple[int, int, int] | tuple[None, Any, None]:
    """(outer, n, inner): as the process noted it, else as the benchmark defines it."""
    for note in reversed(notes):
        if note.shape is not None:
            return (note.shape[0], note.shape[1], note.shape[2])
    n = row.get("n")
    match row["benchmark"]:
        case "Sweep" | "Api" if isinstance(n, int):
            return workloads.sweep_shape(n)
        case "Shapes" if isinstance(n, int) and isinstance(row.get("rows"), int):
            return (row["rows"], n, 1)
        case "Workloads" if row["workload"] in workloads.ALL:
            return workloads.ALL[row["workload"]].shape
    return (None, n, None)


def _status(measurement: Measurement, notes: Sequence[Line]) -> tuple[str, str]:
    """The status and its reason, from asv's null or NaN and from what the processes noted."""
    for note in notes:  # one wrong process is enough: a wrong implementation is not ranked
        if note.status == "wrong":
            return "wrong", note.detail
    if measurement.status == "ok" and measurement.benchmark.endswith(".time_call"):
        for note in notes:  # so is one process that crashed
            if note.status == "failed":
                return "failed", note.detail
    if measurement.status == "ok":  # timed although it differs from the contract: as its author has declared
        return "ok", next((note.detail for note in notes if note.status == "ok" and note.detail), "")
    # A run that is being stopped fails the cells still to come, so that asv measures them when it is resumed.
    if notes and notes[-1].status == "interrupted":
        return "interrupted", notes[-1].detail
    noted = [note.detail for note in notes if note.status == measurement.status]
    if noted:
        return measurement.status, noted[-1]
    if measurement.status == "failed" and notes:
        return "failed", "the process ended without a result: it crashed, ran out of memory or out of time"
    return (
        measurement.status,
        f"asv recorded {'a failure' if measurement.status == 'failed' else 'a skip'} without a reason",
    )


@dataclass(frozen=True)
class Estimate:
    """A value with its interval over processes."""

    value: float
    low: float
    high: float
    interval: str
    processes: int | None
    samples: int
    process_medians: tuple[float, ...]


def estimate_of(measurement: Measurement, notes: Sequence[Line]) -> Estimate:
    """The value of a measurement: over processes where its samples can be told apart by process, else asv's."""
    method = measurement.benchmark.rpartition(".")[2].removeprefix("track_")
    each = next((m for note in reversed(notes) if (m := _noted(note, method))), ())
    if each:
        return _over(each, len(each))
    groups = by_process(measurement.samples, [note.repeat for note in notes if note.status == "ok"])
    medians = tuple(statistics.median(group) for group in groups)
    count = len(measurement.samples)
    if len(medians) > 1:
        return _over(medians, count)
    low, high = measurement.low, measurement.high
    processes = len(medians) or (1 if notes and not measurement.samples else None)
    if low is None or high is None:
        return Estimate(measurement.value, math.nan, math.nan, NONE, processes, count or 1, medians)
    return Estimate(measurement.value, low, high, ASV_99, processes, count, medians)


def _over(medians: tuple[float, ...], samples: int) -> Estimate:
    """The estimate from the medians of several processes."""
    low, high = rules.interval(medians)
    kind = RANGE if (low, high) == (min(medians), max(medians)) else ORDER_95
    return Estimate(statistics.median(medians), low, high, kind, len(medians), samples, medians)


def _noted(note: Line, method: str) -> tuple[float, ...]:
    """What each of several processes measured, where one number is all that asv keeps: ``processes`` of a note."""
    values = (note.processes or {}).get(method, ())
    return tuple(values) if len(values) > 1 else ()


def by_process(samples: Sequence[float], repeats: Sequence[int | None]) -> list[Sequence[float]]:
    """Split samples into those of each process, given how many each of them took; [] where that does not add up.

    asv appends the samples of one process after the other. The counts are those at the end of the journal, whose
    earlier lines may be of processes whose samples asv has replaced.
    """
    groups: list[Sequence[float]] = []
    end = len(samples)
    for repeat in reversed(repeats):
        if repeat is None or repeat > end:
            return []
        groups.insert(0, samples[end - repeat : end])
        end -= repeat
        if end == 0:
            return groups
    return []


def _bandwidth(operation: str, row: dict[str, Any]) -> float:
    try:
        itemsize = contract.dtypes.named(row["dtype"]).itemsize
        least = contract.OPERATIONS[operation].least_bytes(row["outer"], row["n"], row["inner"], itemsize)
        return float(least / row["value"] / 1e9)
    except (TypeError, ZeroDivisionError):
        return math.nan
