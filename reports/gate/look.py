"""The look before the timing: what is on both sides, is right, and by which clock it is compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from .benchmarks import Benchmark, anchors
from .processes import Report, Workers
from .verdicts import Result, Verdict


@dataclass
class Look:
    """What was seen.

    Attributes:
        clocks: benchmark -> cpu, wall or device, for those that can be compared.
        results: benchmark -> its verdict, for all others.
        runs: what to check head for: its result was right, with or without a base, or no time was left to look.
    """

    clocks: dict[Benchmark, str] = field(default_factory=dict)
    results: dict[Benchmark, Result] = field(default_factory=dict)
    runs: set[Benchmark] = field(default_factory=set)


def look(workers: Workers, benchmarks: Sequence[Benchmark]) -> Look:
    """Load, compile and verify both sides of everything once, which also fills the cache of compiled code.

    Raises:
        SourceError: a version cannot be imported.
    """
    found, waiting = Look(), list(benchmarks)
    while waiting:
        report = workers.paired(waiting, clock="wall", seed=0, quads=0)
        if report.stopped is not None:
            name, side, ending = report.stopped
            b = next(b for b in waiting if b.id == name)
            found.results[b] = Result(b.name, *ended(side, ending))
            waiting.remove(b)
            continue
        for b in waiting:
            if report.states[b.id, b.pair[1]][0] == "ok":
                found.runs.add(b)
            verdict, reason = _verdict(b, report)
            if verdict is None:
                asked = report.clocks[b.id]
                # Once one side uses threads, only the wall clock is fair to both.
                found.clocks[b] = next(iter(asked)) if len(asked) == 1 else "wall"
            else:
                found.results[b] = Result(b.name, verdict, reason)
        waiting = []
    return found


def ended(side: str | None, ending: str) -> tuple[Verdict, str]:
    """The verdict on a benchmark whose process ended before its time; side None where it may have been either."""
    return "not measured" if side == "base" else "failed", f"{side or 'one side'}: its process ended: {ending}"


def _verdict(b: Benchmark, report: Report) -> tuple[Verdict | None, str]:
    (base, why_base), (head, why_head) = (report.states[b.id, side] for side in b.pair)
    if base == head == "ok":
        return None, ""
    if head == "wrong":
        return "wrong", f"head: {why_head}"
    if head == "failed" or (base == "ok" and head == "unavailable"):
        return "failed", f"head: {why_head}"
    if base == head == "unknown":
        return "not measured", "neither side has it"
    if base == "unknown":
        return "new", "base does not have it" + (f"; head: {why_head}" if why_head else "")
    if head == "unknown":
        return "removed", "head does not have it"
    return "not measured", f"head: {why_head}" if head != "ok" else f"base is {base}: {why_base}"


def controls(clocks: Mapping[Benchmark, str]) -> dict[Benchmark, str]:
    """For every clock in use: base against itself, in the implementation that is most measured by it, and an anchor."""
    chosen: dict[Benchmark, str] = {}
    for clock in sorted(set(clocks.values())):
        name = Counter(b.implementation for b, by in clocks.items() if by == clock).most_common(1)[0][0]
        first = next(b for b, by in clocks.items() if by == clock and b.implementation == name)
        chosen |= dict.fromkeys((replace(first, pair=("base", "again")), *anchors([clock])), clock)
    return chosen
