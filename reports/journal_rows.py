"""What the journal of a run holds of its measurements, as the rows of asv's result files.

The line of a cell that was measured has its ``samples``, or by asv's method its ``values``, and is on disk before the
next cell begins: result files are made of the lines, and whatever ends a run loses nothing that was measured.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.base import INTERRUPTED

from . import asv_results, asv_writing
from .asv_writing import Row, Rows
from .runs import Journal, Run

MEASURED = ("samples", "values")
ENVIRONMENT = "existing"  # the name that asv's files have for the Python that runs

Line = Mapping[str, Any]


def folder_name(machine: str) -> str:
    """The name of a machine in paths."""
    return re.sub(r"[^\w.-]", "_", machine)


def samples(line: Line) -> list[float]:
    """The samples of a line, in seconds; none where it has none or what stands there is none."""
    found = line.get("samples")
    return list(map(float, found)) if isinstance(found, list) and all(_finite(one) is not None for one in found) else []


def value(line: Line, method: str) -> float | None:
    """What a line holds for a method of asv other than `time_call`."""
    found = line.get("values")
    number = found.get(method) if isinstance(found, dict) else None
    return _finite(number)


def has(line: Line, benchmark: str) -> bool:
    """Whether a line settles a benchmark's cell: with a measurement of it, or because it was skipped."""
    if line.get("status") == "ok":
        method = benchmark.rpartition(".")[2]
        return bool(samples(line)) if method.startswith("time_") else value(line, method) is not None
    return line.get("status") == "skipped"


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
    measured = [line for line in lines if line.get("status") == "ok" and has(line, name)]
    method = name.rpartition(".")[2]
    if not measured:
        return asv_writing.absent(lines[-1].get("status") != "skipped")
    at = _finite(measured[0].get("at"))
    started = {"started_at": None if at is None else int(1000 * at)}
    if method.startswith("time_"):
        # To asv every sample is one call.
        return asv_writing.sampled([sample for line in measured for sample in samples(line)], 1) | started
    return {"result": value(measured[-1], method), **started}


def content(benchmarks: Mapping[str, Mapping[str, Any]], journal: Journal, machine: str, commit: str) -> dict[str, Any]:
    """The result file of a run; a cell without a line has failed."""
    version = next((str(benchmark.get("version", "")) for benchmark in benchmarks.values()), "")
    return asv_writing.content(machine, ENVIRONMENT, commit, version, rows(benchmarks, journal), missing=None)


def complete(run: Run) -> None:
    """Let a run that has not finished have all that its journal holds; its result file is as old as its last round.

    Cells without a line are noted as interrupted. Runs whose journal has no measurements, which older versions wrote,
    stay as they are.
    """
    if not any(key in line for line in itertools.chain(*run.journal.values()) for key in MEASURED):
        return
    described = {name: about for name, about in run.results.benchmarks.items() if isinstance(about.get("params"), list)}
    machine = folder_name(str(run.get("machine", "name")))
    commit = str(run.get("source", "commit") or run.get("source", "content"))
    stored = content(described, run.journal, machine, commit)
    run.results.files = [asv_results.parse(run.folder / "asv" / "results" / machine, stored)]
    for name, *params in cells(described):
        key = name.rpartition(".")[0], tuple(params)
        if key not in run.journal:
            run.journal[key] = [{"benchmark": key[0], "params": params, "status": "interrupted", "detail": INTERRUPTED}]


def cells(benchmarks: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """(benchmark, parameters...) in the order in which asv runs them."""
    for name, benchmark in sorted(benchmarks.items()):
        for params in itertools.product(*benchmark["params"]):
            yield (name, *params)


def _finite(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and math.isfinite(value) else None
