"""Which implementation to use for arrays of which size: rules in words, from the inputs that were measured alone.

Sizes are cut into ranges, each with one implementation, such that the ranges and the inputs on which another one is
shown to be faster are the fewest in all. A range ends at measured inputs: nothing is said of sizes between two ranges,
nor below the first or above the last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from ..system import text
from .contests import Contest

MOST_SIZES = 200  # that are cut: the work grows with their square
NAMED = 6  # exceptions


@dataclass(frozen=True)
class Rule:
    """Use an implementation from `least` to `most` elements; `contests` are the inputs measured there."""

    implementation: str
    least: int
    most: int
    contests: tuple[Contest, ...]
    first: bool
    last: bool

    @property
    def sizes(self) -> str:
        """The range of sizes, in words."""
        if self.least == self.most:
            return text.plural(self.least, "element")
        if self.first and not self.last:
            return f"up to {text.plural(self.most, 'element')}"
        if self.last and not self.first:
            return f"from {text.plural(self.least, 'element')} on"
        return f"from {self.least:,} to {text.plural(self.most, 'element')}"

    @property
    def measured(self) -> str:
        """What it rests on, in words."""
        ends = self.first != self.last and self.least != self.most
        between = f", {self.least:,} to {text.plural(self.most, 'element')}" if ends else ""
        return f"{text.plural(len(self.contests), 'input')}{between}"

    @property
    def count(self) -> str:
        """On how many of them it is the fastest, may be, and is not, in words."""
        found = Counter(self._kind(contest) for contest in self.contests)
        said = ("fastest", "tied", "cannot tell", "slower")
        return ", ".join(f"{one} on {found[one]}" for one in said if found[one])

    def _kind(self, contest: Contest) -> str:
        outcome = contest.outcome(self.implementation)
        return {"faster": "fastest", "tie": "tied"}.get(outcome.outcome, outcome.outcome)

    @property
    def exceptions(self) -> list[str]:
        """The inputs on which another is shown to be faster, and by how much."""
        said = []
        for contest in self.contests:
            mine, best = contest.of(self.implementation), contest.ranked[0]
            if mine is None:
                said.append(f"{best.implementation} on {contest.title}: not measured with {self.implementation}")
            elif _misses(contest, self.implementation):
                said.append(f"{best.implementation} on {contest.title}: {best.over(mine)} as fast")
        rest = len(said) - NAMED
        return [*said[:NAMED], f"{text.plural(rest, 'more input')} in the table below"] if rest > 0 else said


def rules(contests: Sequence[Contest]) -> list[Rule]:
    """The rules of inputs of one operation and dtype, by their number of elements; [] where no size is known."""
    sized = sorted(
        ((c.n * c.outer * c.inner, c) for c in contests if c.ranked and c.n and c.outer and c.inner),
        key=lambda pair: pair[0],
    )
    sizes = sorted({size for size, _ in sized})
    if not sizes or len(sizes) > MOST_SIZES:
        return []
    names = list(dict.fromkeys(c.ranked[0].implementation for _, c in sized))
    # misses[name][i]: on how many inputs of the first i sizes another one is shown to be faster, or it has no time.
    misses = {
        name: [0, *accumulate(sum(_misses(c, name) for s, c in sized if s == size) for size in sizes)] for name in names
    }
    wins = {
        name: [0, *accumulate(sum(c.ranked[0].implementation == name for s, c in sized if s == size) for size in sizes)]
        for name in names
    }
    # The best way to cut the first `end` sizes: (ranges and exceptions, minus first places had), and its last range.
    best: list[tuple[tuple[int, int], int, str]] = [((0, 0), 0, "")]

    def cut(start: int, end: int, name: str) -> tuple[tuple[int, int], int, str]:
        """The best one whose last range begins after `start` sizes and has this implementation."""
        cost, places = best[start][0]
        cost += 1 + misses[name][end] - misses[name][start]
        return (cost, places - wins[name][end] + wins[name][start]), start, name

    for end in range(1, len(sizes) + 1):
        last = min(cut(start, end, name) for start in range(end) for name in names)
        best.append(last)
    found: list[Rule] = []
    end = len(sizes)
    while end:
        _, start, name = best[end]
        mine = tuple(c for size, c in sized if sizes[start] <= size <= sizes[end - 1])
        found.append(Rule(name, sizes[start], sizes[end - 1], mine, start == 0, end == len(sizes)))
        end = start
    return found[::-1]


def _misses(contest: Contest, name: str) -> bool:
    return contest.of(name) is None or contest.outcome(name).outcome == "slower"
