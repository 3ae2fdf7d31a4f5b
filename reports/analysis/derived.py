"""Ratios and differences of two measured quantities, with intervals over processes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from ..system import text
from . import rules
from .rules import Decision, Quantity


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
        if self.unknown:
            return f"not shown: {self.unknown}"
        return "" if self.decided else "not shown: the interval includes no effect"

    @property
    def unknown(self) -> str:
        """Why nothing can be decided from it, whatever its value; empty where something can: see `rules.unknown`."""
        return rules.unknown(self)

    def decide(self, least: float = 0.0) -> Decision:
        """What it says, as the factor by which one is faster than another: see `rules.decide`."""
        return rules.decide(self, least)

    @property
    def shown(self) -> bool:
        """Whether it is stated as a property."""
        return not self.withheld

    @property
    def percent(self) -> str:
        """A share with its interval, or with the reason why it is not stated."""
        if self.doubt:
            return "a share that is withheld"
        between = self.unknown or f"{text.percent(self.low)}–{text.percent(self.high)}"
        return f"{text.percent(self.value)} ({between})"

    def __str__(self) -> str:
        """A ratio with its interval, or with the reason why that decides nothing."""
        between = (not math.isnan(self.value) and self.unknown) or text.factor_range(self.low, self.high)
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


def geometric_mean(ratios: Sequence[Derived], least: float = 0.0) -> tuple[Derived, int]:
    """Of ratios of different inputs, and how many were left out because they say nothing: see `rules.decide`.

    NaN with no processes where all were left out.
    """
    told = [r for r in ratios if r.decide(least).outcome != "cannot tell"]
    value, low, high = (rules.geometric_mean([getattr(r, end) for r in told]) for end in ("value", "low", "high"))
    return Derived(value, low, high, min((r.processes for r in told), default=0), 1.0), len(ratios) - len(told)
