"""Timing the candidates of a CUDA regime table on the device at hand, length by length."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from maxbench.bench import timing
from maxbench.bench.inputs import device_cells
from maxbench.bench.processes.hub import Here
from maxbench.bench.timing.schedules import Contestant
from maxbench.bench.workers.device import LEAST_SAMPLES, MOST_SAMPLES, SAMPLE_SECONDS, WARM_UP_SECONDS
from maxbench.bench.workers.device_arrays import DeviceArrays
from maxbench.impls import backends
from maxbench.impls.cuda import plans, platform, regimes, tuning
from maxbench.impls.cuda.elements import ELEMENTS
from maxbench.impls.cuda.regimes import Regime, Table

Timings = dict[Regime, float | str]
"""Seconds of one call, or why there are none."""
Measure = Callable[[str, int, Sequence[Regime]], Timings]


@dataclass
class Tuned:
    """The outcome of tuning.

    Attributes:
        table: the machine's.
        timings: by table name and length, what each candidate took.
        now: the present choice there.
        left: lengths that the time did not suffice for, by table name; there the present choice stays.
    """

    table: Table
    timings: dict[tuple[str, int], Timings] = field(default_factory=dict)
    now: dict[tuple[str, int], Regime] = field(default_factory=dict)
    left: dict[str, list[int]] = field(default_factory=dict)


def tune(
    device: plans.Device, measure: Measure, seconds: float, *, simulated: bool = False,
    seen: Callable[[str, int, int, int], None] = lambda name, n, done, total: None,
    clock: Callable[[], float] = time.monotonic,
) -> Tuned:  # fmt: skip
    """The table of a device from timings.

    Args:
        device: with the table to start from.
        measure: (table name, n, candidates) -> what each took.
        seconds: the time to spend; every table gets its share, in turn from the short rows to the long ones.
        seen: called with (table name, n, lengths done, lengths in all) before each length.
    """
    found = Tuned(dict(device.table))
    turns = tuning.turns(simulated=simulated)
    end = clock() + seconds
    winners: dict[str, dict[int, Regime]] = {name: {} for name in regimes.KINDS}
    for done, (name, n) in enumerate(turns):
        now, *_ = tried = tuning.candidates(name, n, device)
        if clock() >= end:
            found.left.setdefault(name, []).append(n)
            winners[name][n] = now
            continue
        seen(name, n, done, len(turns))
        timings = found.timings[name, n] = measure(name, n, tried)
        found.now[name, n] = now
        timed = {regime: value for regime, value in timings.items() if not isinstance(value, str)}
        winners[name][n] = tuning.winner(timed, now) if timed else now
    found.table = {name: tuning.table_of(name, winners[name], device.table) for name in regimes.KINDS}
    return found


class OnDevice:
    """Measures candidates on the current device, or in the simulator: interleaved, each result checked first.

    Args:
        device: its multiprocessors, and the table around the candidates.
        sample_seconds: of sampling each candidate.
    """

    def __init__(self, device: plans.Device, sample_seconds: float, cache_bytes: int) -> None:
        self._device, self._seconds, self._cache = device, sample_seconds, cache_bytes
        self._simulated = platform.SIMULATED
        self._backend: Any = backends.get("numba_cuda")
        self._judge = Here()

    def __call__(self, name: str, n: int, tried: Sequence[Regime]) -> Timings:
        """Seconds of one call for every candidate, or what went wrong with it."""
        cell = device_cells.tuning_cell(name, n, simulated=self._simulated)
        copies = device_cells.buffers(cell.pair_bytes, self._cache, 8 * cell.pair_bytes)
        arrays = DeviceArrays.of(cell)
        pairs = [arrays.pair(self._backend) for _ in range(copies)]
        found: Timings = {}
        ready: dict[Regime, Contestant] = {}
        for regime in tried:
            candidate = _Candidate(self._plan(cell, name, regime), self._backend)
            outcome = timing.prepare(
                self._judge, cell.operation, candidate, cell.input, x=cell.input.like(), arrays=pairs, transfers=arrays
            )
            if isinstance(outcome, timing.Ready):
                outcome.sampler.seconds = SAMPLE_SECONDS
                outcome.sampler.calibrate(WARM_UP_SECONDS)
                ready[regime] = Contestant(str(regime), outcome.sampler)
            else:
                found[regime] = outcome.reason
        timing.in_turn(
            list(ready.values()), self._seconds * max(1, len(ready)), least=LEAST_SAMPLES, most=MOST_SAMPLES
        )  # fmt: skip
        return {**found, **{regime: statistics.median(one.samples) for regime, one in ready.items()}}

    def _plan(self, cell: device_cells.Cell, name: str, regime: Regime) -> Callable[[Any, Any], Any]:
        """A function (x, out) that runs a candidate; what making it raises it raises when it is called."""
        device = replace(self._device, table={**self._device.table, name: (regime,)})
        run: Any = None

        def call(x: Any, out: Any) -> Any:
            nonlocal run
            if run is None:
                run = plans.make(cell.operation, ELEMENTS[cell.dtype], cell.shape, 0, 0, device)
            run(x, out, 0)
            return out

        return call


class _Candidate:
    """A candidate in the form of a kernel."""

    def __init__(self, run: Callable[[Any, Any], Any], backend: Any) -> None:
        self.run, self.backend = run, backend

    def refusal(self, dtype: str, size: int) -> None:
        """None: what it cannot do shows when it is called."""
