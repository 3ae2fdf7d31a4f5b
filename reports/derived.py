"""Ratios and differences of two measured quantities, with intervals over processes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pandas as pd

from . import text

# Two processes that differ by chance alone have ranges that do not overlap in one of three cases; three in one of ten.
LEAST_PROCESSES = 3


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
class Measured:
    """A quantity that is no cell: of one number its interval is not known."""

    value: float
    low: float = math.nan
    high: float = math.nan
    processes: int = 0

    def __add__(self, other: Quantity) -> Measured:
        """The sum of two quantities of different processes."""
        processes = min(self.processes, other.processes)
        return Measured(self.value + other.value, self.low + other.low, self.high + other.high, processes)


def of(row: Mapping[Any, Any]) -> Measured:
    """A row of the tidy table."""
    known = row["processes"]
    return Measured(float(row["value"]), float(row["low"]), float(row["high"]), 0 if pd.isna(known) else int(known))


@dataclass(frozen=True)
class Derived:
    """A figure computed from two quantities; the interval is the widest that their two intervals allow.

    Attributes:
        processes: the fewest that measured either of them.
        neutral: the value that means "no effect", None where there is none.
        doubt: why one of the two is not trusted.
    """

    value: float
    low: float
    high: float
    processes: int
    neutral: float | None = None
    doubt: str = ""

    @property
    def decided(self) -> bool:
        """Whether the interval leaves out "no effect"."""
        return self.neutral is None or self.low > self.neutral or self.high < self.neutral

    @property
    def withheld(self) -> str:
        """Why it is not stated as a property; empty where it is."""
        if self.doubt:
            return self.doubt
        if math.isnan(self.value):
            return "not measured"
        if self.few:
            return f"not shown: {self.few}"
        return "" if self.decided else "not shown: the interval includes no effect"

    @property
    def few(self) -> str:
        """How many processes it has, where those are too few; else empty."""
        if self.processes < 1:
            return "processes not known"
        return text.plural(self.processes, "process") if self.processes < LEAST_PROCESSES else ""

    @property
    def shown(self) -> bool:
        """Whether it is stated as a property."""
        return not self.withheld

    def __str__(self) -> str:
        """A ratio with its interval, or with its number of processes where those are too few for one."""
        between = self.few or text.factor_range(self.low, self.high)
        return f"{text.factor(self.value)} ({between})" if between else text.factor(self.value)


def ratio(over: Quantity, under: Quantity, neutral: float | None = 1.0) -> Derived:
    """One quantity over another."""
    low, high = over.low / under.high, over.high / under.low
    return Derived(over.value / under.value, low, high, min(over.processes, under.processes), neutral)


def difference(of: Quantity, less: Quantity) -> Derived:
    """One quantity less another."""
    low, high = of.low - less.high, of.high - less.low
    return Derived(of.value - less.value, low, high, min(of.processes, less.processes), 0.0)


def scaled(figure: Derived, factor: float) -> Derived:
    """A figure times a number without error."""
    neutral = None if figure.neutral is None else figure.neutral * factor
    low, high = figure.low * factor, figure.high * factor
    return replace(figure, value=figure.value * factor, low=low, high=high, neutral=neutral)


def geometric_mean(ratios: Sequence[Derived]) -> Derived:
    """Of ratios of different inputs."""
    value, low, high = (_mean([getattr(r, end) for r in ratios]) for end in ("value", "low", "high"))
    return Derived(value, low, high, min(r.processes for r in ratios), 1.0)


def _mean(values: Sequence[float]) -> float:
    """NaN where one is not positive: the ends of some of asv's own intervals are not."""
    return math.exp(math.fsum(map(math.log, values)) / len(values)) if min(values) > 0 else math.nan
