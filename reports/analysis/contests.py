"""Which implementation is fastest on each input, by how much, and how surely."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from maxbench.impls import contract

from ..system import text
from . import rules
from .derived import Derived, Measured, ratio
from .rules import Decision

# In which order inputs are shown: the user's own array first.
BENCHMARKS = ("Own", "Workloads", "Sweep", "Strided", "Shapes")
DEFAULT_BASELINE = "numpy_vectorized"


@dataclass(frozen=True)
class Cell:
    """One implementation on one input; times in seconds."""

    implementation: str
    value: float
    low: float
    high: float
    medians: tuple[float, ...]
    bandwidth: float
    status: str
    reason: str

    @property
    def measured(self) -> bool:
        """Whether it has a time that may be ranked."""
        return self.status == "ok" and math.isfinite(self.value)

    @property
    def processes(self) -> int:
        """The processes that measured it; 0 where its samples cannot be told apart by process."""
        return len(self.medians)

    def over(self, other: Cell) -> Derived:
        """How many times faster this one is than the other."""
        return ratio(other, self)

    def __str__(self) -> str:
        between = text.seconds_range(self.low, self.high)
        return f"{text.seconds(self.value)} ({between})" if between else text.seconds(self.value)


@dataclass(frozen=True)
class Ceiling:
    """The bandwidth that the machine reaches on as many bytes with as many threads, in GB/s with its interval.

    `value` is the time in seconds that the input would take at that bandwidth, `size` the bytes of the array that it
    was measured on, `doubt` why shares of it are withheld.
    """

    bandwidth: float
    low: float
    high: float
    value: float
    processes: int
    size: float
    doubt: str = ""


@dataclass(frozen=True)
class Contest:
    """One input, and every implementation that was to run on it."""

    run: str
    operation: str
    dtype: str
    benchmark: str
    workload: str
    n: int | None
    outer: int | None
    inner: int | None
    cells: tuple[Cell, ...]
    ceiling: Ceiling | None = None

    def share(self, cell: Cell) -> Derived | None:
        """A cell's bandwidth over the ceiling's."""
        if self.ceiling is None or not math.isfinite(cell.bandwidth):
            return None
        top, moved = self.ceiling, cell.bandwidth * cell.value
        reached = Measured(cell.bandwidth, moved / cell.high, moved / cell.low, cell.processes)
        share = ratio(reached, Measured(top.bandwidth, top.low, top.high, top.processes), neutral=None)
        return replace(share, doubt=top.doubt)

    @property
    def shape(self) -> str:
        """The input's shape, as far as it is known."""
        if self.outer is None or self.n is None or self.inner is None:
            return ""
        return text.shape(self.outer, self.n, self.inner)

    @property
    def title(self) -> str:
        """What the input is called."""
        if self.benchmark == "Own":
            return "your array"
        strided = ", strided" if self.benchmark == "Strided" else ""
        return self.workload or (self.shape if self.benchmark == "Shapes" else "") or f"n = {self.n:,}{strided}"

    @property
    def name(self) -> str:
        """What tells it from every other input, the same in every figure."""
        return ", ".join(filter(None, (self.run, self.operation, self.title, self.shape, self.dtype)))

    def words(self, cell: Cell) -> str:
        """All that is known of a cell, for one line."""
        share = self.share(cell)
        where = self.title if self.title == self.shape else ", ".join(filter(None, (self.title, self.shape)))
        facts = [
            f"{cell.implementation} on {where}, {self.dtype}: {cell}",
            text.bandwidth(cell.bandwidth) if math.isfinite(cell.bandwidth) else "",
            f"{share.percent} of the ceiling" if share else "",
            text.processes(cell.processes),
            f"\N{DAGGER} {cell.reason}" if cell.reason else "",
        ]
        return "; ".join(filter(None, facts))

    @property
    def ceiling_words(self) -> str:
        """All that is known of its ceiling, for one line."""
        top = self.ceiling
        if top is None:
            return ""
        reached = f"{text.bandwidth(top.bandwidth)} measured on {text.size(top.size)}"
        return f"ceiling: {text.seconds(top.value)} at {reached}; {text.processes(top.processes)}"

    @cached_property
    def ranked(self) -> tuple[Cell, ...]:
        """The measured ones, fastest first."""
        return tuple(sorted((cell for cell in self.cells if cell.measured), key=lambda cell: cell.value))

    @cached_property
    def missing(self) -> tuple[Cell, ...]:
        """Those that have no time, with their reasons."""
        return tuple(cell for cell in self.cells if not cell.measured)

    @property
    def fastest(self) -> Cell | None:
        """The one with the smallest time."""
        return self.ranked[0] if self.ranked else None

    @property
    def runner_up(self) -> Cell | None:
        """The one with the second smallest time."""
        return self.ranked[1] if len(self.ranked) > 1 else None

    @cached_property
    def _leads(self) -> tuple[tuple[Cell, Derived], ...]:
        """Each of the others, and how many times faster than it the fastest is."""
        return tuple((cell, self.ranked[0].over(cell)) for cell in self.ranked[1:])

    @cached_property
    def decision(self) -> Decision:
        """Whether the fastest is faster than all others, ties with one, or cannot be told from one, and why."""
        found = [lead.decide() for _, lead in self._leads]
        order = ("cannot tell", "tie", "faster")
        return min(
            found,
            key=lambda one: order.index(one.outcome),
            default=Decision("cannot tell", "nothing else was measured"),
        )

    @property
    def clear(self) -> bool:
        """Whether the one with the smallest time is shown to be the fastest."""
        return self.decision.outcome == "faster"

    @cached_property
    def rivals(self) -> tuple[Cell, ...]:
        """The fastest, and those whose intervals say that they may be as fast."""
        near = (cell for cell, lead in self._leads if not lead.unknown and lead.decide().outcome != "faster")
        return (*self.ranked[:1], *near)

    def outcome(self, implementation: str) -> Decision:
        """Whether an implementation is faster than all others here, level with the fastest, or slower than it."""
        mine = self.of(implementation)
        if mine is None:
            return Decision("cannot tell", "not measured")
        return self.decision if mine is self.fastest else mine.over(self.ranked[0]).decide()

    def over_best_other(self, implementation: str) -> Derived | None:
        """How many times faster an implementation is than the fastest of all others; below 1 where it lost."""
        mine = self.of(implementation)
        other = next((cell for cell in self.ranked if cell is not mine), None)
        return mine.over(other) if mine and other else None

    def of(self, implementation: str) -> Cell | None:
        """The cell of an implementation, if it was measured."""
        return self._by_name.get(implementation)

    @cached_property
    def _by_name(self) -> dict[str, Cell]:
        return {cell.implementation: cell for cell in self.ranked}

    def over_baseline(self, baseline: str) -> Derived | None:
        """How many times faster the fastest is than the baseline; None where it is the baseline or has no time."""
        base = self.of(baseline)
        return self.fastest.over(base) if self.fastest and base and base is not self.fastest else None

    def over_runner_up(self) -> Derived | None:
        """How many times faster the fastest is than the runner-up."""
        return self.fastest.over(self.runner_up) if self.fastest and self.runner_up else None

    @property
    def processes(self) -> int:
        """The fewest processes that measured any of them."""
        return min((cell.processes for cell in self.ranked), default=0)

    def probability(self, implementation: str) -> float:
        """The share of all ways to draw one process of each in which an implementation is the fastest of them.

        Equal times share the draw. NaN where one of them has too few processes, or they are not known.
        """
        if self.processes < rules.LEAST_PROCESSES:
            return math.nan
        if implementation not in self._contenders:
            return math.nan if self.of(implementation) is None else 0.0
        return _share_fastest(implementation, self._contenders)

    @cached_property
    def _contenders(self) -> dict[str, tuple[float, ...]]:
        """The process medians of those that may win.

        Who is slower than the slowest process of another never wins, and its processes change nobody's chances.
        """
        drawn = {cell.implementation: cell.medians for cell in self.ranked}
        bound = min(max(times) for times in drawn.values())
        return {name: times for name, times in drawn.items() if min(times) <= bound}


