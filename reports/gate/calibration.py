"""Proof of the gate on a machine: how often it cries wolf, and how often it sees a slowdown that is there.

Processes as the gate starts them compare a version with its own copy: as it is, which must raise no alarm, and with
rows added on one side until its time is up by a known size. What each process saw is appended to a file, so the proof
grows over calls. The processes are then put into disjoint groups as long as the gate's first look and its
confirmation. Both groups of a check are fresh processes, so the probability that both err is taken as the product.
"""

from __future__ import annotations

import datetime
import json
import math
import statistics as medians
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from maxbench.bench.processes.crew import Crew

from ..analysis import changes
from ..analysis.rules import CONFIDENCE
from ..measure import environment
from ..system.progress import Bar
from . import sources
from .benchmarks import Benchmark, choose, every
from .look import look
from .processes import Workers
from .verdicts import Rule

CLASSES = {"numba_simple": "Numba, one thread", "numpy_vectorized": "NumPy", "numba_parallel": "Numba, parallel"}
SLOWDOWNS = (2.0, 3.0, 5.0, 10.0)
TARGET = 5.0  # the slowdown that must be seen
THRESHOLDS = (0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.075, 0.1)
MOST_ALARMS, LEAST_SEEN = 0.01, 0.95
RECORD = "calibration.jsonl"
FIRST_WORDS = b'{"implementation": '  # of every line
_COST_PROCESSES, _COST_ROWS = 3, 25.0
_EXTRA_ROWS = 100  # inputs with fewer rows cannot be made 2% longer


def plan(index: int) -> list[Benchmark]:
    """What process number `index` measures of each class: identical pairs, the target slowdown, one other slowdown."""
    chosen: list[Benchmark] = []
    for name in CLASSES:
        own = [b for b in every() if b.implementation == name]
        long = [b for b in own if b.shape[0] >= _EXTRA_ROWS]
        # The first and the last long input of both operations: two dtypes each.
        ends = [some[i] for some in _by_operation(long) for i in (0, -1)]
        others = [slowdown for slowdown in SLOWDOWNS if slowdown != TARGET]
        chosen += [b for some in _by_operation(own) for b in some[:3]]
        chosen += [replace(b, extra=TARGET) for b in ends]
        chosen.append(replace(long[0], extra=others[index % len(others)]))
    return chosen


def _by_operation(benchmarks: Sequence[Benchmark]) -> list[list[Benchmark]]:
    return [[b for b in benchmarks if b.operation == name] for name in dict.fromkeys(b.operation for b in benchmarks)]


def measure(
    version: sources.Version, folder: Path, record: Path, seconds: float, bar: Bar, only: Sequence[str] = ()
) -> None:
    """Append processes to the record until the time is over.

    Args:
        only: patterns of benchmarks as `benchmarks.choose` takes them.

    Raises:
        SourceError: the version cannot be imported.
        ValueError: a pattern chooses nothing, or a clock reads nonsense (`changes.ClockError`).
    """
    chosen = set(choose(every(), only))
    with Crew() as crew:
        workers = Workers({"base": version, "head": sources.copy(version, "head")}, folder, crew)
        _measure(workers, chosen, record, seconds, bar)


def _measure(workers: Workers, chosen: set[Benchmark], record: Path, seconds: float, bar: Bar) -> None:
    identity = _identity()
    by_name: dict[tuple[str, str], list[Benchmark]] = {}
    for b in {replace(b, extra=0) for index in range(len(SLOWDOWNS)) for b in plan(index)} & chosen:
        by_name.setdefault((b.operation, b.implementation), []).append(b)
    bar.show("compiling", 0, len(by_name), None)
    looks = workers.each(lambda some: look(workers, some), by_name.values())
    clocks = {b: clock for seen in looks for b, clock in seen.clocks.items()}
    costs = _costs(workers, clocks, bar)
    start = time.monotonic()
    index = time.time_ns()  # goes on where an earlier call stopped, in neither CPU nor slowdown always the same
    record.parent.mkdir(parents=True, exist_ok=True)
    while (spent := time.monotonic() - start) < seconds:
        bar.show("processes", int(spent), int(seconds), seconds - spent)
        for clock in sorted(set(clocks.values())):
            slowed = {
                replace(b, extra=b.extra / costs.get(plain, 1.0)): b.extra
                for b in plan(index)
                for plain in [replace(b, extra=0)]
                if clocks.get(plain) == clock
            }
            report = workers.paired(list(slowed), clock=clock, seed=index % (1 << 31))
            _append(record, report.quads, slowed, clock, identity)
        index += 1


