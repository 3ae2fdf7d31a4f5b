"""Reads asv's result files: JSON of version 2, one file per machine, commit and environment.

asv's Python interface to them is not documented, the format is: ``results`` maps a benchmark's name to a row with
``result_columns`` as its columns; values are flat in the order of ``itertools.product(*params)``; trailing nulls are
cut off a row. ``null`` is a failure and ``NaN`` a skip, which a cast to float would lose.
"""

from __future__ import annotations

import ast
import functools
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Status = Literal["ok", "failed", "skipped"]
FORMAT = 2
BENCHMARKS = "benchmarks.json"
NOTES = "maxbench"  # what `maxbench history` adds to a result file; asv ignores it
_NEEDED = {"commit_hash", "env_name", "params", "results", "result_columns"}


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


def read(folder: Path) -> Results:
    """Every result file under an asv results folder; a file that cannot be used becomes a warning that names it."""
    results = Results()
    for path in sorted(folder.glob("*.json")) + sorted(folder.glob("*/*.json")):
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(data, dict):
                raise ValueError(f"holds a {type(data).__name__}, not an object")
            if path.name == BENCHMARKS:
                # asv keeps one for all machines, `maxbench history` one for each, so that none writes another's files.
                for name, about in data.items():
                    if isinstance(about, dict):
                        known = results.benchmarks.get(name)
                        results.benchmarks[name] = about if known is None else joined(known, about)
            elif path.parent == folder:
                continue
            elif path.name == "machine.json":
                results.machines[path.parent.name] = {str(k): str(v) for k, v in data.items()}
            else:
                results.files.append(parse(path, data))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            results.warnings.append(f"set aside {path}: {_reason(error)}")
    return results


def joined(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """A benchmark with the parameters of both: results of either then fit into it."""
    if len(first.get("params", ())) != len(second.get("params", ())):
        return second
    pairs = zip(first.get("params", ()), second.get("params", ()), strict=True)
    return second | {"params": [list(dict.fromkeys([*a, *b])) for a, b in pairs]}


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"truncated or not JSON ({error})"
    if isinstance(error, UnicodeDecodeError):
        return "not a text file"
    return str(error) or type(error).__name__


def read_file(path: Path) -> ResultFile:
    """One result file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or of another format.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict):
            raise ValueError(f"holds a {type(data).__name__}, not an object")
        return parse(path, data)
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(_reason(error)) from error


def parse(path: Path, data: dict[str, Any]) -> ResultFile:
    """What `read_file` does of a file's content."""
    if missing := _NEEDED - set(data):
        raise ValueError(f"not an asv result file (it has no {', '.join(sorted(missing))})")
    if data.get("version") != FORMAT:
        raise ValueError(f"format version {data.get('version')!r}, expected {FORMAT}")
    columns = [str(name) for name in data["result_columns"]]
    found: list[Measurement] = []
    versions: dict[str, str] = {}
    for name, cells in data["results"].items():
        # Old asv wrote a bare value for a benchmark without parameters.
        row = dict(zip(columns, cells, strict=False)) if isinstance(cells, list) else {"result": [cells]}
        found.extend(_measurements(str(name), row))
        if row.get("version") is not None:
            versions[str(name)] = str(row["version"])
    date = data.get("date")
    notes = data.get(NOTES) or {}
    return ResultFile(
        path=path,
        machine=str(data["params"].get("machine", path.parent.name)),
        commit=str(data["commit_hash"]),
        environment=str(data["env_name"]),
        date=float(date) / 1000 if isinstance(date, int | float) else None,
        requirements={str(k): str(v) for k, v in (data.get("requirements") or {}).items()},
        measurements=tuple(found),
        versions=versions,
        grid=notes.get("grid"),
        conditions={str(k): str(v) for k, v in (notes.get("conditions") or {}).items()},
        select=tuple(map(str, notes["select"])) if isinstance(notes.get("select"), list) else None,
    )


def _measurements(name: str, row: dict[str, Any]) -> Iterator[Measurement]:
    params = list(itertools.product(*(row.get("params") or [])))
    nothing = [None] * len(params)

    def column(key: str) -> list[Any]:
        values = row.get(key)
        if values is None:
            return nothing
        if not isinstance(values, list) or len(values) != len(params):
            raise ValueError(f"{name}: {key} does not hold one value for each of {len(params)} sets of parameters")
        return values

    started = _finite(row.get("started_at"))
    lows, highs = column("stats_ci_99_a"), column("stats_ci_99_b")
    for values, result, samples, low, high in zip(
        params, column("result"), column("samples"), lows, highs, strict=True
    ):
        number = float(result) if isinstance(result, int | float) else math.nan
        status: Status = "failed" if result is None else "skipped" if math.isnan(number) else "ok"
        yield Measurement(
            name,
            tuple(str(value) for value in values),
            status,
            number,
            tuple(float(sample) for sample in samples or ()),
            _finite(low),
            _finite(high),
            started / 1000 if started is not None else None,
        )


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


@functools.cache
def literal(param: str) -> Any:
    """The value of a parameter that asv wrote with `repr`; the text itself where it is no literal."""
    try:
        return ast.literal_eval(param)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return param
