"""Measures side by side: the implementations in turn on each input, round after round."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from maxbench import impls
from maxbench.bench.inputs import grid, workloads
from maxbench.bench.inputs.recipe import Input
from maxbench.bench.processes import messages
from maxbench.bench.processes.crew import Crew
from maxbench.bench.processes.messages import Command, Turn
from maxbench.bench.timing import schedules
from maxbench.bench.workers.turns import CEILING, SHOWN
from maxbench.impls import contract

from ...records.run import Precheck, RunRecord, State
from .. import checks, recording
from ..selection import matches
from .player import Player
from .results import Timing, record

OURS = "numba_parallel"


@dataclass
class Plan:
    """What is measured, in so many processes of every implementation for each number of threads.

    Attributes:
        inputs: only inputs whose name one of these patterns matches; all without one.
        step: every so many-th power of two of the sweeps.
        samples: that a process takes of each input.
    """

    folder: Path
    operations: Sequence[str]
    dtypes: Sequence[str]
    threads: Sequence[int]
    inputs: Sequence[str] = ()
    step: int = 1
    samples: int = 3
    processes: int = 3
    machine: str | None = None
    command: list[str] = field(default_factory=list)

    @property
    def shapes(self) -> list[tuple[str, tuple[int, int, int]]]:
        """Name and shape of every input."""
        patterns = self.inputs or ("*",)
        return [cell for cell in workloads.cells(self.step) if any(matches(one, cell[0]) for one in patterns)]

    @property
    def cells(self) -> int:
        """How many cells one process measures."""
        return len(self.shapes) * len(self.operations) * len(self.dtypes)


def run(
    plan: Plan, seen: Callable[[str, int, int], None], precheck: Precheck | None = None
) -> tuple[list[Path], list[Timing]]:
    """Measure, with each number of threads in turn, and keep what there is after each of them.

    Args:
        seen: told the cell that was measured, how many have been and how many there are.
        precheck: what the command found in its first seconds.

    Returns:
        The folders of the runs, and all timings.

    Raises:
        KeyboardInterrupt: stopped by the user; what was measured is kept.
    """
    sides = {number: _begin(plan, number, precheck) for number in plan.threads}
    found: dict[int, list[list[Timing]]] = {number: [] for number in plan.threads}
    folders = {number: plan.folder / _name(number) for number in plan.threads}
    total, done = plan.cells * len(plan.threads) * plan.processes, 0
    with Crew() as crew:
        entries = [entry for entry in impls.catalogue() if entry.operation in plan.operations]
        described = checks.describe_all([e for e in entries if e.name in _contestants(e.operation)], crew)
        for turn in range(plan.processes):
            for number in plan.threads:
                state: State = "interrupted"
                kept = list[Timing]()
                try:
                    for cell, timings in _processes(plan, number, crew, described):
                        done += 1
                        kept += timings
                        seen(f"{cell}, {_name(number)}", done, total)
                    state = "finished" if turn == plan.processes - 1 else "running"
                finally:
                    if kept:
                        found[number].append(kept)
                        recording.end(sides[number], state)
                        record(folders[number], sides[number], found[number], described)
    measured = [number for number in plan.threads if found[number]]
    return [folders[n] for n in measured], [timing for n in measured for times in found[n] for timing in times]


def _contestants(operation: str) -> tuple[str, ...]:
    return (OURS, "numpy_vectorized", *grid.PEERS[operation])


def _processes(
    plan: Plan, number: int, crew: Crew, described: Sequence[checks.Checked]
) -> Iterator[tuple[str, list[Timing]]]:
    """A fresh process of every implementation; yields each cell with what they took in it."""
    for operation in plan.operations:
        names = [c.entry.name for c in described if c.entry.operation == operation and c.status == "available"]
        players = {name: Player(crew, operation, name, number) for name in (*names, CEILING)}
        try:
            for dtype in plan.dtypes:
                for case, shape in plan.shapes:
                    timings = _cell(players, operation, number, dtype, case, shape, plan.samples)
                    yield f"{operation} {dtype} {case}", timings
        finally:
            for player in players.values():
                player.end()


def _cell(
    players: Mapping[str, Player], operation: str, number: int, dtype: str, case: str, shape: tuple[int, int, int],
    samples: int,
) -> list[Timing]:  # fmt: skip
    """Everyone on one input, in turn."""
    given = Input("scores", dtype, shape)
    size = math.prod(shape) * np.dtype(dtype).itemsize
    prepare = messages.Prepare(given, size, show=operation == "softmax")
    told = {name: player.ask(prepare) for name, player in players.items()}
    numbers: dict[str, int] = {}
    times: dict[str, list[float]] = {name: [] for name in told}

    def ask(name: str, command: Command) -> Turn:
        answer = players[name].ask(command)
        if answer.turn.status != "ok":
            told[name] = answer
        return answer.turn

    def sound() -> list[str]:
        return [name for name, answer in told.items() if answer.turn.status == "ok"]

    for name in sound():
        numbers[name] = ask(name, messages.Calibrate()).number
    for turn in range(samples):
        for name in schedules.ordered(sound(), turn):
            if (seconds := ask(name, messages.Sample()).seconds) is not None:
                times[name].append(seconds)
    for name in sound():
        ask(name, messages.Finish())
    expected = oracle(given.array()) if any(answer.shown is not None for answer in told.values()) else None
    least = contract.OPERATIONS[operation].least_bytes(*shape, np.dtype(dtype).itemsize)
    found = []
    for name, answer in told.items():
        last, shown = answer.turn, answer.shown
        if last.status == "skipped":
            continue
        ok = last.status == "ok" and bool(times[name])
        low, middle, high = _quartiles(times[name]) if ok else (math.nan,) * 3
        moved = least if name != CEILING else size * (2 if operation == "softmax" else 1)
        ulp = math.nan if shown is None or expected is None else largest_error(expected, shown)
        found.append(
            Timing(
                operation, number, dtype, case, *shape, name, middle, low, high, moved / middle / 1e9, ulp,
                last.detail, tuple(times[name]) if ok else (), numbers.get(name, 1),
                "ok" if ok else "wrong" if last.status == "wrong" else "failed",
            )
        )  # fmt: skip
    return found


def oracle(x: np.ndarray) -> np.ndarray:
    """Softmax of the first rows of x, of about SHOWN elements, in a wider type."""
    rows = max(1, min(x.shape[0], SHOWN // max(1, x[0].size)))
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


def _quartiles(samples: Sequence[float]) -> tuple[float, float, float]:
    if len(samples) < 2:
        return samples[0], samples[0], samples[0]
    low, middle, high = statistics.quantiles(samples, n=4, method="inclusive")
    return low, middle, high


def _begin(plan: Plan, number: int, precheck: Precheck | None) -> RunRecord:
    return recording.begin(_name(number), plan.command, "side by side", number, plan.machine, precheck=precheck)


def _name(number: int) -> str:
    return f"{number} thread{'s' if number > 1 else ''}".replace(" ", "-")
