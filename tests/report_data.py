"""Results folders for the tests, as asv and ``maxbench run`` write them, from samples that the test chooses."""

from __future__ import annotations

import itertools
import json
import math
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
COLUMNS = [
    "result", "params", "version", "started_at", "duration", "stats_ci_99_a", "stats_ci_99_b", "stats_q_25",
    "stats_q_75", "stats_number", "stats_repeat", "samples", "profile",
]  # fmt: skip
FAILED, SKIPPED = None, math.nan


@dataclass
class Results:
    """Cells by benchmark and parameters: lists of samples per process, or FAILED or SKIPPED, or a plain number."""

    cells: dict[str, dict[tuple[Any, ...], Any]] = field(default_factory=dict)
    notes: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        benchmark: str,
        params: tuple[Any, ...],
        value: Any,
        *,
        shape: tuple[int, int, int] | None = None,
        dtype: str | None = None,
        detail: str = "",
        status: str | None = None,
        processes: dict[str, list[float]] | None = None,
    ) -> Results:
        self.cells.setdefault(benchmark, {})[params] = value
        each = value if isinstance(value, list) else [[value]]
        if status is None:
            status = "failed" if value is FAILED else "skipped" if value is SKIPPED else "ok"
        for samples in each:
            self.notes.append(
                {
                    "benchmark": benchmark.rpartition(".")[0], "params": [repr(p) for p in params], "status": status,
                    "detail": detail, "shape": list(shape) if shape else None, "dtype": dtype,
                    "repeat": len(samples), "number": 1, "at": 1.0,
                }
                | ({"processes": processes} if processes else {})
            )  # fmt: skip
        return self

    def rows(self) -> dict[str, list[Any]]:
        return {benchmark: _row(cells) for benchmark, cells in self.cells.items()}

    def write(
        self,
        folder: Path,
        *,
        machine: str = "box",
        commit: str = COMMIT,
        side: dict[str, Any] | None = None,
        findings: list[dict[str, str]] | None = None,
        journal: bool = True,
        run: bool = True,
    ) -> Path:
        """A run folder; with run=False the results folder of asv alone."""
        stored = folder / "asv" / "results" if run else folder
        (stored / machine).mkdir(parents=True, exist_ok=True)
        data = {
            "commit_hash": commit, "env_name": "env", "date": 1_700_000_000_000, "params": {"machine": machine},
            "python": "3.11", "requirements": {}, "env_vars": {}, "result_columns": COLUMNS, "results": self.rows(),
            "durations": {}, "version": 2,
        }  # fmt: skip
        (stored / machine / f"{commit[:8]}-env.json").write_text(json.dumps(data))
        (stored / machine / "machine.json").write_text(
            json.dumps({"machine": machine, "cpu": "A CPU", "num_cpu": "2", "ram": "4 GB", "os": "Linux", "version": 1})
        )
        if run:
            if journal:
                (folder / "journal.jsonl").write_text("".join(json.dumps(note) + "\n" for note in self.notes))
            (folder / "run.json").write_text(json.dumps(side_car(machine) | (side or {})))
            if findings is not None:
                (folder / "agreement.json").write_text(json.dumps(findings))
        return folder


def _row(cells: dict[tuple[Any, ...], Any]) -> list[Any]:
    """A benchmark's row as asv has it: what was not given is a failure."""
    params = [list(dict.fromkeys(values)) for values in zip(*cells, strict=True)]
    result, samples, low, high = [], [], [], []
    for key in itertools.product(*params):
        value = cells.get(key)
        every = [s for process in value for s in process] if isinstance(value, list) else None
        result.append(statistics.median(every) if every else value)
        samples.append(every)
        low.append(min(every) * 0.5 if every else None)
        high.append(max(every) * 2 if every else None)
    texts = [[repr(v) for v in values] for values in params]
    return [result, texts, "1", 1_700_000_000_000, 1.0, low, high, None, None, None, None, samples]


def side_car(machine: str) -> dict[str, Any]:
    return {
        "schema": 1, "id": "run-1", "started": "2026-01-02T03:04:05+00:00", "finished": "2026-01-02T03:06:05+00:00",
        "state": "finished", "command": ["maxbench", "run"], "grid": "quick",
        "machine": {
            "name": machine, "cpu": "A CPU", "cores_physical": 2, "cores_logical": 2, "memory_bytes": 4 << 30,
            "os": "Linux", "caches": {"L1d": 32768, "L2": 524288, "L3": 33554432}, "gpu": [],
        },
        "threads": {"numba": 2, "layer": "omp"}, "load_average": {"start": [0.1, 0.1, 0.1], "end": [1.0, 1.0, 1.0]},
        "versions": {"python": "3.11.2", "numpy": "2.4.6", "numba": "0.68.1"},
        "source": {"version": "0.1.0", "commit": COMMIT, "branch": "main", "dirty": False},
        "array": None, "implementations": [], "warnings": [],
    }  # fmt: skip


