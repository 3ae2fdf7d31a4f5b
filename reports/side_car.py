"""The side-car of a run, `run.json`, as every command that measures begins it."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from . import environment, files
from .precheck import Precheck
from .runs import SCHEMA


def begin(
    name: str,
    command: Sequence[str],
    grid: str,
    threads: int,
    machine: str | None,
    array: dict[str, Any] | None = None,
    precheck: Precheck | None = None,
) -> dict[str, Any]:
    """What is known before anything is measured.

    Args:
        name: of the run.
        command: the words of the command line.
        grid: which inputs.
        threads: CPU threads of every library.
        machine: a name for the machine, None for its host name.
        array: the user's own array.
        precheck: what the command found in its first seconds.
    """
    return {
        "schema": SCHEMA,
        "id": files.encode(name).decode(),  # of a folder, whose name may not be UTF-8
        "started": now(),
        "finished": None,
        "state": "running",
        "command": list(command),
        "grid": grid,
        "machine": environment.machine(machine),
        "threads": environment.threads(threads, precheck.layer if precheck else None),
        "precheck": precheck.as_dict() if precheck else None,
        "load_average": {"start": environment.load_average(), "end": None},
        "versions": environment.versions(),
        "source": environment.source(),
        "array": array,
        "implementations": [],
    }


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
