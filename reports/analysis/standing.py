"""Which implementation leads an operation over the inputs of the answer, by how much, and where it does not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ..system import text
from .contests import Contest
from .derived import Derived, geometric_mean
from .rules import Outcome

ORDER: tuple[Outcome, ...] = ("faster", "tie", "slower", "cannot tell")


@dataclass(frozen=True)
class Mean:
    """A ratio over several inputs: its geometric mean, the smallest and the largest, and how many tell nothing."""

    figure: Derived
    least: float
    most: float
    inputs: int
    left_out: int

    def __str__(self) -> str:
        """The interval where it is one input, else the range over the inputs."""
        if self.inputs == 0:
            return f"cannot tell on {text.plural(self.left_out, 'input')}"
        rest = f"; {self.left_out} more cannot tell" if self.left_out else ""
        if self.inputs == 1:
            return f"{text.factor_range(self.figure.low, self.figure.high)} on one input{rest}"
        between = f"{text.factor(self.least)} to {text.factor(self.most)}"
        level = "" if self.figure.shown else f"; {text.factor_range(self.figure.low, self.figure.high)} includes level"
        return f"geometric mean of {text.plural(self.inputs, 'input')}, {between}{level}{rest}"


@dataclass(frozen=True)
class Standing:
    """The implementation that is fastest on most inputs of an operation in a run, and these inputs."""

    implementation: str
    contests: tuple[Contest, ...]

    @cached_property
    def outcomes(self) -> dict[Outcome, int]:
        """On how many inputs it is faster than all others, level with the fastest, slower, or cannot be told."""
        found = Counter(contest.outcome(self.implementation).outcome for contest in self.contests)
        return {outcome: found[outcome] for outcome in ORDER}

    @property
    def tally(self) -> str:
        """The outcomes in words: losses always, the rest where there is any."""
        found = self.outcomes
        known = [
            text.plural(found["tie"], "tie") if found["tie"] else "",
            f"{found['slower']} slower",
            f"{found['cannot tell']} cannot tell" if found["cannot tell"] else "",
        ]
        whole = f"fastest on {found['faster']} of {text.plural(len(self.contests), 'input')}"
        return f"{whole}; {', '.join(filter(None, known))}"

    def over_baseline(self, baseline: str | None) -> Mean | None:
        """How many times faster than the baseline; None where it is the baseline."""
        if baseline is None or baseline == self.implementation:
            return None
        pairs = [(c.of(self.implementation), c.of(baseline)) for c in self.contests]
        return _mean([mine.over(base) for mine, base in pairs if mine and base])

    @cached_property
    def over_best_other(self) -> Mean:
        """How many times faster than the fastest of all others, on every input: below 1 where it lost."""
        found = [c.over_best_other(self.implementation) for c in self.contests]
        return _mean([ratio for ratio in found if ratio is not None])


def _mean(ratios: Sequence[Derived]) -> Mean:
    told = [ratio.value for ratio in ratios if ratio.decide().outcome != "cannot tell"]
    figure, left_out = geometric_mean(ratios)
    return Mean(figure, min(told, default=math.nan), max(told, default=math.nan), len(told), left_out)


def standing(contests: Sequence[Contest]) -> Standing | None:
    """The one that is fastest on the most inputs, then among the fastest on the most; None where none was measured."""
    ranked = [contest for contest in contests if contest.ranked]
    if not ranked:
        return None
    clear = Counter(c.ranked[0].implementation for c in ranked if c.clear)
    rivals = Counter(cell.implementation for c in ranked for cell in c.rivals)
    first = Counter(c.ranked[0].implementation for c in ranked)
    best = max(first, key=lambda name: (clear[name], rivals[name], first[name]))
    return Standing(best, tuple(ranked))