def everything() -> Results:
    """Results that fill every section of a report."""
    found = Results()
    speeds = {"naive": 300.0, "numpy_vectorized": 4.0, "numba_simple": 3.0, "numba_parallel": 1.0, "plugin": 1.02}
    spread = ((1.0, 1.01, 0.99), (1.03, 1.02), (0.98, 1.0))

    def times(factor: float) -> list[list[float]]:
        return [[1e-3 * factor * s for s in process] for process in spread]

    for operation, dtypes in (("softmax", ("float32", "float64")), ("argmax", ("float32", "int8"))):
        for (name, speed), dtype in itertools.product(speeds.items(), dtypes):
            for n in (2, 32, 1024, 32768, 1048576):
                found.add(f"{operation}.Sweep.time_call", (name, dtype, n), times(speed * (1 + 20 / n)))
            for workload in ("CIFAR-10", "ImageNet", "segmentation"):
                found.add(f"{operation}.Workloads.time_call", (name, dtype, workload), times(speed))
            for rows, n in itertools.product((1, 64, 4096), (10, 1000)):
                value = times(speed * rows * n / 1e6 + (1 if "numba" in name else 0.1))
                found.add(f"{operation}.Shapes.time_call", (name, dtype, rows, n), value)
        for name, speed in speeds.items():
            found.add(f"{operation}.Api.time_call", (name, dtypes[0], 1024), times(speed * 1.5))
            compiled = "numba" in name
            for statistic, value in (("load", 0.8), ("first_call_cold", 2.5), ("first_call_warm", 0.4)):
                cost = value if compiled else value / 100
                found.add(f"{operation}.Start.track_{statistic}", (name, dtypes[0]), cost)
            found.add(f"{operation}.Memory.peakmem_call", (name, dtypes[0]), int(200e6 + 1e6 * speed))
        found.add(f"{operation}.Memory.peakmem_call", ("(arrays only)", dtypes[0]), int(150e6))
        for n in (2, 1024, 1048576):
            found.add(f"{operation}.Ceiling.time_call", ("ceiling", "float32", n), times(0.5), shape=(1, 1 << 20, 1))
    for name, dtype, n in itertools.product(speeds, ("float32", "float64"), (2, 1024, 1048576)):
        found.add("softmax.Accuracy.track_largest_error", (name, dtype, n), 2.0 + n**0.1)
        found.add("softmax.Accuracy.track_typical_error", (name, dtype, n), 0.5)
    for name, order in itertools.product(speeds, ("random", "ascending", "all equal")):
        found.add("argmax.Orders.time_call", (name, "float32", order), times(2 if order == "ascending" else 1))
    found.add("softmax.Workloads.time_call", ("absent", "float32", "ImageNet"), SKIPPED, detail="no GPU here")
    return found


def findings(names: tuple[str, ...] = ("naive", "plugin"), cases: int = 30) -> list[dict[str, str]]:
    """An agreement check in which all agree but the last implementation on the last case."""
    found = [
        {
            "operation": "softmax",
            "implementation": name,
            "case": f"case {i}",
            "dtype": dtype,
            "status": "agrees",
            "detail": "",
        }
        for name in names
        for i in range(cases)
        for dtype in ("float32", "float64")
    ]
    found[-1] |= {"status": "wrong", "detail": "at (0, 1, 0): expected 1.0, got 0.5"}
    whole = {"operation": "argmax", "implementation": "absent", "case": "", "dtype": "", "status": "unavailable"}
    return [*found, whole | {"detail": "no GPU here"}]


IMPLEMENTATIONS: list[dict[str, Any]] = [
    {
        "operation": "softmax", "name": "naive", "origin": "maxbench 0.1.0", "status": "available", "reason": "",
        "device": "CPU", "threads": "one", "dtypes": ["float32", "float64"], "doc": "As the definition reads.",
        "source": Path(__file__).read_text("utf-8"),
    },
    {
        "operation": "argmax", "name": "absent", "origin": "other 2.0", "status": "unavailable",
        "reason": "no GPU here",
        "device": None, "threads": None, "dtypes": [], "doc": "", "source": None,
    },
]  # fmt: skip