def _costs(workers: Workers, clocks: Mapping[Benchmark, str], bar: Bar) -> dict[Benchmark, float]:
    """The share of a benchmark's time that grows with its rows: less than 1 where calls have a fixed cost.

    Rows are added by this, so that an injected slowdown is one of the time.
    """
    bar.show("what a row costs", 0, 1, None)
    doubled = {
        replace(b, extra=_COST_ROWS): b for index in range(len(SLOWDOWNS)) for b in _slowed(plan(index)) if b in clocks
    }
    ratios: dict[Benchmark, list[float]] = defaultdict(list)
    for seed in range(_COST_PROCESSES):
        for clock in sorted(set(clocks.values())):
            some = [b for b, plain in doubled.items() if clocks[plain] == clock]
            if some:
                quads = workers.paired(some, clock=clock, seed=seed).quads
                for b in some:
                    if b.id in quads:
                        ratios[doubled[b]].append(math.expm1(_log_ratio(b, quads)) * 100 / _COST_ROWS)
    return {b: max(medians.median(values), 0.1) for b, values in ratios.items()}


def _slowed(benchmarks: Iterable[Benchmark]) -> list[Benchmark]:
    return [replace(b, extra=0) for b in benchmarks if b.extra]


def _log_ratio(b: Benchmark, quads: Mapping[str, list[list[float]]]) -> float:
    try:
        return changes.log_ratio(quads[b.id])
    except changes.ClockError as error:
        raise changes.ClockError(f"{b.id}: {error}") from None


def _append(
    record: Path,
    quads: dict[str, list[list[float]]],
    slowed: Mapping[Benchmark, float],
    clock: str,
    identity: dict[str, Any],
) -> None:
    process, at = uuid.uuid4().hex, time.time()
    lines = [
        json.dumps(
            {
                "implementation": b.implementation, "name": b.name, "extra": slowdown, "rows": b.extra, "clock": clock,
                "log_ratio": _log_ratio(b, quads), "process": process, "at": at, **identity,
            }
        )
        for b, slowdown in slowed.items()
        if b.id in quads
    ]  # fmt: skip
    with open(record, "ab+") as file:
        # A line that an earlier call could not end must not swallow the next one.
        file.seek(max(file.seek(0, 2) - 1, 0))
        torn = file.read() not in (b"", b"\n")
        file.write(("\n" * torn + "".join(line + "\n" for line in lines)).encode())


def _identity() -> dict[str, Any]:
    """What must be the same for processes to be counted together."""
    machine, versions = environment.machine(), environment.versions()
    return {
        "cpu": machine.cpu, "cpus": environment.usable_cpus(),
        "versions": {name: versions.get(name) for name in ("python", "numpy", "numba")},
    }  # fmt: skip


@dataclass(frozen=True)
class Rate:
    """How often something happened, with its bounds."""

    hits: int
    trials: int
    confidence: float = CONFIDENCE

    @property
    def value(self) -> float:
        """The share; NaN without trials."""
        return self.hits / self.trials if self.trials else math.nan

    @property
    def bounds(self) -> tuple[float, float]:
        """Exact bounds: see `changes.proportion_interval`."""
        return changes.proportion_interval(self.hits, self.trials, self.confidence)


@dataclass(frozen=True)
class Power:
    """One class of kernels, one slowdown, one threshold: alarms of the first look and of the confirmation alone."""

    kernels: str
    slowdown: float
    threshold: float
    first: Rate
    second: Rate
    median: float

    @property
    def both(self) -> float:
        """The share of checks that raise the alarm."""
        return self.first.value * self.second.value

    @property
    def bounds(self) -> tuple[float, float]:
        """Bounds of `both`, from the bounds of its factors."""
        (a, b), (c, d) = self.first.bounds, self.second.bounds
        return a * c, b * d


