"""The gate's worker: two versions of a kernel timed in one process, call by call, on the same array.

``python -m bench.paired JOB`` reads a JSON file and appends a line of JSON to the job's ``out`` for everything it
starts and ends, so that a crash says where it was. It measures quads of samples in the orders ABBA and BAAB, which
cancels any drift that is linear over a quad. A job holds:

- ``sides``: side name -> folder (see `bench.sides`), and ``judge``: the folder whose contract judges results;
- ``benchmarks``: id, operation, implementation, dtype, shape, pair (two side names), and optionally ``extra``:
  rows that the second side computes beyond the first, in percent, which injects a slowdown of that size;
- ``quads``: how many, 0 for a dry run that only loads, compiles and verifies;
- ``cpu``: the one CPU to stay on, or null for all; ``seed``: the order of the benchmarks.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SAMPLE_NS = 5_000_000  # a sample is as many calls as take this long
CONTROL = "control"  # the operation that stands for `bench.anchor`


def main(path: str) -> None:
    """Do the job in a file."""
    job = json.loads(Path(path).read_text("utf-8"))
    if job["cpu"] is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {job["cpu"]})  # before NumPy and Numba look how many CPUs there are
    from . import sides

    benchmarks = list(job["benchmarks"])
    order = list(job["sides"])
    # Neither version always comes first in memory.
    shuffle = random.Random(job["seed"])  # noqa: S311
    shuffle.shuffle(benchmarks)
    shuffle.shuffle(order)
    with open(job["out"], "a", encoding="utf-8", buffering=1) as lines:

        def note(event: str, **what: Any) -> None:
            lines.write(json.dumps({"event": event, **what}) + "\n")

        judge = sides.Side("judge", Path(job["judge"])).module(".contract")
        inputs = {b["id"]: Input(b, judge) for b in benchmarks}
        arms: dict[tuple[str, str], Arm] = {}
        for name in order:
            note("side", side=name)
            side = sides.Side(name, Path(job["sides"][name]))
            with side.entered():
                for b in benchmarks:
                    if name in b["pair"]:
                        note("prepare", id=b["id"], side=name)
                        status, detail, arm = prepare(side, b, inputs[b["id"]])
                        note("prepared", id=b["id"], side=name, status=status, detail=detail, **facts(arm))
                        if arm is not None:
                            arms[b["id"], name] = arm
        gc.collect()
        gc.disable()
        for b in benchmarks if job["quads"] else ():
            first, second = (arms.get((b["id"], name)) for name in b["pair"])
            if first is not None and second is not None:
                note("measure", id=b["id"])
                number, quads, clock = measure(first, second, job["quads"], inputs[b["id"]].rows)
                note("measured", id=b["id"], number=number, clock=clock, quads=quads)
        note("end")


class Input:
    """The array of a benchmark, the same numbers in every process, and what is expected of a result."""

    def __init__(self, benchmark: dict[str, Any], judge: Any) -> None:
        from . import workloads

        rows, n, inner = benchmark["shape"]
        self.rows = rows
        self.more = rows + round(rows * benchmark.get("extra", 0) / 100)
        self.x = workloads.scores((self.more, n, inner), benchmark["dtype"])
        # The control is no operation of the contract, but fills an array like softmax does.
        self.operation = judge.OPERATIONS["softmax" if benchmark["operation"] == CONTROL else benchmark["operation"]]
        self.host: dict[str, tuple[Any, Any]] = {}

    def arrays(self, kernel: Any) -> tuple[Any, Any]:
        """x and out for a kernel: on the host the same memory for both sides."""
        if kernel.backend.device != "cpu":
            return kernel.backend.put(self.x), kernel.backend.put(self.operation.allocate(self.x))
        if not self.host:
            self.host["arrays"] = kernel.backend.put(self.x), kernel.backend.put(self.operation.allocate(self.x))
        return self.host["arrays"]

    def mismatch(self, result: Any) -> str | None:
        """What is wrong with a result on all rows, or None."""
        found = self.operation.verify(self.x, result)
        return str(found) if found else None


class Arm:
    """One side's kernel bound to its arrays, and how it is timed."""

    def __init__(self, kernel: Any, x: Any, out: Any) -> None:
        self.run, self.x, self.out = kernel.run, x, out
        self.wait = kernel.backend.synchronize
        self.threads = getattr(kernel, "threads", "one")
        self.timer: Callable[[Callable[[], Any]], float] | None = None
        if kernel.backend.device != "cpu":
            self.timer = kernel.backend.timer
        # The CPU clock does not see that other programs took the processor; but it cannot see lost parallelism.
        self.clock = "device" if self.timer else "wall" if self.threads == "many" else "cpu"

    def limited(self, rows: int) -> Arm:
        """The same arm on the first rows only."""
        other = object.__new__(Arm)
        other.__dict__.update(self.__dict__, x=self.x[:rows], out=self.out[:rows])
        return other

    def sample(self, number: int) -> float:
        """Nanoseconds a call over `number` calls, after one that is not timed."""
        run, x, out = self.run, self.x, self.out
        run(x, out)
        self.wait()
        calls = itertools.repeat(None, number)
        if self.timer is not None:

            def work() -> None:
                for _ in calls:
                    run(x, out)

            return self.timer(work) * 1e9 / number
        now = time.process_time_ns if self.clock == "cpu" else time.perf_counter_ns
        start = now()
        for _ in calls:
            run(x, out)
        self.wait()
        return (now() - start) / number


