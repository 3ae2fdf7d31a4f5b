"""Inputs and buffers of a device report, and what its worker says of one input, on a device that is pretended."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from maxbench import Kernel, UnknownImplementation, implements
from maxbench.bench.inputs import device_cells
from maxbench.bench.inputs.device_cells import Cell
from maxbench.bench.processes.messages import (
    AnyTask,
    CellTask,
    CheckTask,
    LaunchTask,
    Outcome,
    PartBegins,
    PartDone,
    TaskDone,
    Tried,
)  # fmt: skip
from maxbench.bench.timing import ready
from maxbench.bench.workers import device
from maxbench.impls import agreement
from tests.impls.cuda.fakes import Backend, Link

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
        least = 0.7 if cell.nbytes >= device_cells.LARGE else 1 - 16 / cell.nbytes
        assert any(least <= size / cell.nbytes <= 1 / least for size in ceilings), cell


@pytest.mark.parametrize(
    ("pair", "free", "count"),
    [(1 << 30, 70 << 30, 2), (100 << 20, 70 << 30, 3), (8 << 20, 70 << 30, 30), (1 << 30, 1 << 30, 1),
     (1 << 30, 1 << 29, 0), (64, 70 << 30, device_cells.MOST_BUFFERS)],
)  # fmt: skip
def test_buffers_lie_beyond_the_cache_where_they_fit(pair: int, free: int, count: int) -> None:
    assert device_cells.buffers(pair, L2, free) == count
    assert device_cells.beyond_cache(pair, count, L2) == (count > 0 and pair > 64)


def test_large_inputs_are_repeated() -> None:
    cell = Cell("softmax", "Sweep", "float32", 1024, (8192, 1024, 1), 0)
    x = cell.input.array()
    assert (x.shape, x.dtype) == (cell.shape, cell.dtype)
    assert not np.array_equal(x[0], x[4096])  # the repeated block is no whole number of rows
    flat, block = x.reshape(-1), (1 << 22) + 1
    assert np.array_equal(flat[block:], flat[: len(flat) - block])


SMALL = Cell("softmax", "Sweep", "float32", 4, (2, 4, 1), 0)
Run = Callable[[Any, Any], Any]


def softmax(x: Any, out: Any) -> Any:
    np.exp(x - x.max(axis=1, keepdims=True), out=out)
    out /= out.sum(axis=1, keepdims=True)
    return out


def zeros(x: Any, out: Any) -> Any:
    out[...] = 0
    return out


class Later:
    """Right for its first calls, and does nothing from then on."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def __call__(self, x: Any, out: Any) -> Any:
        self.left -= 1
        return softmax(x, out) if self.left >= 0 else out


def on_device(run: Run, seconds: float = 1e-3, where: str = "cuda", **declared: Any) -> Kernel:
    backend = Backend(seconds, where)

    def counted(x: Any, out: Any) -> Any:
        backend.calls += 1
        return run(x, out)

    return implements(backend=backend, dtypes=("float32",), **declared)(counted)


def measured(
    kernels: dict[str, Kernel], monkeypatch: pytest.MonkeyPatch, cell: Cell = SMALL, *, seconds: float = 0.0,
    cache_bytes: int = 1024, free: int = 1 << 20,
) -> tuple[dict[str, Outcome], Link]:  # fmt: skip
    """What a worker says of each of these kernels on an input."""

    def load(operation: str, name: str) -> Any:
        if name not in kernels:
            raise UnknownImplementation(f"unknown {operation} implementation {name!r}")
        return SimpleNamespace(operation=operation, name=name, kernel=kernels[name])

    monkeypatch.setattr(device.impls, "load", load)
    monkeypatch.setattr(device.Work, "_free", lambda self: free)
    link = Link()
    task = CellTask(id=3, operation=cell.operation, names=[*kernels, "nobody"], cell=cell)
    device.Work(link, seconds, cache_bytes, simulated=True).do(task)  # type: ignore[arg-type]
    assert link.said[-1] == TaskDone(3)
    found = {done.part: done.outcome for done in link.those(PartDone)}
    assert found.pop("nobody").status == "skipped"
    assert set(found) == set(kernels)
    return found, link


