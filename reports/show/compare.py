"""Two runs side by side: every input that both measured, how many times faster the second is, and how surely."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal

from ..analysis.contests import Cell, Contest
from ..analysis.derived import Derived, geometric_mean
from ..analysis.rules import BETWEEN_RUNS, Outcome
from ..records.reading import plain
from ..records.runs import Run
from ..system import text
from .grid import Grid, Item

Verdict = Outcome | Literal["only in the first", "only in the second", "in neither"]
MARKS: dict[Verdict, str] = {"faster": "best", "slower": "worse", "tie": "", "cannot tell": "missing"}

CAUTION = (
    "The intervals are over the processes of one run each. Runs at different times also differ by what else the "
    "machine did, so a difference below {least:.0%} counts as none; to judge a change of code use 'maxbench gate', "
    "which measures both versions interleaved."
)


@dataclass(frozen=True)
class Change:
    """One implementation on one input in two runs; `ratio` is how many times faster the second is.

    `least` is the smallest difference that counts, as a share of the time.
    """

    operation: str
    implementation: str
    input: str
    dtype: str
    first: Cell | None
    second: Cell | None
    least: float = BETWEEN_RUNS

    @property
    def ratio(self) -> Derived | None:
        """None unless both measured it."""
        return self.second.over(self.first) if self.first and self.second else None

    @property
    def verdict(self) -> Verdict:
        """What `rules.decide` says of the second against the first, or which of them was not measured."""
        if (ratio := self.ratio) is not None:
            return ratio.decide(self.least).outcome
        return "only in the first" if self.first else "only in the second" if self.second else "in neither"

    @property
    def reason(self) -> str:
        """Why it cannot be told; empty where it can."""
        return self.ratio.decide(self.least).reason if self.ratio else ""


def changes(first: Sequence[Contest], second: Sequence[Contest], least: float = BETWEEN_RUNS) -> list[Change]:
    """Every implementation on every input of either run, in the order of the first."""
    cells: dict[tuple[str, str, str, str], list[Cell | None]] = {}
    for place, contests in enumerate((first, second)):
        for contest in contests:
            for cell in contest.cells:
                name = f"{contest.title} ({contest.shape})" if contest.benchmark == "Own" else contest.title
                key = (contest.operation, cell.implementation, name, contest.dtype)
                cells.setdefault(key, [None, None])[place] = cell if cell.measured else None
    return [Change(*key, first=pair[0], second=pair[1], least=least) for key, pair in cells.items()]


_COMPARED = (
    ("CPU", "machine.cpu"),
    ("logical cores", "machine.cores_logical"),
    ("GPU", "machine.gpu"),
    ("system", "machine.os"),
    ("threads", "threads.numba"),
    ("threading layer", "threads.layer"),
    ("waiting threads", "threads.waiting"),
    ("CPU quota", "threads.quota"),
    ("array", "array"),
    ("grid", "grid"),
)


def differences(first: Run, second: Run) -> list[str]:
    """What else than the code differs between two runs: machine, threads, versions."""
    runs = first.about, second.about
    found: list[tuple[str, Any, Any]] = [
        (name, attrgetter(path)(runs[0]), attrgetter(path)(runs[1])) for name, path in _COMPARED
    ]
    names = dict.fromkeys(name for run in runs for name in run.versions)
    found += [(name, runs[0].versions.get(name), runs[1].versions.get(name)) for name in names]
    return [f"{name}: {_said(a)} and {_said(b)}" for name, a, b in found if a != b and (a or b)]


def _said(value: Any) -> str:
    return "not known" if value in (None, "", []) else str(plain(value))


def summary(found: Sequence[Change], names: tuple[str, str]) -> str:
    """The changes in one sentence."""
    both = [c for c in found if c.ratio is not None]
    counts = {verdict: sum(c.verdict == verdict for c in both) for verdict in MARKS}
    alone = [
        f"{count} {verdict}"
        for verdict in ("only in the first", "only in the second")
        if (count := sum(c.verdict == verdict for c in found))
    ]
    rest = f" Measured in one run only: {', '.join(alone)}." if alone else ""
    if not both:
        return f"{names[1]} and {names[0]} have no measurement in common.{rest}"
    typical, left = geometric_mean([c.ratio for c in both if c.ratio], both[0].least)
    mean = f"geometric mean {typical} as fast" if typical.shown else f"geometric mean {typical.withheld}"
    if left:
        mean += f", {left} left out of it that cannot be told"
    return (
        f"{names[1]} against {names[0]}: {counts['faster']} of {text.plural(len(both), 'time')} are faster, "
        f"{counts['slower']} slower, {text.plural(counts['tie'], 'tie')}, {counts['cannot tell']} cannot be told; "
        f"{mean}.{rest}"
    )


def grid(found: Sequence[Change], names: tuple[str, str]) -> Grid:
    """The changes as a table."""
    rows = []
    for change in found:
        if change.verdict == "in neither":
            continue
        ratio = change.ratio
        rows.append(
            [
                Item(f"{change.operation}.{change.implementation}"),
                Item(change.input),
                Item(change.dtype),
                *(
                    Item(text.seconds(c.value) if c else text.NOTHING, c.value if c else math.nan)
                    for c in (change.first, change.second)
                ),
                Item(str(ratio) if ratio else text.NOTHING, ratio.value if ratio else math.nan),
                Item(
                    f"{change.verdict}: {change.reason}" if change.reason else change.verdict,
                    mark=MARKS.get(change.verdict, "missing"),
                ),
            ]
        )
    columns = ["implementation", "input", "dtype", *names, "times faster", "verdict"]
    return Grid("changes", f"{names[1]} against {names[0]}", columns, rows, {3, 4, 5})


def of(contests: Sequence[Contest], names: Sequence[str]) -> tuple[list[Change], tuple[str, str]] | None:
    """The changes between two runs, by their names; None where these are not two."""
    if len(names) != 2:
        return None
    first, second = names
    before, after = ([c for c in contests if c.run == name] for name in (first, second))
    return changes(before, after), (first, second)
