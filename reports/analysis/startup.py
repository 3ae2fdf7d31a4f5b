"""What an implementation costs before its first fast call, and after how many calls that has paid off."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from maxbench.bench.inputs import device_cells

from ..system import text
from . import rules
from .derived import Derived, Measured, difference, of

STEADY, OWN = "1024 × 1024 elements", "your array"  # what a steady call is made on

# The rungs of the ladder, in the order in which a user meets them: (key, title, what it is).
RUNGS = (
    ("load", "import", "importing the implementation and what it needs"),
    ("cold", "first call, compiling", "the first call of a process with an empty compile cache, on 64 × 1000 elements"),
    ("warm", "first call, from cache", "the same with the compiled code on disk"),
    ("call", "steady call", f"the kernel on a preallocated output: {STEADY}, or {OWN} in a run of it"),
    ("api", "public function", "the public function on the same input: it checks it and allocates the result"),
    ("launch", "launch", "starting one call on the device from Python, without waiting for it: 32 elements"),
    ("transfer_in", "copy to the device", "256 MiB from pinned host memory to the device"),
    ("transfer_out", "copy back", "256 MiB from the device to pinned host memory"),
    ("device", "device kernel", "the kernel alone, timed on the device: 131,072 × 1024 elements"),
    (
        "end_to_end",
        "end to end",
        "the public function on 65,536 × 1024 elements of the host: copy, kernel, copy back",
    ),
)
DEVICE_RUNGS = ("launch", "transfer_in", "transfer_out", "device", "end_to_end")
_ON_DEVICE = {"launch", "device", "end_to_end"}  # those of an implementation
STEADY_N, STEADY_ELEMENTS = 1024, 1 << 20
_KERNEL_ELEMENTS = device_cells.SWEEP_BYTES // 4
_TRANSFERS = {"host to device, pinned": "transfer_in", "device to host, pinned": "transfer_out"}


@dataclass(frozen=True)
class Ladder:
    """The times of one implementation, in seconds, by rung; a rung that was not measured is missing.

    `input` says what its steady call is made on.
    """

    run: str
    operation: str
    implementation: str
    dtype: str
    rungs: dict[str, Measured]
    input: str = STEADY

    @property
    def compiling(self) -> Derived:
        """Seconds by which the first call takes longer with an empty compile cache than with a full one."""
        return difference(self.of("cold"), self.of("warm"))

    @property
    def allocating(self) -> Derived:
        """Seconds by which the public function takes longer than the kernel on a preallocated output."""
        return difference(self.of("api"), self.of("call"))

    def of(self, rung: str) -> Measured:
        """The time of a rung; NaN where it was not measured."""
        return self.rungs.get(rung, Measured(math.nan))

    def start(self, *, compiling: bool) -> Measured:
        """Seconds from nothing to the end of the first call."""
        return self.of("load") + self.of("cold" if compiling else "warm")

    def after(self, calls: float, *, compiling: bool) -> float:
        """Seconds for a start and so many steady calls."""
        return self.start(compiling=compiling).value + calls * self.of("call").value


def ladders(table: pd.DataFrame) -> list[Ladder]:
    """The ladder of every implementation whose start, or whose steps on a device, were measured."""
    good = table[table["status"] == "ok"]
    found: dict[tuple[str, str, str, str], dict[str, dict[Any, Any]]] = {}
    copies: dict[str, dict[str, Measured]] = {}  # of each run: they are the same for all of its implementations
    for row in good[good["benchmark"].isin(["Start", "Sweep", "Own", "Api", "Launch", "Transfer"])].to_dict("records"):
        if row["benchmark"] == "Transfer":
            if row["implementation"] in _TRANSFERS:
                copies.setdefault(row["run"], {})[_TRANSFERS[row["implementation"]]] = of(row)
        elif rung := _rung(row):
            key = (row["run"], row["operation"], row["implementation"], row["dtype"])
            found.setdefault(key, {})[rung] = row
    ladders = []
    for key, rows in found.items():
        values = {rung: of(row) for rung, row in rows.items()}
        if not _ON_DEVICE.isdisjoint(values):
            values |= copies.get(key[0], {})
        if _ON_DEVICE.isdisjoint(values) and {"load", "cold"}.isdisjoint(values):
            continue
        steps = {rung: values[rung] for rung, _, _ in RUNGS if rung in values}
        own = "call" in rows and rows["call"]["benchmark"] == "Own"
        ladders.append(Ladder(*key, steps, OWN if own else STEADY))
    return ladders


def _rung(row: dict[Any, Any]) -> str | None:
    """The rung that a measurement is, None for those that are none: other inputs of the same benchmarks."""
    if row["benchmark"] == "Launch":
        return "launch"
    if row["benchmark"] == "Start":
        return str(row["cache"]) if row["statistic"] == "first_call" else str(row["statistic"])
    if row["benchmark"] == "Own":
        return "call"
    if row["statistic"] != "time" or row["n"] != STEADY_N:
        return None
    sizes = [row["outer"], row["n"], row["inner"]]
    elements = STEADY_ELEMENTS if any(map(pd.isna, sizes)) else math.prod(sizes)
    if row["benchmark"] == "Sweep":
        return {STEADY_ELEMENTS: "call", _KERNEL_ELEMENTS: "device"}.get(elements)
    return {STEADY_ELEMENTS: "api", math.prod(device_cells.API_SHAPE): "end_to_end"}.get(elements)


@dataclass(frozen=True)
class BreakEven:
    """After how many calls the dearer start of an implementation has paid off against the baseline.

    `calls` is 0 where it starts no slower and is no slower per call, and infinite where it never pays off; the
    interval is the widest that the intervals of the starts and of the calls allow; `processes` is the fewest of any.
    """

    implementation: str
    calls: float
    low: float
    high: float
    processes: int

    @property
    def value(self) -> float:
        """`calls`, as a `rules.Quantity`."""
        return self.calls

    @property
    def shown(self) -> bool:
        """Whether enough processes measured it, and agree on whether it pays off."""
        return not rules.unknown(self) and math.isinf(self.high) == math.isinf(self.low)

    def __str__(self) -> str:
        if not self.shown:
            return f"not shown: {rules.unknown(self) or 'the calls are too close'}"
        if self.calls == math.inf:
            return "never"
        if self.calls == 0:
            return "at once"
        between = f" ({math.ceil(self.low):,}–{math.ceil(self.high):,})" if math.isfinite(self.low) else ""
        return f"after {text.plural(math.ceil(self.calls), 'call')}{between}"


def break_even(ladder: Ladder, baseline: Ladder, *, compiling: bool) -> BreakEven | None:
    """When `ladder` has paid off against `baseline`; None where one of their times is missing."""
    cost = difference(ladder.start(compiling=compiling), baseline.start(compiling=compiling))
    gain = difference(baseline.of("call"), ladder.of("call"))
    if math.isnan(cost.value) or math.isnan(gain.value):
        return None
    low, high = _paid(cost.low, gain.high), _paid(cost.high, gain.low)
    processes = min(cost.processes, gain.processes)
    return BreakEven(ladder.implementation, _paid(cost.value, gain.value), low, high, processes)


def _paid(cost: float, gain: float) -> float:
    if math.isnan(gain) or math.isnan(cost):
        return math.nan
    if gain <= 0:
        return math.inf
    return max(0.0, cost / gain)


def sentence(ladder: Ladder, baseline: Ladder) -> str:
    """The break-even in words."""
    cold, warm = (break_even(ladder, baseline, compiling=compiling) for compiling in (True, False))
    if cold is None or warm is None:
        return f"{ladder.operation}.{ladder.implementation}: not all of its times were measured."
    about = f"{ladder.operation}.{ladder.implementation} against {baseline.implementation}"
    if not cold.shown and not warm.shown:
        return f"{about}: when it pays off is {cold}."
    if warm.calls == math.inf:
        return f"{about}: never pays off on {ladder.input} ({ladder.dtype}), where a call of it is not faster."
    first, second = (str(even).replace("at once", "from the first call on") for even in (cold, warm))
    if first == second:
        return f"{about}: pays off {first}."
    return f"{about}: pays off {first} where it has to compile, and {second} with the compiled code on disk."


def rung_times(ladder: Ladder) -> str:
    """For alternative texts: each rung with its time."""
    titles = {key: title for key, title, _ in RUNGS}
    return ", ".join(f"{titles[key]} {text.seconds(one.value)}" for key, one in ladder.rungs.items())


def rung_words(ladder: Ladder, rung: str) -> str:
    """All that is known of a rung, for one line."""
    title, one = next(title for key, title, _ in RUNGS if key == rung), ladder.of(rung)
    between = text.seconds_range(one.low, one.high)
    time = f"{text.seconds(one.value)} ({between})" if between else text.seconds(one.value)
    return f"{ladder.implementation}, {title}: {time}; {text.processes(one.processes)}"
