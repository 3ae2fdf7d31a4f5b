"""A whole run of the gate: build, check, measure, decide."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from maxbench.bench.processes.crew import Crew

from ..measure import environment
from ..system.progress import Bar
from . import agreement, benchmarks, instructions, look, sources, trees
from . import starts as first_calls
from .benchmarks import Benchmark
from .look import Look
from .outcome import Outcome
from .processes import Workers
from .session import Session
from .sources import Version
from .starts import Starts
from .verdicts import COMPARED, UNSEEN, Result, Rule, Verdict

OVERHEAD_SECONDS = 3.0  # for the start of Python, the files, the table and the removal of what was built
# Shares of the budget. First calls are fewer than calls and count less; what is loaded last must still be timed.
STARTS_SHARE, LOOKS_SHARE = 0.5, 0.75
# Seconds that valgrind takes for a process, and for each benchmark in it.
COUNT_SECONDS, COUNT_EACH_SECONDS = 30.0, 4.0
UNCOUNTED = "the time budget ended before its instructions were counted"

Key = TypeVar("Key", bound=tuple[str, ...])
Found = TypeVar("Found")


@dataclass(frozen=True)
class Options:
    """What the user asked for; see ``maxbench gate --help``."""

    base: str
    head: str
    repository: Path
    only: tuple[str, ...] = ()
    rule: Rule = field(default_factory=Rule)
    seconds: float = 180.0  # for the whole command, except that head is built and checked at any cost
    began: float = field(default_factory=time.monotonic)  # when the command began
    timing: bool = True
    starts: bool = True
    instructions: bool = False


def compare(options: Options, folder: Path, bar: Bar) -> Outcome:
    """Compare two versions.

    Args:
        folder: an empty folder for the versions, compiled code and jobs.

    Raises:
        SourceError: a version does not exist, does not build, or cannot be imported.
        ValueError: a pattern chooses nothing.
    """
    clock = _Clock(options.began)
    bar.show("building base and head", 0, 2, None)
    specs = {options.base, options.head}
    git = any(spec != trees.INSTALLED and "==" not in spec for spec in specs)
    repository = trees.repository(options.repository) if git else options.repository
    base = sources.build("base", options.base, repository, folder / "base")
    head = sources.build("head", options.head, repository, folder / "head")
    again = sources.copy(base, "again")
    chosen = benchmarks.choose(_benchmarks(base, head), options.only)
    outcome = Outcome(base, head, options.rule, machine=environment.machine(), versions=environment.versions())
    outcome.identical = base.digest() == head.digest()
    clock.part(outcome, "build")
    with Crew() as crew:
        workers = Workers({"base": base, "head": head, "again": again}, folder, crew)
        if not workers.cpus:
            outcome.notes.append("this system cannot pin a process to a CPU, so cores of unequal speed add noise")
        _measure(options, outcome, workers, chosen, clock, bar)
    return outcome


def _measure(
    options: Options, outcome: Outcome, workers: Workers, chosen: Sequence[Benchmark], clock: _Clock, bar: Bar
) -> None:
    """Check head, and measure both versions."""
    deadline = options.began + options.seconds - OVERHEAD_SECONDS
    looks, starts = _prepare(options, outcome, workers, chosen, bar)
    found = {b: result for seen in looks for b, result in seen.results.items()}
    comparable = {b: by for seen in looks for b, by in seen.clocks.items()}
    late = time.monotonic() >= deadline
    controls = _controls(workers, comparable) if options.timing and not late else {}
    clock.part(outcome, "agreement and first calls" if options.timing else "agreement")
    if late:
        outcome.notes.append(
            f"the budget of {options.seconds:g} s is too small to measure anything: building and checking head, which "
            f"are done at any cost, took {sum(outcome.seconds.values()):.0f} s; give --budget more"
        )
    if options.timing:
        session = Session(workers, bar, options.rule, deadline, options.seconds)
        measured, outcome.controls = session.measure(comparable, controls)
        found |= measured
        clock.part(outcome, "timing")
    if options.instructions:
        _count(outcome, workers, comparable, found, bar, deadline)
        clock.part(outcome, "instructions")
    outcome.results = [found[b] for b in chosen] + starts


def _prepare(
    options: Options, outcome: Outcome, workers: Workers, chosen: Sequence[Benchmark], bar: Bar
) -> tuple[list[Look], list[Result]]:
    """Measure the starts, load both versions and check head, on all CPUs: what was seen of each implementation."""
    starts = None
    if options.timing and options.starts:
        rule = replace(first_calls.RULE, confidence=options.rule.confidence)
        starts = Starts(workers, outcome.base, outcome.head, options.began + STARTS_SHARE * options.seconds, rule)
    last_look = options.began + LOOKS_SHARE * options.seconds

    def load(some: list[Benchmark]) -> tuple[Look, list[Result]]:
        # Starts come first: they are what finds the cache of compiled code empty.
        started = starts.measure(some[0]) if starts else []
        if time.monotonic() >= last_look:
            return Look(results={b: Result(b.name, "inconclusive", UNSEEN) for b in some}, runs=set(some)), started
        seen = look.look(workers, some)
        return seen, started if seen.clocks else []

    def check(some: list[Benchmark]) -> tuple[Verdict, str] | None:
        return agreement.check(workers, outcome.head, some)

    by_name = _grouped(chosen, lambda b: (b.operation, b.implementation))
    loaded = _each(workers, load, by_name, bar, "first calls" if starts else "loading")
    # By dtype as well: an implementation that compiles long would leave all CPUs but one idle at the end.
    to_check = [b for b in chosen if b in loaded[b.operation, b.implementation][0].runs]
    by_dtype = _grouped(to_check, lambda b: (b.operation, b.implementation, b.dtype))
    for (operation, name, dtype), disagrees in _each(workers, check, by_dtype, bar, "checking head").items():
        if disagrees:
            seen, started = loaded[operation, name]
            started.clear()
            for b in by_dtype[operation, name, dtype]:
                seen.clocks.pop(b, None)
                seen.results[b] = Result(b.name, *disagrees)
    return [seen for seen, _ in loaded.values()], [result for _, started in loaded.values() for result in started]


def _grouped(benchmarks: Sequence[Benchmark], key: Callable[[Benchmark], Key]) -> dict[Key, list[Benchmark]]:
    groups: dict[Key, list[Benchmark]] = {}
    for b in benchmarks:
        groups.setdefault(key(b), []).append(b)
    return groups


def _each(
    workers: Workers, function: Callable[[list[Benchmark]], Found], groups: dict[Key, list[Benchmark]], bar: Bar,
    what: str,
) -> dict[Key, Found]:  # fmt: skip
    """The function of each group, on all CPUs."""
    done = itertools.count(1)

    def one(key: Key) -> Found:
        found = function(groups[key])
        bar.show(what, next(done), len(groups), None)
        return found

    bar.show(what, 0, len(groups), None)
    # The names begin with the simplest implementation; those that compile longest must not come last.
    names = list(dict.fromkeys(some[0].implementation for some in groups.values()))
    jobs = sorted(groups, key=lambda key: -names.index(groups[key][0].implementation))
    found = dict(zip(jobs, workers.each(one, jobs), strict=True))
    return {key: found[key] for key in groups}


def _controls(workers: Workers, clocks: Mapping[Benchmark, str]) -> dict[Benchmark, str]:
    """The controls by their clock, compiled."""
    controls = look.controls(clocks)
    by_clock = [[b for b, by in controls.items() if by == used] for used in dict.fromkeys(controls.values())]
    workers.each(lambda some: look.look(workers, some), by_clock)
    return controls


def _count(
    outcome: Outcome,
    workers: Workers,
    comparable: Mapping[Benchmark, str],
    found: dict[Benchmark, Result],
    bar: Bar,
    deadline: float,
) -> None:
    """Count instructions, and let them decide where there are no times."""
    bar.show("counting instructions under valgrind", 0, 1, None)
    timed = [b for b in comparable if b in found]
    wanted = [b for b in comparable if b not in found or found[b].verdict in COMPARED]
    left = deadline - time.monotonic() - COUNT_SECONDS
    some = wanted[: max(int(left / COUNT_EACH_SECONDS), 0)]
    why = "a GPU's instructions cannot be counted"
    counts: dict[Benchmark, instructions.Count] = {}
    try:
        counts = instructions.count(workers, some) if some else {}
    except instructions.CannotCount as error:
        outcome.notes.append(f"instructions were not counted: {error}")
        why = f"instructions were not counted: {error}"
    late = set(wanted[len(some) :])
    if late:
        outcome.notes.append(f"the time budget ended before the instructions of {len(late)} benchmarks were counted")
    for b in comparable:
        if b in counts:
            found.setdefault(b, Result(b.name, "unchanged", kind="instructions"))
            instructions.judge(found[b], counts[b])
        elif b not in timed:
            verdict: tuple[Verdict, str] = ("inconclusive", UNCOUNTED) if b in late else ("not measured", why)
            found[b] = Result(b.name, *verdict, kind="instructions")


def _benchmarks(base: Version, head: Version) -> tuple[Benchmark, ...]:
    """Everything that can be measured of the two.

    Raises:
        SourceError: one is maxbench itself and the other a plug-in.
    """
    if base.is_plugin != head.is_plugin:
        raise trees.SourceError("one of base and head is maxbench itself and the other is a plug-in")
    brought = dict.fromkeys([*base.implementations, *head.implementations])
    return benchmarks.every(brought, in_tree=not base.is_plugin)


class _Clock:
    def __init__(self, began: float) -> None:
        self._last = began

    def part(self, outcome: Outcome, name: str) -> None:
        now = time.monotonic()
        outcome.seconds[name] = round(now - self._last, 1)
        self._last = now
