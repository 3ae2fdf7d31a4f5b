"""The decision rules: which of two is faster, when they tie, when that cannot be told, and what counts as a step.

The process is the unit of replication. A process gives one number, the median of its samples; a quantity is the median
over processes, with an interval over them. Everything that states an order of two quantities takes it from here:

- `decide`, of two implementations in one run, or of one in two runs: by the interval of their ratio. Used by reports,
  ``side-by-side`` (whose LOSS is "slower") and ``compare``.
- `beyond` and `vague`, of two versions that one process measured interleaved: ``gate`` builds its verdicts on them
  (`reports.gate.verdicts`). It decides by the median over processes, not by the interval, and believes it only when
  fresh processes confirm it: so it sees 2.5%, at the rates of false alarms and of detection that docs/gate.md states.
- `step`, of a series of commits with one number each, which has no interval: ``history`` searches change points by PELT
  and tests each by Pettitt's test (`reports.history.steps`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ..system import text

Outcome = Literal["faster", "slower", "tie", "cannot tell"]

# Two processes that differ by chance alone have ranges that do not overlap in one of three cases; three in one of ten.
LEAST_PROCESSES = 3
CONFIDENCE = 0.95
# Differences that matter to nobody who chooses an implementation: a tie is an interval that is not much wider.
SAME = 0.10
# An interval that reaches further than so many times the smallest difference that counts says nothing.
VAGUE = 2.0
# The smallest differences that count. Absolute times of the same code in two runs, some minutes or days apart on a
# shared machine, were measured to differ by 6 to 17%, far more than the intervals within a run.
BETWEEN_RUNS = 0.10
BETWEEN_VERSIONS = 0.025
STEP = 0.02  # less is not worth a search for its commit
SURE = 0.95  # of a step
# Of the ceiling: above it one of the two was not measured right.
MOST_SHARE = 1.05

NO_INTERVAL = "one sample: no interval"
TOO_WIDE = "interval too wide"


class Quantity(Protocol):
    """A measured value, its interval, and the processes that measured it (0 where they cannot be told apart)."""

    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def processes(self) -> int: ...


@dataclass(frozen=True)
class Decision:
    """What a comparison says, and why where it cannot tell."""

    outcome: Outcome
    reason: str = ""

    def __str__(self) -> str:
        """The outcome with its reason."""
        return f"{self.outcome}: {self.reason}" if self.reason else self.outcome


def unknown(figure: Quantity) -> str:
    """Why nothing can be decided from a figure, whatever its value; empty where something can."""
    if math.isnan(figure.value):
        return "not measured"
    if 0 < figure.processes < LEAST_PROCESSES:
        return text.plural(figure.processes, "process")
    if math.isnan(figure.low) or math.isnan(figure.high):
        return NO_INTERVAL
    return "" if figure.processes else "processes not known"


def decide(ratio: Quantity, least: float = 0.0) -> Decision:
    """What a ratio says of the one whose speed it is, against the other: how many times faster it is.

    Faster or slower where the interval leaves out 1 and the value differs from it by more than `least`, as a fraction.
    Else a tie, but only where the interval leaves out differences that matter: more than `VAGUE` times the larger of
    `least` and `SAME`. An interval that is wider says neither.
    """
    if reason := unknown(ratio):
        return Decision("cannot tell", reason)
    direction = beyond(ratio.value - 1, least)
    if direction > 0 and ratio.low > 1:
        return Decision("faster")
    if direction < 0 and ratio.high < 1:
        return Decision("slower")
    margin = VAGUE * max(least, SAME)
    if beyond(ratio.low - 1, margin) or beyond(ratio.high - 1, margin):
        return Decision("cannot tell", TOO_WIDE)
    return Decision("tie")


def beyond(change: float, least: float) -> int:
    """1 where a change, as a fraction, is more than `least`, -1 where it is as much in the other direction, else 0.

    Both directions count from the same ratio on: for a `least` of 0.25 above 1.25 and below 1 / 1.25.
    """
    if change > least:
        return 1
    return -1 if change < -least / (1 + least) else 0


def vague(high: float, least: float) -> bool:
    """Whether a change of which no more than `high` is excluded may still be `VAGUE` times the least that counts."""
    return high > VAGUE * least


def step(size: float, confidence: float) -> Literal["step", "possible step", "none"]:
    """What a lasting change of a series is, given its size as a fraction and 1 - p of Pettitt's test."""
    if abs(size) < STEP:
        return "none"
    return "step" if confidence >= SURE else "possible step"


def impossible(share: float) -> bool:
    """Whether a share of the ceiling is more than it can be, so that either was not measured right."""
    return share > MOST_SHARE


def interval(medians: Sequence[float]) -> tuple[float, float]:
    """The interval of the median over processes, NaN of fewer than two: their range, from 9 on narrower (95%)."""
    if len(medians) < 2:
        return math.nan, math.nan
    drop, _ = median_interval(len(medians))
    ordered = sorted(medians)
    return ordered[drop], ordered[-1 - drop]


def median_interval(count: int, confidence: float = CONFIDENCE) -> tuple[int, float]:
    """The order statistics that enclose the median: (how many to drop at each end, the coverage reached).

    The number of observations below the median is binomial(count, 1/2), whatever the distribution. Where even the
    two extremes do not reach the confidence, they are taken and the lower coverage is returned.
    """

    def reached(drop: int) -> float:
        return 1 - 2 * sum(math.comb(count, k) for k in range(drop + 1)) * 0.5**count

    drop = 0
    while reached(drop + 1) >= confidence:
        drop += 1
    return drop, reached(drop)


def geometric_mean(values: Sequence[float]) -> float:
    """NaN where there are none, or where one is not positive: the ends of some of asv's own intervals are not."""
    if not values or min(values) <= 0:
        return math.nan
    return math.exp(math.fsum(map(math.log, values)) / len(values))
