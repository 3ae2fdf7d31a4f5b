"""Two versions of a kernel timed in one process, sample by sample in quads, on the same array: the gate's worker.

It says what it begins, so that who listens knows where a process was that crashed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import timing
from ..inputs.recipe import Input
from ..processes import sides
from ..processes.link import Link, Lost
from ..processes.messages import Begins, Loaded, Measured, Pair, Prepared, QuadsJob, State
from ..timing.ready import allocate, clock_of, described, optional
from ..timing.sampling import Sampler, collector_held

CONTROL = "control"  # the operation that stands for `bench.suite.anchor`


def main(link: Link, job: QuadsJob) -> None:
    """Prepare every benchmark of every version, then time the pairs and check them again."""
    benchmarks, order = list(job.benchmarks), list(job.versions)
    # Neither version always comes first in memory.
    shuffle = random.Random(job.seed)  # noqa: S311
    shuffle.shuffle(benchmarks)
    shuffle.shuffle(order)
    inputs = {b.id: Shared(b) for b in benchmarks}
    arms: dict[tuple[str, str], Arm] = {}
    for name in order:
        link.say(Begins(role=name))
        side = sides.Side(name, Path(job.versions[name]))
        with side.entered():
            for b in benchmarks:
                if name in b.pair:
                    link.say(Begins(b.id, name))
                    status, detail, arm = prepare(link, side, b, inputs[b.id])
                    link.say(Prepared(b.id, name, status, detail, None if arm is None else arm.sampler.clock))
                    if arm is not None:
                        arms[b.id, name] = arm
    with collector_held():
        for b in benchmarks if job.quads else ():
            first, second = (arms.get((b.id, name)) for name in b.pair)
            if first is not None and second is not None:
                link.say(Begins(b.id))
                times, _ = measure(first, second, job.quads, inputs[b.id])
                for name, arm in zip(b.pair, (first, second), strict=True):
                    if wrong := arm.finish(link):
                        status = "wrong" if isinstance(wrong, timing.Wrong) else "failed"
                        link.say(Prepared(b.id, name, status, wrong.reason))
                link.say(Measured(b.id, times))


class Shared:
    """The input of a benchmark, and on the host its arrays: the same memory for both versions."""

    def __init__(self, benchmark: Pair) -> None:
        rows, n, inner = benchmark.shape
        self.rows = rows
        self.more = rows + round(rows * benchmark.extra / 100)
        # The control is no operation of the contract, but fills an array like softmax does.
        self.operation = "softmax" if benchmark.operation == CONTROL else benchmark.operation
        self.input = Input("scores", benchmark.dtype, (self.more, n, inner))
        self.x = self.input.array()
        self.guards: list[Any] = []
        self._host: list[tuple[Any, Any]] = []

    def arrays(self, backend: Any) -> list[tuple[Any, Any]]:
        """x and out, in a list of one pair."""
        if backend.device != "cpu":
            return [allocate(backend, self.operation, self.x, [])]
        if not self._host:
            self._host = [allocate(backend, self.operation, self.x, self.guards)]
        return self._host


class Arm:
    """One version of a benchmark; a control has nothing to be checked."""

    def __init__(self, version: str, sampler: Sampler, ready: timing.Ready | None, kernel: Any, shared: Shared) -> None:
        self.version, self.sampler, self._ready, self._kernel, self._shared = version, sampler, ready, kernel, shared

    def first_rows(self, rows: int) -> Sampler:
        """A sampler of the first rows alone."""
        if self._ready is not None:
            return self._ready.first_rows(rows)
        x, out = self._shared.arrays(self._kernel.backend)[0]
        return Sampler(lambda: self._kernel.run(x[:rows], out[:rows]), lambda: None, self.sampler.clock)

    def finish(self, link: Link) -> timing.Wrong | timing.Failed | None:
        """What is wrong with what it computes after it was timed."""
        found = None if self._ready is None else self._ready.finish(self._shared.input)
        return found if isinstance(found, timing.Wrong | timing.Failed) else None


def prepare(link: Link, side: Any, benchmark: Pair, shared: Shared) -> tuple[State, str, Arm | None]:
    """Load, compile and check one version of a benchmark; (status, detail, arm)."""
    if benchmark.operation == CONTROL:
        kernel = _Control(side.file("anchor"), benchmark.implementation, side)
        x, out = shared.arrays(kernel.backend)[0]
        kernel.run(x, out)
        sampler = Sampler(lambda: kernel.run(x, out), lambda: None, clock_of(kernel))
        return "ok", "", Arm(side.name, sampler, None, kernel, shared)
    try:
        kernel = side.load(benchmark.operation, benchmark.implementation)
        link.say(Loaded(dict(getattr(kernel, "differs", {}))))
        if optional(kernel.backend, "simulated"):
            return "no device", "a simulator's times say nothing about the device", None
        arrays = shared.arrays(kernel.backend)
    except Lost:
        raise
    except LookupError as error:
        return "unknown", str(error), None
    except BaseException as error:
        if isinstance(error, side.package.Unavailable):
            return "unavailable", str(error), None
        return "failed", described(error), None
    outcome = timing.prepare(
        link, shared.operation, kernel, shared.input, x=shared.x, arrays=arrays, guards=shared.guards
    )  # fmt: skip
    if isinstance(outcome, timing.Ready):
        outcome.sampler.clock = clock_of(kernel)
        return "ok", outcome.declared, Arm(side.name, outcome.sampler, outcome, kernel, shared)
    statuses: dict[type, State] = {timing.Refused: "not supported", timing.Wrong: "wrong", timing.Failed: "failed"}
    return statuses[type(outcome)], outcome.reason, None


class _Control:
    """An anchor kernel, with the members of a kernel that are used here."""

    def __init__(self, module: Any, name: str, side: Any) -> None:
        self.run: Callable[[Any, Any], Any] = getattr(module, name)
        self.threads = "many" if name == "many_threads" else "one"
        self.backend = side.module(".backends").HOST


def measure(first: Arm, second: Arm, quads: int, shared: Shared) -> tuple[list[list[float]], str]:
    """Time two arms; the first computes fewer rows where the second has more of them.

    Returns:
        Quads in nanoseconds a call, and the clock.
    """
    one, other = first.sampler, second.sampler
    if one.clock != "device" and shared.rows != shared.more:
        one = first.first_rows(shared.rows)
    if one.clock != other.clock:  # one version came to use threads: only the wall clock is fair to both
        one.clock = other.clock = "wall"
    for sampler in (one, other):
        sampler.calibrate(0)
    times = timing.quads(one, other, quads)
    return [[seconds * 1e9 for seconds in quad] for quad in times], other.clock
