"""One run of the gate over built versions: what is measured when, within the time that there is."""

from __future__ import annotations

import itertools
import statistics as medians
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..progress import Bar
from . import statistics
from .benchmarks import Benchmark, anchors
from .processes import Report, Workers
from .verdicts import Control, Evidence, Result, Rule, Verdict, decide, doubt

EXTENDED = 3  # a noisy benchmark's first look is extended to at most this many times its length


class Session:
    """Measures benchmarks and controls until every verdict is sure or the time is over.

    Args:
        rule: when a change counts.
        seconds: for timing; what is then still open is inconclusive.
    """

    def __init__(self, workers: Workers, bar: Bar, rule: Rule, seconds: float) -> None:
        self._workers, self._bar, self._rule = workers, bar, rule
        self._seconds, self._deadline = seconds, time.monotonic() + seconds
        self._seeds = itertools.count()
        self._evidence: dict[Benchmark, Evidence] = {}
        self._clocks: dict[Benchmark, str] = {}
        self._outcomes: dict[Benchmark, Result] = {}
        self._cost: dict[str, float] = {}

    def measure(
        self, benchmarks: Sequence[Benchmark], disagreeing: Mapping[tuple[str, str], tuple[Verdict, str]]
    ) -> tuple[list[Result], list[Control]]:
        """Measure all but what disagrees with the contract. Every benchmark gets a result.

        Raises:
            SourceError: a version cannot be imported.
        """
        for b in benchmarks:
            if (b.operation, b.implementation) in disagreeing:
                verdict, why = disagreeing[b.operation, b.implementation]
                self._outcomes[b] = Result(b.name, verdict, f"head: {why}")
        self._look([b for b in benchmarks if b not in self._outcomes])
        comparable = list(self._clocks)
        controls = self._controls(comparable)
        self._evidence = {b: Evidence() for b in comparable + controls}
        while self._next():
            pass
        results = [self._result(b) for b in benchmarks]
        judged = [self._control(b) for b in controls if b not in self._outcomes]
        doubt(results, judged, self._rule.threshold)
        return results, judged

    def _look(self, benchmarks: Sequence[Benchmark]) -> None:
        """Load, compile and verify everything once, which says what can be compared and by which clock."""
        waiting = list(benchmarks)
        while waiting:
            self._bar.show("compiling both versions", len(benchmarks) - len(waiting), len(benchmarks), None)
            report = self._workers.paired(waiting, clock="wall", seed=next(self._seeds), quads=0)
            self._crashed(report, waiting)
            if report.stopped is None:
                for b in waiting:
                    self._sort(b, report)
            waiting = [] if report.stopped is None else [b for b in waiting if b not in self._outcomes]

    def _sort(self, b: Benchmark, report: Report) -> None:
        (base, why_base), (head, why_head) = (report.states[b.id, side] for side in b.pair)
        if base == head == "ok":
            asked = report.clocks[b.id]
            # Once one side uses threads, only the wall clock is fair to both.
            self._clocks[b] = next(iter(asked)) if len(asked) == 1 else "wall"
        elif head in ("wrong", "failed"):
            self._outcomes[b] = Result(b.name, "wrong" if head == "wrong" else "failed", f"head: {why_head}")
        elif base == "unknown" and head in ("ok", "not supported"):
            self._outcomes[b] = Result(b.name, "new", "base does not have it")
        elif head == "unknown" and base != "unknown":
            self._outcomes[b] = Result(b.name, "removed", "head does not have it")
        elif base == head == "unknown":
            self._outcomes[b] = Result(b.name, "not measured", "neither side has it")
        elif base == "ok" and head == "unavailable":
            self._outcomes[b] = Result(b.name, "failed", f"head: {why_head}")
        else:
            why = f"head: {why_head}" if head != "ok" else f"base is {base}: {why_base}"
            self._outcomes[b] = Result(b.name, "not measured", why)

    def _controls(self, comparable: Sequence[Benchmark]) -> list[Benchmark]:
        """For every clock base against itself, with the implementation most measured by it, and an anchor kernel."""
        chosen = []
        for clock in sorted(set(self._clocks.values())):
            names = Counter(b.implementation for b in comparable if self._clocks[b] == clock)
            name = names.most_common(1)[0][0]
            first = next(b for b in comparable if self._clocks[b] == clock and b.implementation == name)
            for control in (replace(first, pair=("base", "again")), *anchors([clock])):
                self._clocks[control] = clock
                chosen.append(control)
        return chosen

    def _next(self) -> bool:
        """Spend time where the verdict is least certain; False when all are sure or the time is over.

        First every benchmark's first look, then confirming what it flagged, then looking again at the noisy ones.
        """
        waiting = {b: evidence for b, evidence in self._evidence.items() if b not in self._outcomes}
        unseen = [b for b, e in waiting.items() if len(e.screen) < self._rule.screen]
        flagged = [b for b, e in waiting.items() if e.flagged(self._rule)]
        unconfirmed = [b for b in flagged if len(waiting[b].confirm) < self._rule.confirm]
        noisy = [
            b for b, e in waiting.items()
            if b not in flagged and e.vague(self._rule) and len(e.screen) < EXTENDED * self._rule.screen
        ]  # fmt: skip
        return (
            self._round("first look", unseen, confirm=False)
            or self._round("confirming", unconfirmed, confirm=True)
            or self._round("looking again", noisy, confirm=False)
        )

    def _round(self, what: str, benchmarks: Sequence[Benchmark], confirm: bool) -> bool:
        """One more process for each clock in use, where there is time for it; whether there was for any."""
        ran = False
        for clock in sorted({self._clocks[b] for b in benchmarks}):
            some = [b for b in benchmarks if self._clocks[b] == clock]
            left = self._deadline - time.monotonic()
            # An unknown cost is tried: only the first process tells it.
            if left <= 0 or left < sum(self._cost.get(b.id, 0) for b in some) / 2:
                continue
            ran = True
            self._bar.show(f"{what}: {len(some)} by {clock} clock", int(self._seconds - left), int(self._seconds), left)
            begin = time.monotonic()
            report = self._workers.paired(some, clock=clock, seed=next(self._seeds))
            self._crashed(report, some)
            for b in some:
                self._cost[b.id] = (time.monotonic() - begin) / len(some)
                if quads := report.quads.get(b.id):
                    self._take(self._evidence[b], quads, confirm)
        return ran

    def _take(self, evidence: Evidence, quads: list[list[float]], confirm: bool) -> None:
        (evidence.confirm if confirm else evidence.screen).append(statistics.log_ratio(quads))
        evidence.base.append(medians.median((q[0] + q[1]) / 2 for q in quads) * 1e-9)
        evidence.head.append(medians.median((q[2] + q[3]) / 2 for q in quads) * 1e-9)

    def _crashed(self, report: Report, benchmarks: Sequence[Benchmark]) -> None:
        """A kernel that ended its process has failed; the others only lack that process."""
        if report.stopped is None:
            return
        name, side, ending = report.stopped
        b = next(b for b in benchmarks if b.id == name)
        where = side or "one of the two"
        verdict: Verdict = "not measured" if side == "base" else "failed"
        self._outcomes[b] = Result(b.name, verdict, f"{where}: its process ended: {ending}")

    def _result(self, b: Benchmark) -> Result:
        if b in self._outcomes:
            return self._outcomes[b]
        evidence = self._evidence[b]
        verdict, change, reason = decide(evidence, self._rule)
        base, head = (medians.median(times) if times else None for times in (evidence.base, evidence.head))
        return Result(b.name, verdict, reason, change, base, head, self._clocks[b], evidence=evidence)

    def _control(self, b: Benchmark) -> Control:
        evidence = self._evidence[b]
        change = statistics.change(evidence.confirm or evidence.screen) if evidence.screen else None
        # A control that was flagged and could not be confirmed for lack of time is not known to have stood still.
        moved = change is not None and evidence.flagged(self._rule) and self._rule.beyond(change) != 0
        return Control(b, self._clocks[b], change, moved)
