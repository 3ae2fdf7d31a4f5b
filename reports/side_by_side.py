"""`bench.side_by_side` in fresh processes, and its times as the records that a report is made of: a folder per number
of threads."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import impls
from bench import side_by_side, workloads
from bench.side_by_side import CEILING, Timing

from . import asv_writing, environment, files, implementations, side_car
from .asv_writing import Params, Row
from .runs import JOURNAL, SIDE_CAR

_DOC = "Seconds of one steady call on a preallocated output, all implementations in turn."
# Benchmark -> the name of its last parameter.
_LAST = {"Workloads": "workload", "Sweep": "n", "Strided": "n", "Ceiling": "n"}


class Failed(RuntimeError):
    """A process that measured ended without a result; the message has its last line."""


@dataclass
class Plan:
    """What is measured: as the options of `bench.side_by_side`, in so many processes for each number of threads."""

    folder: Path
    operations: Sequence[str]
    dtypes: Sequence[str]
    threads: Sequence[int]
    case: str = ""
    step: int = 1
    rounds: int = 5
    processes: int = 2
    machine: str | None = None
    command: list[str] = field(default_factory=list)

    @property
    def cells(self) -> int:
        """How many cells one process measures."""
        shapes = sum(re.search(self.case, name) is not None for name, _ in side_by_side.cells(self.step))
        return shapes * len(self.operations) * len(self.dtypes)


def run(plan: Plan, seen: Callable[[str, int, int], None]) -> tuple[list[Path], list[Timing]]:
    """Measure, in processes of each number of threads in turn, and keep what there is after each of them.

    Args:
        seen: told the cell that was measured, how many have been and how many there are.

    Returns:
        The folders of the runs, and all timings.

    Raises:
        Failed: a process ended without a result.
        KeyboardInterrupt: stopped by the user; what was measured is kept.
    """
    sides = {number: _begin(plan, number) for number in plan.threads}
    found: dict[int, list[list[Timing]]] = {number: [] for number in plan.threads}
    folders = {number: plan.folder / _name(number) for number in plan.threads}
    total, done = plan.cells * len(plan.threads) * plan.processes, 0
    with tempfile.TemporaryDirectory(prefix="maxbench-side-by-side-") as scratch:
        for turn in range(plan.processes):
            for number in plan.threads:
                output = Path(scratch) / f"{number}-{turn}.csv"
                state = "interrupted"
                try:
                    for cell in _process(plan, number, output):
                        done += 1
                        seen(f"{cell}, {_name(number)}", done, total)
                    state = "finished" if turn == plan.processes - 1 else "running"
                finally:
                    if output.exists():
                        found[number].append(side_by_side.read(output))
                        sides[number].update(state=state, finished=side_car.now())
                        sides[number]["load_average"]["end"] = environment.load_average()
                        record(folders[number], sides[number], found[number])
    kept = [number for number in plan.threads if found[number]]
    return [folders[n] for n in kept], [timing for n in kept for times in found[n] for timing in times]


def _process(plan: Plan, number: int, output: Path) -> Iterable[str]:
    """One process; yields what it has measured, cell by cell."""
    command = side_by_side.command(
        output, plan.operations, plan.dtypes, case=plan.case, step=plan.step, rounds=plan.rounds
    )
    variables = {**os.environ, **environment.thread_variables(number)}
    child = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    last = "no message"
    try:
        for line in child.stderr or ():
            if line.split(" ", 1)[0] in plan.operations:
                yield line.strip()
            elif line.strip():
                last = line.strip()
    finally:
        if child.poll() is None and sys.exc_info()[0] is not None:
            child.terminate()
        status = child.wait()
    if status:
        raise Failed(f"the process with {_name(number)} ended with status {status}: {last}")


def record(folder: Path, side: dict[str, Any], processes: Sequence[Sequence[Timing]]) -> None:
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
        wrong = next((t.remark for _, ts in groups for t in ts if t.remark.startswith("wrong ")), None)
        samples = []
        for _, group in groups:
            taken = [s for t in group for s in t.samples]
            samples += taken
            first = group[0]
            remark = "" if first.implementation == CEILING else first.remark  # the way that was fastest
            detail = f"RuntimeError: wrong result: {wrong.removeprefix('wrong ')}" if wrong else remark
            lines.append({
                "benchmark": benchmark, "params": list(params), "status": "failed" if wrong else "ok",
                "detail": detail, "shape": [first.outer, first.n, first.inner], "dtype": first.dtype,
                "repeat": None if wrong else len(taken), "number": first.number,
            })  # fmt: skip
        row = asv_writing.absent(failed=True) if wrong else asv_writing.sampled(samples, groups[0][1][0].number)
        rows.setdefault(f"{benchmark}.time_call", {})[params] = row
    rows |= _errors(processes)
    names = dict.fromkeys((t.operation, t.implementation) for found in processes for t in found)
    side = {**side, "implementations": [
        implementations.describe(entry, []) for entry in impls.catalogue() if (entry.operation, entry.name) in names
    ]}  # fmt: skip
    where = asv_writing.machine_folder(folder, side["machine"])
    asv_writing.describe(where, {
        name: (["implementation", "dtype", _LAST.get(name.split(".")[1], "n")],
               "seconds" if name.endswith("time_call") else "ulp", _DOC) for name in rows
    })  # fmt: skip
    commit = side["source"]["commit"] or side["source"]["content"]
    results = {}
    for name, mine in rows.items():
        lists = [list(dict.fromkeys(params[place] for params in mine)) for place in range(3)]
        results[name] = (lists, mine)
    asv_writing.write(where, "side-by-side", commit, "side by side 1", results)
    files.write_bytes(folder / JOURNAL, "".join(f"{json.dumps(line)}\n" for line in lines).encode())
    files.write_json(folder / SIDE_CAR, side)


def _key(timing: Timing) -> tuple[str, Params]:
    """Benchmark, and parameters as asv writes them."""
    if timing.implementation == CEILING:
        # As `bench.ceiling`: by the number of float32 elements that take as many bytes.
        size = timing.outer * timing.n * timing.inner * np.dtype(timing.dtype).itemsize // 4
        return f"{timing.operation}.Ceiling", (repr(CEILING), repr("float32"), repr(size))
    if timing.case in workloads.WORKLOADS:
        benchmark, last = "Workloads", repr(timing.case)
    else:
        benchmark, last = ("Strided" if timing.case.endswith("strided") else "Sweep"), repr(timing.n)
    return f"{timing.operation}.{benchmark}", (repr(timing.implementation), repr(timing.dtype), last)


def _errors(processes: Sequence[Sequence[Timing]]) -> dict[str, dict[Params, Row]]:
    """The largest errors over the sweep along the last axis, as `bench.accuracy` has them."""
    found: dict[Params, Row] = {}
    for timing in (t for times in processes for t in times):
        benchmark, params = _key(timing)
        if benchmark == "softmax.Sweep" and not math.isnan(timing.ulp):
            found[params] = {"result": timing.ulp}
    return {"softmax.Accuracy.track_largest_error": found} if found else {}


def _begin(plan: Plan, number: int) -> dict[str, Any]:
    side = side_car.begin(_name(number), plan.command, "side by side", number, plan.machine)
    side["warnings"] = environment.warnings(side)
    return side


def _name(number: int) -> str:
    return f"{number} thread{'s' if number > 1 else ''}".replace(" ", "-")
