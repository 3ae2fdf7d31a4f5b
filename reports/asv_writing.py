"""Writes results that asv did not measure in asv's format, so that everything that reads its results reads them."""

from __future__ import annotations

import itertools
import json
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asv.results import get_filename
from asv_runner.statistics import compute_stats

from . import files
from .asv_results import FORMAT

COLUMNS = ["result", "params", "version", "started_at", "stats_ci_99_a", "stats_ci_99_b", "stats_number", "samples"]
_OF_ROWS = ("result", "stats_ci_99_a", "stats_ci_99_b", "stats_number", "samples")

Params = tuple[str, ...]
Row = dict[str, Any]
Rows = tuple[list[list[str]], Mapping[Params, Row]]


def machine_folder(folder: Path, machine: Mapping[str, Any]) -> Path:
    """Make the folder for a machine's result files in a run's folder, with asv's description of the machine in it.

    Args:
        machine: as the side-car has it.
    """
    name = files.safe_name(machine["name"])
    where = files.inside(folder / "asv" / "results", name)
    where.mkdir(parents=True, exist_ok=True)
    files.write_json(where / "machine.json", {
        "machine": name, "cpu": str(machine["cpu"]), "arch": machine["arch"], "os": machine["os"],
        "ram": str(machine["memory_bytes"]), "num_cpu": str(machine["cores_logical"]), "version": 1,
    })  # fmt: skip
    return where


def describe(where: Path, benchmarks: Mapping[str, tuple[Sequence[str], str, str]]) -> None:
    """Write benchmarks.json beside a machine's folder: name -> (names of the parameters, unit, what it is)."""
    described: dict[str, Any] = {
        name: {"name": name, "param_names": list(names), "unit": unit, "code": "", "doc": text}
        for name, (names, unit, text) in benchmarks.items()
    }
    files.write_json(where.parent / "benchmarks.json", {**described, "version": 2})


def write(
    where: Path,
    name: str,
    commit: str,
    version: str,
    results: Mapping[str, tuple[list[list[str]], Mapping[Params, Row]]],
    missing: float | None = math.nan,
) -> None:
    """Write one result file.

    Args:
        where: the machine's folder.
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
    files.write_json(_file(where, name, commit), {
        "commit_hash": commit, "env_name": name, "date": int(time.time() * 1000), "params": {"machine": where.name},
        "python": "", "requirements": {}, "env_vars": {}, "result_columns": COLUMNS, "results": written,
        "durations": {}, "version": FORMAT,
    })  # fmt: skip


def rows(where: Path, name: str, commit: str) -> dict[str, dict[Params, Row]]:
    """The rows that `write` has written, or none: benchmark -> parameters -> row."""
    path = _file(where, name, commit)
    if not path.exists():
        return {}
    written = json.loads(path.read_text("utf-8"))
    found = {}
    for benchmark, values in written["results"].items():
        columns = dict(zip(written["result_columns"], values, strict=False))
        rows = {
            params: {key: columns[key][place] for key in _OF_ROWS if columns.get(key)}
            | {"started_at": columns["started_at"]}
            for place, params in enumerate(itertools.product(*columns["params"]))
        }
        found[benchmark] = {params: row for params, row in rows.items() if row.get("result") is not None}
    return found


def _file(where: Path, name: str, commit: str) -> Path:
    return Path(where.parent / get_filename(where.name, commit, name))


def sampled(samples: Sequence[float], number: int) -> Row:
    """The row of a time: seconds a call, of each sample of `number` calls."""
    _, stats = compute_stats(list(samples), number)
    return {
        "result": statistics.median(samples), "samples": list(samples), "stats_number": number,
        "started_at": int(time.time() * 1000), "stats_ci_99_a": stats["ci_99_a"], "stats_ci_99_b": stats["ci_99_b"],
    }  # fmt: skip


def absent(failed: bool) -> Row:
    """The row of what has no time: null where it failed, NaN where it was skipped."""
    return {"result": None if failed else math.nan, "started_at": int(time.time() * 1000)}