def prepare(side: Any, benchmark: dict[str, Any], given: Input) -> tuple[str, str, Arm | None]:
    """Load, compile and verify one side of a benchmark; (status, detail, arm).

    The status is ok, unknown, unavailable, not supported, no device, wrong or failed.
    """
    if benchmark["operation"] == CONTROL:
        kernel = _Control(side.file("anchor"), benchmark["implementation"], side)
        arm = Arm(kernel, *given.arrays(kernel))
        kernel.run(arm.x, arm.out)
        return "ok", "", arm
    try:
        kernel = side.load(benchmark["operation"], benchmark["implementation"])
    except LookupError as error:
        return "unknown", str(error), None
    except Exception as error:
        if isinstance(error, side.package.Unavailable):
            return "unavailable", str(error), None
        return "failed", f"{type(error).__name__}: {error}", None
    if refusal := kernel.refusal(benchmark["dtype"], given.x.size):
        return "not supported", refusal, None
    if getattr(kernel.backend, "simulated", False):
        return "no device", "a simulator's times say nothing about the device", None
    try:
        x, out = given.arrays(kernel)
        result = kernel.run(x, out)
        kernel.backend.synchronize()
        wrong = given.mismatch(kernel.backend.get(result))
        if wrong is None and kernel.backend.get(x).tobytes() != given.x.tobytes():
            wrong = "the input was overwritten"
    except Exception as error:
        return "failed", f"{type(error).__name__}: {error}", None
    if wrong:
        return "wrong", wrong, None
    return "ok", "", Arm(kernel, x, out)


class _Control:
    """An anchor kernel, with the members of a kernel that are used here."""

    def __init__(self, module: Any, name: str, side: Any) -> None:
        self.run = getattr(module, name)
        self.threads = "many" if name == "many_threads" else "one"
        self.backend = side.module(".backends").HOST


def facts(arm: Arm | None) -> dict[str, Any]:
    """What the driver must know to place a benchmark."""
    return {} if arm is None else {"clock": arm.clock}


def measure(first: Arm, second: Arm, quads: int, rows: int) -> tuple[int, list[list[float]], str]:
    """Time quads of samples, every second one in the opposite order; the first arm computes `rows` rows only.

    Returns:
        Calls a sample, per quad [A, A, B, B] in nanoseconds a call, and the clock.
    """
    if first.timer is None and rows != first.x.shape[0]:
        first = first.limited(rows)
    if first.clock != second.clock:  # one side came to use threads: only the wall clock is fair to both
        first.clock = second.clock = "wall"
    once = min(arm.sample(1) for arm in (first, second) for _ in range(3))
    number = max(1, round(SAMPLE_NS / max(once, 1)))
    times = []
    for index in range(quads):
        outer, inner = (first, second) if index % 2 == 0 else (second, first)
        begin = outer.sample(number)
        middle = [inner.sample(number), inner.sample(number)]
        ends = [begin, outer.sample(number)]
        times.append([*ends, *middle] if index % 2 == 0 else [*middle, *ends])
    return number, times, first.clock


if __name__ == "__main__":
    main(sys.argv[1])
