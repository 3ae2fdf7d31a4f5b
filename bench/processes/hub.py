"""The conversation between the process that decides and those that measure: the server.

A message is one line of JSON, bounded, and every one is answered. ``check`` announces a result; the answer is the parts
that the judge wants, which follow as bytes, and then its verdict. What else a process says goes to whoever waits for
it. The address is in the environment, so that processes which asv forks find it as well as those of the launcher. A
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

from ..inputs.recipe import Input, from_dict
from .judge import Judge, Part
from .link import ADDRESS, Message, receive, send
from .verdict import Claim, Verdict, checksum

MOST_SENT = 1 << 32  # bytes of an array


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


Heard = Callable[[Talk, Message], Message | None]
"""What is done with a message; returns the answer.

``checked`` comes with the claim and the verdict after each result that was judged, ``end`` last, whatever happens.
"""


class Hub:
    """The server.

    Args:
        heard: called, in a thread for each process, with all messages but those that the judge answers.
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
                first = receive(connection)
                talk = Talk(str(first.get("token", "")), int(first.get("pid", 0)))
                send(connection, self._heard(talk, first) or {})
                while True:
                    message = receive(connection)
                    event = message.get("event")
                    if event == "check":
                        claim, verdict = self._check(connection, talk, message)
                        self._heard(talk, {"event": "checked", "claim": claim, "verdict": verdict})
                        send(connection, verdict.as_dict())
                        continue
                    if event in ("checked", "end"):
                        raise ValueError(f"event {event!r} is not a process's to tell")
                    if event == "loaded":
                        talk.differs = {str(k): str(v) for k, v in dict(message.get("differs") or {}).items()}
                    elif event == "array":
                        message["array"] = _array(connection, message["shape"], str(message["dtype"]))
                    send(connection, self._heard(talk, message) or {})
        except Exception as problem:  # what is said may be anything: sizes that overflow, or more bytes than announced
            if talk is not None:
                # The end of the stream is the end of the process; anything else is what it must not say.
                said = "" if isinstance(problem, EOFError | OSError) else f"{type(problem).__name__}: {problem}"
                if isinstance(problem, MemoryError):  # this process's, which is no fault of that one
                    said = f"there was not enough memory to judge it: {problem}"
                elif said:
                    said = f"it said what it must not: {said}"
                self._heard(talk, {"event": "end", "problem": said})

    def _check(self, connection: Connection, talk: Talk, message: Message) -> tuple[Claim, Verdict]:
        checksum_ = message.get("checksum")
        claim = Claim(
            str(message["operation"]), from_dict(message["input"]), str(message["case"]),
            tuple(int(n) for n in message["shape"]), str(message["dtype"]),
            None if checksum_ is None else int(checksum_), str(message.get("problem", "")),
        )  # fmt: skip
        asked = False

        def fetch(parts: list[Part]) -> list[np.ndarray]:
            nonlocal asked
            asked = True
            send(connection, {"parts": parts})
            return [_array(connection, _shape(claim.shape, part), claim.dtype) for part in parts]

        verdict = self._judge.judge(claim, fetch, talk.differs)
        if not asked:
            send(connection, {"parts": []})
        return claim, verdict


def _shape(shape: Sequence[int], part: Part) -> list[int]:
    """The shape of a part of a result."""
    return [part[1] - part[0], *shape[1:-1], part[3] - part[2]]


def _array(connection: Connection, shape: Sequence[int], dtype: str) -> np.ndarray:
    """An array that a process sends."""
    sizes, kind = [int(n) for n in shape], named(dtype)
    if (size := math.prod(sizes) * kind.itemsize) > MOST_SENT:
        raise ValueError(f"an array of {size} bytes is more than {MOST_SENT}")
    got = np.empty(sizes, kind)
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
        claim = Claim(
            operation, given, case, array.shape, array.dtype.name, None if x is None else checksum(x), problem
        )
        return self._judge.judge(claim, lambda parts: [array[a:b, ..., c:d] for a, b, c, d in parts], self._differs)


def main() -> None:
    """Be a server until the standard input ends, which it does with the process that started this one."""
    with Hub(lambda talk, message: None) as hub:
        print(hub.address, flush=True)
        sys.stdin.read()
