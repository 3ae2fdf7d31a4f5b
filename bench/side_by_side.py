"""`numba_parallel` beside the libraries that users would otherwise call, and beside the machine's ceiling.

``python -m bench.side_by_side`` measures every cell (operation, dtype, shape, number of threads) with all
implementations in turn, round after round, so that a disturbance meets all of them; asv, which gives each its own
processes, measures steadier times but compares less well. It writes a CSV file and prints a Markdown table.

One thread is timed by the CPU clock of the process, more by the wall clock. The number of threads is that of the
environment, from which libraries read theirs once; ``maxbench side-by-side`` starts a process for each number. A result
that the contract rejects is timed all the same and marked.
"""

from __future__ import annotations

import argparse
import csv
import math
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

import impls
from impls import contract, threads

from . import base, ceiling, grid, workloads

OURS = "numba_parallel"
CEILING = "ceiling"
BATCH_SECONDS, BATCHES = 0.004, 5
SETTLE_SECONDS, WARM_SECONDS = 0.05, 0.03
SWEEP_ELEMENTS = 1 << 24  # the largest n; smaller ones have rows up to workloads.SWEEP_ELEMENTS
STRIDED_INNER = 64
CHECKED = 1 << 21  # elements; to check all that large inputs have would take longer than to time them


@dataclass(frozen=True)
class Timing:
    """One implementation in one cell: seconds a call, of each round and over all, and how right it was."""

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


