"""What the journal of a run holds of its measurements, as the rows of asv's result files."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from maxbench.bench.suite.base import INTERRUPTED

from ..system import files
from . import asv_results, asv_writing
from .asv_writing import Row, Rows
from .journal import Journal, Line
from .reading import Problems
from .run import RunRecord

ENVIRONMENT = "existing"  # the name that asv's files have for the Python that runs


def _value(line: Line, method: str) -> float | None:
    """What a line holds for a method of asv other than `time_call`."""
    return (line.values or {}).get(method)


def has(line: Line, benchmark: str) -> bool:
    """Whether a line settles a benchmark's cell: with a measurement of it, or because it was skipped."""
    if line.status == "ok":
        method = benchmark.rpartition(".")[2]
        return bool(line.samples) if method.startswith("time_") else _value(line, method) is not None
    return line.status == "skipped"


def rows(benchmarks: Mapping[str, Mapping[str, Any]], journal: Journal) -> dict[str, Rows]:
    """What was measured: benchmark -> its lists of parameters, and the row of each set of them that has lines.

    Args:
        benchmarks: as asv's benchmarks.json describes them, those to take by their names.
    """
    found: dict[str, Rows] = {}
    for name, benchmark in benchmarks.items():
        lists = [list(map(str, values)) for values in benchmark["params"]]
        lines = ((params, journal.get((name.rpartition(".")[0], params), [])) for params in itertools.product(*lists))
        found[name] = lists, {params: _row(name, of) for params, of in lines if of}
    return found


def _row(name: str, lines: Sequence[Line]) -> Row:
    measured = [line for line in lines if line.status == "ok" and has(line, name)]
    method = name.rpartition(".")[2]
    if not measured:
        return asv_writing.absent(lines[-1].status != "skipped")
    at = measured[0].at
    started = {"started_at": None if at is None else int(1000 * at)}
    if method.startswith("time_"):
        # To asv every sample is one call.
        return asv_writing.sampled([sample for line in measured for sample in line.samples or ()], 1) | started
    return {"result": _value(measured[-1], method), **started}


def content(benchmarks: Mapping[str, Mapping[str, Any]], journal: Journal, machine: str, commit: str) -> dict[str, Any]:
    """The result file of a run; a cell without a line has failed."""
    version = next((str(benchmark.get("version", "")) for benchmark in benchmarks.values()), "")
    return asv_writing.content(machine, ENVIRONMENT, commit, version, rows(benchmarks, journal), missing=None)


def complete(folder: Path, record: RunRecord, results: asv_results.Results, journal: Journal) -> None:
    """Let a run that has not finished have all that its journal holds; its result file is as old as its last round.

    Cells without a line are noted as interrupted. Runs whose journal has no measurements, which older versions wrote,
    stay as they are.
    """
    if not any(line.samples or line.values for line in itertools.chain(*journal.values())):
        return
    described = {name: about for name, about in results.benchmarks.items() if "params" in about}
    machine = files.safe_name(record.machine.name)
    stored = content(described, journal, machine, record.identity)
    file = asv_results.parse(folder / "asv" / "results" / machine, stored, Problems(folder))
    results.files = [] if file is None else [file]
    for name, *params in cells(described):
        key = name.rpartition(".")[0], tuple(params)
        if key not in journal:
            journal[key] = [Line(benchmark=key[0], params=params, status="interrupted", detail=INTERRUPTED)]


def cells(benchmarks: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """(benchmark, parameters...) in the order in which asv runs them."""
    for name, benchmark in sorted(benchmarks.items()):
        for params in itertools.product(*benchmark["params"]):
            yield (name, *params)
