"""From times to a change with an interval: medians over processes, which are the unit of replication.

Times have heavy tails, and samples of one process share its memory layout. So a process gives one number, the median
over its quads, and everything is said of the median over processes, with an interval from order statistics that
assumes no distribution.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..analysis.rules import CONFIDENCE, median_interval

_LARGEST = math.log(1e6)  # a larger ratio is stated as this: a coarse clock reads 0 for the faster version


class ClockError(ValueError):
    """Times that no clock reads, or that are too short for the clock; the message says which."""


def log_ratio(quads: Sequence[Sequence[float]]) -> float:
    """Log of the second version's time over the first's in one process: median over quads [A, A, B, B].

    Raises:
        ClockError: a time is negative or not finite, or both versions are too fast for the clock.
    """
    first, second = ([quad[i] + quad[i + 1] for quad in quads] for i in (0, 2))
    for time in (*itertools.chain.from_iterable(quads), *first, *second):
        if not 0 <= time < math.inf:
            raise ClockError(f"the clock read {time} ns a call, which is no time: accepted are 0 and more")
    zeros = [times.count(0) for times in (first, second)]
    if zeros not in ([0, 0], [0, len(quads)], [len(quads), 0]):
        raise ClockError(f"the clock is too coarse: {sum(zeros)} of {2 * len(quads)} pairs of samples took 0 ns")
    return statistics.median(_log(b, a) for a, b in zip(first, second, strict=True))


def _log(b: float, a: float) -> float:
    # One version took 0 ns in every quad: less than a tick of the clock, unlike the other.
    size = math.log(b) - math.log(a) if a and b else math.inf if b else -math.inf
    return min(max(size, -_LARGEST), _LARGEST)


@dataclass(frozen=True)
class Change:
    """How a time changed, as a fraction: 0.05 is 5% slower, -0.05 is 5% less time.

    Attributes:
        value: the median over processes.
        low, high: an interval that covers the true median with `confidence`.
        confidence: at least what is required (0.95: from 6 processes on), else what so few can give.
        processes: how many.
    """

    value: float
    low: float
    high: float
    confidence: float
    processes: int


def change(log_ratios: Sequence[float], confidence: float = CONFIDENCE) -> Change:
    """The change that processes agree on.

    Raises:
        statistics.StatisticsError: there are no processes.
    """
    ordered = sorted(log_ratios)
    rank, reached = median_interval(len(ordered), confidence)
    value = statistics.median(ordered)
    low, high = ordered[rank], ordered[-1 - rank]
    return Change(math.expm1(value), math.expm1(low), math.expm1(high), reached, len(ordered))


def proportion_interval(hits: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The exact (Clopper-Pearson) two-sided interval of a proportion; (0, 1) for no trials.

    Where all or none of the trials hit, all of the error is put on the side that is possible, which gives the
    one-sided bound: the "rule of three".
    """
    tail = (1 - confidence) if hits in (0, trials) else (1 - confidence) / 2

    def at_most(p: float, k: int) -> float:
        return sum(math.comb(trials, i) * p**i * (1 - p) ** (trials - i) for i in range(k + 1))

    high = 1.0 if hits == trials else _root(lambda p: at_most(p, hits) - tail)
    low = 0.0 if hits == 0 else _root(lambda p: at_most(p, hits - 1) - (1 - tail))
    return low, high


def _root(falling: Callable[[float], float]) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return (low + high) / 2
