"""Receives the reports of the processes that asv starts, one for each cell, and writes the journal of a run.

asv keeps a null for a cell that failed and a NaN for one that was skipped; the journal has the reason, and how many
samples each process took. A process that ends before it is done, by a crash for example, has its line as well.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from maxbench.bench.processes.hub import Talk
from maxbench.bench.processes.messages import VERSION, Answer, Cell, CellDone, Ended, Hello, Message, Outcome, Welcome

from ..records import journal
from ..records.journal import Key, Line
from ..records.reading import Problems

# Processes that an implementation may bring down, by a crash or by hanging, before its other cells are left out.
MOST_ENDS = 2
ENDED = "its process ended before it was done: it crashed, hung or was ended"
MOST_DETAIL = 2000  # characters


class Cells:
    """The cells of a run.

    Args:
        path: of the journal, which a line is appended to for every cell.
        package: the folder of the `impls` that is to be measured: a cell that has imported another is refused.
        tidy: called as a cell ends, to end what it left running.

    Attributes:
        bad: the cells that were wrong or failed, and why.
        lines: what the journal holds.
        round: noted with every line.
        failure: why a line could not be written: from then on none is.
    """

    def __init__(self, path: Path, package: Path, tidy: Callable[[], Any] = lambda: None) -> None:
        self._journal, self._package, self._tidy = path, package, tidy
        self._lock = threading.RLock()
        self._open: dict[Talk, Cell] = {}
        self._ends: Counter[tuple[str, str]] = Counter()
        self._reasons: dict[int, str] = {}
        self.bad: dict[Key, str] = {}
        self.lines = self._earlier()
        self.round = 0
        self.failure: OSError | None = None
        self._stopping = False

    def _earlier(self) -> journal.Journal:
        """The lines of a run that is resumed; one that was cut off as it was written is dropped."""
        if not self._journal.exists():
            return {}
        content = self._journal.read_bytes()
        if (whole := content.rfind(b"\n") + 1) < len(content):
            os.truncate(self._journal, whole)
        return journal.load(self._journal.parent, Problems(self._journal.parent))

    def stop(self) -> None:
        """The run was interrupted: what ends from now on was ended with it, and has not failed."""
        with self._lock:
            self._stopping = True

    def heard(self, talk: Talk, message: Message) -> Answer | None:
        """What a cell said; see `bench.processes.hub.Heard`."""
        match message:
            case Hello(cell=Cell() as cell):
                return self._begin(talk, cell)
            case CellDone():
                self._tidy()
                self._done(talk, message.outcome)
            case Ended() if talk in self._open:
                cell = self._open[talk]
                self._ends[_implementation(cell)] += 1
                self._tidy()
                self._done(talk, Outcome("failed", message.problem or self._reasons.get(talk.pid, ENDED)))
        return None

    def _begin(self, talk: Talk, cell: Cell) -> Answer | None:
        self._open[talk] = cell
        if self._stopping:
            return Welcome(VERSION, stop=True)
        refusal = ""
        if cell.impls != str(self._package):
            refusal = f"asv imported the maxbench in {cell.impls}, not the one that runs, in {self._package}"
        elif self._ends[_implementation(cell)] >= MOST_ENDS:
            refusal = f"left out after it brought down {MOST_ENDS} processes"
        return Welcome(VERSION, refusal=refusal)

    def _done(self, talk: Talk, outcome: Outcome) -> None:
        with self._lock:
            cell = self._open.pop(talk, None)
            if cell is not None and (not self._stopping or outcome.status == "interrupted"):
                self._keep(talk, cell, outcome)

    def _keep(self, talk: Talk, cell: Cell, outcome: Outcome) -> None:
        ok = outcome.status == "ok"
        line = Line(
            benchmark=cell.benchmark, params=cell.params, pid=talk.pid, at=time.time(), round=self.round,
            status=outcome.status, detail=outcome.detail[:MOST_DETAIL],
            shape=None if outcome.shape is None else list(outcome.shape), dtype=outcome.dtype, repeat=outcome.repeat,
            number=outcome.number, samples=outcome.samples if ok else None, values=outcome.values if ok else None,
        )  # fmt: skip
        if line.status in ("failed", "wrong"):
            self.bad[line.key] = line.detail
        try:
            journal.append(self._journal, line)
        except OSError as error:
            self.failure, self._stopping = error, True  # what follows could not be kept either
        else:
            self.lines.setdefault(line.key, []).append(line)

    def limit(self, most: int) -> None:
        """End the cells that hold more bytes of memory; a process that is not ours is none, whatever it says."""
        ours = {process.pid: process for process in psutil.Process().children(recursive=True)}
        for talk in list(self._open):
            with contextlib.suppress(KeyError, psutil.Error):
                process = ours[talk.pid]
                if (held := process.memory_info().rss) > most:
                    gib = held / 2**30, most / 2**30
                    self._reasons[talk.pid] = f"held {gib[0]:.1f} GiB of memory, limit {gib[1]:.1f} GiB"
                    process.kill()


def _implementation(cell: Cell) -> tuple[str, str]:
    """The operation and the implementation of a cell."""
    return cell.benchmark.partition(".")[0], cell.params[0] if cell.params else ""
