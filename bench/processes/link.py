"""A measuring process's end of the conversation with the process that decides: see `bench.processes.hub`.

Of `impls` this needs nothing, as it may be that of an old commit.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from ..inputs.recipe import Input
from .messages import VERSION, AnyCommand, Array, Cell, Check, Command, Event, Hello, Parts, Welcome
from .verdict import Claim, Verdict, checksum

ADDRESS, TOKEN = "MAXBENCH_HUB", "MAXBENCH_TOKEN"
MOST_BYTES = 1 << 22  # of a message
FIELD = 1 << 16  # characters of a text in it; a longer one is cut
CUT = " [cut]"

T = TypeVar("T")

Part = Callable[[int, int, int, int], np.ndarray]
"""(first and last row, first and last of the neighbouring columns) -> that part of a result, on the host."""

# Bound before any foreign code is imported, which may replace them in their modules.
_encode, _plain = msgspec.json.Encoder().encode, msgspec.to_builtins
_as_array, _contiguous = np.asarray, np.ascontiguousarray


def _bytes(array: np.ndarray) -> memoryview:
    return _contiguous(array).reshape(-1).view(np.uint8).data


class Lost(RuntimeError):
    """The other end of the conversation is gone, or says what it must not."""


def printable(words: str) -> str:
    """Words with U+FFFD for what a terminal would obey or hide: control, bidirectional and half characters."""
    if words.isprintable():
        return words
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in words)


def bounded(value: Any) -> Any:
    """A value for a message: long texts cut, and no characters in them that a terminal would obey."""
    if isinstance(value, str):
        return printable(value if len(value) <= FIELD else value[:FIELD] + CUT)
    if isinstance(value, Mapping):
        return {bounded(str(key)): bounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [bounded(item) for item in value]
    return value


def _exact(value: Any) -> Any:
    """A text or number of a class of its own, such as `numpy.float64`, as one of Python's."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        return float(value)
    raise TypeError(f"a message cannot hold a {type(value).__name__}")


def encoded(message: Any) -> bytes:
    """A message as it is sent."""
    return _encode(bounded(_plain(message, enc_hook=_exact)))


def reader(kind: Any) -> Callable[[bytes], Any]:
    """What reads the messages of a type, as `bench.processes.messages` says.

    It raises ValueError where it is given none; the error names the field, what is accepted and what it is.
    """
    decode = msgspec.json.Decoder(kind).decode

    def read(content: bytes) -> Any:
        try:
            return decode(content)
        except msgspec.ValidationError as error:
            raise ValueError(mismatch(error, json.loads(content))) from None

    return read


def mismatch(error: msgspec.ValidationError, value: Any) -> str:
    """What is wrong with a value that is not of a type: where, what is accepted, and what it is."""
    said, _, path = str(error).replace("`", "").partition(" - at $")
    return f"{path.lstrip('.')}{': ' if path else ''}{said}; it is {called(_part(value, path))}"


def _part(value: Any, path: str) -> Any:
    """The part of a value that a path such as ``.a[3]`` leads to, as far as it names keys: ``[...]`` is any key."""
    part = value
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", path.partition("[...]")[0]):
        try:
            part = part[name] if name else part[int(index)]
        except (KeyError, IndexError, TypeError):
            return value
    return part


def called(value: Any) -> str:
    """A value in a message: what it is, and how it begins."""
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value):,}"
    try:
        words = json.dumps(value)
    except (TypeError, ValueError):  # an integer of thousands of digits
        words = f"a {type(value).__name__}"
    return words if len(words) <= 60 else f"{words[:60]}..."


def receive(connection: Connection, read: Callable[[bytes], T]) -> T:
    """The next message, read by a `reader`.

    Raises:
        EOFError: there is none any more.
        ValueError, OSError: it is none, or too long.
    """
    return read(connection.recv_bytes(MOST_BYTES))


