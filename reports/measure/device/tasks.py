"""The tasks of a device report in the order in which they are wanted, and the parts of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from maxbench.bench.inputs import device_cells
from maxbench.impls import contract

TRANSFERS = ("host to device", "device to host", "host to device, pinned", "device to host, pinned")
CHECKED_FIRST, CHECKED_LAST = ("float32",), ("float16", "float64", *contract.OPTIONAL)
CHECK_SECONDS = 40.0  # of one implementation and dtype


def tasks(
    names: Mapping[str, Sequence[str]], dtypes: Sequence[str] | None, *, simulated: bool = False
) -> list[dict[str, Any]]:
    """What a worker is to do, most wanted first.

    Args:
        names: the implementations of each operation.
        dtypes: narrows those measured and checked; None for all that a device report has.
        simulated: the tiny inputs of a rehearsal.
    """
    found: list[tuple[float, dict[str, Any]]] = []

    def add(priority: float, kind: str, operation: str, parts: Sequence[str], **more: Any) -> None:
        if parts:
            found.append((priority, {"kind": kind, "operation": operation, "names": list(parts), **more}))

    wanted = [*CHECKED_FIRST, *CHECKED_LAST] if dtypes is None else list(dtypes)
    for operation, mine in names.items():
        add(-2.0, "describe", operation, mine)
        for dtype in wanted:
            if dtype not in contract.OPERATIONS[operation].dtypes:
                continue
            priority = -1.0 if dtype in CHECKED_FIRST or dtypes is not None else 1.5
            # Not in a rehearsal, which `maxbench check --simulate-cuda` is for.
            for name in () if simulated else mine:
                add(priority, "check", operation, [name], dtype=dtype, seconds=CHECK_SECONDS)
        for cell in device_cells.cells([operation], dtypes, simulated=simulated):
            parts = ["ceiling"] if cell.benchmark == "Ceiling" else mine
            add(cell.priority, "cell", operation, parts, cell=cell.as_dict())
        add(0.5, "launch", operation, mine)
        add(0.6, "api", operation, mine)
        add(0.8, "start", operation, mine)
        add(0.9, "memory", operation, mine)
    add(0.7, "transfer", next(iter(names), "softmax"), TRANSFERS)
    ordered = [task for _, task in sorted(found, key=lambda item: item[0])]
    return [{"id": number, **task} for number, task in enumerate(ordered)]
