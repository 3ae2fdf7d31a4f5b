"""The journal: what every benchmark process says of itself, which asv does not keep; and the sign to stop.

A null in asv's results may be a wrong result, a crash or a time-out, and a NaN may be a missing package or a dtype
that is not supported. The journal has the reason, in words, and how many samples each process took.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import grid


class Interrupted(RuntimeError):
    """The run is being stopped, so this is not measured."""

    def __str__(self) -> str:
        return "the run was interrupted before this was measured"


def note(benchmark: object, params: Sequence[Any], status: str, detail: str, **more: Any) -> None:
    """Append a line to the journal: one short write, so that lines of several processes stay whole."""
    path = os.environ.get(grid.JOURNAL)
    if path is None:
        return
    kind = type(benchmark)
    line = {
        "benchmark": f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}",
        "params": [repr(p) for p in params],
        "status": status,
        "detail": detail[:2000],
        "pid": os.getpid(),
        "at": time.time(),
        **more,
    }
    with open(path, "a", encoding="utf-8") as journal:
        journal.write(json.dumps(line) + "\n")


def stopped() -> bool:
    """Whether the run is being stopped."""
    stop = os.environ.get(grid.STOP)
    return stop is not None and Path(stop).exists()
