"""Writes results that asv did not measure in asv's format, so that everything that reads its results reads them."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..system import files
from .asv_results import FORMAT
from .run import Machine

COLUMNS = ["result", "params", "version", "started_at", "stats_ci_99_a", "stats_ci_99_b", "stats_number", "samples"]

Params = tuple[str, ...]
Row = dict[str, Any]
Rows = tuple[list[list[str]], Mapping[Params, Row]]


def machine_folder(folder: Path, machine: Machine) -> Path:
    """Make the folder for a machine's result files in a run's folder, with asv's description of the machine in it."""
    name = files.safe_name(machine.name)
    where = files.inside(folder / "asv" / "results", name)
    where.mkdir(parents=True, exist_ok=True)
    files.write_json(where / "machine.json", {**asv_machine(name, machine), "version": 1})
    return where


def asv_machine(name: str, machine: Machine) -> dict[str, str]:
    """A machine as asv describes it."""
    return {
        "machine": name, "cpu": machine.cpu, "arch": machine.arch, "os": machine.os,
        "ram": str(machine.memory_bytes), "num_cpu": str(machine.cores_logical),
    }  # fmt: skip


def describe(where: Path, benchmarks: Mapping[str, tuple[Mapping[str, Sequence[str]], str, str]]) -> None:
    """Write benchmarks.json beside a machine's folder: name -> (parameters with their values, unit, what it is)."""
    described: dict[str, Any] = {
        name: {
            "name": name, "param_names": list(params), "params": list(map(list, params.values())), "unit": unit,
            "type": "time" if unit == "seconds" else "track", "version": "1", "code": "", "doc": text,
        }
        for name, (params, unit, text) in benchmarks.items()
    }  # fmt: skip
    files.write_json(where.parent / "benchmarks.json", {**described, "version": 2})


def write(
    where: Path,
    name: str,
    commit: str,
    version: str,
    results: Mapping[str, tuple[list[list[str]], Mapping[Params, Row]]],
    missing: float | None = math.nan,
) -> None:
    """Write one result file: `content` in the machine's folder, `where`."""
    files.write_json(path(where, name, commit), content(where.name, name, commit, version, results, missing))


def content(
    machine: str,
    name: str,
    commit: str,
    version: str,
    results: Mapping[str, tuple[list[list[str]], Mapping[Params, Row]]],
    missing: float | None = math.nan,
) -> dict[str, Any]:
    """What a result file holds.

    Args:
        name: of the environment, which the file is named after.
        version: of the benchmarks.
        results: benchmark -> (the values of each parameter, the rows of those sets of parameters that have one).
        missing: the result of those that have none: NaN means skipped, None failed.
    """
    written = {}
    for benchmark, (lists, rows) in results.items():
        full = [rows.get(params, {"result": missing}) for params in itertools.product(*lists)]
        columns: dict[str, Any] = {key: [row.get(key) for row in full] for key in COLUMNS}
        started = next((row["started_at"] for row in full if "started_at" in row), None)
        columns.update(params=lists, version=version, started_at=started)
        written[benchmark] = [columns[key] for key in COLUMNS]
    return {
        "commit_hash": commit, "env_name": name, "date": int(time.time() * 1000), "params": {"machine": machine},
        "python": "", "requirements": {}, "env_vars": {}, "result_columns": COLUMNS, "results": written,
        "durations": {}, "version": FORMAT,
    }  # fmt: skip


def path(where: Path, name: str, commit: str) -> Path:
    """The result file of an environment and a commit in a machine's folder, as asv names it."""
    return where / f"{commit[:8]}-{name}.json"


def sampled(samples: Sequence[float], number: int) -> Row:
    """The row of a time: seconds a call, of each sample of `number` calls.

    Without an interval where asv is not installed: a device report needs it for nothing else.
    """
    row = {
        "result": statistics.median(samples), "samples": list(samples), "stats_number": number,
        "started_at": int(time.time() * 1000),
    }  # fmt: skip
    try:
        from asv_runner.statistics import compute_stats
    except ModuleNotFoundError:
        return row
    _, stats = compute_stats(list(samples), number)
    return {**row, "stats_ci_99_a": stats["ci_99_a"], "stats_ci_99_b": stats["ci_99_b"]}


def absent(failed: bool) -> Row:
    """The row of what has no time: null where it failed, NaN where it was skipped."""
    return {"result": None if failed else math.nan, "started_at": int(time.time() * 1000)}
