"""A measuring process's end of the conversation with the process that decides: see `bench.processes.hub`.

Of `impls` this needs nothing, as it may be that of an old commit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

import numpy as np

from ..inputs.recipe import Input
from .verdict import Verdict, checksum

ADDRESS, TOKEN = "MAXBENCH_HUB", "MAXBENCH_TOKEN"
MOST_BYTES = 1 << 22  # of a message
FIELD = 1 << 16  # characters of a text in it; a longer one is cut
CUT = " [cut]"

Message = dict[str, Any]

# Bound before any foreign code is imported, which may replace them in their modules.
_encode, _decode = json.JSONEncoder().encode, json.JSONDecoder().decode
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


def send(connection: Connection, message: Message) -> None:
    """Send a message."""
    connection.send_bytes(_encode(bounded(message)).encode())


def receive(connection: Connection) -> Message:
    """The next message.

    Raises:
        EOFError: there is none any more.
        ValueError, OSError: it is none, or too long.
    """
    message = _decode(connection.recv_bytes(MOST_BYTES).decode())
    if not isinstance(message, dict):
        raise ValueError("a message is no object")
    return message


class Link:
    """The conversation, in a process that measures. To be made before any foreign code is imported."""

    def __init__(self, hello: Message | None = None) -> None:
        self._connection = Client(_address())
        self.answer = self._ask({"token": os.environ.get(TOKEN, ""), "pid": os.getpid(), **(hello or {})})

    def say(self, event: str, **what: Any) -> Message:
        """Say something; returns the answer.

        Raises:
            Lost: nobody listens any more.
        """
        return self._ask({"event": event, **what})

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
        answer = self._ask({
            "event": "check", "operation": operation, "input": given.as_dict(), "case": case,
            "shape": list(array.shape), "dtype": array.dtype.name if array.dtype.isnative else array.dtype.str,
            "checksum": None if x is None else checksum(_contiguous(x)), "problem": problem,
        })  # fmt: skip
        try:
            for first, last, left, right in answer["parts"]:
                self._connection.send_bytes(_bytes(array[first:last, ..., left:right]))
            return Verdict(**receive(self._connection))
        except (EOFError, OSError) as error:
            raise Lost(str(error) or type(error).__name__) from None

    def give(self, what: str, array: Any, **more: Any) -> Message:
        """Send a small array."""
        array = _contiguous(_as_array(array))
        try:
            about = {"what": what, "shape": list(array.shape), "dtype": array.dtype.name}
            send(self._connection, {"event": "array", **about, **more})
            self._connection.send_bytes(_bytes(array))
            return receive(self._connection)
        except (EOFError, OSError) as error:
            raise Lost(str(error) or type(error).__name__) from None

    def close(self) -> None:
        """End the conversation."""
        self._connection.close()

    def _ask(self, message: Message) -> Message:
        try:
            send(self._connection, message)
            return receive(self._connection)
        except (EOFError, OSError) as error:
            raise Lost(str(error) or type(error).__name__) from None


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
