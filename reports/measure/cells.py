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
from maxbench.bench.processes.link import Message

from ..records import journal
from ..records.journal import Key, Line
from ..records.reading import Problems, Unreadable, convert

# Processes that an implementation may bring down, by a crash or by hanging, before its other cells are left out.
MOST_ENDS = 2
ENDED = "its process ended before it was done: it crashed, hung or was ended"
MOST_DETAIL = 2000  # characters
_FACTS = ("shape", "dtype", "repeat", "number")


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
        self._open: dict[Talk, dict[str, Any]] = {}
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

    def heard(self, talk: Talk, message: Message) -> Message | None:
        """What a cell said; see `bench.processes.hub.Heard`."""
        event = message.get("event")
        if event is None:
            return self._begin(talk, message)
        if event == "done":
            self._tidy()
            self._done(talk, str(message.get("status")), str(message.get("detail", "")), message)
        elif event == "end" and talk in self._open:
            about = self._open[talk]
            reason = self._reasons.get(talk.pid, ENDED)
            reason = str(message.get("problem") or reason)
            self._ends[about["operation"], about["name"]] += 1
            self._tidy()
            self._done(talk, "failed", reason, {})
        return None

    def _begin(self, talk: Talk, message: Message) -> Message | None:
        params = [str(value) for value in message.get("params", ())]
        benchmark = str(message.get("benchmark"))
        operation, name = benchmark.partition(".")[0], params[0] if params else ""
        self._open[talk] = {"benchmark": benchmark, "params": params, "operation": operation, "name": name}
        if self._stopping:
            return {"stop": True}
        imported = str(message.get("impls"))
        if imported != str(self._package):
            return {"refusal": f"asv imported the maxbench in {imported}, not the one that runs, in {self._package}"}
        if self._ends[operation, name] >= MOST_ENDS:
            return {"refusal": f"left out after it brought down {MOST_ENDS} processes"}
        return None

    def _done(self, talk: Talk, status: str, detail: str, facts: Message) -> None:
        with self._lock:
            about = self._open.pop(talk, None)
            if about is not None and (not self._stopping or status == "interrupted"):
                self._keep(talk, about, status, detail, facts)

    def _keep(self, talk: Talk, about: dict[str, Any], status: str, detail: str, facts: Message) -> None:
        cell = {
            "benchmark": about["benchmark"], "params": about["params"], "pid": talk.pid, "at": time.time(),
            "round": self.round,
        }  # fmt: skip
        said = {name: facts.get(name) for name in (*_FACTS, *(journal.MEASURED if status == "ok" else ()))}
        try:
            line = convert(Line, {**cell, **said, "status": status, "detail": detail[:MOST_DETAIL]})
        except Unreadable as error:
            line = convert(Line, {**cell, "status": "failed", "detail": f"it said what it must not: {error}"})
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
