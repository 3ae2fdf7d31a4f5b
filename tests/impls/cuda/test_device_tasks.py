"""The order of a device report's tasks: a report of a minute, of three and of eight ends with what is wanted most."""

from __future__ import annotations

from typing import Any

import pytest

from maxbench.bench.inputs import device_cells
from maxbench.bench.inputs.device_cells import COMPILE_EACH, IMPLEMENTATIONS, OURS
from maxbench.bench.processes.messages import (
    AnyTask,
    CellTask,
    CheckTask,
    CompileJob,
    DescribeTask,
    Gpu,
    LaunchTask,
    Outcome,
)
from maxbench.bench.timing.ready import LONG_ROW
from maxbench.reports.measure.device import compilers
from maxbench.reports.measure.device.compilers import FEW, Compilers, order
from maxbench.reports.measure.device.report import REPORT_SECONDS
from maxbench.reports.measure.device.session import Session
from maxbench.reports.measure.device.tasks import CHECKED_LAST, SAMPLED, tasks
from tests.impls.cuda.fakes import Clock, Worker, measured

NAMES = {operation: list(IMPLEMENTATIONS) for operation in ("softmax", "argmax")}
PROMPT = {"numba_cuda", "torch_cuda", "cupy"}
STARTS_SECONDS = 7.0


def seconds_of(task: AnyTask, name: str) -> float:
    """About what a part took on an H200, and more."""
    match task:
        case DescribeTask():
            return 1.0 if name == OURS else 4.0
        case CheckTask():
            return min(task.seconds, 6.0)
        case CellTask():
            very_long = name != "ceiling" and task.cell.shape[1] > LONG_ROW
            return 8.0 if name in COMPILE_EACH else 4.0 if very_long else 0.8
        case LaunchTask():
            return 0.5
    return 5.0


def done(budget: float, names: dict[str, list[str]] = NAMES) -> set[tuple[Any, ...]]:
    """What a report of so many seconds has measured: (kind, operation, name, dtype, what)."""
    clock, found = Clock(), set()
    todo = tasks(names, None, seconds=budget)

    class Timed(Worker):
        def lines(self) -> list[Any]:
            if self.todo:
                self.seconds = seconds_of(self.todo[0][0], self.todo[0][1])
            return super().lines()

    def record(task: AnyTask, name: str, outcome: Outcome) -> None:
        if outcome.status == "ok":
            cell = getattr(task, "cell", None)
            dtype = cell.dtype if cell else getattr(task, "dtype", "")
            found.add((task.kind, task.operation, name, dtype, cell and (cell.benchmark, cell.label)))

    left = budget - REPORT_SECONDS - STARTS_SECONDS
    Session(todo, lambda some: Timed(some, clock, 0, measured), record, left, clock=clock, sleep=clock.sleep).run()
    return found


def inputs(operation: str, priority: int, dtype: str = "float32") -> set[tuple[Any, ...]]:
    return {
        ("cell", operation, name, dtype, (cell.benchmark, cell.label))
        for cell in device_cells.cells([operation])
        if cell.benchmark != "Ceiling" and (cell.priority, cell.dtype) == (priority, dtype)
        for name in PROMPT
    }


@pytest.mark.parametrize("operation", ["softmax", "argmax"])
def test_each_budget_ends_with_a_useful_report(operation: str) -> None:
    ours = ("check", operation, OURS, "float32", None)
    minute, more, three, usual, eight = (done(seconds) for seconds in (60, 100, 180, 200, 480))
    assert minute < more < three < usual < eight
    primary = inputs(operation, device_cells.PRIMARY)
    assert ours in minute
    ceilings = {what for kind, _, name, _, what in minute if name == "ceiling"}
    assert ("Ceiling", 1 << 27) in ceilings
    assert len(primary & minute) > len(primary) / 3
    assert primary <= more
    assert inputs(operation, device_cells.PUBLISHED) <= three
    assert ("launch", operation, OURS, "", None) in three
    closest = {part for part in inputs(operation, device_cells.SECONDARY) if part[2] in (OURS, "torch_cuda")}
    assert closest <= usual
    assert inputs(operation, device_cells.PRIMARY, "float16") <= eight
    assert {("check", operation, OURS, dtype, None) for dtype in ("float16", "float64")} <= eight


