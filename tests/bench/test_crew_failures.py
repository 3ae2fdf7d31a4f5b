"""How a job is started, waited for and failed, with a process that is none."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import pytest

from maxbench.bench.processes import crew, launch
from maxbench.bench.processes.crew import Crew, Work
from maxbench.bench.processes.hub import Talk
from maxbench.bench.processes.launch import Ending
from maxbench.bench.processes.link import ADDRESS, TOKEN
from maxbench.bench.processes.messages import (
    VERSION,
    CellDone,
    Done,
    Ended,
    Failed,
    Go,
    Hello,
    Imported,
    Message,
    NoiseJob,
    Outcome,
    Ready,
    Welcome,
)  # fmt: skip


class Process:
    """In place of `launch.Child`: says what it is told to while it is waited for, and ends."""

    started: Any = None

    def __init__(self, command: list[str], **how: Any) -> None:
        Process.started = (command, how)
        self.ended: list[str] = []
        self.talk = Talk(how["env"][TOKEN], 1)

    say: Callable[[Process, Any], Ending]

    def wait(self, look: Callable[[], None]) -> Ending:
        self.look = look
        return type(self).say(self, self.hear)

    def end(self, why: str) -> Ending:
        self.ended.append(why)
        return Ending(-9, why)


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(launch, "Child", Process)
    monkeypatch.setattr(crew, "_PARTING_SECONDS", 0.02)
    monkeypatch.delenv(launch.LIMIT_SECONDS, raising=False)
    with Crew() as found:
        monkeypatch.setattr(Process, "hear", lambda self, message: found._heard(self.talk, message), raising=False)
        yield found


WELL = Ending(0)


def says(*messages: Message, ending: Ending = WELL) -> Callable[..., Ending]:
    def say(process: Process, hear: Any) -> Ending:
        for message in messages:
            hear(message)
        return ending

    return say


HELLO = Hello(VERSION, "", 1)
DONE, END = Done(), Ended()
BAD = Ended("it said what it must not: ValueError: no JSON")
SAID = Failed("ValueError: so")
JOB = NoiseJob()


@pytest.mark.parametrize(
    ("messages", "ending", "failure"),
    [
        ([HELLO, DONE, END], Ending(0), None),
        ([HELLO, DONE, END], Ending(-9, "ended"), None),
        ([HELLO, END], Ending(0), "its process ended before it was done: exit status 0"),
        ([], Ending(0, printed=("a", "b")), "its process ended before it was done: exit status 0: b"),
        ([HELLO, END], Ending(3, printed=("b",)), "its process ended: exit status 3: b"),
        ([HELLO, END], Ending(-11), "its process ended: killed by SIGSEGV"),
        ([HELLO, END], Ending(-9, "not finished after 3 s"), "its process ended: not finished after 3 s"),
        ([HELLO, SAID, END], Ending(1), "ValueError: so"),
        ([HELLO, SAID, END], Ending(0), "its process ended before it was done: exit status 0"),
        ([HELLO, SAID, END], Ending(3), "its process ended: exit status 3"),
        ([HELLO, Failed(""), END], Ending(1), "its process ended: exit status 1"),
        ([HELLO, BAD], Ending(3), "it said what it must not: ValueError: no JSON"),
        ([HELLO, SAID, BAD], Ending(1), "ValueError: so"),
    ],
)  # fmt: skip
def test_a_job_is_done_where_its_process_says_so(one: Crew, messages: Any, ending: Ending, failure: Any) -> None:
    Process.say = says(*messages, ending=ending)
    work = one.run(JOB)
    assert work.failure == failure
    assert work.messages == messages
    assert not work.late
    assert one._jobs == {}


def test_what_a_process_printed_is_cut_and_cleaned(one: Crew) -> None:
    Process.say = says(HELLO, ending=Ending(3, printed=("\x1b" + "a" * 70_000,)))
    failure = str(one.run(JOB).failure)
    assert failure.startswith("its process ended: exit status 3: \N{REPLACEMENT CHARACTER}aa")
    assert len(failure) < 66_000


@pytest.mark.parametrize("done", [True, False])
def test_a_time_limit_is_told_apart(one: Crew, done: bool) -> None:
    Process.say = says(HELLO, *[DONE] * done, END, ending=Ending(-9, "late", (), True))
    assert one.run(JOB).late == (not done)


def test_how_a_worker_is_started(one: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    Process.say = says(HELLO, DONE, END)
    monkeypatch.setenv("KEPT", "1")
    one.run(JOB, env={"MORE": "2"}, seconds=7.0, cpu=3, prefix=("valgrind", "-q"))
    command, how = Process.started
    assert command == ["valgrind", "-q", *launch.python(str(crew.PROGRAM), "worker")]
    env = how.pop("env")
    assert (env["KEPT"], env["MORE"], env[ADDRESS]) == ("1", "2", one.variables[ADDRESS])
    token = env[TOKEN]
    assert len(token) >= 32
    assert how.pop("memory") >= launch.LEAST_BYTES
    assert how == {"seconds": 7.0, "cpu": 3}
    one.run(JOB, seconds=math.inf)
    assert Process.started[1]["seconds"] is None
    assert Process.started[1]["env"][TOKEN] != token
    one.run(JOB)
    assert Process.started[1]["seconds"] == crew.SECONDS
    monkeypatch.setenv(launch.LIMIT_SECONDS, "5")
    one.run(JOB)
    assert Process.started[1]["seconds"] == 5.0


def test_messages_are_answered_by_who_asked_for_the_job(one: Crew) -> None:
    answers: list[Any] = []

    def say(process: Process, hear: Any) -> Ending:
        answers.extend(hear(message) for message in (HELLO, Ready(), DONE, END))
        return Ending(0)

    Process.say = say
    heard: list[Any] = []
    work = one.run(JOB, heard=lambda message: heard.append(message) or Go())
    assert answers == [Welcome(VERSION, JOB), Go(), Go(), Go()]
    assert heard == [Ready(), DONE, END]
    assert work.those(Ready) == [Ready()]
    assert work.those(Imported) == []
    assert one._heard(Talk("of a job that has ended", 1), Ready()) is None


def test_processes_without_a_token_are_cells() -> None:
    heard: list[Any] = []
    with Crew(lambda talk, message: heard.append((talk, message)) or Welcome(VERSION, stop=True)) as one:
        talk = Talk("", 1)
        assert one._heard(talk, CellDone(Outcome())) == Welcome(VERSION, stop=True)
        assert heard == [(talk, CellDone(Outcome()))]


def test_a_worker_that_does_not_end_after_it_is_done_is_ended(one: Crew) -> None:
    ticks: list[int] = []
    ended: list[list[str]] = []

    def say(process: Process, hear: Any) -> Ending:
        for message in (HELLO, Ready(), Imported()):
            hear(message)
            process.look()
            assert process.ended == []
        hear(DONE)
        process.look()
        ended.append(process.ended[:])
        hear(END)
        process.look()
        ended.append(process.ended[:])
        return Ending(-9, "it did not end after it was done")

    Process.say = say
    assert one.run(JOB, tick=lambda: ticks.append(1)).failure is None
    assert ended == [["it did not end after it was done"]] * 2
    assert len(ticks) == 5


def test_what_is_still_under_way_is_waited_for(one: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "_PARTING_SECONDS", 5.0)

    def say(process: Process, hear: Any) -> Ending:
        hear(HELLO)
        threading.Timer(0.05, lambda: (hear(DONE), hear(END))).start()
        return Ending(0)

    Process.say = say
    work = one.run(JOB)
    assert work.failure is None
    assert work.messages[-1] == END


def test_a_command_that_is_stopped_leaves_no_job(one: Crew) -> None:
    def say(process: Process, hear: Any) -> Ending:
        raise launch.Stopped(15)

    Process.say = say
    with pytest.raises(launch.Stopped):
        one.run(JOB)
    assert one._jobs == {}


def test_no_work_is_shared() -> None:
    assert Work().messages is not Work().messages
