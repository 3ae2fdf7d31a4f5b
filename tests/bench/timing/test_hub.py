"""The conversation, both ends in this process: what is said, who hears it, what the judge is told."""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Client, Connection
from typing import Any

import numpy as np
import pytest

from maxbench.bench.inputs.recipe import Input
from maxbench.bench.processes import hub, link
from maxbench.bench.processes.hub import Hub, Talk
from maxbench.bench.processes.judge import Judge
from maxbench.bench.processes.link import Link
from maxbench.bench.processes.messages import (
    VERSION,
    Answer,
    Array,
    Calibrate,
    Cell,
    Checked,
    Ended,
    Failed,
    Given,
    Go,
    Hello,
    Imported,
    Loaded,
    Message,
    NoiseJob,
    Ready,
    Welcome,
)  # fmt: skip
from maxbench.bench.processes.verdict import Claim, Verdict, checksum

GIVEN = Input("scores", "float32", (4, 30, 2))


class Telling(Judge):
    """A judge that keeps what it is told, and asks for parts."""

    def __init__(self) -> None:
        super().__init__()
        self.claims: list[Claim] = []
        self.differs: list[dict[str, str]] = []
        self.parts: list[Any] = [(1, 4, 1, 2), (0, 1, 0, 2)]
        self.got: list[np.ndarray] = []

    def judge(self, claim: Claim, fetch: Any, differs: Any) -> Verdict:
        self.claims.append(claim)
        self.differs.append(dict(differs))
        if self.parts:
            self.got = fetch(self.parts)
        return Verdict("differs", "at (0,)", "sums round", "timed/*")


