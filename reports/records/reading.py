"""Bounded, tolerant reading of files: what is missing or of the wrong type is named, and the rest is read.

A file may be damaged, hostile, or of another version. Each reader returns what it could use, and appends a `Problem`
for everything that it could not.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from maxbench.bench.processes.link import called, mismatch, printable

MOST_BYTES = 256 << 20  # of a file that is read
MOST_SHOWN = 5  # problems of one file that are named; the others are counted
_ESCAPES = re.compile(r"\\[ubfr]")  # by which JSON writes what is not printable

T = TypeVar("T", bound="Record")


class Record(msgspec.Struct, kw_only=True):
    """A record: fields of fixed types, and what another version has beside them.

    Attributes:
        unknown: fields that this version does not know, kept for whoever wrote them.
    """

    unknown: dict[str, Any] = msgspec.field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The record for JSON, unknown fields included."""
        known = {name: plain(getattr(self, name)) for name in self.__struct_fields__ if name != "unknown"}
        return {**self.unknown, **known}


@dataclass(frozen=True)
class Problem:
    """Something in a file that cannot be used.

    Attributes:
        file: where it is.
        field: the path to it, ``threads.numba``; empty where it is the whole file.
        reason: what is wrong, and what is accepted.
    """

    file: Path
    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.field}: {self.reason}" if self.field else f"set aside {self.file}: {self.reason}"


@dataclass
class Problems:
    """The problems of a folder.

    Attributes:
        folder: no file outside it is read, whatever links lead there.
    """

    folder: Path
    found: list[Problem] = field(default_factory=list)

    def add(self, file: Path, field: str, reason: str) -> None:
        """Note one."""
        self.found.append(Problem(file, field, reason))

    def lines(self) -> list[str]:
        """Each as a line; of a file with many the first ones, and how many more there are."""
        by_file: dict[Path, list[Problem]] = {}
        for problem in self.found:
            by_file.setdefault(problem.file, []).append(problem)
        said = []
        for file, some in by_file.items():
            said += [str(problem) for problem in some[:MOST_SHOWN]]
            if (rest := len(some) - MOST_SHOWN) > 0:
                said.append(f"{file}: {rest:,} more of the kind")
        return said


class Unreadable(ValueError):
    """A file that is not read; the message says why."""


def read_text(path: Path, folder: Path, errors: str = "strict") -> str | None:
    """The text of a regular file inside a folder; None where there is none.

    Args:
        errors: what to do with bytes that are not UTF-8, as of `bytes.decode`.

    Raises:
        Unreadable: it is no regular file, leads out of the folder, is larger than `MOST_BYTES`, or is not UTF-8.
    """
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise Unreadable("is a link that leads out of the folder")
        # Without O_NONBLOCK, opening a FIFO waits for its writer.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return None
    except RuntimeError:  # as `resolve` calls it before Python 3.13
        raise Unreadable("is a loop of links") from None
    except OSError as error:
        loop = error.errno == errno.ELOOP
        raise Unreadable("is a loop of links" if loop else error.strerror or str(error)) from None
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise Unreadable("is not a regular file")
        if about.st_size > MOST_BYTES:
            raise Unreadable(f"has {about.st_size:,} bytes, more than the {MOST_BYTES:,} that are read")
        with open(handle, "rb", closefd=False) as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise Unreadable(f"grows beyond the {MOST_BYTES:,} bytes that are read")
        return content.decode("utf-8", errors)
    except UnicodeDecodeError:
        raise Unreadable("is not UTF-8 text") from None
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from None
    finally:
        os.close(handle)


def parse(text: str) -> Any:
    """The value of a JSON text; its texts are made `printable`, so that nothing that is shown is obeyed.

    Raises:
        Unreadable: it is not JSON.
    """
    try:
        value = json.loads(text)
        return value if is_plain(text) else _printable(value)
    except RecursionError:
        raise Unreadable("is nested too deeply") from None
    except ValueError as error:
        raise Unreadable(f"truncated or not JSON ({error})") from None


def load(path: Path, problems: Problems) -> Any:
    """The JSON value of a file; None where there is none, or where it is a problem."""
    try:
        text = read_text(path, problems.folder)
        return None if text is None else parse(text)
    except Unreadable as error:
        problems.add(path, "", str(error))
        return None


def load_object(path: Path, problems: Problems) -> dict[str, Any] | None:
    """`load` of a file that holds a JSON object."""
    value = load(path, problems)
    if value is not None and not isinstance(value, dict):
        problems.add(path, "", f"holds {called(value)}, not an object")
        return None
    return value


def read(kind: type[T], value: Mapping[str, Any], file: Path, problems: Problems, at: str = "") -> T | None:
    """A record from a JSON object: a field that is wrong gets its default; None where it has no default."""
    kinds = get_type_hints(kind, include_extras=True)
    given: dict[str, Any] = {}
    for about in msgspec.structs.fields(kind):
        if about.name == "unknown" or about.name not in value:
            continue
        found = _field(kinds[about.name], value[about.name], file, problems, f"{at}{about.name}")
        if found is not _REFUSED:
            given[about.name] = found
        elif about.required:
            return None
    missing = [about.name for about in msgspec.structs.fields(kind) if about.required and about.name not in given]
    if missing:
        problems.add(file, at.rstrip(".: "), f"has no {', '.join(missing)}")
        return None
    return kind(**given, unknown={key: kept for key, kept in value.items() if key not in kinds})


def convert(kind: Any, value: Any) -> Any:
    """A value as a type.

    Raises:
        Unreadable: it is none; says where, what is accepted and what it is.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        said = mismatch(error, value)
        if get_origin(kind) is Literal:
            said = f"Expected one of {', '.join(map(str, get_args(kind)))}; it is {called(value)}"
        raise Unreadable(said) from None


_REFUSED = object()


def _field(kind: Any, value: Any, file: Path, problems: Problems, at: str) -> Any:
    """A field's value. Of an object, a list or a table, the parts that are right."""
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    options = get_args(bare) if get_origin(bare) in (types.UnionType, Union) else (bare,)
    for option in options:
        origin, parts = get_origin(option), get_args(option)
        if isinstance(option, type) and issubclass(option, Record) and isinstance(value, dict):
            found = read(option, value, file, problems, f"{at}.")
            return _REFUSED if found is None else found
        if origin is list and isinstance(value, list):
            items = (_field(parts[0], item, file, problems, f"{at}[{i}]") for i, item in enumerate(value))
            return [item for item in items if item is not _REFUSED]
        if origin is dict and isinstance(value, dict):
            entries = {key: _field(parts[1], item, file, problems, f"{at}.{key}") for key, item in value.items()}
            return {key: item for key, item in entries.items() if item is not _REFUSED}
    try:
        return convert(kind, value)
    except Unreadable as error:
        problems.add(file, at, str(error))
        return _REFUSED


def plain(value: Any) -> Any:
    """A value of a record, for JSON."""
    if isinstance(value, Record):
        return value.as_json()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return msgspec.to_builtins(value)


def is_plain(text: str) -> bool:
    """Whether a JSON text can hold no text that is not printable."""
    return text.replace("\n", "").isprintable() and not _ESCAPES.search(text)


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_printable(item) for item in value]
    if isinstance(value, dict):
        return {printable(key): _printable(item) for key, item in value.items()}
    return value