def _share_fastest(name: str, drawn: dict[str, tuple[float, ...]]) -> float:
    total = 0.0
    for mine in drawn[name]:
        # Probability of k equals among the others while none is faster, kept as a polynomial in k.
        equals = [1.0]
        for other, times in drawn.items():
            if other == name:
                continue
            slower = sum(t > mine for t in times) / len(times)
            same = sum(t == mine for t in times) / len(times)
            equals = [a * slower + b * same for a, b in zip([*equals, 0.0], [0.0, *equals], strict=True)]
        total += sum(p / (k + 1) for k, p in enumerate(equals))
    return total / len(drawn[name])


def contests(table: pd.DataFrame, benchmarks: Iterable[str] = BENCHMARKS) -> list[Contest]:
    """The inputs of a table on which implementations compete, in the order of the benchmarks given."""
    wanted = list(benchmarks)
    timed = table[table["statistic"] == "time"]
    found = _doubted(list(_contests(timed[timed["benchmark"].isin(wanted)], _Ceilings(timed))))
    return sorted(found, key=lambda c: (c.operation != "softmax", wanted.index(c.benchmark)))


def impossible(share: Derived | None) -> bool:
    """`rules.impossible` of a share that may be missing."""
    return share is not None and rules.impossible(share.value)


def _doubted(found: list[Contest]) -> list[Contest]:
    """The same, with a reason on every ceiling that an implementation exceeds.

    All shares of that ceiling are withheld, on other inputs too: if it was measured too low, none of them is right.
    """
    doubts: dict[tuple[str, str, float], tuple[float, str]] = {}
    for contest in found:
        for cell in contest.ranked:
            if contest.ceiling and (share := contest.share(cell)) and impossible(share):
                reason = (
                    f"withheld: {cell.implementation} on {contest.title} ({contest.dtype}) reaches "
                    f"{text.percent(share.value)} of the ceiling, so one of the two was not measured right"
                )
                key = (contest.run, contest.operation, contest.ceiling.size)
                doubts[key] = max(doubts.get(key, (0.0, "")), (share.value, reason))
    return [
        replace(c, ceiling=replace(c.ceiling, doubt=doubts[c.run, c.operation, c.ceiling.size][1]))
        if c.ceiling and (c.run, c.operation, c.ceiling.size) in doubts
        else c
        for c in found
    ]


