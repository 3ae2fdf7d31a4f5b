"""The run record as every command that measures begins it."""

from __future__ import annotations

from collections.abc import Sequence

from ..records.run import Array, LoadAverage, Precheck, RunRecord, State, now
from ..system import files
from . import environment


def begin(
    name: str,
    command: Sequence[str],
    grid: str,
    threads: int,
    machine: str | None,
    array: Array | None = None,
    precheck: Precheck | None = None,
) -> RunRecord:
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
    return RunRecord(
        id=files.encode(name).decode(),  # of a folder, whose name may not be UTF-8
        started=now(),
        state="running",
        command=list(command),
        grid=grid,
        machine=environment.machine(machine),
        threads=environment.threads(threads, precheck.layer if precheck else None),
        precheck=precheck,
        load_average=LoadAverage(start=environment.load_average()),
        versions=environment.versions(),
        source=environment.source(),
        array=array,
        warnings=environment.warnings(threads),
    )


def end(record: RunRecord, state: State) -> None:
    """Note how a run ended."""
    record.state, record.finished = state, now()
    record.load_average.end = environment.load_average()