def read(record: Path) -> tuple[list[dict[str, Any]], int]:
    """The processes in a record that belong to this machine and these versions, and how many lines do not."""
    identity, found, strange = _identity(), [], 0
    for line in record.read_text("utf-8", errors="replace").splitlines() if record.exists() else ():
        try:
            entry = json.loads(line)
            belongs = all(entry[key] == value for key, value in identity.items()) and math.isfinite(entry["log_ratio"])
        except (ValueError, KeyError, TypeError):
            belongs = False
        if belongs:
            found.append(entry)
        else:
            strange += 1
    return found, strange


def powers(entries: Iterable[dict[str, Any]], rule: Rule, thresholds: Sequence[float] = THRESHOLDS) -> list[Power]:
    """False alarms (slowdown 0) and detection, for every class, slowdown and threshold that was measured."""
    series: dict[tuple[str, float], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for entry in sorted(entries, key=lambda e: float(e["at"])):
        series[entry["implementation"], entry["extra"]][entry["name"]].append(float(entry["log_ratio"]))
    found = []
    for (implementation, extra), by_name in sorted(series.items()):
        values = [value for some in by_name.values() for value in some]
        for threshold in thresholds:
            tried = replace(rule, threshold=threshold)
            first, second = (_alarms(by_name.values(), tried, size, extra) for size in (rule.screen, rule.confirm))
            kernels = CLASSES.get(implementation, implementation)
            found.append(Power(kernels, extra, threshold, first, second, math.expm1(medians.median(values))))
    return found


def _alarms(series: Iterable[Sequence[float]], rule: Rule, size: int, extra: float) -> Rate:
    """Alarms over disjoint groups of successive processes; without a slowdown a "faster" is an alarm too."""
    groups = [some[i : i + size] for some in series for i in range(0, len(some) - size + 1, size)]
    said = [rule.beyond(rule.change(group)) for group in groups]
    return Rate(sum(direction == 1 if extra else direction != 0 for direction in said), len(groups), rule.confidence)


def recommended(found: Sequence[Power]) -> float | None:
    """The smallest threshold with few enough false alarms and enough detection of `TARGET` in every class, or None.

    Both must hold by their bounds.
    """
    for threshold in sorted({p.threshold for p in found}):
        quiet = [p for p in found if p.threshold == threshold and p.slowdown == 0]
        loud = [p for p in found if p.threshold == threshold and p.slowdown == TARGET]
        if (
            quiet
            and loud
            and all(p.bounds[1] <= MOST_ALARMS for p in quiet)
            and all(p.bounds[0] >= LEAST_SEEN for p in loud)
        ):
            return threshold
    return None


@dataclass(frozen=True)
class Proof:
    """What a record shows.

    Attributes:
        threshold, confidence: in use; the confidence is that of the bounds.
        powers: at the threshold in use, or at all thresholds.
        recommended: the smallest threshold that is proven good, None where none is.
        notes: what it was measured on, and what was left out.
    """

    threshold: float
    confidence: float
    powers: list[Power]
    recommended: float | None
    notes: list[str]


def prove(record: Path, rule: Rule) -> Proof:
    """What the record shows for a rule, and which threshold it recommends."""
    entries, strange = read(record)
    found = powers(entries, rule, sorted({*THRESHOLDS, rule.threshold}))
    machine, versions = environment.machine(), environment.versions()
    days = sorted({datetime.datetime.fromtimestamp(e["at"], datetime.UTC).date().isoformat() for e in entries})
    notes = [
        f"{machine.cpu}, {environment.usable_cpus()} CPUs, {machine.os}; "
        + ", ".join(f"{name} {versions[name]}" for name in ("python", "numpy", "numba") if name in versions),
        f"{len({e['process'] for e in entries})} processes, {' to '.join(dict.fromkeys(days[:1] + days[-1:]))}",
    ]
    if strange:
        notes.append(f"{strange} lines of {record.name} are of another machine, other versions or damaged: not counted")
    return Proof(rule.threshold, rule.confidence, found, recommended(found), notes)
