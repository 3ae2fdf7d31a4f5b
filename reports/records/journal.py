"""The journal, `journal.jsonl`: one line for every cell that a process measured, appended as it ends.

The line of a cell that was measured has its samples and is on disk before the next cell begins: asv's result files are
made of the lines, and whatever ends a run loses nothing that was measured.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from maxbench.bench.processes.link import called
from maxbench.bench.processes.messages import Amount, Count, Positive, Seconds, Status

from . import reading
from .reading import Problems, Record

FILE = "journal.jsonl"
SPENT = "was spent before this was measured"  # in the detail of what the time of a run did not suffice for
_WRONG = "RuntimeError: wrong result: "  # how versions before `round` noted a wrong result: as a failure

Key = tuple[str, tuple[str, ...]]  # benchmark without its method, parameters as asv writes them


class Line(Record):
    """The outcome of one cell in one process.

    Attributes:
        benchmark: without its method, ``softmax.Sweep``.
        params: the parameters as asv writes them, with `repr`; the implementation first.
        status: of the cell.
        detail: why it is not ok, or how an ok one differs from the contract, as its author has declared.
        pid, at: the process, and when it ended, in seconds since 1970.
        shape: (outer, n, inner) of the input.
        dtype: of the input.
        repeat: samples that the process took.
        number: calls of a sample.
        copies: arrays that the calls of a sample went through, on a device.
        beyond_cache: whether those are larger than the device's cache.
        ways: of a device's ceiling, seconds of one call by every way to move the bytes; the fastest is the ceiling.
        processes: what each of several processes measured, where asv keeps one number: by the benchmark's method.
        round: the number of the round, from 0, in which a run measured it.
        samples: each sample of a time, in seconds.
        values: what asv's other methods return, by their names: bytes, seconds or ulp.
    """

    benchmark: str
    params: list[str]
    status: Status
    detail: str = ""
    pid: Count | None = None
    at: Amount | None = None
    shape: Annotated[list[Positive], Meta(min_length=3, max_length=3)] | None = None
    dtype: str | None = None
    repeat: Positive | None = None
    number: Positive | None = None
    copies: Count | None = None
    beyond_cache: bool | None = None
    ways: dict[str, Amount] | None = None
    processes: dict[str, list[Amount]] | None = None
    round: Count | None = None
    samples: list[Seconds] | None = None
    values: dict[str, Amount] | None = None

    @property
    def key(self) -> Key:
        """The cell."""
        return self.benchmark, tuple(self.params)

    def as_json(self) -> dict[str, Any]:
        """The line for JSON, without what is not known."""
        return {name: value for name, value in super().as_json().items() if value is not None}


Journal = dict[Key, list[Line]]

_decode = msgspec.json.Decoder(Line).decode


def append(path: Path, line: Line) -> None:
    """Append a line, whole or not at all, so that it is kept whatever happens after.

    Raises:
        OSError: it cannot be written.
    """
    content = f"{json.dumps(line.as_json())}\n".encode()
    with open(path, "ab", buffering=0) as file:
        size = file.tell()
        try:
            if file.write(content) < len(content):  # the disk is full, which the next write would say
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(size)
            raise


def load(folder: Path, problems: Problems) -> Journal:
    """The lines of a folder's journal by cell, in order; a line that is no record is left out."""
    path = folder / FILE
    try:
        text = reading.read_text(path, problems.folder, errors="replace")
    except reading.Unreadable as error:
        problems.add(path, "", str(error))
        return {}
    found: Journal = {}
    for number, words in enumerate((text or "").split("\n"), 1):
        if words.strip() and (line := _line(words, path, problems, f"line {number}")) is not None:
            if line.round is None and line.status == "failed" and line.detail.startswith(_WRONG):
                line.status, line.detail = "wrong", line.detail.removeprefix(_WRONG)
            found.setdefault(line.key, []).append(line)
    return {key: _current(lines) for key, lines in found.items()}


def _current(lines: list[Line]) -> list[Line]:
    """The lines of a cell without failures in a round in which it was measured after all, by a resumed run.

    Its process may have failed for want of memory or disk. A wrong result stays.
    """
    measured: dict[int | None, int] = {}
    for index, line in enumerate(lines):
        if line.status == "ok" and line.round is not None:
            measured[line.round] = index
    return [
        line
        for index, line in enumerate(lines)
        if line.status not in ("failed", "interrupted") or index > measured.get(line.round, -1)
    ]


def _line(words: str, path: Path, problems: Problems, at: str) -> Line | None:
    try:
        if reading.is_plain(words):  # and so are almost all: this is ten times as fast as what follows
            return _decode(words)
    except (msgspec.MsgspecError, RecursionError):
        pass
    try:
        value = reading.parse(words)
        if not isinstance(value, dict):
            raise reading.Unreadable(f"holds {called(value)}, not an object")
        return reading.read(Line, value, path, problems, f"{at}: ")
    except reading.Unreadable as error:
        problems.add(path, at, f"left out: {error}")
        return None
