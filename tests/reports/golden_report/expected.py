"""What a report has to say, worked out from the raw samples with nothing of `reports`."""

from __future__ import annotations

import itertools

import pytest

from . import data
from .data import DTYPES, NAMES, SIZES, WORKLOADS

SHOWN = 6e-3  # three digits: half a unit of the last, over the number


def middle(values):
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def medians(raw, *key):
    return [middle(process) for process in raw.cells[key]]


def time(raw, *key):
    """(value, low, high) of a cell."""
    each = medians(raw, *key)
    return middle(each), min(each), max(each)


def moved(operation, shape, itemsize):
    """GB that the operation has to move at least: x and the result; an index has 8 bytes."""
    outer, n, inner = shape
    result = outer * n * inner * itemsize if operation == "softmax" else outer * inner * 8
    return (outer * n * inner * itemsize + result) / 1e9


def inputs(operation):
    """title -> (benchmark, parameters after the dtype, shape): all on which implementations compete."""
    dtype = DTYPES[operation]
    sweep = {f"n = {n:,}": ("Sweep.time_call", (dtype, n), (2**20 // n, n, 1)) for n in SIZES}
    work = {name: ("Workloads.time_call", (dtype, name), shape) for name, shape in WORKLOADS.items()}
    small = {
        f"{rows} × {n}": ("Shapes.time_call", (dtype, rows, n), (rows, n, 1))
        for rows, n in itertools.product(data.ROWS, data.ROW_SIZES)
    }
    return {**work, **sweep, **small}


def times(raw, operation, title):
    """Implementation -> (value, low, high) on an input, the fastest first."""
    benchmark, rest, _ = inputs(operation)[title]
    cells = {name: (operation, benchmark, (name, *rest)) for name in NAMES}
    ran = {name: time(raw, *key) for name, key in cells.items() if isinstance(raw.cells[key], list)}
    return dict(sorted(ran.items(), key=lambda item: item[1][0]))


def rivals(ran):
    fastest = next(iter(ran.values()))
    return [name for name, (_, low, high) in ran.items() if low <= fastest[2] and high >= fastest[1]]


def outcome(ran):
    """A tie of intervals that overlap, unless one is so wide that the other may be 20% faster or slower."""
    fastest = next(iter(ran.values()))
    found = [ran[name] for name in rivals(ran)[1:]]
    if any(low / fastest[2] < 1 / 1.2 or high / fastest[1] > 1.2 for _, low, high in found):
        return "cannot tell"
    return "tie" if found else "faster"


def winner(ran):
    names = " and ".join(rivals(ran))
    return {"faster": names, "tie": f"tie: {names}", "cannot tell": f"cannot tell (interval too wide): {names}"}[
        outcome(ran)
    ]


def ratio(slower, faster):
    return slower[0] / faster[0], slower[1] / faster[2], slower[2] / faster[1]


def against(ran, name):
    """How one stands on an input: (outcome, its ratio over the fastest of all others)."""
    mine, best = ran[name], next(iter(ran))
    other = next(times for who, times in ran.items() if who != name)
    over = ratio(other, mine)
    if name == best:
        return outcome(ran), over
    _, low, high = ratio(ran[best], mine)
    if high < 1:
        return "slower", over
    return ("tie" if low >= 1 / 1.2 and high <= 1.2 else "cannot tell"), over


def leads(raw, operation, titles):
    """The one that is fastest on the most of these inputs."""
    every = [times(raw, operation, title) for title in titles]

    def rank(name):
        clear = sum(next(iter(ran)) == name and outcome(ran) == "faster" for ran in every)
        return clear, sum(name in rivals(ran) for ran in every), sum(next(iter(ran)) == name for ran in every)

    return max(NAMES, key=rank)


def near(numbers, expected):
    assert numbers == pytest.approx(list(expected), rel=SHOWN), (numbers, expected)


def ladder(raw, operation, name):
    dtype = DTYPES[operation]
    one = {
        k: raw.cells[operation, f"Start.track_{k}", (name, dtype)]
        for k in ("load", "first_call_cold", "first_call_warm")
    }
    one["call"] = time(raw, operation, "Sweep.time_call", (name, dtype, 1024))
    one["api"] = time(raw, operation, "Api.time_call", (name, dtype, 1024))[0]
    return one