def test_what_comes_of_each_implementation_on_an_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(x: Any, out: Any) -> Any:
        raise ValueError("odd")

    found, link = measured(
        {
            "good": on_device(softmax), "zeros": on_device(zeros), "raises": on_device(raises),
            "small": on_device(softmax, largest=7, largest_reason="of its table"),
            "on the host": on_device(softmax, where="cpu"), "later": on_device(Later(20)),
        }, monkeypatch,
    )  # fmt: skip
    assert {name: line.status for name, line in found.items()} == {
        "good": "ok", "zeros": "wrong", "raises": "failed", "small": "skipped", "on the host": "skipped",
        "later": "wrong",
    }  # fmt: skip
    assert found["zeros"].detail.startswith("at (")
    assert found["raises"].detail == "ValueError: odd"
    assert "8 elements are more than its limit of 7 (of its table)" in found["small"].detail
    assert found["on the host"].detail == "its arrays are in the memory of the cpu, not of a CUDA device"
    assert found["later"].samples is None
    # Each is announced before it is prepared, before each of its samples, and before it is checked again.
    begun = [begun.part for begun in link.those(PartBegins)]
    assert begun[:7] == ["good", "zeros", "raises", "small", "on the host", "later", "nobody"]
    assert begun[7:11] == ["good", "later", "later", "good"]
    assert begun[-2:] == ["good", "later"]
    assert begun.count("good") == 1 + device.LEAST_SAMPLES + 1


def test_a_very_long_row_is_judged_before_and_with_other_values_after(monkeypatch: pytest.MonkeyPatch) -> None:
    checks: list[list[int]] = []
    check = ready.Ready.check

    def counted(self: ready.Ready, *given: Any, **how: Any) -> Any:
        checks[-1].append(1)
        return check(self, *given, **how)

    monkeypatch.setattr(ready.Ready, "check", counted)
    for longest in (4, 3):
        monkeypatch.setattr(device, "LONG_ROW", longest)
        checks.append([])
        found, _ = measured({"a": on_device(softmax)}, monkeypatch)
        assert found["a"].status == "ok"
    assert len(checks[0]) - len(checks[1]) == 1
    checks.append([])
    found, _ = measured({"later": on_device(Later(20))}, monkeypatch)
    assert found["later"].status == "wrong"


def test_copies_lie_beyond_the_cache_and_within_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    two = {"a": on_device(softmax), "b": on_device(softmax)}
    assert SMALL.pair_bytes == 64
    for cache, free, copies, beyond in [(32, 1 << 20, 2, True), (128, 1 << 20, 8, True), (128, 800, 3, True),
                                        (1024, 800, 3, False)]:  # fmt: skip
        found, _ = measured(two, monkeypatch, cache_bytes=cache, free=free)
        assert (found["a"].copies, found["a"].beyond_cache) == (copies, beyond)
    found, _ = measured(two, monkeypatch, free=79 * 3)  # a third for each, and a spare fifth of it
    assert {line.detail for line in found.values()} == {"x and its result take 64 bytes, and 63 are free"}
    assert {line.status for line in found.values()} == {"skipped"}


