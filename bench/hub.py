"""The conversation between the process that decides and those that measure: a server in the one, a link in the others.

A message is one line of JSON, bounded, and every one is answered. ``check`` announces a result; the answer is the parts
that the judge wants, which follow as bytes, and then its verdict. What else a process says goes to whoever waits for
it. The address is in the environment, so that processes which asv forks find it as well as those of the launcher. A
process that finds none starts a server of its own, in a process that is as free of foreign code.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parent.parent))

from bench.inputs import Input, from_dict
from bench.judge import Claim, Judge, Part, Verdict, checksum
from impls.contract.dtypes import named

ADDRESS, TOKEN = "MAXBENCH_HUB", "MAXBENCH_TOKEN"
MOST_BYTES = 1 << 22  # of a message
FIELD = 1 << 16  # characters of a text in it; a longer one is cut
CUT = " [cut]"
MOST_SENT = 1 << 32  # bytes of an array

Message = dict[str, Any]

# Bound before any foreign code is imported, which may replace them in their modules.
_encode, _decode = json.JSONEncoder().encode, json.JSONDecoder().decode
_as_array, _contiguous = np.asarray, np.ascontiguousarray


def _bytes(array: np.ndarray) -> memoryview:
    return _contiguous(array).reshape(-1).view(np.uint8).data


class Lost(RuntimeError):
    """The other end of the conversation is gone, or says what it must not."""


def bounded(value: Any) -> Any:
    """A value for a message: long texts cut, and no characters in them that a terminal would obey."""
    if isinstance(value, str):
        text = value if len(value) <= FIELD else value[:FIELD] + CUT
        return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
    if isinstance(value, Mapping):
        return {bounded(str(key)): bounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [bounded(item) for item in value]
    return value


def _send(connection: Connection, message: Message) -> None:
    connection.send_bytes(_encode(bounded(message)).encode())


def _receive(connection: Connection) -> Message:
    message = _decode(connection.recv_bytes(MOST_BYTES).decode())
    if not isinstance(message, dict):
        raise ValueError("a message is no object")
    return message


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
        self._listener = Listener()
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
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: Connection) -> None:
        talk: Talk | None = None
        try:
            with connection:
                first = _receive(connection)
                talk = Talk(str(first.get("token", "")), int(first.get("pid", 0)))
                _send(connection, self._heard(talk, first) or {})
                while True:
                    message = _receive(connection)
                    event = message.get("event")
                    if event == "check":
                        claim, verdict = self._check(connection, talk, message)
                        self._heard(talk, {"event": "checked", "claim": claim, "verdict": verdict})
                        _send(connection, verdict.as_dict())
                        continue
                    if event in ("checked", "end"):
                        raise ValueError(f"event {event!r} is not a process's to tell")
                    if event == "loaded":
                        talk.differs = {str(k): str(v) for k, v in dict(message.get("differs") or {}).items()}
                    elif event == "array":
                        message["array"] = _array(connection, message["shape"], str(message["dtype"]))
                    _send(connection, self._heard(talk, message) or {})
        except (EOFError, OSError, ValueError, TypeError, KeyError, RecursionError) as problem:
            if talk is not None:
                # The end of the stream is the end of the process; anything else is what it must not say.
                said = "" if isinstance(problem, EOFError | OSError) else f"{type(problem).__name__}: {problem}"
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
            _send(connection, {"parts": parts})
            return [_array(connection, _shape(claim.shape, part), claim.dtype) for part in parts]

        verdict = self._judge.judge(claim, fetch, talk.differs)
        if not asked:
            _send(connection, {"parts": []})
        return claim, verdict


def _shape(shape: Sequence[int], part: Part) -> list[int]:
    """The shape of a part of a result."""
    return [part[1] - part[0], *shape[1:-1], part[3] - part[2]]


def _array(connection: Connection, shape: Sequence[int], dtype: str) -> np.ndarray:
    """An array that a process sends."""
    got = np.empty([int(n) for n in shape], named(dtype))
    if got.nbytes > MOST_SENT:
        raise ValueError(f"an array of {got.nbytes} bytes is more than {MOST_SENT}")
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
        array = _contiguous(_as_array(result))
        claim = Claim(
            operation, given, case, array.shape, array.dtype.name, None if x is None else checksum(x), problem
        )
        return self._judge.judge(claim, lambda parts: [array[a:b, ..., c:d] for a, b, c, d in parts], self._differs)


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
            return Verdict(**_receive(self._connection))
        except (EOFError, OSError) as error:
            raise Lost(str(error) or type(error).__name__) from None

    def give(self, what: str, array: Any, **more: Any) -> Message:
        """Send a small array."""
        array = _contiguous(_as_array(array))
        try:
            about = {"what": what, "shape": list(array.shape), "dtype": array.dtype.name}
            _send(self._connection, {"event": "array", **about, **more})
            self._connection.send_bytes(_bytes(array))
            return _receive(self._connection)
        except (EOFError, OSError) as error:
            raise Lost(str(error) or type(error).__name__) from None

    def close(self) -> None:
        """End the conversation."""
        self._connection.close()

    def _ask(self, message: Message) -> Message:
        try:
            _send(self._connection, message)
            return _receive(self._connection)
        except (EOFError, OSError) as error:
            raise Lost(str(error) or type(error).__name__) from None


_own: subprocess.Popen[str] | None = None


def _address() -> str:
    """The server's; of a server of our own where the environment names none, as under a plain ``asv run``."""
    global _own
    if address := os.environ.get(ADDRESS):
        return address
    if _own is None:
        _own = subprocess.Popen(
            [sys.executable, "-P", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=os.name == "posix",
        )  # fmt: skip
    if _own.stdout is None or not (line := _own.stdout.readline().strip()):
        raise Lost("the process that checks results did not start")
    os.environ[ADDRESS] = line
    return line


def _serve() -> None:
    """Be a server until the standard input ends, which it does with the process that started this one."""
    with Hub(lambda talk, message: None) as hub:
        print(hub.address, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _serve()