def test_what_compiles_for_seconds_waits_until_the_others_have_their_times() -> None:
    todo = tasks(NAMES, None)
    first = next(i for i, task in enumerate(todo) if set(task.names) & set(COMPILE_EACH))
    before = [task.cell for task in todo[:first] if isinstance(task, CellTask)]
    assert set(before) == {cell for op in NAMES for cell in device_cells.cells([op])}
    # Each has all inputs in the end, and none twice.
    parts = [(task.cell, name) for task in todo if isinstance(task, CellTask) for name in task.names]
    assert len(parts) == len(set(parts))
    assert {name for _, name in parts} == {*IMPLEMENTATIONS, "ceiling"}


def test_agreement_begins_with_ours_and_ends_with_that_of_the_others() -> None:
    todo = tasks(NAMES, None, seconds=100)
    checks = [task for task in todo if isinstance(task, CheckTask)]
    assert [(task.names, task.dtype, task.seconds) for task in checks[:2]] == [([OURS], "float32", 7.5)] * 2
    sampled = [task for task in checks if task.every == SAMPLED]
    ours = {(OURS, dtype) for dtype in CHECKED_LAST}
    assert {(task.names[0], task.dtype) for task in sampled} == {("torch_cuda", "float32"), ("cupy", "float32"), *ours}
    sweep = [task for task in todo if isinstance(task, CellTask) and task.cell.priority == device_cells.SECONDARY]
    assert {tuple(one.names) for one in sweep} >= {(OURS, "torch_cuda"), ("cupy",)}
    for one in sweep:
        assert (todo.index(one) < todo.index(sampled[0])) == (OURS in one.names)
    assert all(
        todo.index(task) > todo.index(one)
        for task in sampled
        for one in todo
        if isinstance(one, LaunchTask) and OURS in one.names
    )
    assert {task.names[0] for task in checks[-8:]} <= set(COMPILE_EACH)
    whole = [(task.operation, task.names[0], task.dtype) for task in checks if task.seconds == 40 and task.every == 1]
    assert len(whole) == len(set(whole)) == 2 * 5 * 4


def test_a_dtype_that_is_asked_for_comes_first() -> None:
    todo = tasks({"softmax": [OURS]}, ["float16"])
    assert [task.kind for task in todo[:2]] == ["describe", "check"]
    assert {task.cell.dtype for task in todo if isinstance(task, CellTask)} == {"float16", "float32"}  # ceilings
    assert todo.index(next(task for task in todo if isinstance(task, CellTask))) == 2


GPU = Gpu("H200", simulated=False, cache_bytes=1, compute_capability="9.0", multiprocessors=132, shared_bytes=232448)


class Crew:
    """Notes the jobs, and keeps them until they are stopped."""

    def __init__(self) -> None:
        self.jobs: list[CompileJob] = []

    def run(self, job: CompileJob, *, env: dict[str, str], seconds: float, tick: Any) -> None:
        self.jobs.append(job)
        while True:
            tick()


def test_kernels_are_compiled_by_as_many_processes_as_there_are_cpus_to_spare() -> None:
    todo = tasks(NAMES, None)
    for cpus, count in [(2, 1), (8, 8 - compilers.KEPT), (64, compilers.MOST)]:
        crew = Crew()
        some = Compilers(crew, todo, GPU, {}, cpus, 10)  # type: ignore[arg-type]
        some.stop()
        assert sorted((job.first, job.of) for job in crew.jobs) == [(i, count) for i in range(count)]
        first = crew.jobs[0]
        assert (first.compute_capability, first.multiprocessors, first.shared_bytes) == ("9.0", 132, 232448)
    crew = Crew()
    Compilers(crew, None, GPU, {}, 8, 10).stop()  # type: ignore[arg-type]
    assert [job.tasks for job in crew.jobs] == [None] * (8 - compilers.KEPT)  # of tuning
    crew = Crew()
    Compilers(crew, todo, Gpu("simulator", simulated=True, cache_bytes=1), {}, 8, 10).stop()  # type: ignore[arg-type]
    assert not crew.jobs


def test_kernels_are_compiled_in_the_order_in_which_they_are_needed() -> None:
    todo = tasks(NAMES, None)
    many, few = order(todo, FEW + 1), order(todo, FEW)
    assert [task.id for task in many] == sorted(task.id for task in many)
    assert isinstance(many[0], CheckTask)
    assert isinstance(few[0], CellTask)
    assert {task.id for task in few} == {task.id for task in many}
    assert all(OURS in task.names or task.names == ["ceiling"] for task in many)