_read_welcome: Callable[[bytes], Welcome] = reader(Welcome)
_read_command: Callable[[bytes], Command] = reader(AnyCommand)
_read_parts: Callable[[bytes], Parts] = reader(Parts)
_read_verdict: Callable[[bytes], Verdict] = reader(Verdict)


@contextlib.contextmanager
def _listening() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError, ValueError) as error:
        raise Lost(str(error) or type(error).__name__) from None


class Link:
    """The conversation, in a process that measures. To be made before any foreign code is imported.

    Args:
        cell: what a process of asv is to measure.

    Attributes:
        welcome: what the other end has answered.
    """

    def __init__(self, cell: Cell | None = None) -> None:
        self._connection = Client(_address())
        hello = Hello(VERSION, os.environ.get(TOKEN, ""), os.getpid(), cell)
        self.welcome = self._ask(hello, _read_welcome)

    def say(self, event: Event) -> Command:
        """Say something; returns the answer.

        Raises:
            Lost: nobody listens any more.
        """
        return self._ask(event, _read_command)

    def check(
        self, operation: str, given: Input, result: Any, *, case: str, x: np.ndarray | None = None, problem: str = ""
    ) -> Verdict:
        """Hand a result over.

        Args:
            case: what declared differences go by.
            x: the input as it is after the call, on the host; None where it cannot be had back.
            problem: what else is wrong; see `Claim`.

        Returns:
            What the judge says.
        """
        if not isinstance(result, np.ndarray):
            return Verdict("wrong", f"returned {type(result).__name__}, where an array must come back")
        array = _contiguous(_as_array(result))
        dtype = array.dtype.name if array.dtype.isnative else array.dtype.str
        return self.check_parts(
            operation, given, array.shape, dtype, lambda a, b, c, d: array[a:b, ..., c:d], case=case, x=x,
            problem=problem,
        )  # fmt: skip

    def check_parts(
        self, operation: str, given: Input, shape: tuple[int, ...], dtype: str, part: Part, *, case: str,
        x: np.ndarray | None = None, problem: str = "",
    ) -> Verdict:  # fmt: skip
        """Hand over a result of which only the parts that the judge wants are fetched: see `check`.

        Args:
            shape, dtype: of the whole.
            part: see `Part`.

        Raises:
            Lost: a part cannot be fetched; the conversation has ended.
        """
        seen = None if x is None else checksum(_contiguous(x))
        wanted = self._ask(Check(Claim(operation, given, case, shape, dtype, seen, problem)), _read_parts)
        with _listening():
            for where in wanted.parts:
                try:
                    content = _bytes(part(*where))
                except Exception as error:  # what a device's library raises
                    self.close()
                    raise Lost(f"a result cannot be fetched: {type(error).__name__}: {error}") from error
                self._connection.send_bytes(content)
            return receive(self._connection, _read_verdict)

    def give(self, what: str, array: Any, *, index: int = 0, dtype_of_x: str = "") -> None:
        """Send a small array; see `messages.Array`."""
        array = _contiguous(_as_array(array))
        about = encoded(Array(what, list(array.shape), array.dtype.name, index, dtype_of_x))
        with _listening():
            self._connection.send_bytes(about)
            self._connection.send_bytes(_bytes(array))
            receive(self._connection, _read_command)

    def close(self) -> None:
        """End the conversation."""
        self._connection.close()

    def _ask(self, message: Hello | Event, read: Callable[[bytes], T]) -> T:
        content = encoded(message)
        with _listening():
            self._connection.send_bytes(content)
            return receive(self._connection, read)


_own: tuple[subprocess.Popen[str], str] | None = None


def _address() -> str:
    """The server's; of a server of our own where the environment names none, as under a plain ``asv run``."""
    global _own
    if address := os.environ.get(ADDRESS):
        return address
    if _own is None:
        process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("program.py")), "hub"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, start_new_session=os.name == "posix",
        )  # fmt: skip
        if process.stdout is None or not (line := process.stdout.readline().strip()):
            raise Lost("the process that checks results did not start")
        _own = process, line
    return _own[1]
