"""Sweeps of a kernel over the contract's cases, in whole warps with poisoned memory and shuffled blocks.

A regime takes every case that it can hold, also those that a device's table would give to another.
"""

from __future__ import annotations

import numpy as np

from maxbench.impls import contract
from maxbench.impls.cuda import plans, regimes, short_rows
from maxbench.impls.cuda.elements import ELEMENTS
from maxbench.impls.cuda.regimes import Regime
from tests.impls.cuda.simulated.arrays import small_cases, wrong
from tests.needs import ALL

SOFTMAX_DTYPES = contract.SOFTMAX.dtypes
# uint8, int16, uint16 and int32 are held as int8 and bool are, in registers of 32 bits with a sign.
ARGMAX_DTYPES = tuple(d for d in contract.ARGMAX.dtypes if ALL or d not in ("uint8", "int16", "uint16", "int32"))

# Fewer threads and registers than on a device, so that short cases reach every branch: two warps, several tiles,
# several blocks a row. (regime, multiprocessors): 1 makes one part of a row, 64 as many as there are tiles.
ROWS = {
    "softmax": {
        "short": (Regime("short", 32, 1, 16), 64),
        "lanes": (Regime("rows", 32, 8, 16), 64),
        "warp": (Regime("rows", 64, 32, 16), 64),
        "block": (Regime("rows", 64, 64, 16), 64),
        "shared": (Regime("shared", 64, 64, 8), 1),
        "coupled": (Regime("shared", 64, 64, 8), 64),
        "split": (Regime("split", 64, 64, 8), 64),
    },
    "argmax": {
        "short": (Regime("short", 32, 1, 16), 64),
        "lanes": (Regime("rows", 32, 8, 16), 64),
        "warp": (Regime("rows", 64, 32, 16), 64),
        "block": (Regime("rows", 64, 64, 16), 64),
        "whole": (Regime("parts", 64, 64, 8), 1),
        "parts": (Regime("parts", 64, 64, 8), 64),
    },
}
COLUMNS = {
    "softmax": {
        "short": (Regime("short", 32, 1, 16), 64),
        "alone": (Regime("tile", 32, 1, 16), 64),
        "shared": (Regime("tile", 32, 4, 64), 64),
        "several warps": (Regime("tile", 64, 16, 64), 64),
        "split": (Regime("split", 32, 4, 16), 64),
    },
    "argmax": {
        "short": (Regime("short", 32, 1, 16), 64),
        "whole": (Regime("parts", 32, 4, 8), 1),
        "parts": (Regime("parts", 32, 4, 8), 64),
    },
}
# float32 takes every second case. The other dtypes share their code with it, float64 or int32 but for loads and stores:
# they take every 16th. Which ones differs by kernel and dtype. The nightly job takes all of these three, and of the
# others every fourth and all of those that are simulated fast.
EVERY_CASE = ("float32", "float64", "int32") if ALL else ()
# (table, dtype): columns of 16 bits take twice as many elements, each a simulated thread's work.
LONGEST = [
    (name, dtype) for name in regimes.DEVICE for dtype in ("float32", "float16", "float64")
    if ALL or dtype == "float32" or (dtype == "float16" and name.endswith("rows"))
]  # fmt: skip
TURNS = 4 if ALL else 16
TURNS_OF_FLOAT32 = 2
LARGEST_COLUMNS = 1000  # elements
OFFSETS = ((0, 0), (1, 1), (1, 0), (3, 3), (0, 1))  # elements by which x and out start after a boundary


def sweep(operation: str, dtype: str, regime: Regime, multiprocessors: int, columns: bool) -> None:
    """Assert that a regime is right on every case it is given, and that it was given those it can hold."""
    ran, given, bad = 0, 0, []
    bounded = regime.kernel in ("short", "rows", "shared", "tile")  # these refuse long rows, or rows of unlike offsets
    quick = ALL and bounded and regime.sharing <= 8
    turns = TURNS_OF_FLOAT32 if dtype == "float32" else TURNS
    turn = (contract.ARGMAX.dtypes.index(dtype) + len(regime.kernel) + multiprocessors) % turns
    for index, (name, x) in enumerate(small_cases(dtype)):
        if dtype not in EVERY_CASE and not quick and index % turns != turn:
            continue
        if columns and x.size > LARGEST_COLUMNS:
            continue
        if columns:
            # The same rows side by side; padded to a whole number of vectors in every second case.
            x = x if x.shape[2] > 1 else np.ascontiguousarray(x.transpose(2, 1, 0))
            if index % 2 and x.shape[2] < 16:
                x = np.ascontiguousarray(
                    np.resize(x.transpose(2, 0, 1), (16, x.shape[0], x.shape[1])).transpose(1, 2, 0)
                )
        elif x.shape[2] > 1:
            continue
        given += 1
        offsets = OFFSETS[index % len(OFFSETS)]
        try:
            problem = wrong(
                operation, dtype, x, regime, x_offset=offsets[0], out_offset=offsets[1],
                multiprocessors=multiprocessors, seed=index,
            )  # fmt: skip
        except StopIteration:
            continue
        ran += 1
        if problem:
            bad.append(f"{name}, offsets {offsets}: {problem}")
    assert not bad, "\n".join(bad)
    # Of 64 bits, and by a thread alone, only the shortest columns are taken: not every turn has one.
    assert ran > 0 or regime.kernel in ("short", "tile")
    assert bounded or ran == given


def _largest(name: str, regime: Regime, dtype: str) -> int:
    """The longest aligned row that a regime of the device's table is used for, or a few tiles where it has no end."""
    element = ELEMENTS[dtype]
    if regime.kernel == "short":
        return min(short_rows.longest(element), regime.longest or short_rows.longest(element))
    if regime.longest is not None:
        return regime.longest
    if regime.kernel in ("shared", "split", "parts"):
        return 2 * regime.sharing * regime.vectors(element) * element.per_vector + 1
    device = plans.Device(132, {**regimes.DEVICE, name: (regime,)})
    n = 1
    while _fits(name, element, 2 * n, device):
        n *= 2
    return n


def _fits(name: str, element: object, n: int, device: plans.Device) -> bool:
    try:
        plans.choose(name, element, n, device)  # type: ignore[arg-type]
    except StopIteration:
        return False
    return True


def device_table(name: str, dtype: str) -> None:
    """Assert that the built-in table is right with its own thread counts, at the ends of each regime."""
    operation, layout = name.split()
    rng = np.random.default_rng(5)
    for regime in regimes.DEVICE[name]:
        n = _largest(name, regime, dtype)
        for length in sorted({max(n - 1, 1), n}):
            shape = (2, length, 1) if layout == "rows" else (1, length, 24)
            if length > 20000 and dtype != "float32":
                continue
            x = (rng.standard_normal(shape) * 3).astype(dtype)
            for multiprocessors in (1, 132) if regime.kernel == "shared" else (132,):  # few rows are shared by more
                try:
                    problem = wrong(operation, dtype, x, regime, multiprocessors=multiprocessors, shared=227 << 10)
                except StopIteration:
                    assert length < n, regime
                else:
                    assert problem is None, (regime, length, multiprocessors)
