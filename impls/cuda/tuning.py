"""From timings of candidates to a table of regimes; what is timed, and how, is the caller's.

For each length, all kernels that can hold such rows compete; the built-in table's own choice is one of them and stays
unless another is clearly faster. Neighbouring lengths with one winner become one regime.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

from . import plans, regimes, short_rows
from .elements import ELEMENTS
from .platform import SIMULATED
from .regimes import Regime, Table

GAIN = 0.03  # by which a candidate must be faster than the built-in choice to replace it
ROOMY = 16  # a candidate that holds more than so many times the row is not tried: most of its threads would idle
_LANES, _BLOCKS = (4, 8, 16, 32), (64, 128, 256, 512)
_REGISTERS = (8, 16, 32)


def lengths(name: str, *, simulated: bool = False) -> tuple[int, ...]:
    """The row lengths that are timed for a table, in ascending order."""
    if simulated:
        return (4, 40) if name.endswith("rows") else (6,)
    return tuple(2**k for k in range(1, 23 if name.endswith("rows") else 18))


def turns(*, simulated: bool = False) -> list[tuple[str, int]]:
    """(table name, n), in the order in which they are timed: every table in turn, from the short rows to the long."""
    every = [[(name, n) for n in lengths(name, simulated=simulated)] for name in regimes.KINDS]
    return [pair for row in itertools.zip_longest(*every) for pair in row if pair]


def candidates(name: str, n: int, device: plans.Device) -> tuple[Regime, ...]:
    """The regimes to try for aligned float32 rows (or columns) of n, the one that the device's table takes first."""
    now = replace(plans.choose(name, ELEMENTS["float32"], n, device), longest=None)
    found = [now] if now.kernel != "short" or n <= short_rows.longest(ELEMENTS["float32"]) else []
    # Simulated threads are dear: there only the kernels that the simulator's own table has.
    for regime in (replace(r, longest=None) for r in device.table[name]) if SIMULATED else _all(name):
        if regime not in found and _fits(name, regime, n, device):
            found.append(regime)
    return tuple(found)


def _all(name: str) -> list[Regime]:
    pairs = list(itertools.product(_BLOCKS, _REGISTERS))
    if name.endswith("columns"):
        shapes = [(256, deep) for deep in (1, 2, 4, 8, 16, 32)]
        if name == "argmax columns":
            return [Regime("parts", threads, deep, r) for threads, deep in shapes for r in (16, 32, 64)]
        found = [Regime("tile", 256, 1, 96)]
        for threads, deep in (*shapes, (128, 16), (128, 32), (256, 64), (512, 64), (512, 128)):
            found += [Regime("tile", threads, deep, r) for r in (16, 32, 64)]
        return [*found, *(Regime("split", 256, deep, r) for deep in (8, 16, 32) for r in (16, 32))]
    found = [Regime("short", threads, 1, r) for threads in (64, 128, 256) for r in (16, 32)]
    found += [Regime("rows", 128, lanes, r) for lanes in _LANES for r in _REGISTERS]
    if name == "softmax rows":
        found += [Regime("rows", threads, threads, r) for threads, r in pairs]
        found += [Regime("shared", threads, threads, r) for threads in (256, 512, 1024) for r in _REGISTERS]
        return [*found, *(Regime("split", t, t, r) for t, r in pairs if t >= 128)]
    return [*found, *(Regime("parts", t, t, r) for t, r in pairs if t >= 128)]


def _fits(name: str, regime: Regime, n: int, device: plans.Device) -> bool:
    element = ELEMENTS["float32"]
    alone = replace(device, table={**device.table, name: (regime,)})
    try:
        plans.choose(name, element, n, alone)
    except StopIteration:
        return False
    bounded = regime.kernel in ("rows", "tile")
    return not bounded or regime.sharing * regime.elements(element) <= ROOMY * max(n, regime.elements(element))


def winner(seconds: Mapping[Regime, float], now: Regime) -> Regime:
    """The fastest, unless the present choice is about as fast.

    Args:
        seconds: of one call, of every candidate that could be timed.
        now: the table's present choice.
    """
    best = min(seconds, key=lambda regime: seconds[regime])
    return now if now in seconds and seconds[now] <= seconds[best] * (1 + GAIN) else best


def table_of(name: str, winners: Mapping[int, Regime], built_in: Table) -> tuple[Regime, ...]:
    """The regimes of a table from the winner of each length that was timed.

    A winner takes all lengths above the one before its own. Beyond the longest length, and for rows that a winner
    cannot hold in their dtype or alignment, later regimes are there, in the end one that takes any row.
    """
    last_of = regimes.KINDS[name][-1]
    found: list[Regime] = []
    for regime, group in itertools.groupby(sorted(winners), key=lambda n: winners[n]):
        found.append(replace(regime, longest=max(group)))
    if found and found[-1].kernel == last_of:
        found[-1] = replace(found[-1], longest=None)
    else:
        found.append(built_in[name][-1])
    return tuple(regimes.checked(name, regime) for regime in found)
