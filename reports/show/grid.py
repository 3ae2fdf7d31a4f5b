"""A table as data, which the page, the Markdown and the terminal draw each in its way."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # pandas
    from ..analysis.derived import Derived


@dataclass(frozen=True)
class Item:
    """One cell: its words, and what it sorts by (None sorts last)."""

    words: str
    key: float | str | None = None
    mark: str = ""  # best, tie, worse or missing: how it is set off, never by colour alone
    title: str = ""

    @property
    def sort(self) -> float | str:
        """The key, or the words where there is none."""
        if self.key is None:
            return self.words
        return "" if isinstance(self.key, float) and math.isnan(self.key) else self.key

    @property
    def whole(self) -> bool:
        """Whether it stays on one line: a number and its unit are read together."""
        return len(self.words) <= 40 and any(map(str.isdigit, self.words))

    @classmethod
    def of(cls, figure: Derived, show: Callable[[float], str]) -> Item:
        """A derived figure; one that is not shown as a property has a mark in its words and the reason as its title."""
        words = show(figure.value)
        if figure.shown or math.isnan(figure.value):
            return cls(words, figure.value)
        if figure.doubt:
            return cls("withheld", math.nan, "missing", figure.doubt)
        return cls(f"{words} ({figure.unknown or 'not shown'})", figure.value, "missing", figure.withheld)


@dataclass
class Grid:
    """A table with a caption; `numeric` says which columns hold numbers, `note` explains it in one sentence."""

    id: str
    caption: str
    columns: list[str]
    rows: list[list[Item]]
    numeric: set[int] = field(default_factory=set)
    note: str = ""
    total: int | None = None  # how many rows there are, where not all of them are here
    whole: set[int] = field(default_factory=set)  # columns whose words stay on one line
    folded: bool = False  # shown only when it is asked for: it is long and others say what matters in it

    @property
    def tools(self) -> bool:
        """Whether it is long enough to be worth filtering."""
        return len(self.rows) > 5
