"""Progress of a run: a bar with the time left in a terminal, a line now and then in a pipe."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

LINE_SECONDS = 10.0


class Bar:
    """One bar for everything a run does, on standard error, so that the answer alone is on standard output."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._start = self._said = time.monotonic()
        self._rich = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            transient=True,
            disable=not self._terminal,
            redirect_stdout=False,
        )
        self._rich.console.file = sys.stderr
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._rich.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rich.stop()

    def show(self, what: str, done: int, total: int, seconds_left: float | None) -> None:
        """Draw: what is going on, cells done of all, and seconds left (None while they cannot be told)."""
        left = "" if seconds_left is None else f"{_clock(seconds_left)} left"
        if self._task is None:
            self._task = self._rich.add_task(what, total=total, left=left)
        self._rich.update(self._task, description=what, completed=min(done, total), total=total, left=left)
        now = time.monotonic()
        if not self._terminal and now - self._said > LINE_SECONDS:
            self._said = now
            print(f"{_clock(now - self._start)} {what}: {done} of {total}{', ' if left else ''}{left}", file=sys.stderr)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Journal:
    """The journal of a run as it grows: cells done, and how long the rest will take.

    A cell writes its line before its samples, so it is charged with its own preparation and its predecessor's
    samples; the sum over many cells, which is what is wanted, comes out right.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size if path.exists() else 0
        self._last = time.time()
        self._cost: dict[tuple[str, ...], float] = {}
        self.lines = 0

    def read(self) -> int:
        """Take in what was appended since; returns the number of lines since the beginning of this object."""
        if self._path.exists():
            with open(self._path, "rb") as file:
                file.seek(self._offset)
                chunk = file.read()
            whole = chunk[: chunk.rfind(b"\n") + 1]
            self._offset += len(whole)
            for text in whole.splitlines():
                self._take(text)
        return self.lines

    def _take(self, text: bytes) -> None:
        self.lines += 1
        try:
            line = json.loads(text)
            key, at = (line["benchmark"], *line["params"]), float(line["at"])
        except (ValueError, TypeError, KeyError):
            return
        self._cost[key] = max(at - self._last, 0.0)
        self._last = at

    def seconds(self, cells: Sequence[tuple[str, ...]]) -> float | None:
        """How long these cells, (benchmark, parameters...), will take; None before any has been measured.

        A cell that was measured takes as long again; another as long as the mean of those of its implementation.
        """
        if not self._cost:
            return None
        everything = list(self._cost.values())
        by_name: dict[str, list[float]] = {}
        for (_, name, *_), cost in self._cost.items():
            by_name.setdefault(name, []).append(cost)
        total = 0.0
        for cell in cells:
            known = self._cost.get(cell)
            alike = by_name.get(cell[1], everything)
            total += known if known is not None else sum(alike) / len(alike)
        return total
