"""The sections of a report, in order: each a sentence on what it shows, figures and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from . import grids, text
from .comparison import Contest
from .content import Content
from .figures import Figure, Styles, curves, heat
from .grids import Grid

MOST_PANELS = 12  # per section; the rest is in the tables


@dataclass
class Section:
    """A part of the report; `intro` says in a sentence or two what is shown and what it means."""

    id: str
    title: str
    intro: str = ""
    figures: list[Figure] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.figures or any(grid.rows for grid in self.grids))


def build(content: Content) -> list[Section]:
    """The sections that have something to show."""
    styles = Styles(content.table["implementation"])
    return [section for section in _all(content, styles) if section]


def _all(content: Content, styles: Styles) -> Iterator[Section]:
    yield Section("answer", "Fastest on each input", _ANSWER, grids=[content.answers, *content.times])
    yield _sweeps(content, styles)
    yield _speedups(content)
    yield _bandwidths(content, styles)
    yield Section("absent", "Not measured", _ABSENT, grids=[content.missing])
    yield Section(
        "measurements", "Every measurement", _MEASUREMENTS, grids=[grids.measurements(content.table, content.several)]
    )


_ANSWER = (
    "Time of one steady call of the kernel on a preallocated output, compilation not counted. The value is the median "
    "over processes of each process's median; the interval in brackets is the range of these process medians. Where "
    "intervals overlap it is a tie. Every array timed was first checked against the oracle; an implementation with a "
    "wrong result is not ranked."
)
_SWEEP = (
    "The total number of elements is constant, so a flat line means that the length of a row does not matter. The bars "
    "are the intervals over processes; the dotted lines mark where one row fills a cache. Both axes are logarithmic."
)
_SPEEDUP = (
    "How many times faster than {baseline}, whose own column holds its times. Blue is faster, orange is slower, by the "
    "same factor for the same strength; grey cells cannot be told apart from {baseline}; hatched: not measured."
)
_BANDWIDTH = (
    "The fewest bytes of main-memory traffic that the operation needs (softmax: x read once and the result written "
    "once; argmax: x read once), over the time. Higher is better; 1 GB is 10^9 bytes."
)
_ABSENT = "What has no time above: unavailable here, not supported, failed, wrong or cut off."
_MEASUREMENTS = (
    "One row per measurement. All of them, with every column, are in results.csv; the columns are described in "
    "reports.table.COLUMNS."
)


def _groups(contests: Iterable[Contest]) -> list[list[Contest]]:
    """Contests that share run, operation and dtype, as one panel shows them; the largest ones where there are many."""
    found: dict[tuple[str, str, str], list[Contest]] = {}
    for contest in contests:
        if contest.ranked:
            found.setdefault((contest.run, contest.operation, contest.dtype), []).append(contest)
    return list(found.values())


def _name(kind: str, index: int, contest: Contest) -> str:
    return f"{kind}-{contest.operation}-{index + 1}"


def _left_out(groups: list[list[Contest]]) -> str:
    rest = len(groups) - MOST_PANELS
    return f" The first {MOST_PANELS} are drawn; {text.plural(rest, 'panel')} more would be." if rest > 0 else ""


def _sweep_groups(content: Content) -> list[list[Contest]]:
    groups = _groups(c for c in content.contests if c.benchmark == "Sweep" and c.n)
    return [group for group in groups if len(group) > 1]


def _sweeps(content: Content, styles: Styles) -> Section:
    groups = _sweep_groups(content)
    figures = [
        curves.time(_name("time", i, group[0]), group, styles, content.caches(group[0].run))
        for i, group in enumerate(groups[:MOST_PANELS])
    ]
    return Section("sweep", "Time against n", _SWEEP + _left_out(groups), figures)


def _bandwidths(content: Content, styles: Styles) -> Section:
    groups = _sweep_groups(content)
    figures = [
        curves.bandwidth(_name("bandwidth", i, group[0]), group, styles, content.caches(group[0].run))
        for i, group in enumerate(groups[:MOST_PANELS])
    ]
    return Section("bandwidth", "Bandwidth", _BANDWIDTH + _left_out(groups), figures)


def _speedups(content: Content) -> Section:
    if content.baseline is None:
        return Section("speedup", "Speed-up")
    groups = _groups(content.contests)
    figures = [
        heat.speedup(_name("speedup", i, group[0]), group, content.baseline)
        for i, group in enumerate(groups[:MOST_PANELS])
    ]
    intro = _SPEEDUP.format(baseline=content.baseline) + _left_out(groups)
    return Section("speedup", f"Speed-up over {content.baseline}", intro, figures)
