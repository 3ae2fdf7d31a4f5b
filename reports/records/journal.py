"""The journal, `journal.jsonl`: one line for every cell that a process measured, appended as it ends.

asv keeps a null for a cell that failed and a NaN for one that was skipped; the journal has the reason, and how many
samples each process took.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from . import reading
from .reading import Amount, Count, Positive, Problems, Record

FILE = "journal.jsonl"

Status = Literal["ok", "failed", "skipped", "wrong", "interrupted"]
Key = tuple[str, tuple[str, ...]]  # benchmark without its method, parameters as asv writes them


class Line(Record):
    """What came of one cell in one process.

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
        processes: what each of several processes measured, where asv keeps one number: by the benchmark's method.
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
    processes: dict[str, list[Amount]] | None = None

    @property
    def key(self) -> Key:
        """The cell."""
        return self.benchmark, tuple(self.params)


Journal = dict[Key, list[Line]]

_decode = msgspec.json.Decoder(Line).decode


def append(path: Path, line: Line) -> None:
    """Append a line, so that it is kept whatever happens after."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(line.as_json()) + "\n")
        file.flush()
        os.fsync(file.fileno())


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
            found.setdefault(line.key, []).append(line)
    return found


def _line(words: str, path: Path, problems: Problems, at: str) -> Line | None:
    try:
        if reading.is_plain(words):  # and so are almost all: this is ten times as fast as what follows
            return _decode(words)
    except (msgspec.MsgspecError, RecursionError):
        pass
    try:
        value = reading.parse(words)
        if not isinstance(value, dict):
            raise reading.Unreadable(f"holds {reading.called(value)}, not an object")
        return reading.read(Line, value, path, problems, f"{at}: ")
    except reading.Unreadable as error:
        problems.add(path, at, f"left out: {error}")
        return None
