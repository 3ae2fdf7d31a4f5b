"""One input of the side-by-side table, with players that are no processes: the bytes that they move."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from maxbench.bench.inputs.recipe import Input
from maxbench.bench.processes.messages import Command, Prepare, Sample, Turn
from maxbench.bench.workers.turns import CEILING
from maxbench.reports.measure.side_by_side import session
from maxbench.reports.measure.side_by_side.player import Answer
from maxbench.reports.measure.side_by_side.results import Timing

SHAPE = (4, 10, 3)


class Player:
    """Answers what it is told to; keeps what it was asked."""

    def __init__(self, shown: np.ndarray | None = None) -> None:
        self._shown = shown
        self.asked: list[Command] = []

    def ask(self, command: Command) -> Answer:
        self.asked.append(command)
        if isinstance(command, Prepare):
            return Answer(Turn(), self._shown)
        return Answer(Turn(number=7, seconds=1e-6 if isinstance(command, Sample) else None))


def cell(operation: str = "softmax", dtype: str = "float32", **players: Any) -> dict[str, Timing]:
    found = session._cell(players, operation, 1, dtype, "case", SHAPE, 3)
    return {timing.implementation: timing for timing in found}


@pytest.mark.parametrize(
    ("operation", "dtype", "kernel", "ceiling"),
    [
        ("softmax", "float32", 120 * 4 * 2, 120 * 4 * 2),
        ("softmax", "float64", 120 * 8 * 2, 120 * 8 * 2),
        ("argmax", "float32", 120 * 4 + 12 * 8, 120 * 4),
        ("argmax", "int8", 120 + 12 * 8, 120),
    ],
)
def test_what_is_moved_is_counted_in_bytes(operation: str, dtype: str, kernel: int, ceiling: int) -> None:
    player = Player()
    found = cell(operation, dtype, a=player, **{CEILING: Player()})
    assert found["a"].gigabytes_per_second == pytest.approx(kernel / 1e-6 / 1e9)
    assert found[CEILING].gigabytes_per_second == pytest.approx(ceiling / 1e-6 / 1e9)
    size = 120 * np.dtype(dtype).itemsize
    assert player.asked[0] == Prepare(Input("scores", dtype, SHAPE), size, show=operation == "softmax")


@pytest.mark.parametrize(("dtype", "off", "ulp"), [("float32", 2.0**-22, 2.0), ("float64", 2.0**-51, 2.0)])
def test_errors_are_against_a_wider_oracle(dtype: str, off: float, ulp: float) -> None:
    x = Input("scores", dtype, SHAPE).array()
    right = session.oracle(x).astype(dtype)
    shown = right.copy()
    shown[0, 0, 0] *= 1 + off
    found = cell(dtype=dtype, a=Player(shown=right), b=Player(shown=shown), c=Player())
    assert 0 <= found["a"].ulp <= 0.51
    assert ulp / 2 - 0.5 <= found["b"].ulp <= 2 * ulp + 0.5
    assert found["b"].ulp > found["a"].ulp
    assert math.isnan(found["c"].ulp)
