"""Which tasks of a device report are done, by how many processes, and what is recorded of those that are not."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from typing import Any

import pytest

from maxbench.bench.inputs.recipe import Input
from maxbench.bench.processes.crew import Crew, Work
from maxbench.bench.processes.messages import (
    AnyTask,
    ApiTask,
    Checked,
    DeviceJob,
    LaunchTask,
    Message,
    Outcome,
    PartBegins,
    PartDone,
    TaskDone,
    Trial,
    Tried,
)  # fmt: skip
from maxbench.bench.processes.verdict import Claim, Verdict
from maxbench.impls.agreement import Finding
from maxbench.reports.measure.device.session import MOST_ENDS, STALL_SECONDS, Process, Session
from tests.impls.cuda.fakes import Clock, Does, Worker

TASKS: list[AnyTask] = [ApiTask(id=i, operation="softmax", names=["a", "b", "c"]) for i in range(4)]


def fine(task: AnyTask, name: str) -> Outcome:
    return Outcome(samples=[1.0], number=1)


def session(
    does: Does, seconds: float = 1000.0, each: float = 1.0, tasks: list[AnyTask] = TASKS
) -> tuple[dict[tuple[int, str], tuple[str, str]], list[Worker], Clock]:
    """What was recorded, by task and part, the workers that were started, and the clock."""
    clock, workers, recorded = Clock(), [], {}

    def start(left: list[AnyTask]) -> Worker:
        workers.append(Worker(left, clock, each, does))
        return workers[-1]

    def record(task: AnyTask, name: str, found: Outcome) -> None:
        assert (task.id, name) not in recorded
        recorded[task.id, name] = (found.status, found.detail)

    Session(tasks, start, record, seconds, clock=clock, sleep=clock.sleep).run()
    assert all(worker.stopped for worker in workers)
    assert set(recorded) == {(task.id, name) for task in tasks for name in task.names}
    return recorded, workers, clock


def test_everything_by_one_process() -> None:
    recorded, workers, _ = session(fine)
    assert {status for status, _ in recorded.values()} == {"ok"}
    assert len(workers) == 1


def test_the_time_is_spent_in_order_and_the_rest_is_recorded() -> None:
    recorded, _, clock = session(fine, seconds=7, each=1.0)
    assert [recorded[i, "a"][0] for i in range(4)] == ["ok", "ok", "ok", "skipped"]
    assert [recorded[2, name][0] for name in "abc"] == ["ok", "skipped", "skipped"]  # what was said is kept
    assert recorded[3, "c"][1] == "the time of 7 s was spent before this was measured"
    assert clock.now <= 8


def test_a_process_that_ends_costs_its_own_part_only() -> None:
    def does(task: AnyTask, name: str) -> Outcome | str:
        return "killed by signal 11" if (task.id, name) == (1, "b") else fine(task, name)

    recorded, workers, _ = session(does)
    assert recorded.pop((1, "b")) == ("failed", "its process ended: killed by signal 11")
    assert {status for status, _ in recorded.values()} == {"ok"}
    assert len(workers) == 2


@pytest.mark.parametrize(
    ("ending", "processes", "reason"),
    [("exit status 1", MOST_ENDS, "its process ended: exit status 1"),
     ("hangs", MOST_ENDS // 2, "nothing came of it within 75 s")],
)  # fmt: skip
def test_who_brings_down_several_processes_is_left_out(ending: str, processes: int, reason: str) -> None:
    tasks: list[AnyTask] = [ApiTask(id=i, operation="softmax", names=["a", "b", "c"]) for i in range(6)]
    recorded, workers, _ = session(lambda task, name: ending if name == "b" else fine(task, name), tasks=tasks)
    left_out = "left out after it ended or stopped several processes, the last time so: "
    assert [recorded[i, "b"] for i in range(6)] == [
        ("failed", reason if i < processes else left_out + reason) for i in range(6)
    ]
    assert {recorded[i, n][0] for i in range(6) for n in "ac"} == {"ok"}
    assert len(workers) == processes + 1


def test_a_process_that_says_nothing_is_ended() -> None:
    recorded, _, clock = session(lambda t, n: "hangs" if (t.id, n) == (0, "a") else fine(t, n))
    assert recorded[0, "a"] == ("failed", f"nothing came of it within {STALL_SECONDS:.0f} s")
    assert recorded[0, "b"][0] == recorded[3, "c"][0] == "ok"
    assert STALL_SECONDS < clock.now < 2 * STALL_SECONDS


@pytest.mark.parametrize(("seconds", "waited"), [(1000, 75), (200, 50), (60, 25)])
def test_a_short_session_waits_less_for_a_process_that_says_nothing(seconds: float, waited: float) -> None:
    recorded, _, _ = session(lambda t, n: "hangs" if (t.id, n) == (0, "a") else fine(t, n), seconds=seconds)
    assert recorded[0, "a"] == ("failed", f"nothing came of it within {waited} s")
    assert recorded[3, "c"][0] == "ok"


def test_a_hang_does_not_outlast_the_time() -> None:
    recorded, _, clock = session(lambda t, n: "hangs", seconds=20)
    assert {status for status, _ in recorded.values()} == {"skipped"}
    assert clock.now < 21


def test_processes_that_end_before_they_begin_do_not_go_on_for_ever() -> None:
    class Dead(Worker):
        def lines(self) -> list[Any]:
            return []

    recorded = []
    started = []

    def start(left: list[AnyTask]) -> Worker:
        started.append(Dead(left, Clock(), 1.0, fine))
        started[-1].end = "exit status 1 no module"
        return started[-1]

    clock = Clock()
    Session(
        TASKS, start, lambda task, name, found: recorded.append(found.detail), 100, clock=clock, sleep=clock.sleep
    ).run()
    assert len(started) == len(TASKS)
    assert recorded == ["its process ended: exit status 1 no module"] * 12


def test_an_interruption_is_recorded_and_passed_on() -> None:
    def does(task: AnyTask, name: str) -> Outcome:
        if task.id == 2:
            raise KeyboardInterrupt
        return fine(task, name)

    clock, recorded = Clock(), {}
    made: list[Worker] = []

    def start(left: list[AnyTask]) -> Worker:
        made.append(Worker(left, clock, 1.0, does))
        return made[-1]

    def record(task: AnyTask, name: str, found: Outcome) -> None:
        recorded[task.id, name] = found.status

    with pytest.raises(KeyboardInterrupt):
        Session(TASKS, start, record, 1000, clock=clock, sleep=clock.sleep).run()
    assert made[0].stopped
    assert [recorded[i, "a"] for i in range(4)] == ["ok", "ok", "interrupted", "interrupted"]


class Hired:
    """A crew whose worker says what it is told to; see `bench.processes.crew.Crew.run`."""

    def __init__(self, *messages: Message, failure: str | None = None, hangs: bool = False) -> None:
        self.messages, self.failure, self.hangs = messages, failure, hangs

    def run(self, job: DeviceJob, *, env: Any, seconds: float, heard: Any, tick: Any) -> Work:
        assert (job, env, seconds) == (JOB, {"A": "1"}, math.inf)
        for message in self.messages:
            heard(message)
        while self.hangs:
            tick()
            time.sleep(0.001)
        return Work([], self.failure)


JOB = DeviceJob([LaunchTask(id=4, operation="argmax", names=["mine"])], 0.1, 1024, simulated=True)


def said_by(crew: Any) -> tuple[list[Any], str | None]:
    """The lines of a process, and how it ended."""
    process = Process(JOB, crew, {"A": "1"})
    process._thread.join(10)
    return process.lines(), process.ended()


def test_findings_are_the_judges_and_not_the_processs() -> None:
    trial = Trial("two equal", "float32")
    claim = Claim("argmax", Input("case", "float32", name=trial.case), trial.case, (1,), "int64")
    begin = PartBegins(4, "mine")
    wrong, differs = Verdict("wrong", "at (0, 0)"), Verdict("differs", "at (1, 0)", "why", "two*")
    agrees = Verdict("agrees")
    found = []
    for verdicts, spoken in [
        ((agrees,), "agrees"), ((wrong, agrees), "agrees"), ((differs, wrong), "agrees"), ((differs,), "agrees"),
        ((), "not supported"), ((agrees,), "failed"), ((), "wrong"),
    ]:  # fmt: skip
        checked = [Checked(claim, verdict) for verdict in verdicts]
        tried = Tried(trial.case, trial.dtype, spoken, "its own words")  # type: ignore[arg-type]
        lines, ended = said_by(Hired(begin, trial, *checked, tried))
        assert ended == "exit status 0"
        assert lines[0] == begin
        assert isinstance(lines[1], Finding)
        who = (lines[1].operation, lines[1].implementation, lines[1].case, lines[1].dtype)
        assert who == ("argmax", "mine", trial.case, trial.dtype)
        found.append((lines[1].status, lines[1].detail, lines[1].declared))
    own = "its own words"
    assert found == [("agrees", own, ""), ("wrong", "at (0, 0)", ""), ("wrong", "at (0, 0)", ""),
                     ("differs", "at (1, 0)", "why"), ("not supported", own, ""), ("failed", own, ""),
                     ("wrong", own, "")]  # fmt: skip


def test_how_a_process_ended_and_that_it_can_be_stopped() -> None:
    assert said_by(Hired(failure="killed by SIGSEGV")) == ([], "killed by SIGSEGV")
    done = [PartDone(4, "mine", Outcome()), TaskDone(4)]
    assert said_by(Hired(*done)) == (done, "exit status 0")
    process = Process(JOB, Hired(hangs=True), {"A": "1"})  # type: ignore[arg-type]
    assert process.ended() is None
    process.stop()
    assert process.ended() == "it was stopped"


def test_a_real_process() -> None:
    """The worker itself, on a machine without the implementations named: it says why, and ends."""
    tasks: list[AnyTask] = [LaunchTask(id=0, operation="softmax", names=["nobody", "numpy_vectorized"])]
    recorded: dict[str, Outcome] = {}
    job = DeviceJob(tasks, 0.01, 1024, simulated=True)
    with Crew() as crew:
        Session(
            tasks, lambda left: Process(job, crew, {"NUMBA_ENABLE_CUDASIM": "1"}),
            lambda task, name, found: recorded.update({name: found}), 60,
        ).run()  # fmt: skip
    assert recorded["nobody"].status == "skipped"
    assert "unknown softmax implementation 'nobody'" in recorded["nobody"].detail
    assert recorded["numpy_vectorized"].detail == "its arrays are in the memory of the cpu, not of a CUDA device"


def test_the_process_on_the_device_needs_little() -> None:
    """On a machine with a GPU whatever else is missing costs its own rows, or the figures of the report."""
    program = """
import importlib.abc, sys
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1:]:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Missing())
from maxbench.bench.processes import worker
from maxbench.bench.workers import compile, device, probe
"""
    others = (
        "asv", "asv_runner", "cpuinfo", "jinja2", "json5", "matplotlib", "packaging", "pandas", "psutil", "pyarrow",
        "pygments", "rich", "scipy", "tbb",
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", program, *others], capture_output=True, text=True, check=False, timeout=100,
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
