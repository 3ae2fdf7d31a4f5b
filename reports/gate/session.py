"""One run of the gate over built versions: what is measured when, within the time that there is."""

from __future__ import annotations

import itertools
import statistics as medians
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from ..analysis import changes
from ..system.progress import Bar
from .benchmarks import Benchmark
from .look import ended
from .processes import Report, Workers
from .verdicts import Control, Evidence, Result, Rule, Verdict, decide, doubt

EXTENDED = 3  # a noisy benchmark's first look is extended to at most this many times its length
# Seconds of a process, and of each benchmark in it, until they are measured.
START_SECONDS, EACH_SECONDS = 3.0, 0.7


class Session:
    """Measures benchmarks and controls until every verdict is sure or the time is over.

    Args:
        rule: when a change counts.
        deadline: on the monotonic clock; what is then still open is inconclusive.
        seconds: the whole budget that ends then, for the progress.
    """

    def __init__(self, workers: Workers, bar: Bar, rule: Rule, deadline: float, seconds: float) -> None:
        self._workers, self._bar, self._rule = workers, bar, rule
        self._deadline, self._seconds = deadline, seconds
        # Of each clock: one that two clocks share would pin every process of the CPU clock to the same CPU.
        self._seeds: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)
        self._evidence: dict[Benchmark, Evidence] = {}
        self._clocks: dict[Benchmark, str] = {}
        self._faults: dict[Benchmark, tuple[Verdict, str]] = {}
        self._start = START_SECONDS
        self._cost: dict[str, float] = {}

    def measure(
        self, benchmarks: Mapping[Benchmark, str], controls: Mapping[Benchmark, str]
    ) -> tuple[dict[Benchmark, Result], list[Control]]:
        """Measure everything, given as benchmark -> clock.

        Raises:
            SourceError: a version cannot be imported.
        """
        # Controls first: where the time is short, a benchmark without a control says nothing.
        self._clocks = {**controls, **benchmarks}
        self._evidence = {b: Evidence() for b in self._clocks}
        while self._next():
            pass
        results = {b: self._result(b) for b in benchmarks}
        judged = [self._control(b) for b in controls]
        doubt(list(results.values()), judged, self._rule.threshold)
        return results, judged

    def _next(self) -> bool:
        """Spend time where the verdict is least certain; False when all are sure or the time is over.

        First every benchmark's first look, then confirming what it flagged, then looking again at the noisy ones, and
        where the time is not enough for all of these, at those that may be slowest.
        """
        waiting = {b: evidence for b, evidence in self._evidence.items() if b not in self._faults}
        unseen = [b for b, e in waiting.items() if len(e.screen) < self._rule.screen]
        flagged = [b for b, e in waiting.items() if e.flagged(self._rule)]
        unconfirmed = [b for b in flagged if len(waiting[b].confirm) < self._rule.confirm]
        noisy = [
            b for b, e in waiting.items()
            if b not in flagged and e.vague(self._rule) and len(e.screen) < EXTENDED * self._rule.screen
        ]  # fmt: skip
        unconfirmed.sort(key=lambda b: -self._rule.change(waiting[b].screen).value)
        noisy.sort(key=lambda b: -self._rule.change(waiting[b].screen).high)
        return (
            self._round("first look", unseen, confirm=False)
            or self._round("confirming", unconfirmed, confirm=True)
            or self._round("looking again", noisy, confirm=False)
        )

    def _round(self, what: str, benchmarks: Sequence[Benchmark], confirm: bool) -> bool:
        """One more process for each clock in use, of as many benchmarks as there is time for; whether there was any."""
        ran = False
        for clock in sorted({self._clocks[b] for b in benchmarks}):
            left = self._deadline - time.monotonic()
            some = self._affordable([b for b in benchmarks if self._clocks[b] == clock], left)
            if not some:
                continue
            ran = True
            self._bar.show(f"{what}: {len(some)} by {clock} clock", int(self._seconds - left), int(self._seconds), left)
            begin = time.monotonic()
            seed = next(self._seeds[clock])
            report = self._workers.paired(some, clock=clock, seed=seed, deadline=self._deadline)
            seconds = time.monotonic() - begin
            self._start = min(self._start, seconds)
            for b in some:
                self._cost[b.id] = (seconds - self._start) / len(some)
                if fault := _fault(b, report):
                    self._faults[b] = fault
                elif quads := report.quads.get(b.id):
                    self._take(b, quads, confirm)
        return ran

    def _affordable(self, benchmarks: Sequence[Benchmark], left: float) -> list[Benchmark]:
        """The first of them, as many as one process can measure in the time that is left."""
        some: list[Benchmark] = []
        cost = self._start
        for b in benchmarks:
            cost += self._cost.get(b.id, EACH_SECONDS)
            if cost > left:
                break
            some.append(b)
        return some

    def _take(self, b: Benchmark, quads: list[list[float]], confirm: bool) -> None:
        evidence = self._evidence[b]
        try:
            log_ratio = changes.log_ratio(quads)
        except changes.ClockError as error:
            self._faults[b] = "failed", str(error)
            return
        (evidence.confirm if confirm else evidence.screen).append(log_ratio)
        evidence.base.append(medians.median((q[0] + q[1]) / 2 for q in quads) * 1e-9)
        evidence.head.append(medians.median((q[2] + q[3]) / 2 for q in quads) * 1e-9)

    def _result(self, b: Benchmark) -> Result:
        if b in self._faults:
            verdict, reason = self._faults[b]
            return Result(b.name, verdict, reason)
        evidence = self._evidence[b]
        verdict, change, reason = decide(evidence, self._rule)
        base, head = (medians.median(times) if times else None for times in (evidence.base, evidence.head))
        return Result(b.name, verdict, reason, change, base, head, self._clocks[b], evidence=evidence)

    def _control(self, b: Benchmark) -> Control:
        evidence = self._evidence[b]
        change = self._rule.change(evidence.confirm or evidence.screen) if evidence.screen else None
        # A control that was flagged and could not be confirmed for lack of time is not known to have stood still.
        moved = change is not None and evidence.flagged(self._rule) and self._rule.beyond(change) != 0
        return Control(b, self._clocks[b], change, moved or b in self._faults)


def _fault(b: Benchmark, report: Report) -> tuple[Verdict, str] | None:
    """The verdict on a benchmark that ended its process or is no longer right; the others only lack that process."""
    if report.stopped is not None and report.stopped[0] == b.id:
        return ended(*report.stopped[1:])
    base, head = b.pair
    for side in (head, base):
        status, why = report.states.get((b.id, side), ("ok", ""))
        if status != "ok":
            verdict: Verdict = "not measured" if side == base else "wrong" if status == "wrong" else "failed"
            return verdict, f"{side} is {status} in a later process: {why}"
    return None
