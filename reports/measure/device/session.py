"""Doing the tasks of a device report: one process at a time, started anew without whatever ended or stopped it.

The time is spent on tasks in their order; what it does not suffice for is recorded as not measured. Nothing that an
implementation does to its process costs more than its own results.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import structs

from maxbench.bench.processes.crew import Crew
from maxbench.bench.processes.messages import (
    AnyTask,
    Checked,
    DeviceJob,
    Message,
    Outcome,
    PartBegins,
    PartDone,
    TaskDone,
    Trial,
    Tried,
)  # fmt: skip
from maxbench.bench.processes.verdict import Verdict
from maxbench.impls.agreement import Finding

from ...records.journal import SPENT

# In which a process says nothing; compiling one kernel takes up to about 20. Of a short session a quarter.
STALL_SECONDS, LEAST_STALL_SECONDS = 75.0, 25.0
MOST_ENDS, ENDS_OF_A_HANG = 8, 4  # processes that an implementation may bring down; one that hangs costs more
POLL_SECONDS = 0.05

Line = PartBegins | PartDone | TaskDone | Finding
"""What a worker has said that matters."""


class Worker(Protocol):
    """A process that does tasks."""

    def lines(self) -> list[Line]:
        """What it has said since the last time."""

    def ended(self) -> str | None:
        """How it ended, or None while it runs."""

    def stop(self) -> None:
        """End it now."""


class Process:
    """`bench.workers.device` in a process of its own."""

    def __init__(self, job: DeviceJob, crew: Crew, environment: Mapping[str, str]) -> None:
        self._operations = {task.id: task.operation for task in job.tasks}
        self._lines: list[Line] = []
        self._at = PartBegins(-1, "")
        self._trial: tuple[str, str] = ("", "")
        self._verdicts: list[Verdict] = []
        self._ended: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(crew, job, dict(environment)), daemon=True)
        self._thread.start()

    def _run(self, crew: Crew, job: DeviceJob, environment: dict[str, str]) -> None:
        try:
            work = crew.run(job, env=environment, seconds=math.inf, heard=self._heard, tick=self._tick)
            self._ended = work.failure or "exit status 0"
        except BaseException as error:
            self._ended = str(error) or type(error).__name__

    def _tick(self) -> None:
        if self._stop.is_set():
            raise RuntimeError("it was stopped")

    def _heard(self, message: Message) -> None:
        match message:
            case PartBegins():
                self._at = message
                self._lines.append(message)
            case PartDone() | TaskDone():
                self._lines.append(message)
            case Trial():
                self._trial, self._verdicts = (message.case, message.dtype), []
            case Checked():
                self._verdicts.append(message.verdict)
            case Tried():
                self._lines.append(self._finding(message))

    def _finding(self, tried: Tried) -> Finding:
        """The finding of a trial, by the judge's verdicts."""
        bad = sorted((v for v in self._verdicts if v.status != "agrees"), key=lambda v: v.status != "wrong")
        where = self._operations.get(self._at.task, ""), self._at.part, tried.case, tried.dtype
        mine = bad and self._trial == (tried.case, tried.dtype)
        self._verdicts = []
        if mine:
            return Finding(*where, bad[0].status, bad[0].detail, bad[0].declared, bad[0].unsized)
        return Finding(*where, tried.status, tried.detail)

    def lines(self) -> list[Line]:
        lines, self._lines = self._lines, []
        return lines

    def ended(self) -> str | None:
        return self._ended

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


