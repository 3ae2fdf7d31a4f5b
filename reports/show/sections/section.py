"""What a section is, and how panels are chosen where there would be too many."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ...system import forked, text
from ..figures import Figure
from ..grid import Grid
from ..sources import Source

MOST_PANELS = 12  # per section; the rest is in the tables

T = TypeVar("T")


@dataclass
class Section:
    """A part of the report.

    Attributes:
        id, title: what the page links to, and the heading.
        intro: what is shown and what it means.
        figures, points, grids, sources: what is shown: figures, a list of sentences, tables, source files.
        pending: figures that are still to be drawn; see `draw`.
    """

    id: str
    title: str
    intro: str = ""
    figures: list[Figure] = field(default_factory=list)
    pending: list[Callable[[], Figure]] = field(default_factory=list)
    points: list[str] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)

    def __bool__(self) -> bool:
        shown = self.figures or self.pending or self.points or self.sources
        return bool(shown or any(grid.rows for grid in self.grids))


def grouped(items: Iterable[T], key: Callable[[T], Hashable]) -> list[list[T]]:
    """Items with the same key together, in the order in which the keys first come."""
    found: dict[Hashable, list[T]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return list(found.values())


def most_panels(rows: int) -> int:
    """How many panels a section of a report of so many measurements draws: fewer where it would take long."""
    return MOST_PANELS if rows < 20_000 else 5 if rows < 50_000 else 3


def panels(
    section: Section, groups: Sequence[list[T]], draw: Callable[[str, list[T]], Figure], most: int = MOST_PANELS
) -> Section:
    """Add a figure for each of the first groups, named after the section; says so where there are more."""
    for group in groups[:most]:
        section.pending.append(functools.partial(draw, f"{section.id}-{len(section.pending) + 1}", group))
    rest = len(groups) - most
    if rest > 0:
        section.intro += (
            f" The first {text.plural(most, 'panel')} of {len(groups)} are drawn; the tables have the rest."
        )
    return section


def draw(sections: Sequence[Section]) -> None:
    """Draw the figures that are pending, those of all sections together: as many at a time as there are CPUs."""
    pending = [(section, one) for section in sections for one in section.pending]
    for (section, _), figure in zip(pending, forked.each(lambda i: pending[i][1](), len(pending)), strict=True):
        section.figures.append(figure)
    for section in sections:
        section.pending.clear()
