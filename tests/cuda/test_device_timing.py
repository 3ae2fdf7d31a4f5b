"""Inputs, buffers and samples of a device report, on arrays of the host and with a clock that is told the time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import impls
from bench import device_cells, device_timing
from bench.device_cells import Cell
from bench.device_timing import Contestant
from tests.cuda.fakes import Clock

L2 = 60 << 20


@pytest.mark.parametrize("operation", ["softmax", "argmax"])
def test_the_inputs_that_matter_come_first_and_are_large(operation: str) -> None:
    cells = device_cells.cells([operation])
    priorities = [cell.priority for cell in cells]
    assert priorities == sorted(priorities)
    sweeps = [cell for cell in cells if cell.benchmark == "Sweep"]
    assert {cell.dtype for cell in sweeps} >= {"float16", "float32", "float64"}
    # At least 1 GB of traffic for softmax, but for rows that do not divide it.
    assert all(cell.nbytes > 0.99 * device_cells.SWEEP_BYTES for cell in sweeps)
    assert any(cell.shape[2] > 1 and cell.priority == device_cells.PRIMARY for cell in cells)
    assert len(cells) == len({(c.benchmark, c.dtype, c.label) for c in cells})


@pytest.mark.parametrize("operation", ["softmax", "argmax"])
def test_every_input_has_a_ceiling_of_its_size(operation: str) -> None:
    cells = device_cells.cells([operation])
    ceilings = [cell.nbytes for cell in cells if cell.benchmark == "Ceiling"]
    for cell in cells:
        assert any(0.5 <= size / cell.nbytes <= 2 for size in ceilings), cell


def test_cells_go_through_json() -> None:
    for cell in device_cells.cells(["softmax"]):
        assert device_cells.from_dict(cell.as_dict()) == cell


@pytest.mark.parametrize(
    ("pair", "free", "count"),
    [(1 << 30, 70 << 30, 2), (100 << 20, 70 << 30, 3), (8 << 20, 70 << 30, 30), (1 << 30, 1 << 30, 1),
     (1 << 30, 1 << 29, 0), (64, 70 << 30, device_cells.MOST_BUFFERS)],
)  # fmt: skip
def test_buffers_lie_beyond_the_cache_where_they_fit(pair: int, free: int, count: int) -> None:
    assert device_cells.buffers(pair, L2, free) == count
    assert device_cells.beyond_cache(pair, count, L2) == (count > 0 and pair > 64)


def test_large_inputs_are_repeated_and_their_ends_and_middle_are_checked() -> None:
    cell = Cell("softmax", "Sweep", "float32", 1024, (8192, 1024, 1), 0)
    x = device_cells.scores(cell)
    assert x.shape == cell.shape
    assert not np.array_equal(x[0], x[4096])  # the repeated block is no whole number of rows
    result = impls.softmax(x, 1, impl="numpy_vectorized")
    assert device_timing.mismatch(cell, x, result) is None
    for row in (0, 4095, 8191):
        bad = result.copy()
        bad[row, 3] = 0.5
        assert "counted from row" in str(device_timing.mismatch(cell, x, bad)), row


@pytest.mark.parametrize("shape", [(1, 8, 1 << 20), (3, 9, 5), (1, 1 << 23, 1), (1 << 22, 2, 1), (300, 21, 16384)])
@pytest.mark.parametrize("operation", ["softmax", "argmax"])
def test_the_parts_looked_at_are_whole_rows_within_the_array(operation: str, shape: tuple[int, int, int]) -> None:
    cell = Cell(operation, "Sweep", "float32", 1, shape, 0)
    for rows, columns in device_cells.sampled(cell):
        assert 0 <= rows.start < rows.stop <= shape[0]
        assert 0 <= columns.start < columns.stop <= shape[2]
    total = sum((r.stop - r.start) * shape[1] * (c.stop - c.start) for r, c in device_cells.sampled(cell))
    assert total == math.prod(shape) or total <= max(1.1 * (1 << 22), 3 * shape[1])


def test_a_shape_that_is_wrong_is_a_mismatch() -> None:
    cell = Cell("argmax", "Sweep", "float32", 4, (2, 4, 1), 0)
    x = device_cells.scores(cell)
    assert "expected shape (2, 1), got (2,)" in str(device_timing.mismatch(cell, x, np.zeros(2, np.int64)))


def test_prepare_refuses_what_is_wrong_or_does_not_fit() -> None:
    cell = Cell("softmax", "Sweep", "float32", 4, (2, 4, 1), 0)
    x = device_cells.scores(cell)
    good = impls.load("softmax", "numpy_vectorized").kernel

    def zeros(given: Any, out: Any) -> Any:
        out[...] = 0
        return out

    wrong = impls.implements(dtypes=["float32"])(zeros)
    assert device_timing.prepare(cell, "a", good, x, 1024, 1 << 20).copies > 2
    with pytest.raises(RuntimeError, match="wrong result: at"):
        device_timing.prepare(cell, "a", wrong, x, 1024, 1 << 20)
    with pytest.raises(NotImplementedError, match="63 are free"):
        device_timing.prepare(cell, "a", good, x, 1024, 63)
    half = Cell("softmax", "Sweep", "int8", 4, (2, 4, 1), 0)
    with pytest.raises(NotImplementedError, match="int8 is not among its dtypes"):
        device_timing.prepare(half, "a", good, x.astype("int8"), 1024, 1 << 20)


def contestants(clock: Clock, **seconds: float) -> list[Contestant]:
    def timer_for(one: float) -> Any:
        def timer(call: Any) -> float:
            before = clock.now
            call()
            return clock.now - before

        return timer

    return [
        Contestant(name, lambda one=one: clock.sleep(one), timer_for(one), 1)  # type: ignore[misc]
        for name, one in seconds.items()
    ]


def test_samples_are_taken_in_turn_until_the_time_is_over() -> None:
    clock = Clock()
    ready = contestants(clock, a=0.010, b=0.020)
    order: list[str] = []
    device_timing.interleave(ready, 0.6, clock=clock, before=order.append)
    assert order[:4] == ["a", "b", "b", "a"]
    assert len(ready[0].samples) == len(ready[1].samples) == 20
    assert ready[1].samples == pytest.approx([0.020] * 20)


def test_the_slow_get_the_fewest_samples_that_say_anything_and_the_quick_no_more_than_needed() -> None:
    clock = Clock()
    slow, quick = contestants(clock, a=3.0), contestants(clock, b=1e-6)
    device_timing.interleave(slow, 0.1, clock=clock)
    device_timing.interleave(quick, 10, clock=clock)
    assert len(slow[0].samples) == device_timing.LEAST_SAMPLES
    assert len(quick[0].samples) == device_timing.MOST_SAMPLES


@pytest.mark.parametrize(("one", "number"), [(1e-6, 4000), (1e-3, 4), (0.5, 1)])
def test_a_sample_is_as_many_calls_as_take_long_enough(one: float, number: int) -> None:
    (contestant,) = contestants(Clock(), a=one)
    device_timing.warm_up(contestant)
    assert contestant.number == pytest.approx(number, rel=0.01)
