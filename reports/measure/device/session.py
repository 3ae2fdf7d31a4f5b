"""Doing the tasks of a device report: one process at a time, started anew without whatever ended or stopped it.

The time is spent on tasks in their order; what it does not suffice for is recorded as not measured. Nothing that an
implementation does to its process costs more than its own results.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from maxbench.bench.processes.crew import Crew
from maxbench.bench.processes.link import Message
from maxbench.bench.processes.verdict import Verdict

STALL_SECONDS = 75.0  # in which a process says nothing; compiling one kernel takes up to about 20
MOST_ENDS = 2  # processes that an implementation may bring down
POLL_SECONDS = 0.05

Line = dict[str, Any]


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

    def __init__(self, job: Mapping[str, Any], crew: Crew, environment: Mapping[str, str]) -> None:
        self._operations = {task["id"]: task["operation"] for task in job.get("tasks", ())}
        self._lines: list[Line] = []
        self._task: int | None = None
        self._part = ""
        self._trial: tuple[str, str] = ("", "")
        self._verdicts: list[Verdict] = []
        self._ended: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(crew, dict(job), dict(environment)), daemon=True)
        self._thread.start()

    def _run(self, crew: Crew, job: dict[str, Any], environment: dict[str, str]) -> None:
        try:
            work = crew.run("device", job, env=environment, seconds=math.inf, heard=self._heard, tick=self._tick)
            self._ended = work.failure or "exit status 0"
        except BaseException as error:
            self._ended = str(error) or type(error).__name__

    def _tick(self) -> None:
        if self._stop.is_set():
            raise RuntimeError("it was stopped")

    def _heard(self, message: Message) -> None:
        event = message["event"]
        if event in ("begin", "result"):
            if event == "begin":
                self._task, self._part = int(message["task"]), str(message["part"])
            self._lines.append(message)
        elif event == "end of task":
            self._lines.append({"event": "end", "task": message["task"]})
        elif event == "trial":
            self._trial, self._verdicts = (str(message["case"]), str(message["dtype"])), []
        elif event == "checked":
            self._verdicts.append(message["verdict"])
        elif event in ("tried", "broken", "raised", "refused"):
            self._lines.append(self._finding(message))

    def _finding(self, message: Message) -> Line:
        """The finding of a trial, by the judge's verdicts."""
        statuses = {"broken": "wrong", "raised": "failed", "refused": "not supported", "tried": "agrees"}
        found: Line = {"status": statuses[message["event"]], "detail": str(message.get("detail", ""))}
        bad = sorted((v for v in self._verdicts if v.status != "agrees"), key=lambda v: v.status != "wrong")
        if bad and self._trial == (message["case"], message["dtype"]):
            worst = bad[0].as_dict()
            found = {key: worst[key] for key in ("status", "detail", "declared", "unsized")}
        self._verdicts = []
        return {
            "event": "finding", "task": self._task, "operation": self._operations.get(self._task, ""),
            "implementation": self._part, "case": message["case"], "dtype": message["dtype"], **found,
        }  # fmt: skip

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
        tasks: each with ``id``, ``operation`` and ``names``, the most wanted first.
        start: makes a worker for tasks.
        record: called with (task, name, what came of it) once for every part: ``status`` and what the worker said.
        seconds: the time, from now on.
        seen: called with every line of a worker, and the tasks done and left.
    """

    def __init__(
        self, tasks: Sequence[dict[str, Any]], start: Callable[[list[dict[str, Any]]], Worker],
        record: Callable[[dict[str, Any], str, dict[str, Any]], None], seconds: float, *,
        seen: Callable[[Line, int, int], None] = lambda line, done, total: None,
        clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self._tasks = {task["id"]: dict(task) for task in tasks}
        self._total = len(tasks)
        self._start, self._record, self._seen = start, record, seen
        self._clock, self._sleep = clock, sleep
        self._seconds, self._end = seconds, clock() + seconds
        self._said: dict[int, dict[str, dict[str, Any]]] = {}
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
            self._give_up("interrupted", "the run was interrupted before this was measured")
            raise
        self._give_up("skipped", f"the time of {self._seconds:.0f} s was spent before this was measured")

    def _one_worker(self) -> None:
        worker = self._start(list(self._tasks.values()))
        at: tuple[int, str] | None = None
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
                if now - last > STALL_SECONDS:
                    self._blame(at, f"nothing came of it within {STALL_SECONDS:.0f} s")
                    return
                self._sleep(POLL_SECONDS)
        finally:
            worker.stop()

    def _take(self, line: Line, at: tuple[int, str] | None) -> tuple[int, str] | None:
        """Keep a line; returns the part that the worker is at after it."""
        task = line["task"]
        if line["event"] == "begin":
            return (task, line["part"])
        if line["event"] == "result":
            self._said.setdefault(task, {})[line["name"]] = line
        elif line["event"] == "end":
            self._close(task, "failed", "its process said nothing of it")
            return None
        return at

    def _close(self, task: int, status: str, detail: str) -> None:
        """Record all parts of a task: what was said of them, or else this."""
        entry = self._tasks.pop(task, None)
        said = self._said.pop(task, {})
        if entry is None:
            return
        said = {**entry.get("earlier", {}), **said}
        for name in entry["names"]:
            self._record(entry, name, said.get(name, {"status": status, "detail": detail}))

    def _blame(self, at: tuple[int, str] | None, reason: str) -> None:
        """Note what ended the worker as the result of the part it was at, which is then left out."""
        if at is None:
            # It was between tasks: the first that is left will not be tried for ever.
            task = next(iter(self._tasks))
            self._close(task, "failed", reason)
            return
        task, part = at
        entry = self._tasks[task]
        earlier = entry.setdefault("earlier", {})
        earlier[part] = {"status": "failed", "detail": reason}
        entry.setdefault("without", []).append(part)
        self._said.pop(task, None)  # of the others it will be said again
        key = (entry["operation"], part)
        self._ends[key] = self._ends.get(key, 0) + 1
        if self._ends[key] >= MOST_ENDS:
            self._leave_out(*key, reason)
        for number in [n for n, e in self._tasks.items() if set(e["names"]) <= set(e.get("without", ()))]:
            self._close(number, "failed", reason)

    def _leave_out(self, operation: str, part: str, reason: str) -> None:
        for entry in self._tasks.values():
            if entry["operation"] == operation and part in entry["names"] and part not in entry.get("without", ()):
                entry.setdefault("without", []).append(part)
                text = f"left out after it brought down {MOST_ENDS} processes: {reason}"
                entry.setdefault("earlier", {})[part] = {"status": "failed", "detail": text}

    def _give_up(self, status: str, detail: str) -> None:
        for task in list(self._tasks):
            self._close(task, status, detail)