@pytest.mark.parametrize(
    ("seconds", "samples"), [(0.0, device.LEAST_SAMPLES), (100.0, device.MOST_SAMPLES)], ids=["slow", "quick"]
)
def test_the_slow_get_the_fewest_samples_that_say_anything_and_the_quick_no_more_than_needed(
    seconds: float, samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = measured({"a": on_device(softmax)}, monkeypatch, seconds=seconds)
    assert len(found["a"].samples) == samples


@pytest.mark.parametrize(("one", "number"), [(1e-6, 4000), (1e-3, 4), (0.5, 1)])
def test_a_sample_is_as_many_calls_as_take_long_enough_by_the_devices_timer(
    one: float, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = measured({"a": on_device(softmax, one)}, monkeypatch)
    assert found["a"].number == pytest.approx(number, rel=0.01)
    assert found["a"].samples == pytest.approx([one] * len(found["a"].samples))


def checking(monkeypatch: pytest.MonkeyPatch, run: Run, simulated: bool = True) -> tuple[device.Work, Link]:
    """A worker whose implementation `mine` is this, and what it says."""
    found = SimpleNamespace(operation="softmax", name="mine", kernel=on_device(run))
    monkeypatch.setattr(device.impls, "load", lambda operation, name: found)
    monkeypatch.setattr(device.Work, "_free", lambda self: 1 << 20)
    link = Link()
    return device.Work(link, 0.0, 1024, simulated), link  # type: ignore[arg-type]


def test_some_cases_now_and_the_others_later_are_all_cases_once(monkeypatch: pytest.MonkeyPatch) -> None:
    work, link = checking(monkeypatch, softmax)
    every = agreement.names_of_trials(["float32"])
    work.do(CheckTask(id=1, operation="softmax", names=["mine"], dtype="float32", seconds=60, every=8))
    tried = [(one.case, one.dtype) for one in link.those(Tried)]
    assert tried == every[::8]
    (done,) = link.those(PartDone)
    assert (done.outcome.status, done.outcome.detail) == (
        "skipped", f"{len(every) - len(tried)} of {len(every)} cases were left out"
    )  # fmt: skip
    work.do(CheckTask(id=2, operation="softmax", names=["mine"], dtype="float32", seconds=60))
    assert sorted((one.case, one.dtype) for one in link.those(Tried)) == sorted(every)
    assert link.those(PartDone)[-1].outcome.status == "ok"
    link.said.clear()
    work.do(CheckTask(id=3, operation="softmax", names=["mine"], dtype="float32", seconds=60))
    assert not link.those(Tried)
    assert link.those(PartDone)[-1].outcome.status == "ok"


@pytest.mark.parametrize("task", [
    CheckTask(id=1, operation="softmax", names=["mine"], dtype="float32", seconds=60),
    CellTask(id=1, operation="softmax", names=["mine"], cell=SMALL),
    LaunchTask(id=1, operation="softmax", names=["mine"]),
])  # fmt: skip
def test_a_lost_context_ends_the_process_at_the_part_that_lost_it(
    task: AnyTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an illegal address: all that follows in the process would fail as well."""
    lost: list[str] = []

    def fails(x: Any, out: Any) -> Any:
        lost.append("ILLEGAL_ADDRESS")
        raise RuntimeError("launch failed")

    work, link = checking(monkeypatch, fails, simulated=False)
    monkeypatch.setattr(device, "context_error", lambda: "".join(lost[:1]) or None)
    with pytest.raises(device.LostContext, match="the CUDA context is lost: ILLEGAL_ADDRESS"):
        work.do(task)
    assert link.those(PartBegins)[-1] == PartBegins(1, "mine")
    assert not link.those(PartDone)
    assert not link.those(TaskDone)
    assert [one.status for one in link.those(Tried)] == (["failed"] if isinstance(task, CheckTask) else [])


def test_a_failure_that_leaves_the_context_as_it_was_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(x: Any, out: Any) -> Any:
        raise RuntimeError("odd")

    work, link = checking(monkeypatch, fails, simulated=False)
    monkeypatch.setattr(device, "context_error", lambda: None)
    work.do(CellTask(id=1, operation="softmax", names=["mine"], cell=SMALL))
    assert [(done.outcome.status, done.outcome.detail) for done in link.those(PartDone)] == [
        ("failed", "RuntimeError: odd")
    ]
