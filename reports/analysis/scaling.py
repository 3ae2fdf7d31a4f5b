"""How times change with the number of threads, over runs that differ in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from .derived import Derived, Measured, of, ratio, scaled


@dataclass(frozen=True)
class Step:
    """One number of threads: time in seconds, speed-up over the fewest threads (None for those), and efficiency.

    The efficiency is the speed-up over the factor by which there are more threads: 1 where all of them help fully.
    """

    threads: int
    time: Measured
    speedup: Derived | None
    efficiency: Derived


@dataclass(frozen=True)
class Scaling:
    """One implementation on one input with several numbers of threads."""

    machine: str
    operation: str
    implementation: str
    dtype: str
    input: str
    steps: tuple[Step, ...]


_KEYS = ["machine", "operation", "implementation", "dtype", "benchmark", "workload", "n"]


def scalings(table: pd.DataFrame) -> list[Scaling]:
    """Every input and implementation that was measured with two or more numbers of threads on one machine."""
    timed = table[(table["status"] == "ok") & (table["statistic"] == "time") & table["threads"].notna()]
    timed = timed[timed["benchmark"].isin(["Own", "Workloads", "Sweep", "Strided", "Threads"])]
    # Most tables have one number of threads; going through their groups one by one would take long for nothing.
    timed = timed[timed.groupby(_KEYS, dropna=False)["threads"].transform("nunique") > 1]
    found = []
    for key, rows in timed.groupby(_KEYS, sort=False, dropna=False):
        first = rows.sort_values("threads", kind="stable").drop_duplicates("threads", keep="last")
        records = first.to_dict("records")
        steps = tuple(_step(r, records[0]) for r in records)
        machine, operation, implementation, dtype, benchmark, workload, n = key
        name = "your array" if benchmark == "Own" else str(workload) or f"n = {n:,}"
        found.append(Scaling(str(machine), str(operation), str(implementation), str(dtype), name, steps))
    return found


def _step(row: dict[Any, Any], base: dict[Any, Any]) -> Step:
    mine, fewest = of(row), of(base)
    if row is base:
        return Step(int(row["threads"]), mine, None, Derived(1.0, 1.0, 1.0, mine.processes))
    efficiency = scaled(ratio(fewest, mine, neutral=None), float(base["threads"] / row["threads"]))
    return Step(int(row["threads"]), mine, ratio(fewest, mine), efficiency)
