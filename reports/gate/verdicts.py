"""From processes to verdicts, and from verdicts to the exit status."""

from __future__ import annotations

import math
import statistics as medians
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..analysis import changes, rules
from ..analysis.changes import Change
from .benchmarks import Benchmark

Verdict = Literal[
    "faster", "slower", "unchanged", "inconclusive", "failed", "wrong", "not measured", "new", "removed"
]  # fmt: skip
COMPARED = ("faster", "slower", "unchanged", "inconclusive")

UNSEEN = "the time budget ended before its first process"
FINE, REGRESSION, ERROR, INCONCLUSIVE = 0, 1, 2, 3


@dataclass(frozen=True)
class Rule:
    """When a change counts: see `reports.analysis.rules` for why this differs from a comparison of implementations.

    Attributes:
        threshold: the smallest change that counts, as a fraction.
        screen: processes of the first look.
        confirm: fresh processes that must then say the same.
        floor: seconds by which the time must change at least.
        confidence: of the intervals, where there are processes enough for it.
    """

    threshold: float = rules.BETWEEN_VERSIONS
    screen: int = 5
    confirm: int = 7
    floor: float = 0.0
    confidence: float = rules.CONFIDENCE

    def change(self, log_ratios: Sequence[float]) -> Change:
        """`changes.change` with the rule's confidence."""
        return changes.change(log_ratios, self.confidence)

    def beyond(self, change: Change) -> int:
        """1 where the change is a slowdown beyond the threshold, -1 where it is the same speed-up, else 0."""
        return rules.beyond(change.value, self.threshold)


@dataclass
class Evidence:
    """The log ratios of the processes that measured one benchmark, and the times behind them.

    Attributes:
        screen: of the first look, which may be extended while its interval is wide.
        confirm: of the processes started because the first look saw a change; none of them chose it.
        base, head: seconds a call, one for each process.
    """

    screen: list[float] = field(default_factory=list)
    confirm: list[float] = field(default_factory=list)
    base: list[float] = field(default_factory=list)
    head: list[float] = field(default_factory=list)

    def flagged(self, rule: Rule) -> bool:
        """Whether the first look saw a change that counts, in either direction."""
        if len(self.screen) < rule.screen or abs(self.difference) < rule.floor:
            return False
        return rule.beyond(rule.change(self.screen)) != 0

    def vague(self, rule: Rule) -> bool:
        """Whether it may still be much slower than the threshold, for all that the first look saw."""
        if len(self.screen) < rule.screen or abs(self.difference) < rule.floor:
            return False
        return rules.vague(rule.change(self.screen).high, rule.threshold)

    @property
    def difference(self) -> float:
        """Seconds that head takes longer."""
        return medians.median(self.head) - medians.median(self.base)


def decide(evidence: Evidence, rule: Rule) -> tuple[Verdict, Change | None, str]:
    """What the processes say about one benchmark: (verdict, change, what to add).

    Slower or faster needs both groups: the first look, and the median of the fresh processes, from which the change
    is then taken, because those of the first look were chosen for being large.
    """
    if not evidence.screen:
        return "inconclusive", None, UNSEEN
    first = rule.change(evidence.screen)
    if len(evidence.screen) < rule.screen:
        return "inconclusive", first, f"the time budget ended after {len(evidence.screen)} of {rule.screen} processes"
    if evidence.flagged(rule):
        direction = rule.beyond(first)
        if len(evidence.confirm) < rule.confirm:
            return "inconclusive", first, "a change was seen, but the time budget ended before it was confirmed"
        second = rule.change(evidence.confirm)
        if rule.beyond(second) != direction:
            return "unchanged", second, f"the first look read {first.value:+.1%}, fresh processes did not confirm it"
        return ("slower" if direction > 0 else "faster"), second, ""
    if evidence.vague(rule):
        return "inconclusive", first, f"too noisy: up to {first.high:+.1%} cannot be excluded"
    small = rule.floor and rule.beyond(first) and f"{abs(evidence.difference):.2g} s, less than {rule.floor:g} s"
    return "unchanged", first, small or ""


@dataclass
class Result:
    """One benchmark's outcome.

    Attributes:
        verdict, reason: what was found, and why where that is not plain.
        change: of the time; None where nothing was compared.
        base, head: seconds a call; None where not measured.
        clock: cpu, wall or device.
        instructions: change of the instruction count as a fraction, None where not counted.
    """

    name: str
    verdict: Verdict
    reason: str = ""
    change: Change | None = None
    base: float | None = None
    head: float | None = None
    clock: str | None = None
    instructions: float | None = None
    kind: str = "time"
    evidence: Evidence = field(default_factory=Evidence, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "verdict": self.verdict,
            "reason": self.reason,
            "change": None if self.change is None else vars(self.change),
            "base_seconds": self.base,
            "head_seconds": self.head,
            "clock": self.clock,
            "instructions": self.instructions,
            "processes": {"first": self.evidence.screen, "fresh": self.evidence.confirm},
        }


@dataclass(frozen=True)
class Control:
    """A comparison whose true change is none: base with itself, or a kernel that no version touches."""

    benchmark: Benchmark
    clock: str
    change: Change | None
    moved: bool

    @property
    def kind(self) -> str:
        """What it is called in results."""
        return "untouched kernel" if self.benchmark.is_anchor else "A/A"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.benchmark.name,
            "kind": self.kind,
            "clock": self.clock,
            "change": None if self.change is None else vars(self.change),
            "moved": self.moved,
        }


def doubt(results: Sequence[Result], controls: Sequence[Control], threshold: float) -> None:
    """Make inconclusive what a control of the same clock casts doubt on: all but changes far beyond its own."""
    for result in results:
        moved = [c for c in controls if c.moved and c.clock == result.clock and c.change is not None]
        if not moved or result.verdict not in ("faster", "slower", "unchanged") or result.change is None:
            continue
        worst = max(moved, key=lambda c: _size(c.change.value) if c.change else 0.0)
        assert worst.change is not None
        # In logarithms: a time can fall by 100% at most, so fractions would never let an improvement pass.
        allowed = math.log1p(threshold) + 2 * _size(worst.change.value)
        near = math.log1p(result.change.low) if result.verdict == "slower" else -math.log1p(result.change.high)
        if result.verdict == "unchanged" or near <= allowed:
            result.verdict = "inconclusive"
            result.reason = f"the {worst.kind} control moved by {worst.change.value:+.1%} in the same processes"


def _size(change: float) -> float:
    return abs(math.log1p(change))


def status(results: Iterable[Result], controls: Iterable[Control]) -> int:
    """The exit status: an error outranks a regression, and that an open question."""
    verdicts = {result.verdict for result in results}
    if verdicts & {"failed", "wrong"} or not verdicts & set(COMPARED):
        return ERROR
    if "slower" in verdicts:
        return REGRESSION
    if "inconclusive" in verdicts or any(control.moved for control in controls):
        return INCONCLUSIVE
    return FINE