class Session:
    """The tasks until they are done or the time is over.

    Args:
        tasks: the most wanted first.
        start: makes a worker for tasks.
        record: called with (task, name, outcome) once for every part.
        seconds: the time, from now on.
        seen: called with every line of a worker, and the tasks done and left.
    """

    def __init__(
        self, tasks: Sequence[AnyTask], start: Callable[[list[AnyTask]], Worker],
        record: Callable[[AnyTask, str, Outcome], None], seconds: float, *,
        seen: Callable[[Line, int, int], None] = lambda line, done, total: None,
        clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self._tasks = {task.id: structs.replace(task, without=list(task.without)) for task in tasks}
        self._total = len(tasks)
        self._start, self._record, self._seen = start, record, seen
        self._clock, self._sleep = clock, sleep
        self._seconds, self._end = seconds, clock() + seconds
        self._stall = min(STALL_SECONDS, max(LEAST_STALL_SECONDS, seconds / 4))
        self._said: dict[int, dict[str, Outcome]] = {}
        self._left_out: dict[int, dict[str, Outcome]] = {}  # what there is to say of the parts that a task is without
        self._ends: dict[tuple[str, str], int] = {}

    def run(self) -> None:
        """Do them; returns when all have been recorded.

        Raises:
            KeyboardInterrupt: the user stopped it; what is left is recorded as interrupted.
        """
        try:
            while self._tasks and self._clock() < self._end:
                self._one_worker()
        except BaseException:
            self._give_up(Outcome("interrupted", "the run was interrupted before this was measured"))
            raise
        self._give_up(Outcome("skipped", f"the time of {self._seconds:.0f} s {SPENT}"))

    def _one_worker(self) -> None:
        worker = self._start(list(self._tasks.values()))
        at: PartBegins | None = None
        last = self._clock()
        try:
            while True:
                ended = worker.ended()  # asked before reading, so that the last lines are not missed
                for line in worker.lines():
                    last = self._clock()
                    at = self._take(line, at)
                    self._seen(line, self._total - len(self._tasks), self._total)
                now = self._clock()
                if not self._tasks or now >= self._end:
                    return
                if ended is not None:
                    self._blame(at, f"its process ended: {ended}")
                    return
                if now - last > self._stall:
                    self._blame(at, f"nothing came of it within {self._stall:.0f} s", ENDS_OF_A_HANG)
                    return
                self._sleep(POLL_SECONDS)
        finally:
            worker.stop()

    def _take(self, line: Line, at: PartBegins | None) -> PartBegins | None:
        """Keep a line; returns the part that the worker is at after it."""
        match line:
            case PartBegins():
                return line
            case PartDone():
                self._said.setdefault(line.task, {})[line.part] = line.outcome
            case TaskDone():
                self._close(line.task, Outcome("failed", "its process said nothing of it"))
                return None
        return at

    def _close(self, number: int, otherwise: Outcome) -> None:
        """Record all parts of a task: what was said of them, or else this."""
        task = self._tasks.pop(number, None)
        said = {**self._left_out.pop(number, {}), **self._said.pop(number, {})}
        if task is None:
            return
        for name in task.names:
            self._record(task, name, said.get(name, otherwise))

    def _blame(self, at: PartBegins | None, reason: str, ends: int = 1) -> None:
        """Note what ended the worker as the outcome of the part it was at, which is then left out.

        Args:
            ends: that this counts for: see `MOST_ENDS`.
        """
        task = None if at is None else self._tasks.get(at.task)
        if at is None or task is None:
            # It was between tasks: the first that is left will not be tried for ever.
            self._close(next(iter(self._tasks)), Outcome("failed", reason))
            return
        self._leave_out(task, at.part, reason)
        self._said.pop(task.id, None)  # of the others it will be said again
        key = (task.operation, at.part)
        self._ends[key] = self._ends.get(key, 0) + ends
        if self._ends[key] >= MOST_ENDS:
            text = f"left out after it ended or stopped several processes, the last time so: {reason}"
            for other in self._tasks.values():
                if other.operation == task.operation and at.part in other.names and at.part not in other.without:
                    self._leave_out(other, at.part, text)
        for number in [n for n, one in self._tasks.items() if set(one.names) <= set(one.without)]:
            self._close(number, Outcome("failed", reason))

    def _leave_out(self, task: AnyTask, part: str, reason: str) -> None:
        task.without.append(part)
        self._left_out.setdefault(task.id, {})[part] = Outcome("failed", reason)

    def _give_up(self, otherwise: Outcome) -> None:
        for number in list(self._tasks):
            self._close(number, otherwise)
