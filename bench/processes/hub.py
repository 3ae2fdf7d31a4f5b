"""The conversation between the process that decides and those that measure: the server.

`messages` has what is said. Results are handed to the judge; what else a process says goes to whoever waits for it. The
address is in the environment, so that processes which asv forks find it as well as those of the launcher. A
process that finds none starts a server of its own, by `bench.processes.program`, which is as free of foreign code.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

import numpy as np

from maxbench.impls.contract.dtypes import named

from ..inputs.recipe import Input
from .judge import Judge, Part
from .link import ADDRESS, bounded, encoded, reader, receive
from .messages import (
    VERSION,
    Answer,
    AnyEvent,
    Array,
    Check,
    Checked,
    Ended,
    Event,
    Given,
    Go,
    Hello,
    Loaded,
    Message,
    Parts,
    Welcome,
)  # fmt: skip
from .verdict import Claim, Verdict, checksum

MOST_SENT = 1 << 32  # bytes of an array

_read_hello: Callable[[bytes], Hello] = reader(Hello)
_read_event: Callable[[bytes], Event] = reader(AnyEvent)


class Talk:
    """One process's part of the conversation, at the server.

    Attributes:
        token: what the launcher gave the process; empty of one that asv has forked.
        pid: its number.
        differs: the differences that the implementation it has loaded declares.
    """

    def __init__(self, token: str, pid: int) -> None:
        self.token, self.pid = token, pid
        self.differs: dict[str, str] = {}


Heard = Callable[[Talk, Message], Answer | None]
"""What is done with a message; returns the answer.

`messages.Checked` comes after each result that was judged, `messages.Ended` last, whatever happens.
"""


class Hub:
    """The server.

    Args:
        heard: called, in a thread for each process, with all messages but the results that are judged.
    """

    def __init__(self, heard: Heard, judge: Judge | None = None) -> None:
        self._heard, self._judge = heard, judge or Judge()
        # In a folder of its own: that of `multiprocessing` is removed as Python ends, when the command's is gone.
        self._folder = tempfile.mkdtemp(prefix="hub-") if os.name == "posix" else None
        self._listener = Listener(self._folder and os.path.join(self._folder, "listener"))
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        """Where it listens."""
        return str(self._listener.address)

    @property
    def variables(self) -> dict[str, str]:
        """The environment by which processes find it."""
        return {ADDRESS: self.address}

    def close(self) -> None:
        """Listen no more."""
        self._closed = True
        with contextlib.suppress(OSError), Client(self.address):  # wakes the thread that waits for the next one
            pass
        self._listener.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection = self._listener.accept()
            except (OSError, EOFError):
                continue
            try:
                threading.Thread(target=self._converse, args=(connection,), daemon=True).start()
            except RuntimeError:  # no memory for another thread
                connection.close()

    def _converse(self, connection: Connection) -> None:
        talk: Talk | None = None
        try:
            with connection:
                hello = receive(connection, _read_hello)
                talk = Talk(hello.token, hello.pid)
                connection.send_bytes(encoded(self._heard(talk, hello) or Welcome(VERSION)))
                while True:
                    said: Message = receive(connection, _read_event)
                    match said:
                        case Check(claim=claim):
                            verdict = self._judged(connection, talk, claim)
                            self._heard(talk, Checked(claim, verdict))
                            connection.send_bytes(encoded(verdict))
                            continue
                        case Loaded():
                            talk.differs = said.differs
                        case Array():
                            said = Given(said, _array(connection, said.shape, said.dtype))
                    connection.send_bytes(encoded(self._heard(talk, said) or Go()))
        except Exception as problem:  # what is said may be anything: sizes that overflow, or more bytes than announced
            if talk is not None:
                # The end of the stream is the end of the process; anything else is what it must not say.
                words = "" if isinstance(problem, EOFError | OSError) else f"{type(problem).__name__}: {problem}"
                if isinstance(problem, MemoryError):  # this process's, which is no fault of that one
                    words = f"there was not enough memory to judge it: {problem}"
                elif words:
                    words = f"it said what it must not: {words}"
                self._heard(talk, Ended(bounded(words)))

    def _judged(self, connection: Connection, talk: Talk, claim: Claim) -> Verdict:
        asked = False

        def fetch(parts: list[Part]) -> list[np.ndarray]:
            nonlocal asked
            asked = True
            connection.send_bytes(encoded(Parts(parts)))
            return [_array(connection, _shape(claim.shape, part), claim.dtype) for part in parts]

        verdict = self._judge.judge(claim, fetch, talk.differs)
        if not asked:
            connection.send_bytes(encoded(Parts([])))
        return verdict


def _shape(shape: Sequence[int], part: Part) -> list[int]:
    """The shape of a part of a result."""
    return [part[1] - part[0], *shape[1:-1], part[3] - part[2]]


def _array(connection: Connection, shape: Sequence[int], dtype: str) -> np.ndarray:
    """An array that a process sends."""
    kind = named(dtype)
    if (size := math.prod(shape) * kind.itemsize) > MOST_SENT:
        raise ValueError(f"an array of {size} bytes is more than {MOST_SENT}")
    got = np.empty(shape, kind)
    if connection.recv_bytes_into(got.reshape(-1).view(np.uint8) if got.size else bytearray(1)) != got.nbytes:
        raise ValueError("an array of another size than announced")
    return got


class Here:
    """Judges in this process, for code that is our own."""

    def __init__(self, differs: Mapping[str, str] | None = None) -> None:
        self._judge, self._differs = Judge(), differs or {}

    def check(
        self, operation: str, given: Input, result: Any, *, case: str, x: np.ndarray | None = None, problem: str = ""
    ) -> Verdict:
        """See `Link.check`."""
        array = np.ascontiguousarray(result)
        return self.check_parts(
            operation, given, array.shape, array.dtype.name, lambda a, b, c, d: array[a:b, ..., c:d], case=case, x=x,
            problem=problem,
        )  # fmt: skip

    def check_parts(
        self, operation: str, given: Input, shape: tuple[int, ...], dtype: str,
        part: Callable[[int, int, int, int], np.ndarray], *, case: str, x: np.ndarray | None = None, problem: str = "",
    ) -> Verdict:  # fmt: skip
        """See `Link.check_parts`."""
        claim = Claim(operation, given, case, shape, dtype, None if x is None else checksum(x), problem)
        return self._judge.judge(claim, lambda parts: [part(*where) for where in parts], self._differs)


def main() -> None:
    """Be a server until the standard input ends, which it does with the process that started this one."""
    with Hub(lambda talk, message: None) as hub:
        print(hub.address, flush=True)
        sys.stdin.read()
