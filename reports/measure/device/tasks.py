"""The tasks of a device report in the order in which they are wanted, and the parts of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import structs

from maxbench.bench.inputs import device_cells
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


def tasks(
    names: Mapping[str, Sequence[str]], dtypes: Sequence[str] | None, *, simulated: bool = False
) -> list[AnyTask]:
    """What a worker is to do, most wanted first.

    Args:
        names: the implementations of each operation.
        dtypes: narrows those measured and checked; None for all that a device report has.
        simulated: the tiny inputs of a rehearsal.
    """
    found: list[tuple[float, AnyTask]] = []

    def add(priority: float, kind: Callable[..., AnyTask], operation: str, parts: Sequence[str], **more: Any) -> None:
        if parts:
            found.append((priority, kind(id=0, operation=operation, names=list(parts), **more)))

    wanted = [*CHECKED_FIRST, *CHECKED_LAST] if dtypes is None else list(dtypes)
    for operation, mine in names.items():
        add(-2.0, DescribeTask, operation, mine)
        for dtype in wanted:
            if dtype not in contract.OPERATIONS[operation].dtypes:
                continue
            priority = -1.0 if dtype in CHECKED_FIRST or dtypes is not None else 1.5
            # Not in a rehearsal, which `maxbench check --simulate-cuda` is for.
            for name in () if simulated else mine:
                add(priority, CheckTask, operation, [name], dtype=dtype, seconds=CHECK_SECONDS)
        for cell in device_cells.cells([operation], dtypes, simulated=simulated):
            parts = ["ceiling"] if cell.benchmark == "Ceiling" else mine
            add(cell.priority, CellTask, operation, parts, cell=cell)
        add(0.5, LaunchTask, operation, mine)
        add(0.6, ApiTask, operation, mine)
        add(0.8, StartTask, operation, mine)
        add(0.9, MemoryTask, operation, mine)
    add(0.7, TransferTask, next(iter(names), "softmax"), TRANSFERS)
    ordered = [task for _, task in sorted(found, key=lambda item: item[0])]
    return [structs.replace(task, id=number) for number, task in enumerate(ordered)]
