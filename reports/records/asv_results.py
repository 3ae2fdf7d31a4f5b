"""Reads asv's result files: JSON of version 2, one file per machine, commit and environment.

asv's Python interface to them is not documented, the format is: ``results`` maps a benchmark's name to a row with
``result_columns`` as its columns; values are flat in the order of ``itertools.product(*params)``; trailing nulls are
cut off a row. ``null`` is a failure and ``NaN`` a skip, which a cast to float would lose.
"""

from __future__ import annotations

import ast
import functools
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta
from msgspec import field as default

from maxbench.bench.processes.link import called, printable
from maxbench.bench.processes.messages import Amount, Seconds

from . import reading
from .reading import Problems, Record, Unreadable

Status = Literal["ok", "failed", "skipped"]
FORMAT = 2
BENCHMARKS = "benchmarks.json"
NOTES = "maxbench"  # what `maxbench history` adds to a result file; asv ignores it
MOST_CELLS = 1_000_000  # of a benchmark: asv writes the product of its parameters, which a damaged file makes huge
MOST_LITERAL = 4096  # characters of a parameter that is evaluated
_MACHINE = r"^(?!\.{1,2}$)[^/\\\x00-\x1f\x7f]{1,200}$"  # a name that asv makes a folder of
_NEAR = 1e-9  # of a value: rounding of quantiles


class Notes(Record):
    """What ``maxbench history`` notes in a result file: the grid, how it was measured, and what chose the cells."""

    grid: str | None = None
    conditions: dict[str, str] = default(default_factory=dict)
    select: list[str] | None = None


class _File(Record):
    """A result file, before the rows of its benchmarks are read."""

    commit_hash: Annotated[str, Meta(min_length=1, max_length=200)]
    env_name: Annotated[str, Meta(max_length=1000)]
    params: dict[str, Any]
    result_columns: list[str]
    results: dict[str, Any]
    date: Amount | None = None
    requirements: dict[str, str | None] = default(default_factory=dict)
    maxbench: Notes | None = None


class _Benchmark(Record):
    """An entry of benchmarks.json, as far as it is used here."""

    param_names: list[str] | None = None
    params: list[list[str]] | None = None
    unit: str | None = None
    version: str | int | None = None


@dataclass(frozen=True)
class Measurement:
    """One value of one benchmark for one set of parameters.

    Attributes:
        benchmark: asv's name for it, ``softmax.Sweep.time_call``.
        params: the parameters as asv writes them, with `repr`.
        status: failed where asv has null, skipped where it has NaN.
        value: asv's result: the median of all samples for a timing.
        samples: every sample, or none where asv did not record them.
        low, high: asv's 99% interval, or None.
        started: when asv began to measure it, in seconds since 1970, or None.
    """

    benchmark: str
    params: tuple[str, ...]
    status: Status
    value: float
    samples: tuple[float, ...]
    low: float | None
    high: float | None
    started: float | None = None


@dataclass(frozen=True)
class ResultFile:
    """What one of asv's result files holds.

    Attributes:
        versions: those of its benchmarks, by name.
        grid: the grid that it was measured with, where ``maxbench history`` noted it.
        conditions: how it was measured, as noted there: threads, waiting, samples.
        select: the expressions that chose what was measured, as noted there; None where they are not.
    """

    path: Path
    machine: str
    commit: str
    environment: str
    date: float | None
    requirements: dict[str, str]
    measurements: tuple[Measurement, ...]
    versions: dict[str, str] = field(default_factory=dict)
    grid: str | None = None
    conditions: dict[str, str] = field(default_factory=dict)
    select: tuple[str, ...] | None = None


