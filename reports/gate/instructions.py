"""Instruction counts under valgrind: a signal that needs no quiet machine.

Counts repeat within 0.05% where times need many processes, so a change of half a percent is real. They see one
thread and no waiting: nothing of bandwidth, of lost parallelism, of a GPU; they say which way a change goes, not how
much time it costs.
"""

from __future__ import annotations

import re
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maxbench.bench.processes.messages import CountedJob, Prepared
from maxbench.bench.workers import counted

from .benchmarks import Benchmark
from .processes import START_SECONDS, Workers
from .verdicts import Result

WARN, FAIL = 0.005, 0.02
BLIND_SPOTS = (
    "instruction counts are of one thread and a smaller input; they cannot see threads, memory bandwidth or a GPU, and "
    "give the direction of a change but not its size in time"
)
# Numba compiles for the processor it sees. Valgrind shows it another one, so the code would be compiled anew there,
# 50 times slower; named like this both compile the same code, which is what valgrind's processor can run.
_TARGET = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx,+avx2,+bmi,+bmi2,+fma,+lzcnt,+popcnt"}
_SECONDS_EACH = 60.0  # a benchmark under valgrind, at most
_LABEL = re.compile(r"^desc: Trigger: Client Request: (\d+) (\w+) (\d+) (\d+)$", re.MULTILINE)
_TOTALS = re.compile(r"^totals: (\d+)$", re.MULTILINE)


class CannotCount(Exception):
    """Instructions cannot be counted here; the message says why."""


@dataclass(frozen=True)
class Count:
    """Instructions of one call on either side."""

    base: float
    head: float

    @property
    def change(self) -> float:
        """As a fraction."""
        return self.head / self.base - 1


def count(workers: Workers, benchmarks: Sequence[Benchmark]) -> dict[Benchmark, Count]:
    """Count a call of every benchmark that both sides can run on the host.

    Raises:
        CannotCount: no valgrind, another system than Linux on x86-64, or the worker failed under valgrind.
        SourceError: a version cannot be imported.
    """
    if shutil.which("valgrind") is None:
        raise CannotCount("valgrind is not installed")
    # Hashes of words decide how long look-ups take, so they must be the same in every process.
    env = {**workers.environment(threads=1, cache=workers.folder / "numba-valgrind"), **_TARGET, "PYTHONHASHSEED": "0"}
    limit = START_SECONDS + _SECONDS_EACH * len(benchmarks)
    work = workers.run(_job(workers, benchmarks), env, limit)
    if work.failure is not None:
        raise CannotCount(f"the worker failed before valgrind: {work.failure}")
    ready = {(one.id, one.role) for one in work.those(Prepared) if one.status == "ok"}
    chosen = [b for b in benchmarks if all((b.id, side) in ready for side in b.pair)]
    if not chosen:
        return {}
    dumps = workers.folder / "callgrind"
    dumps.mkdir()
    valgrind = [
        "valgrind", "--tool=callgrind", "--instr-atstart=no", "--smc-check=all-non-file",
        f"--callgrind-out-file={dumps / 'counts'}",
    ]  # fmt: skip
    work = workers.run(_job(workers, chosen), env, limit, valgrind)
    if work.failure is not None:
        raise CannotCount(f"the worker failed under valgrind: {work.failure}")
    totals = _read(dumps)
    counts = {}
    for index, b in enumerate(chosen):
        base, head = (_per_call(totals, index, side) for side in b.pair)
        if base and head:
            counts[b] = Count(base, head)
    return counts


def _job(workers: Workers, benchmarks: Sequence[Benchmark]) -> CountedJob:
    return CountedJob(workers.roots(benchmarks), [b.as_pair() for b in benchmarks])


Totals = dict[tuple[int, str, int, int], int]


def _read(folder: Path) -> Totals:
    """(benchmark, side, calls, repeat) -> instructions, from callgrind's dumps."""
    totals = {}
    for path in folder.iterdir():
        text = path.read_text("utf-8", errors="replace")
        label, total = _LABEL.search(text), _TOTALS.search(text)
        if label and total:
            totals[int(label[1]), label[2], int(label[3]), int(label[4])] = int(total[1])
    return totals


def _per_call(totals: Totals, index: int, side: str) -> float | None:
    differences = [
        totals[index, side, counted.MANY, repeat] - totals[index, side, counted.FEW, repeat]
        for repeat in range(counted.REPEATS)
        if (index, side, counted.MANY, repeat) in totals and (index, side, counted.FEW, repeat) in totals
    ]
    return statistics.median(differences) / (counted.MANY - counted.FEW) if differences else None


def judge(result: Result, counted_: Count) -> None:
    """Add a count to a benchmark's result; it decides where the time does not say that head is faster."""
    result.instructions = counted_.change
    if abs(counted_.change) <= WARN:
        return
    text = f"{counted_.change:+.2%} instructions"
    if counted_.change > FAIL and result.verdict in ("unchanged", "inconclusive"):
        result.verdict = "slower"
    elif counted_.change < -FAIL and result.verdict == "unchanged" and result.change is None:
        result.verdict = "faster"
    result.reason = f"{result.reason}; {text}" if result.reason else text
