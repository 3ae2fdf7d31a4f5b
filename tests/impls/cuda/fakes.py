"""Stand-ins for a device, its worker and a clock: what a device report decides is shown without a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from maxbench.bench.processes.hub import Here
from maxbench.bench.processes.messages import (
    About,
    AnyTask,
    Command,
    DescribeTask,
    Event,
    Go,
    MemoryTask,
    Outcome,
    PartBegins,
    PartDone,
    StartTask,
    TaskDone,
)  # fmt: skip
from maxbench.impls import backends
from maxbench.impls.agreement import Finding
from maxbench.reports.measure.device.session import Line

Does = Callable[[AnyTask, str], Outcome | list[Finding | Outcome] | str]
Said = TypeVar("Said", bound=Event)


class Clock:
    """Time that passes only when somebody sleeps or works."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Backend(backends.Backend):
    """A device whose memory is the host's and whose calls take so many seconds each, by its timer.

    Attributes:
        calls: how many were made.
    """

    name = "fake"

    def __init__(self, seconds: float = 1e-3, device: str = "cuda") -> None:
        self.seconds, self.device, self.calls = seconds, device, 0

    def put(self, array: np.ndarray) -> np.ndarray:
        return array.copy()

    def get(self, array: np.ndarray) -> np.ndarray:
        return array.copy()

    def fill(self, array: np.ndarray, values: np.ndarray) -> np.ndarray:
        array[...] = values
        return array

    def synchronize(self) -> None:
        return None

    def timer(self, call: Callable[[], Any]) -> float:
        before = self.calls
        call()
        return self.seconds * (self.calls - before)


class Link(Here):
    """Judges in this process, and notes what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[Event] = []

    def say(self, event: Event) -> Command:
        self.said.append(event)
        return Go()

    def those(self, kind: type[Said]) -> list[Said]:
        return [event for event in self.said if isinstance(event, kind)]


class Worker:
    """Does one part of a task at every look, each in so many seconds.

    `does` says what comes of a part, or how the process ends, or "hangs".
    """

    def __init__(self, tasks: list[AnyTask], clock: Clock, seconds: float, does: Does) -> None:
        self.todo = [
            (task, name, name == [n for n in task.names if n not in task.without][-1])
            for task in tasks
            for name in task.names
            if name not in task.without
        ]
        self.clock, self.seconds, self.does = clock, seconds, does
        self.end: str | None = None
        self.hangs = self.stopped = False

    def lines(self) -> list[Line]:
        if self.end is not None or self.hangs or not self.todo:
            return []
        task, name, last = self.todo.pop(0)
        said: list[Line] = [PartBegins(task.id, name)]
        came = self.does(task, name)
        if came == "hangs":
            self.hangs = True
            return said
        if isinstance(came, str):
            self.end = came
            return said
        self.clock.now += self.seconds
        lines = came if isinstance(came, list) else [came]
        said += [PartDone(task.id, name, line) if isinstance(line, Outcome) else line for line in lines]
        return [*said, TaskDone(task.id)] if last else said

    def ended(self) -> str | None:
        return self.end

    def stop(self) -> None:
        self.stopped = True


def measured(task: AnyTask, name: str) -> Outcome:
    """What a worker says of a part that it could measure."""
    match task:
        case DescribeTask():
            return Outcome(about=About("cuda", "many", ["float32"], {}))
        case StartTask():
            return Outcome(values={"track_load": 1.0, "track_first_call_cold": 3.0, "track_first_call_warm": 0.5})
        case MemoryTask():
            return Outcome(values={"track_peak_memory": 1024.0})
    # A cell of 1 GiB in 1 ms or, by the ceiling, in 0.9 ms.
    one = 0.9e-3 if name == "ceiling" else 1e-3
    return Outcome(samples=[one * (1 + i / 100) for i in range(9)], number=4, copies=2)
