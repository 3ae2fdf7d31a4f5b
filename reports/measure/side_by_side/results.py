"""What was measured side by side, and the records that a report is made of."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from maxbench.bench.inputs import workloads
from maxbench.bench.workers.turns import CEILING

from ...records import asv_writing
from ...records.asv_writing import Params, Row
from ...records.journal import FILE as JOURNAL
from ...records.journal import Line
from ...records.run import RunRecord
from ...system import files
from .. import checks, implementations

_DOC = "Seconds of one steady call on a preallocated output, all implementations in turn."
# Benchmark -> the name of its last parameter.
_LAST = {"Workloads": "workload", "Sweep": "n", "Strided": "n", "Ceiling": "n"}


@dataclass(frozen=True)
class Timing:
    """One implementation in one cell: seconds a call, of each round and over all, and how right it was.

    `status` is ok, wrong or failed; seconds are NaN where it is not ok. `remark` says why, or how it differs.
    """

    operation: str
    threads: int
    dtype: str
    case: str
    outer: int
    n: int
    inner: int
    implementation: str
    seconds: float
    low: float
    high: float
    gigabytes_per_second: float
    ulp: float
    remark: str
    samples: tuple[float, ...] = ()
    number: int = 1  # calls in a batch
    status: Literal["ok", "wrong", "failed"] = "ok"


def record(
    folder: Path, side: RunRecord, processes: Sequence[Sequence[Timing]], checked: Sequence[checks.Checked] = ()
) -> None:
    """Write a run's folder from the timings of one or more processes with the same number of threads."""
    folder.mkdir(parents=True, exist_ok=True)
    times: dict[tuple[str, Params], list[tuple[int, list[Timing]]]] = {}
    for turn, found in enumerate(processes):
        for timing in found:
            kept = times.setdefault(_key(timing), [])
            if kept and kept[-1][0] == turn:  # ceilings of inputs of the same size
                kept[-1][1].append(timing)
            else:
                kept.append((turn, [timing]))
    lines = []
    rows: dict[str, dict[Params, Row]] = {}
    for (benchmark, params), groups in times.items():
        bad = next((t for _, ts in groups for t in ts if t.status != "ok"), None)
        samples = []
        for _, group in groups:
            taken = [s for t in group for s in t.samples]
            samples += taken
            first = group[0]
            remark = "" if first.implementation == CEILING else first.remark  # the way that was fastest
            detail = bad.remark if bad else remark
            lines.append(Line(
                benchmark=benchmark, params=list(params), status=bad.status if bad else "ok", detail=detail,
                shape=[first.outer, first.n, first.inner], dtype=first.dtype, repeat=None if bad else len(taken),
                number=first.number,
            ))  # fmt: skip
        row = asv_writing.absent(failed=True) if bad else asv_writing.sampled(samples, groups[0][1][0].number)
        rows.setdefault(f"{benchmark}.time_call", {})[params] = row
    rows |= _errors(processes)
    measured = {(t.operation, t.implementation) for found in processes for t in found}
    side.implementations = [
        implementations.describe(c) for c in checked if (c.entry.operation, c.entry.name) in measured
    ]
    where = asv_writing.machine_folder(folder, side.machine)
    results, described = {}, {}
    for name, mine in rows.items():
        lists = [list(dict.fromkeys(params[place] for params in mine)) for place in range(3)]
        results[name] = (lists, mine)
        names = ("implementation", "dtype", _LAST.get(name.split(".")[1], "n"))
        unit = "seconds" if name.endswith("time_call") else "ulp"
        described[name] = dict(zip(names, lists, strict=True)), unit, _DOC
    asv_writing.describe(where, described)
    asv_writing.write(where, "side-by-side", side.identity, "side by side 1", results)
    files.write_text(folder / JOURNAL, "".join(f"{json.dumps(line.as_json())}\n" for line in lines))
    side.save(folder)


def _key(timing: Timing) -> tuple[str, Params]:
    """Benchmark, and parameters as asv writes them."""
    if timing.implementation == CEILING:
        # As `bench.suite.ceiling`: by the number of float32 elements that take as many bytes.
        size = timing.outer * timing.n * timing.inner * np.dtype(timing.dtype).itemsize // 4
        return f"{timing.operation}.Ceiling", (repr(CEILING), repr("float32"), repr(size))
    if timing.case in workloads.WORKLOADS:
        benchmark, last = "Workloads", repr(timing.case)
    else:
        benchmark, last = ("Strided" if timing.case.endswith("strided") else "Sweep"), repr(timing.n)
    return f"{timing.operation}.{benchmark}", (repr(timing.implementation), repr(timing.dtype), last)


def _errors(processes: Sequence[Sequence[Timing]]) -> dict[str, dict[Params, Row]]:
    """The largest errors over the sweep along the last axis, as `bench.suite.accuracy` has them."""
    found: dict[Params, Row] = {}
    for timing in (t for times in processes for t in times):
        benchmark, params = _key(timing)
        if benchmark == "softmax.Sweep" and not math.isnan(timing.ulp):
            found[params] = {"result": timing.ulp}
    return {"softmax.Accuracy.track_largest_error": found} if found else {}
