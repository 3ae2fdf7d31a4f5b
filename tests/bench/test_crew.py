"""Workers and the conversation with them: what is said, bounded, and what comes of those that break off."""

from __future__ import annotations

import json
import time
from multiprocessing.connection import Client
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maxbench.bench.inputs.recipe import Input
from maxbench.bench.processes import crew, hub, link
from maxbench.bench.processes.crew import Crew
from maxbench.bench.processes.messages import Ended, Given, Hello, ResultsJob
from maxbench.impls import contract
from tests.plugins import Install

GIVEN = Input("scores", "float32", (4, 30, 1))


def job(name: str) -> ResultsJob:
    return ResultsJob("argmax", name, [GIVEN])


def test_a_worker_does_a_job_and_its_arrays_arrive() -> None:
    with Crew() as one:
        work = one.run(job("numpy_vectorized"))
    assert work.failure is None
    (given,) = work.those(Given)
    np.testing.assert_array_equal(given.values, np.argmax(GIVEN.array(), axis=1))


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ("import os; os._exit(0)", "its process ended before it was done: exit status 0"),
        ("import os; os.abort()", "its process ended: killed by SIGABRT"),
        ("import os; os.closerange(3, 100); import time; time.sleep(0.1); os._exit(0)", "ended before it was done"),
        ("import time; time.sleep(600)", "not finished after 3 s"),
    ],
)
def test_a_worker_that_breaks_off_says_where(body: str, failure: str, install: Install) -> None:
    source = f"from maxbench import implements\n@implements(dtypes=('float32',))\ndef run(x, out):\n    {body}\n"
    install({"planted": source}, {"argmax.planted": "planted"})
    with Crew() as one:
        work = one.run(job("planted"), seconds=3)
        assert failure in str(work.failure)
        assert [type(message) for message in work.messages] == [Hello, Ended]
        assert one.run(job("numpy_vectorized")).failure is None


def test_a_worker_ends_however_much_is_left_to_do_at_exit(install: Install) -> None:
    source = """
        import atexit, threading, time
        from maxbench import implements
        atexit.register(time.sleep, 600)
        threading.Thread(target=time.sleep, args=(600,)).start()

        @implements(dtypes=("float32",))
        def run(x, out):
            out[...] = x.argmax(axis=1)
            return out
    """
    install({"planted": source}, {"argmax.planted": "planted"})
    with Crew() as one:
        assert one.run(job("planted"), seconds=20).failure is None


class Conversation:
    """A server that is talked to in this process."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.hub = hub.Hub(lambda talk, message: self.messages.append(message))
        self.connection = Client(self.hub.address)

    def ask(self, message: bytes) -> bytes:
        self.connection.send_bytes(message)
        return self.connection.recv_bytes()


@pytest.fixture
def talk() -> Any:
    found = Conversation()
    yield found
    found.connection.close()
    found.hub.close()


def _claim(**about: Any) -> bytes:
    given = {"kind": "scores", "dtype": "float32", "shape": [1, 2, 1]}
    claim = {"operation": "argmax", "input": given, "case": "timed", "shape": [1, 1], "dtype": "int64", **about}
    return json.dumps({"event": "check", "claim": claim}).encode()


@pytest.mark.parametrize(
    "message",
    [b"[]", b"no json", b'{"event": "ended"}', b'{"event": "checked"}', b'{"event": "check"}',
     b'{"event": "array", "what": "", "shape": [1e9], "dtype": "float64"}',
     b'{"event": "array", "what": "", "shape": [-1], "dtype": "float64"}',
     _claim(operation="none"), _claim(input={"kind": "none", "dtype": "f4"})],
)  # fmt: skip
def test_what_must_not_be_said_ends_the_conversation(talk: Conversation, message: bytes) -> None:
    talk.ask(b'{"version": 1, "token": "", "pid": 1}')
    with pytest.raises((EOFError, ConnectionResetError)):
        talk.ask(message)
    for _ in range(100):
        if isinstance(talk.messages[-1], Ended):
            break
        time.sleep(0.01)
    assert isinstance(talk.messages[-1], Ended)
    assert talk.messages[-1].problem.startswith("it said what it must not: ")


def test_texts_are_cut_and_cleaned() -> None:
    text = "\x1b[31mred\x07" + "a" * link.FIELD
    found = link.bounded({"text": [text], "number": 3, "\x1b": None})
    assert found["number"] == 3
    assert found["\N{REPLACEMENT CHARACTER}"] is None
    cut = found["text"][0]
    assert cut.endswith(link.CUT)
    assert len(cut) == link.FIELD + len(link.CUT)
    assert "\x1b" not in cut
    assert "\x07" not in cut


def test_results_are_judged_where_no_foreign_code_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an address a link starts a server of its own, from its own tree, which ends with this process's pipe."""
    for name in ("bench", "impls", "maxbench"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv(link.ADDRESS, raising=False)
    monkeypatch.setattr(link, "_own", None)
    one = link.Link()
    try:
        x = GIVEN.array()
        result = np.argmax(x, axis=1)
        assert one.check("argmax", GIVEN, result, case="timed", x=x).status == "agrees"
        assert one.check("argmax", GIVEN, result + 1, case="timed", x=x).status == "wrong"
        assert one.check("argmax", GIVEN, None, case="timed").detail.startswith("returned NoneType")
        out = contract.ARGMAX.allocate(x)
        assert "-1 (outside the row)" in one.check("argmax", GIVEN, out, case="timed").detail
    finally:
        one.close()
        assert link._own is not None
        link._own[0].terminate()
        link._own[0].wait()


def test_a_worker_is_run_as_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as a module: whatever lies in the current folder changes nothing."""
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path)
    assert crew.PROGRAM.is_file()
    with Crew() as one:
        assert one.run(job("numpy_vectorized")).failure is None