_KEYS = ("run", "operation", "benchmark", "dtype", "workload")
_CELL = ("implementation", "value", "low", "high", "process_medians", "bandwidth", "status", "reason")
_NEEDED = [*_KEYS, "n", "outer", "inner", *_CELL]


class _Ceilings:
    """The ceilings of a table: by run and operation, for inputs of any number of bytes near one that was measured."""

    NEAR = 2.0  # as a factor: bandwidth changes with the cache that an array fits in

    def __init__(self, timed: pd.DataFrame) -> None:
        self._of: dict[tuple[str, str], list[tuple[float, Ceiling]]] = {}
        rows = timed[(timed["benchmark"] == "Ceiling") & (timed["status"] == "ok") & timed["bandwidth"].notna()]
        for r in rows.to_dict("records"):
            moved = r["bandwidth"] * r["value"]
            size = float(r["outer"]) * r["n"] * r["inner"] * np.dtype(r["dtype"]).itemsize
            processes = len(r["process_medians"]) if isinstance(r["process_medians"], tuple) else 0
            ceiling = Ceiling(r["bandwidth"], moved / r["high"], moved / r["low"], r["value"], processes, size)
            self._of.setdefault((r["run"], r["operation"]), []).append((size, ceiling))

    def near(self, run: str, operation: str, dtype: str, size: dict[str, int | None]) -> Ceiling | None:
        """The ceiling measured on the number of bytes nearest to that of an input, None where none is near."""
        known = self._of.get((run, operation))
        outer, n, inner = size["outer"], size["n"], size["inner"]
        if not known or outer is None or n is None or inner is None:
            return None
        try:
            wanted = outer * n * inner * np.dtype(dtype).itemsize
        except TypeError:
            return None
        there, ceiling = min(known, key=lambda item: abs(math.log(item[0] / wanted)))
        if not 1 / self.NEAR <= there / wanted <= self.NEAR:
            return None
        least = contract.OPERATIONS[operation].least_bytes(outer, n, inner, np.dtype(dtype).itemsize)
        return replace(ceiling, value=least / ceiling.bandwidth / 1e9)


def _contests(rows: pd.DataFrame, ceilings: _Ceilings) -> Iterator[Contest]:
    groups: dict[tuple[Any, ...], list[dict[Any, Any]]] = {}
    for record in rows[_NEEDED].to_dict("records"):
        # A workload has one size, which an implementation that was skipped may not have noted.
        sized = record["benchmark"] in ("Sweep", "Strided", "Shapes")
        sizes = tuple(0 if not sized or pd.isna(record[name]) else record[name] for name in ("n", "outer"))
        groups.setdefault((*(record[name] for name in _KEYS), *sizes), []).append(record)
    for records in groups.values():
        whole = next((r for r in records if not pd.isna(r["outer"])), records[0])
        size = {name: None if pd.isna(whole[name]) else int(whole[name]) for name in ("n", "outer", "inner")}
        cells = tuple(
            Cell(
                implementation=r["implementation"],
                value=r["value"],
                low=r["low"],
                high=r["high"],
                medians=r["process_medians"] if isinstance(r["process_medians"], tuple) else (),
                bandwidth=r["bandwidth"],
                status=r["status"],
                reason=r["reason"],
            )
            for r in records
        )
        yield Contest(
            run=whole["run"],
            operation=whole["operation"],
            dtype=whole["dtype"],
            benchmark=whole["benchmark"],
            workload=whole["workload"],
            **size,
            cells=cells,
            ceiling=ceilings.near(whole["run"], whole["operation"], whole["dtype"], size),
        )


def main_contests(all_contests: Iterable[Contest]) -> list[Contest]:
    """Those that the answer is about: the user's array and the workloads, or the sweep where there are neither."""
    found = list(all_contests)
    kept: list[Contest] = []
    for operation in dict.fromkeys(c.operation for c in found):
        mine = [c for c in found if c.operation == operation]
        kept += [c for c in mine if c.benchmark in ("Own", "Workloads")] or mine
    return kept


def baseline_of(all_contests: Iterable[Contest], wanted: str | None = None) -> str | None:
    """The implementation that speed-ups are stated over: the one wanted, else NumPy's, else the slowest measured.

    Raises:
        ValueError: the one wanted was not measured; lists those that were.
    """
    found = list(all_contests)
    measured = dict.fromkeys(cell.implementation for contest in found for cell in contest.ranked)
    if wanted is not None:
        if wanted not in measured:
            raise ValueError(f"baseline {wanted!r} was not measured; measured were {', '.join(measured) or 'none'}")
        return wanted
    if DEFAULT_BASELINE in measured:
        return DEFAULT_BASELINE
    slowest = [contest.ranked[-1].implementation for contest in found if contest.ranked]
    return max(dict.fromkeys(slowest), key=slowest.count) if slowest else None
