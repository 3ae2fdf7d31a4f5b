"""A whole run of the gate: build, check, measure, decide."""

from __future__ import annotations

import datetime
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import environment
from ..progress import Bar
from . import agreement, benchmarks, instructions, look, sources
from .benchmarks import Benchmark
from .look import Look
from .processes import Workers
from .session import Session
from .sources import Version
from .starts import Starts
from .verdicts import COMPARED, Control, Result, Rule, status


@dataclass(frozen=True)
class Options:
    """What the user asked for; see ``maxbench gate --help``."""

    base: str
    head: str
    repository: Path
    only: tuple[str, ...] = ()
    rule: Rule = field(default_factory=Rule)
    seconds: float = 90.0
    timing: bool = True
    starts: bool = True
    instructions: bool = False


@dataclass
class Outcome:
    """What a run of the gate found.

    Attributes:
        results: benchmarks first, then starts.
        controls: comparisons whose true change is none.
        machine, versions: what it was measured with.
        notes: what a reader must know beyond the figures.
        seconds: the whole run, by part.
    """

    base: Version
    head: Version
    rule: Rule
    results: list[Result] = field(default_factory=list)
    controls: list[Control] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    date: str = field(default_factory=lambda: datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"))

    @property
    def status(self) -> int:
        """The exit status."""
        return status(self.results, self.controls)


def compare(options: Options, folder: Path, bar: Bar) -> Outcome:
    """Compare two versions.

    Args:
        folder: an empty folder for the versions, compiled code and jobs.

    Raises:
        SourceError: a version does not exist, does not build, or cannot be imported.
        ValueError: a pattern chooses nothing.
    """
    clock = _Clock()
    bar.show("building base and head", 0, 2, None)
    specs = {options.base, options.head}
    git = any(spec != sources.INSTALLED and "==" not in spec for spec in specs)
    repository = sources.repository(options.repository) if git else options.repository
    base = sources.build("base", options.base, repository, folder / "base")
    head = sources.build("head", options.head, repository, folder / "head")
    again = sources.copy(base, "again")
    everything = benchmarks.every(_plugins(base, head))
    chosen = benchmarks.choose(everything, options.only)
    outcome = Outcome(base, head, options.rule, machine=environment.machine(), versions=environment.versions())
    workers = Workers({"base": base, "head": head, "again": again}, folder)
    clock.part(outcome, "build")
    if options.timing:
        _time(options, outcome, workers, chosen, folder, bar)
    if options.instructions:
        _count(outcome, workers, chosen, folder, bar)
        clock.part(outcome, "instructions")
    if not workers.cpus:
        outcome.notes.append("this system cannot pin a process to a CPU, so cores of unequal speed add noise")
    return outcome


def _time(
    options: Options, outcome: Outcome, workers: Workers, chosen: Sequence[Benchmark], folder: Path, bar: Bar
) -> None:
    clock = _Clock()
    by_name: dict[tuple[str, str], list[Benchmark]] = {}
    for b in chosen:
        by_name.setdefault((b.operation, b.implementation), []).append(b)
    starts = Starts(workers, outcome.base, outcome.head, folder) if options.starts else None
    done = itertools.count(1)

    def prepare(some: list[Benchmark]) -> tuple[Look, list[Result]]:
        # Starts come first: they are what finds the cache of compiled code empty.
        started = starts.measure(some[0]) if starts else []
        seen = look.look(workers, some)
        disagrees = agreement.check(workers, outcome.head, some) if seen.runs else None
        if disagrees:
            seen, started = Look(results={b: Result(b.name, *disagrees) for b in some}), []
        bar.show("checking head, first calls", next(done), len(by_name), None)
        return seen, started

    bar.show("checking head, first calls", 0, len(by_name), None)
    # The names begin with the simplest implementation; those that compile longest must not come last.
    names = list(dict.fromkeys(name for _, name in by_name))
    jobs = sorted(by_name, key=lambda job: -names.index(job[1]))
    prepared = dict(zip(jobs, workers.each(prepare, [by_name[job] for job in jobs]), strict=True))
    looks = [seen for seen, _ in prepared.values()]
    clocks = {b: by for seen in looks for b, by in seen.clocks.items()}
    controls = look.controls(clocks)
    by_clock = [[b for b, by in controls.items() if by == used] for used in dict.fromkeys(controls.values())]
    workers.each(lambda some: look.look(workers, some), by_clock)  # compiles them
    clock.part(outcome, "agreement and first calls")
    session = Session(workers, bar, options.rule, options.seconds)
    measured, outcome.controls = session.measure(clocks, controls)
    clock.part(outcome, "timing")
    for seen in looks:
        measured |= seen.results
    outcome.results = [measured[b] for b in chosen] + [result for job in by_name for result in prepared[job][1]]


def _count(outcome: Outcome, workers: Workers, chosen: Sequence[Benchmark], folder: Path, bar: Bar) -> None:
    """Count instructions, and let them decide where there are no times."""
    bar.show("counting instructions under valgrind", 0, 1, None)
    timed = {result.name: result for result in outcome.results if result.kind == "time"}
    try:
        counts = instructions.count(workers, [b for b in chosen if _sound(timed.get(b.name))], folder)
    except instructions.CannotCount as error:
        outcome.notes.append(f"instructions were not counted: {error}")
        counts = {}
    for b in chosen:
        if b in counts:
            result = timed.get(b.name) or Result(b.name, "unchanged", kind="instructions")
            instructions.judge(result, counts[b])
        elif b.name not in timed:
            result = Result(b.name, "not measured", "its instructions could not be counted", kind="instructions")
        else:
            continue
        if b.name not in timed:
            outcome.results.append(result)


def _sound(result: Result | None) -> bool:
    return result is None or result.verdict in COMPARED


def _plugins(base: Version, head: Version) -> tuple[tuple[str, str], ...] | None:
    """Implementations of the plug-in on either side; None where maxbench itself is compared."""
    if (base.plugins is None) != (head.plugins is None):
        raise sources.SourceError("one of base and head is maxbench itself and the other is a plug-in")
    if base.plugins is None or head.plugins is None:
        return None
    return tuple(dict.fromkeys([*base.plugins, *head.plugins]))


class _Clock:
    def __init__(self) -> None:
        self._last = time.monotonic()

    def part(self, outcome: Outcome, name: str) -> None:
        now = time.monotonic()
        outcome.seconds[name] = round(now - self._last, 1)
        self._last = now
