"""Which kernels of rows are faster on this machine than the built-in choice: measured in a process of its own."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from maxbench.bench.processes.crew import Crew
from maxbench.bench.processes.messages import Message, Timed, TuneJob
from maxbench.impls.cpu.regimes import LIMITS, Operation
from maxbench.impls.cpu.tuned import Found

from . import environment

GAIN = 0.03  # by which a kernel must be faster, in all settings, to replace the built-in choice
LENGTHS = (
    *(3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 25, 28, 32, 40, 48, 50, 60, 64, 72, 80, 90, 96, 100, 112, 120, 127, 128),
    *(144, 160, 200, 256, 300, 384, 512, 600, 768, 1000, 1024, 1500, 2048, 3000, 4096, 6000, 8192, 12000, 16384),
    *(30000, 50257, 65536, 100000, 131072, 300000),
)
"""Columns of the rows that are timed, whole vectors and others."""


@dataclass
class Tuned:
    """What was measured.

    Attributes:
        timed: every kernel beside the built-in choice.
        found: where another was faster.
        wrong: what was wrong with results.
        left: what there was no time for.
        failures: how a process ended that did not end well.
    """

    timed: list[Timed] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def tune(
    wanted: Sequence[tuple[Operation, str]], threads: int, budget: float, seen: Callable[[Timed], None],
    lengths: Sequence[int] = LENGTHS,
) -> Tuned:  # fmt: skip
    """Time the kernels of each operation and dtype, which share the time in seconds."""
    tuned, end = Tuned(), time.monotonic() + budget
    with Crew() as crew:
        for number, (operation, dtype) in enumerate(wanted):
            seconds = max(1e-3, (end - time.monotonic()) / (len(wanted) - number))
            timed: list[Timed] = []

            def heard(message: Message, timed: list[Timed] = timed) -> None:
                if isinstance(message, Timed):
                    timed.append(message)
                    seen(message)

            job = TuneJob(operation, [dtype], list(lengths), seconds, GAIN)
            # The last length may begin as the time ends, with a kernel to compile.
            work = crew.run(job, env=environment.measuring(threads), seconds=seconds + 120, heard=heard)
            tuned.timed += timed
            if work.failure:
                tuned.failures.append(f"{operation} in {dtype}: {work.failure}")
            reached = {(one.beyond, one.n) for one in timed}
            for beyond in (False, True):
                last = max((n for b, n in reached if b == beyond), default=0)
                if missing := [n for n in lengths if n > last]:
                    where = "beyond the last-level cache" if beyond else "within it"
                    tuned.left.append(f"{operation} in {dtype}, rows of {missing[0]:,} columns and more {where}")
    tuned.wrong = sorted({f"{_named(one)}: {one.wrong}" for one in tuned.timed if one.wrong})
    tuned.found = winners(tuned.timed)
    return tuned


def winners(timed: Sequence[Timed]) -> list[Found]:
    """Where another kernel than the built-in choice was faster: neighbouring lengths with one winner are one range."""

    def kind(one: Timed) -> tuple[str, str, bool, bool]:
        return one.operation, one.dtype, one.beyond, one.whole

    found = []
    for (_, dtype, beyond, whole), group in itertools.groupby(sorted(timed, key=kind), kind):
        best: dict[int, Timed | None] = {}
        for one in sorted(group, key=lambda one: one.n):
            faster = one.gain > 1 + GAIN and not one.wrong
            before = best.setdefault(one.n, None)
            if faster and (before is None or one.gain > before.gain):
                best[one.n] = one
        for variant, run in itertools.groupby(best.items(), lambda item: item[1] and item[1].variant):
            if variant is None:
                continue
            ones = [one for _, one in run if one is not None]
            operation = ones[0].operation
            columns, gain = (ones[0].n, ones[-1].n), min(one.gain for one in ones)
            found.append(Found(operation, dtype, LIMITS[operation][variant], columns, beyond, whole, gain))
    return found


def _named(one: Timed) -> str:
    variant = LIMITS[one.operation][one.variant]
    return f"{variant.kernel} of {one.operation}, rows of {one.n:,} columns in {one.dtype}"