class Both:
    """A server and what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[Talk, Message]] = []
        self.welcome: Welcome | None = None
        self.answer: Answer | None = None
        self.judge = Telling()
        self.hub = Hub(self.hear, self.judge)

    def hear(self, talk: Talk, message: Message) -> Answer | None:
        self.heard.append((talk, message))
        return self.welcome if isinstance(message, Hello) else self.answer

    def end(self) -> Ended:
        end = time.monotonic() + 5
        while time.monotonic() < end and not isinstance(self.heard[-1][1], Ended):
            time.sleep(0.005)
        last = self.heard[-1][1]
        assert isinstance(last, Ended)
        return last


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Iterator[Both]:
    found = Both()
    for name, value in found.hub.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(link.TOKEN, "told")
    address = found.hub.address
    with found.hub as same:
        assert same is found.hub
        yield found
    with pytest.raises(OSError, match=r"refused|No such file|cannot find"):
        Client(address)


def test_a_process_says_who_it_is_and_hears_the_answers(both: Both) -> None:
    both.welcome, both.answer = Welcome(VERSION, NoiseJob()), Calibrate()
    cell = Cell("softmax.Sweep", ["'a'"], "here")
    one = Link(cell)
    assert one.welcome == both.welcome
    talk, hello = both.heard[0]
    assert (talk.token, talk.pid, talk.differs) == ("told", os.getpid(), {})
    assert hello == Hello(VERSION, "told", os.getpid(), cell)
    assert one.say(Failed("x")) == Calibrate()
    assert both.heard[1] == (talk, Failed("x"))
    both.answer = None
    assert one.say(Ready()) == Go()
    one.close()
    assert both.end() == Ended()
    with pytest.raises(link.Lost):
        one.say(Imported())


def test_the_judge_gets_the_claim_the_declared_differences_and_the_parts(both: Both) -> None:
    one = Link()
    x = GIVEN.array()
    result = np.arange(x.size, dtype=np.float64).reshape(x.shape)
    found = one.check("softmax", GIVEN, result, case="timed", x=x, problem="it wrote beside out")
    assert found == Verdict("differs", "at (0,)", "sums round", "timed/*")
    claim = Claim("softmax", GIVEN, "timed", x.shape, "float64", checksum(x), "it wrote beside out")
    assert both.judge.claims == [claim]
    assert both.judge.differs == [{}]
    assert [part.tolist() for part in both.judge.got] == [result[1:4, :, 1:2].tolist(), result[0:1].tolist()]
    assert [part.dtype for part in both.judge.got] == [np.dtype(np.float64)] * 2
    assert both.heard[-1][1] == Checked(claim, found)

    one.say(Loaded({"timed/*": "sums round: up to 3 ulp"}))
    one.say(Ready())
    both.judge.parts = []  # what it does not look at is not sent
    index = np.zeros((4, 2), ">i8")
    one.check("argmax", GIVEN, index, case="n = 1")
    assert both.judge.claims[-1] == Claim("argmax", GIVEN, "n = 1", (4, 2), ">i8", None, "")
    assert both.judge.differs[-1] == {"timed/*": "sums round: up to 3 ulp"}
    both.judge.parts = [(2, 4, 0, 1)]
    one.check("argmax", GIVEN, np.arange(8).reshape(4, 2)[:, ::-1], case="n = 1")
    assert both.judge.got[0].tolist() == [[5], [7]]
    one.say(Loaded({}))
    one.check("argmax", GIVEN, np.arange(8).reshape(4, 2), case="n = 1")
    assert both.judge.differs[-1] == {}
    assert one.say(Ready()) == Go()
    one.close()


def test_what_is_no_array_is_not_handed_over(both: Both) -> None:
    one = Link()
    found = one.check("softmax", GIVEN, [1.0], case="timed")
    assert found == Verdict("wrong", "returned list, where an array must come back")
    assert not both.judge.claims
    one.close()


@pytest.mark.parametrize("array", [np.arange(6.0).reshape(3, 2)[:, ::-1], np.zeros((0, 3), np.int8), np.float32(7)])
def test_arrays_arrive_as_they_are(both: Both, array: Any) -> None:
    one = Link()
    one.give("pair", array, index=3, dtype_of_x="float32")
    given = both.heard[-1][1]
    assert isinstance(given, Given)
    assert given.about == Array("pair", list(np.atleast_1d(array).shape), array.dtype.name, 3, "float32")
    assert given.values.tolist() == np.atleast_1d(array).tolist()
    assert given.values.dtype == array.dtype
    one.close()


def _asked(connection: Connection, message: dict[str, Any], raw: bytes) -> None:
    connection.send_bytes(json.dumps(message).encode())
    with contextlib.suppress(OSError):  # the other end may have stopped listening by now
        if raw:
            connection.send_bytes(raw)


def _greeted(connection: Connection) -> None:
    _asked(connection, {"version": VERSION, "token": "", "pid": 7}, b"")
    assert json.loads(connection.recv_bytes())["version"] == VERSION


def _array(*shape: float) -> dict[str, Any]:
    return {"event": "array", "what": "", "shape": shape, "dtype": "int8"}


@pytest.mark.parametrize(
    ("message", "raw", "problem"),
    [
        (_array(3), b"12", "an array of another size than announced"),
        (_array(9), b"123456789", "an array of 9 bytes is more than 8"),
        (_array(3), b"1234", "BufferTooShort"),
        (_array(math.inf), b"", "JSON is malformed"),
        (_array(-2, -2), b"", "ValueError: shape[0]: Expected int >= 0; it is -2"),
        ({"event": "checked"}, b"", "ValueError: event: Invalid value 'checked'; it is \"checked\""),
        ({"event": "ended"}, b"", "ValueError: event: Invalid value 'ended'; it is \"ended\""),
        ({"event": "\x1b[2J" + "a" * 70_000}, b"", "ValueError: event: Invalid value '\N{REPLACEMENT CHARACTER}[2Jaa"),
    ],
)
def test_what_a_process_must_not_say_is_said_of_it(
    both: Both, message: dict[str, Any], raw: bytes, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "MOST_SENT", 8)
    with Client(both.hub.address) as connection:
        _greeted(connection)
        assert (both.heard[0][0].token, both.heard[0][0].pid) == ("", 7)
        _asked(connection, _array(8), b"12345678")
        assert connection.recv_bytes() == b'{"do":"go"}'
        _asked(connection, message, raw)
        said = both.end().problem
        assert problem in said
        assert len(said) <= link.FIELD + len(link.CUT)


def test_want_of_memory_is_no_fault_of_the_process(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: object) -> None:
        raise MemoryError("Unable to allocate 8 EiB")

    monkeypatch.setattr(hub.np, "empty", refused)
    with Client(both.hub.address) as connection:
        _greeted(connection)
        _asked(connection, _array(8), b"12345678")
        assert both.end().problem == "there was not enough memory to judge it: Unable to allocate 8 EiB"


def test_a_process_for_which_there_is_no_thread_is_let_go_and_the_next_is_heard(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, refused = hub.threading.Thread.start, []

    def start(thread: Any) -> None:
        if not refused:
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(hub.threading.Thread, "start", start)
    for _ in range(2):
        with contextlib.suppress(EOFError, OSError), Client(both.hub.address) as connection:
            _greeted(connection)
    both.end()
    assert len(refused) == 1
    assert len(both.heard) == 2  # hello and end, of the second alone


def test_a_server_that_is_gone_is_lost(both: Both) -> None:
    both.hub._heard = _raises(both.hear)
    one = Link()
    x = GIVEN.array()
    for ask in (
        lambda: one.say(Imported()), lambda: one.check("softmax", GIVEN, x, case="timed"), lambda: one.give("x", x),
    ):  # fmt: skip
        with pytest.raises(link.Lost):
            ask()


def _raises(heard: hub.Heard) -> hub.Heard:
    def hear(talk: Talk, message: Message) -> Answer | None:
        if isinstance(message, Imported):
            raise EOFError
        return heard(talk, message)

    return hear


def test_messages_are_bounded_objects(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(both.hub.address) as connection:
        connection.send_bytes(b"[1]")  # before it has said who it is there is nobody to say it of
        with pytest.raises((EOFError, OSError)):
            connection.recv_bytes()
    assert both.heard == []
    monkeypatch.setattr(link, "MOST_BYTES", 100)
    one = Link()
    with pytest.raises(link.Lost):
        one.say(Failed("x" * 200))


def test_texts_are_kept_up_to_their_limit() -> None:
    whole = "a" * link.FIELD
    assert link.bounded(whole) == whole
    assert link.bounded(whole + "b") == whole + link.CUT
    assert link.bounded("two\n\tlines\r\x00") == "two\n\tlines\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"
    assert link.bounded({1: ("a", None, 2.5, True)}) == {"1": ["a", None, 2.5, True]}


def test_a_server_of_its_own_is_started_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Started:
        def __init__(self, line: str) -> None:
            self.stdout = self
            self.line = line

        def readline(self) -> str:
            return self.line

    monkeypatch.setattr(link, "_own", None)
    monkeypatch.setattr(link.subprocess, "Popen", lambda *words, **how: Started("there\n"))
    monkeypatch.setenv(link.ADDRESS, "named")
    assert link._address() == "named"
    monkeypatch.setenv(link.ADDRESS, "")
    assert link._address() == "there"
    assert os.environ[link.ADDRESS] == ""  # it is this process's alone
    monkeypatch.setattr(link.subprocess, "Popen", lambda *words, **how: Started("\n"))
    assert link._address() == "there"
    monkeypatch.setattr(link, "_own", None)
    with pytest.raises(link.Lost, match="did not start"):
        link._address()


def test_our_own_code_is_judged_in_this_process() -> None:
    x = GIVEN.array()
    wide = np.exp(x.astype(np.float64))
    result = (wide / wide.sum(axis=1, keepdims=True)).astype(np.float32)
    check: Callable[..., Verdict] = hub.Here().check
    assert check("softmax", GIVEN, result, case="timed", x=x).status == "agrees"
    assert check("softmax", GIVEN, result, case="timed").status == "agrees"
    assert check("softmax", GIVEN, result, case="timed", x=x + 1).detail == "the input was overwritten"
    assert check("softmax", GIVEN, result, case="timed", problem="it did").detail == "it did"
    result[3, 0, 1] *= np.float32(1.001)
    assert check("softmax", GIVEN, result, case="timed").status == "wrong"
    declared = hub.Here({"timed/*": "up to 100000 ulp"}).check
    assert declared("softmax", GIVEN, result, case="timed").status == "differs"
    assert declared("softmax", GIVEN, result, case="n = 30").status == "wrong"