@dataclass
class Results:
    """The result files of a folder, the machines they are from, and what was set aside."""

    files: list[ResultFile] = field(default_factory=list)
    machines: dict[str, dict[str, str]] = field(default_factory=dict)
    benchmarks: dict[str, dict[str, Any]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def read(folder: Path, within: Path | None = None) -> Results:
    """Every result file under an asv results folder; what cannot be used becomes a warning that names it.

    Args:
        within: the folder that links must not lead out of, where it is another.
    """
    results, problems = Results(), Problems(within or folder)
    for path in sorted(folder.glob("*.json")) + sorted(folder.glob("*/*.json")):
        data = reading.load_object(path, problems)
        if data is None or (path.parent == folder and path.name != BENCHMARKS):
            continue
        if path.name == BENCHMARKS:
            # asv keeps one for all machines, `maxbench history` one for each, so that none writes another's files.
            for name, about in _benchmarks(path, data, problems):
                known = results.benchmarks.get(name)
                results.benchmarks[name] = about if known is None else joined(known, about)
        elif path.name == "machine.json":
            results.machines[path.parent.name] = {str(k): str(v) for k, v in data.items()}
        elif (file := parse(path, data, problems)) is not None:
            results.files.append(file)
    results.warnings = problems.lines()
    return results


def _benchmarks(path: Path, data: Mapping[str, Any], problems: Problems) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, about in data.items():
        if isinstance(about, dict):
            count = len(problems.found)
            reading.read(_Benchmark, about, path, problems, f"{name}.")
            if len(problems.found) > count:
                continue
            if math.prod(map(len, about.get("params") or ())) > MOST_CELLS:
                problems.add(path, f"{name}.params", f"more than {MOST_CELLS:,} sets of parameters")
            else:
                yield name, about


def joined(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """A benchmark with the parameters of both: results of either then fit into it."""
    if len(first.get("params", ())) != len(second.get("params", ())):
        return second
    pairs = zip(first.get("params", ()), second.get("params", ()), strict=True)
    return second | {"params": [list(dict.fromkeys([*a, *b])) for a, b in pairs]}


def read_file(path: Path) -> ResultFile:
    """One result file.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, or of another format.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    problems = Problems(path.parent)
    data = reading.load_object(path, problems)
    file = None if data is None else parse(path, data, problems)
    if file is None or problems.found:
        raise ValueError("; ".join(problems.lines()))
    return file


def parse(path: Path, data: dict[str, Any], problems: Problems) -> ResultFile | None:
    """The content of a result file; None where it is none."""
    if data.get("version") != FORMAT or "results" not in data:
        what = f"format version {called(data.get('version'))}, expected {FORMAT}"
        problems.add(path, "", what if "results" in data else "not an asv result file (it has no results)")
        return None
    head = reading.read(_File, data, path, problems)
    if head is None:
        return None
    machine = head.params.get("machine", path.parent.name)
    try:
        reading.convert(Annotated[str, Meta(pattern=_MACHINE)], machine)
    except Unreadable as error:
        problems.add(path, "params.machine", str(error))
        machine = path.parent.name
    found: list[Measurement] = []
    versions: dict[str, str] = {}
    for name, cells in head.results.items():
        # Old asv wrote a bare value for a benchmark without parameters.
        row = dict(zip(head.result_columns, cells, strict=False)) if isinstance(cells, list) else {"result": [cells]}
        try:
            found.extend(_measurements(name, row, path, problems))
        except Unreadable as error:
            problems.add(path, name, str(error))
            continue
        if isinstance(version := row.get("version"), str | int):
            versions[name] = str(version)
    notes = head.maxbench or Notes()
    return ResultFile(
        path=path,
        machine=machine,
        commit=head.commit_hash,
        environment=head.env_name,
        date=None if head.date is None else head.date / 1000,
        requirements={name: version or "" for name, version in head.requirements.items()},
        measurements=tuple(found),
        versions=versions,
        grid=notes.grid,
        conditions=notes.conditions,
        select=None if notes.select is None else tuple(notes.select),
    )


def _measurements(name: str, row: Mapping[str, Any], path: Path, problems: Problems) -> Iterator[Measurement]:
    lists = reading.convert(list[list[str]], row.get("params") or [])
    count = math.prod(map(len, lists))
    if count > MOST_CELLS:
        raise Unreadable(f"has {count:,} sets of parameters, more than the {MOST_CELLS:,} that are read")

    def column(key: str) -> list[Any]:
        values = row.get(key)
        if values is None:
            return [None] * count
        if not isinstance(values, list) or len(values) != count:
            raise Unreadable(f"{key} does not hold one value for each of {count:,} sets of parameters")
        return values

    try:
        started: float | None = reading.convert(Amount | None, row.get("started_at"))
    except Unreadable as error:
        problems.add(path, f"{name}.started_at", str(error))
        started = None
    columns = (column(key) for key in ("result", "samples", "stats_ci_99_a", "stats_ci_99_b"))
    kind = Seconds if name.rpartition(".")[2].startswith("time") else Amount
    for params, value, samples, low, high in zip(itertools.product(*lists), *columns, strict=True):
        try:
            yield _measurement(name, params, kind, value, samples, (low, high), started and started / 1000)
        except Unreadable as error:
            problems.add(path, f"{name}({', '.join(params)})", f"left out: {error}")


def _measurement(
    name: str, params: tuple[str, ...], kind: Any, value: Any, samples: Any, interval: tuple[Any, Any],
    started: float | None,
) -> Measurement:  # fmt: skip
    if value is None or (isinstance(value, float) and math.isnan(value)):
        status: Status = "failed" if value is None else "skipped"
        return Measurement(name, params, status, math.nan, (), None, None, started)
    number: float = reading.convert(kind, value)
    taken: tuple[float, ...] = tuple(reading.convert(list[kind], samples or []))
    if taken and not min(taken) * (1 - _NEAR) <= number <= max(taken) * (1 + _NEAR):
        raise Unreadable(f"its result {number:g} is not the median of its samples, {min(taken):g} to {max(taken):g}")
    low, high = (_end(end) for end in interval)
    if low is None or high is None or low < 0:  # what asv gives for a few samples: no interval of times
        return Measurement(name, params, "ok", number, taken, None, None, started)
    if not low * (1 - _NEAR) <= number <= high * (1 + _NEAR):
        raise Unreadable(f"its interval, {low:g} to {high:g}, does not contain its result {number:g}")
    return Measurement(name, params, "ok", number, taken, low, high, started)


def _end(value: Any) -> float | None:
    """An end of an interval; None where it is unknown or infinite."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    end: float = reading.convert(float, value)
    return end


@functools.cache
def literal(param: str) -> Any:
    """The value of a parameter that asv wrote with `repr`; the text itself where it is no literal."""
    if len(param) > MOST_LITERAL:
        return param
    try:
        value = ast.literal_eval(param)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return param
    return printable(value) if isinstance(value, str) else value