def cells(steps: int = 1) -> Iterator[tuple[str, tuple[int, int, int]]]:
    """Name and shape (outer, n, inner) of every cell: workloads, the sweep over the last axis and over a strided one.

    Args:
        steps: take every so many-th power of two of the sweeps.
    """
    for workload in workloads.WORKLOADS.values():
        yield workload.name, workload.shape
    for k in range(1, 25, steps):
        yield f"n = 2^{k}", workloads.sweep_shape(1 << k)
    for k in range(1, 25, steps):
        n = 1 << k
        inner = max(2, min(STRIDED_INNER, SWEEP_ELEMENTS // n))
        yield f"n = 2^{k}, strided", (max(1, workloads.SWEEP_ELEMENTS // (n * inner)), n, inner)


def measure(operation: str, dtype: str, case: str, shape: tuple[int, int, int], rounds: int) -> list[Timing]:
    """Time every implementation that can run here, and the ceiling, in turn."""
    x = workloads.scores(shape, dtype)
    expected = oracle(x) if operation == "softmax" else None
    calls: dict[str, tuple[Callable[[], Any], float, str]] = {}
    for name in (OURS, "numpy_vectorized", *grid.PEERS[operation]):
        try:
            implementation = impls.load(operation, name)
        except impls.Unavailable:
            continue
        if implementation.kernel.refusal(dtype, x.size) is None:
            calls[name] = _prepare(operation, implementation.kernel, x, expected)
    way, call = ceiling.fastest(operation, x.nbytes)
    calls[CEILING] = call, math.nan, way
    number = threads.count()
    times = _interleave({name: call for name, (call, _, _) in calls.items()}, rounds, number == 1)
    least = contract.OPERATIONS[operation].least_bytes(*shape, x.itemsize)
    found = []
    for name, samples in times.items():
        low, middle, high = _quartiles(samples.seconds)
        moved = least if name != CEILING else x.nbytes * (2 if operation == "softmax" else 1)
        _, ulp, remark = calls[name]
        rate = moved / middle / 1e9
        found.append(
            Timing(
                operation, number, dtype, case, *shape, name, middle, low, high, rate, ulp, remark,
                tuple(samples.seconds), samples.number,
            )
        )  # fmt: skip
    return found


def _prepare(
    operation: str, kernel: impls.Kernel, x: np.ndarray, expected: np.ndarray | None
) -> tuple[Callable[[], Any], float, str]:
    """The call to time, its largest error in ulp and what the contract says of its result."""
    given = kernel.backend.put(x)
    out = kernel.backend.put(contract.OPERATIONS[operation].allocate(x))
    result = kernel.backend.get(kernel.run(given, out))
    mismatch = _verify(contract.OPERATIONS[operation], x, result)
    ulp = math.nan if expected is None else largest_error(expected, result)
    remark = (base.declared(kernel, x.dtype.name, mismatch) or f"wrong {mismatch}") if mismatch else ""
    return (lambda: kernel.run(given, out)), ulp, remark


def _verify(operation: contract.Operation, x: np.ndarray, result: np.ndarray) -> contract.Mismatch | None:
    """What is wrong with a result: with all of it, or with as many rows at each end as have about CHECKED elements."""
    rows = max(1, CHECKED // max(1, x[0].size))
    if 2 * rows >= len(x):
        return operation.verify(x, result)
    return operation.verify(x[:rows], result[:rows]) or operation.verify(x[-rows:], result[-rows:])


def oracle(x: np.ndarray) -> np.ndarray:
    """Softmax of the first rows of x, of about CHECKED elements, in a wider type."""
    rows = max(1, min(x.shape[0], CHECKED // max(1, x[0].size)))
    wide = x[:rows].astype(np.float64 if x.dtype != np.float64 else np.longdouble)
    expected: np.ndarray = np.exp(wide - wide.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    return expected


def largest_error(expected: np.ndarray, result: np.ndarray) -> float:
    """The largest error of a softmax against its `oracle`, in ulp, over the rows that this has."""
    got = result[: len(expected)]
    if result.dtype == np.float64:
        error = np.abs(got - expected) / np.spacing(expected.astype(np.float64))
        return float(error.max())
    return float(contract.softmax.ulp_error(got.astype(np.float64), expected, result.dtype).max())


@dataclass
class _Samples:
    """Seconds a call of each round, and how many calls a batch made."""

    number: int
    seconds: list[float]


def _interleave(calls: dict[str, Callable[[], Any]], rounds: int, one_thread: bool) -> dict[str, _Samples]:
    clock, settle = (time.process_time, 0.0) if one_thread else (time.perf_counter, SETTLE_SECONDS)
    times: dict[str, _Samples] = {}
    for name, call in calls.items():
        times[name] = _Samples(max(1, min(10000, round(BATCH_SECONDS / _warm(call, settle)))), [])
    for turn in range(rounds):
        for name in calls if turn % 2 else reversed(calls):
            _warm(calls[name], settle)
            times[name].seconds.append(_round(calls[name], times[name].number, clock))
    return times


def _warm(call: Callable[[], Any], settle: float) -> float:
    """Call for WARM_SECONDS, once at least; the shortest call in seconds.

    The workers of a library spin for a while after its last call, on the cores that the next one needs; and its own
    have to be awake, and spread over the cores, with what the one before it has left in the caches gone.
    """
    time.sleep(settle)
    shortest, end = math.inf, time.perf_counter() + WARM_SECONDS
    while True:
        start = time.perf_counter()
        call()
        now = time.perf_counter()
        shortest = min(shortest, now - start)
        if now >= end:
            return max(shortest, 1e-7)


def _round(call: Callable[[], Any], number: int, clock: Callable[[], float]) -> float:
    """Seconds a call: the median of BATCHES, or of as many as have begun in their time.

    Where two workers meet on one core a call may last until the scheduler's slice is over, many times as long as
    others: a mean would be made of that.
    """
    batches: list[float] = []
    begun = time.perf_counter()
    while len(batches) < BATCHES and (not batches or time.perf_counter() - begun < BATCHES * BATCH_SECONDS):
        start = clock()
        for _ in range(number):
            call()
        batches.append((clock() - start) / number)
    return statistics.median(batches)


def _quartiles(samples: Sequence[float]) -> tuple[float, float, float]:
    if len(samples) < 2:
        return samples[0], samples[0], samples[0]
    low, middle, high = statistics.quantiles(samples, n=4, method="inclusive")
    return low, middle, high


def table(found: Iterable[Timing]) -> list[str]:
    """Markdown: one row a cell, with the best of the others; losses are marked."""
    grouped: dict[tuple[Any, ...], dict[str, Timing]] = {}
    for t in found:
        grouped.setdefault((t.operation, t.threads, t.dtype, t.case), {})[t.implementation] = t
    lines: list[str] = []
    ratios: dict[tuple[Any, ...], list[float]] = {}
    for key, by in grouped.items():
        if OURS not in by or len(by) < 3:
            continue
        ours, top = by[OURS], by[CEILING]
        best = min((t for n, t in by.items() if n not in (OURS, CEILING)), key=lambda t: t.seconds)
        ratio, share = best.seconds / ours.seconds, ours.gigabytes_per_second / top.gigabytes_per_second
        marks = [
            mark for mark, there in (("LOSS", ratio < 1), ("ABOVE CEILING", share > 1), (ours.remark, True)) if there
        ]
        if best.remark:
            marks.append(f"{best.implementation} {best.remark}")
        numpy = by.get("numpy_vectorized")
        errors = f"{ours.ulp:.2f} / {numpy.ulp:.2f}" if numpy and not math.isnan(ours.ulp) else ""
        if key[:3] not in ratios:
            operation, count, dtype = key[:3]
            lines += ["", f"### {operation}, {dtype}, {count} thread{'s' if count > 1 else ''}", ""]
            lines += ["| case | shape | GB/s | best other | GB/s | times faster | of ceiling | ulp: ours / NumPy | |"]
            lines += ["|---|---|--:|---|--:|--:|--:|--:|---|"]
        ratios.setdefault(key[:3], []).append(ratio)
        shape = " x ".join(str(v) for v in (ours.outer, ours.n, ours.inner))
        lines.append(
            f"| {ours.case} | {shape} | {ours.gigabytes_per_second:.1f} | {best.implementation} "
            f"| {best.gigabytes_per_second:.1f} | {ratio:.2f} | {share:.0%} | {errors} "
            f"| {', '.join(filter(None, marks))} |"
        )
    lines += ["", "| | cells | geometric mean over the best other | smallest | losses |", "|---|--:|--:|--:|--:|"]
    for (operation, count, dtype), some in ratios.items():
        losses = sum(r < 1 for r in some)
        mean = statistics.geometric_mean(some)
        lines.append(f"| {operation}, {dtype}, {count} | {len(some)} | {mean:.2f} | {min(some):.2f} | {losses} |")
    return lines


def read(path: Path) -> list[Timing]:
    """The timings of a CSV file that this module wrote."""
    kinds = {field.name: str(field.type) for field in fields(Timing)}
    make: dict[str, Callable[[str], Any]] = {
        "int": int,
        "float": float,
        "str": str,
        "tuple[float, ...]": lambda text: tuple(map(float, text.split())),
    }
    with open(path, newline="", encoding="utf-8") as file:
        return [Timing(**{k: make[kinds[k]](v) for k, v in row.items()}) for row in csv.DictReader(file)]


def write(path: Path, found: Sequence[Timing]) -> None:
    """All timings as CSV, in one piece."""
    with tempfile.NamedTemporaryFile("w", newline="", dir=path.parent, delete=False, encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Timing)])
        writer.writeheader()
        writer.writerows({**asdict(t), "samples": " ".join(map(repr, t.samples))} for t in found)
    Path(file.name).replace(path)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write the CSV file and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.side_by_side", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--output", type=Path, default=Path("side_by_side.csv"), help="the CSV file (%(default)s)")
    parser.add_argument("--operation", nargs="+", choices=list(contract.OPERATIONS), default=list(contract.OPERATIONS))
    parser.add_argument("--dtype", nargs="+", choices=contract.FLOATS, default=["float32", "float64"])
    parser.add_argument("--case", default="", help="only cells whose name matches this expression")
    parser.add_argument("--step", type=int, default=1, help="every so many-th power of two (%(default)s)")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args(argv)
    found: list[Timing] = []
    for operation in args.operation:
        for dtype in args.dtype:
            for case, shape in cells(args.step):
                if re.search(args.case, case):
                    found += measure(operation, dtype, case, shape, args.rounds)
                    write(args.output, found)
                    print(f"{operation} {dtype} {case}", file=sys.stderr)
    print("\n".join(table(found)))
    return 0


def command(
    output: Path, operations: Sequence[str], dtypes: Sequence[str], *, case: str, step: int, rounds: int
) -> list[str]:
    """The words that measure in a process of its own, options as of `main`."""
    words = [sys.executable, "-m", "bench.side_by_side", "--output", str(output)]
    words += ["--operation", *operations, "--dtype", *dtypes, f"--case={case}"]
    return [*words, "--step", str(step), "--rounds", str(rounds)]


if __name__ == "__main__":
    raise SystemExit(main())
