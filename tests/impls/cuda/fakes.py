"""Stand-ins for a device, its worker and a clock: what a device report decides is shown without a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from maxbench.bench.processes.hub import Here
from maxbench.impls import backends

Line = dict[str, Any]
Does = Callable[[dict[str, Any], str], list[Line] | str]


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
        self.said: list[Line] = []

    def say(self, event: str, **what: Any) -> Line:
        self.said.append({"event": event, **what})
        return {}

    def those(self, event: str) -> list[Line]:
        return [line for line in self.said if line["event"] == event]


class Worker:
    """Does one part of a task at every look, each in so many seconds.

    `does` says what comes of a part: lines, or how the process ends, or "hangs".
    """

    def __init__(self, tasks: list[dict[str, Any]], clock: Clock, seconds: float, does: Does) -> None:
        self.todo = [
            (task, name, name == [n for n in task["names"] if n not in task.get("without", ())][-1])
            for task in tasks
            for name in task["names"]
            if name not in task.get("without", ())
        ]
        self.clock, self.seconds, self.does = clock, seconds, does
        self.end: str | None = None
        self.hangs = self.stopped = False

    def lines(self) -> list[Line]:
        if self.end is not None or self.hangs or not self.todo:
            return []
        task, name, last = self.todo.pop(0)
        said = [{"event": "begin", "task": task["id"], "part": name}]
        came = self.does(task, name)
        if came == "hangs":
            self.hangs = True
            return said
        if isinstance(came, str):
            self.end = came
            return said
        self.clock.now += self.seconds
        said += [{"event": "result", "task": task["id"], "name": name, **line} for line in came]
        return [*said, {"event": "end", "task": task["id"]}] if last else said

    def ended(self) -> str | None:
        return self.end

    def stop(self) -> None:
        self.stopped = True


def measured(task: dict[str, Any], name: str) -> list[Line]:
    """What a worker says of a part that it could measure."""
    if task["kind"] == "describe":
        return [{"status": "ok", "device": "cuda", "threads": "many", "dtypes": ["float32"], "doc": "", "source": None}]
    if task["kind"] == "start":
        return [{"status": "ok", "load": 1.0, "cold": 3.0, "warm": 0.5}]
    if task["kind"] == "memory":
        return [{"status": "ok", "value": 1024.0}]
    # A cell of 1 GiB in 1 ms or, by the ceiling, in 0.9 ms.
    one = 0.9e-3 if name == "ceiling" else 1e-3
    return [{"status": "ok", "samples": [one * (1 + i / 100) for i in range(9)], "number": 4, "copies": 2}]
