"""How times change with the number of threads, over runs that differ in it."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Step:
    """One number of threads: time in seconds with its interval, speed-up over the fewest threads, efficiency.

    The efficiency is the speed-up over the factor by which there are more threads: 1 where all of them help fully.
    """

    threads: int
    value: float
    low: float
    high: float
    speedup: float
    efficiency: float


@dataclass(frozen=True)
class Scaling:
    """One implementation on one input with several numbers of threads."""

    machine: str
    operation: str
    implementation: str
    dtype: str
    input: str
    steps: tuple[Step, ...]


_KEYS = ["machine", "operation", "implementation", "dtype", "benchmark", "workload"]


def scalings(table: pd.DataFrame) -> list[Scaling]:
    """Every input and implementation that was measured with two or more numbers of threads on one machine."""
    timed = table[(table["status"] == "ok") & (table["statistic"] == "time") & table["threads"].notna()]
    timed = timed[timed["benchmark"].isin(["Own", "Workloads", "Sweep", "Strided", "Threads"])]
    # Most tables have one number of threads; going through their groups one by one would take long for nothing.
    keys = [*_KEYS, timed["n"].fillna(-1)]
    timed = timed[timed.groupby(keys)["threads"].transform("nunique") > 1]
    found = []
    for key, rows in timed.groupby([*_KEYS, timed["n"].fillna(-1)], sort=False):
        first = rows.sort_values("threads", kind="stable").drop_duplicates("threads", keep="last")
        if len(first) < 2:
            continue
        base = first.iloc[0]
        steps = tuple(
            Step(
                threads=int(r["threads"]),
                value=float(r["value"]),
                low=float(r["low"]),
                high=float(r["high"]),
                speedup=float(base["value"] / r["value"]),
                efficiency=float(base["value"] / r["value"] / (r["threads"] / base["threads"])),
            )
            for r in first.to_dict("records")
        )
        machine, operation, implementation, dtype, benchmark, workload, n = key
        name = "your array" if benchmark == "Own" else str(workload) or f"n = {n:,}"
        found.append(Scaling(str(machine), str(operation), str(implementation), str(dtype), name, steps))
    return found
