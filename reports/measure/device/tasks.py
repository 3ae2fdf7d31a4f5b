"""The tasks of a device report in the order in which they are wanted, and the parts of each."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import structs

from maxbench.bench.inputs import device_cells
from maxbench.bench.inputs.device_cells import COMPILE_EACH, OURS, SLOW, Cell
from maxbench.bench.processes.messages import (
    AnyTask,
    ApiTask,
    CellTask,
    CheckTask,
    DescribeTask,
    LaunchTask,
    MemoryTask,
    StartTask,
    TransferTask,
)  # fmt: skip
from maxbench.impls import contract

TRANSFERS = ("host to device", "device to host", "host to device, pinned", "device to host, pinned")
CHECKED_FIRST, CHECKED_LAST = ("float32",), ("float16", "float64", *contract.OPTIONAL)
CHECK_SECONDS = 40.0  # of one implementation and dtype
FIRST_CHECK_SHARE = 0.15  # of all seconds, at most, that agreement takes before anything is timed
SAMPLED, SAMPLED_SECONDS = 8, 5.0  # one case in so many shows at once what a library gets wrong


class Step(enum.IntEnum):
    """Why a task stands where it does: whatever the time ends in, what came before it is the more useful report."""

    DESCRIBE = enum.auto()
    AGREE = enum.auto()  # ours, in the first dtype: of results that are wrong no time counts
    DESCRIBE_PEERS = enum.auto()
    PRIMARY = enum.auto()  # each result is checked before it is timed and after
    WORKLOADS = enum.auto()
    LAUNCH = enum.auto()
    SECONDARY = enum.auto()  # of those in `SLOW` later
    AGREE_SAMPLED = enum.auto()  # the others in the first dtype, ours in each other dtype
    PRIMARY_OTHERS = enum.auto()  # the other dtypes
    AGREE_REST = enum.auto()
    SECONDARY_SLOW = enum.auto()
    REST = enum.auto()
    COMPILED = enum.auto()  # what takes seconds of compiling for each input
    HOST = enum.auto()
    COMPILED_REST = enum.auto()
    AGREE_PEERS = enum.auto()
    AGREE_COMPILED = enum.auto()


def tasks(
    names: Mapping[str, Sequence[str]], dtypes: Sequence[str] | None, *, seconds: float = 480.0,
    simulated: bool = False,
) -> list[AnyTask]:  # fmt: skip
    """What a worker is to do, most wanted first.

    Args:
        names: the implementations of each operation.
        dtypes: narrows those measured and checked; None for all that a device report has.
        seconds: that there are for all of them.
        simulated: the tiny inputs of a rehearsal.
    """
    found: list[tuple[tuple[int, ...], AnyTask]] = []

    def add(
        step: Step, kind: Callable[..., AnyTask], operation: str, parts: Sequence[str], order: tuple[int, ...] = (),
        **more: Any,
    ) -> None:  # fmt: skip
        if parts:
            found.append(((step, *order), kind(id=0, operation=operation, names=list(parts), **more)))

    wanted = [*CHECKED_FIRST, *CHECKED_LAST] if dtypes is None else list(dtypes)
    first = [dtype for dtype in wanted if dtype in CHECKED_FIRST] or wanted
    sampled = {"seconds": SAMPLED_SECONDS, "every": SAMPLED}
    for operation, mine in names.items():
        ours = [name for name in mine if name == OURS]
        prompt = [name for name in mine if name not in COMPILE_EACH]
        compiled = [name for name in mine if name in COMPILE_EACH]
        add(Step.DESCRIBE, DescribeTask, operation, ours)
        add(Step.DESCRIBE_PEERS, DescribeTask, operation, [name for name in prompt if name not in ours])
        add(Step.COMPILED, DescribeTask, operation, compiled, (-1,))
        for position, dtype in enumerate(wanted):
            # Not in a rehearsal, which `maxbench check --simulate-cuda` is for.
            if simulated or dtype not in contract.OPERATIONS[operation].dtypes:
                continue
            for name in ours:
                if dtype in first:
                    least = min(CHECK_SECONDS, FIRST_CHECK_SHARE * seconds / len(names))
                    add(Step.AGREE, CheckTask, operation, [name], dtype=dtype, seconds=least)
                else:
                    add(Step.AGREE_SAMPLED, CheckTask, operation, [name], (1, position), dtype=dtype, **sampled)
                add(Step.AGREE_REST, CheckTask, operation, [name], (position,), dtype=dtype, seconds=CHECK_SECONDS)
            for name in (name for name in mine if name not in ours):
                if dtype in first and name in prompt:
                    add(Step.AGREE_SAMPLED, CheckTask, operation, [name], (0, position), dtype=dtype, **sampled)
                step = Step.AGREE_PEERS if name in prompt else Step.AGREE_COMPILED
                add(step, CheckTask, operation, [name], (position,), dtype=dtype, seconds=CHECK_SECONDS)
        for position, cell in enumerate(device_cells.cells([operation], dtypes, simulated=simulated)):
            step, order = _step(cell, first), (cell.benchmark != "Ceiling", position)
            if cell.benchmark == "Ceiling":
                add(step, CellTask, operation, ["ceiling"], order, cell=cell)
                continue
            slow = [name for name in prompt if name in SLOW and step == Step.SECONDARY]
            add(step, CellTask, operation, [name for name in prompt if name not in slow], order, cell=cell)
            add(Step.SECONDARY_SLOW, CellTask, operation, slow, order, cell=cell)
            later = Step.COMPILED if step == Step.PRIMARY else Step.COMPILED_REST
            add(later, CellTask, operation, compiled, order, cell=cell)
        for kind, step in (
            (LaunchTask, Step.LAUNCH),
            (ApiTask, Step.HOST),
            (StartTask, Step.HOST),
            (MemoryTask, Step.HOST),
        ):
            add(step, kind, operation, prompt)
            add(Step.COMPILED if step == Step.LAUNCH else Step.COMPILED_REST, kind, operation, compiled, (2,))
    add(Step.HOST, TransferTask, next(iter(names), "softmax"), TRANSFERS)
    ordered = [task for _, task in sorted(found, key=lambda item: item[0])]
    return [structs.replace(task, id=number) for number, task in enumerate(ordered)]


def _step(cell: Cell, first: Sequence[str]) -> Step:
    """Where an input stands, and its ceiling."""
    if cell.priority == device_cells.PRIMARY:
        return Step.PRIMARY if cell.dtype in first else Step.PRIMARY_OTHERS
    if cell.priority == device_cells.REST:
        return Step.REST
    return Step.WORKLOADS if cell.priority == device_cells.PUBLISHED else Step.SECONDARY
