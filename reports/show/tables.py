"""Tables of a report as data, which the page, the Markdown and the terminal then draw each in its way."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from maxbench.bench.suite import base

from ..analysis.answer import Absent, Line
from ..analysis.contests import Contest
from ..analysis.derived import Derived
from ..analysis.rules import Outcome
from ..system import text

# How the fastest of an input is set off, by what is known of it.
MARKS: dict[Outcome, str] = {"faster": "best", "tie": "tie", "cannot tell": "missing", "slower": "worse"}


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


def derived(figure: Derived, show: Callable[[float], str]) -> Item:
    """A derived figure; one that is not shown as a property carries a mark in its words and the reason as its title."""
    words = show(figure.value)
    if figure.shown or math.isnan(figure.value):
        return Item(words, figure.value)
    if figure.doubt:
        return Item("withheld", math.nan, "missing", figure.doubt)
    return Item(f"{words} ({figure.unknown or 'not shown'})", figure.value, "missing", figure.withheld)


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


def answers(lines: Sequence[Line], baseline: str | None, several: bool) -> Grid:
    """The answer, one row per input."""
    columns = [
        "input",
        "fastest",
        "time of one call",
        f"over {baseline or 'the baseline'}",
        "over the runner-up",
        "dtype",
        "shape",
    ]
    rows = []
    for line in lines:
        row = [
            Item(f"{line.operation}: {line.input}"),
            Item(line.fastest, mark=MARKS[line.outcome]),
            Item(line.time),
            Item(line.over_baseline),
            Item(line.over_runner_up),
            Item(line.dtype),
            Item(line.shape),
        ]
        rows.append([Item(line.run), *row] if several else row)
    start = 1 if several else 0
    whole = {start, start + 2, start + 3}
    return Grid("answer", "The fastest on each input", ["run", *columns] if several else columns, rows, whole=whole)


def times(contests: Sequence[Contest], several: bool, id: str, caption: str) -> Grid:
    """Times of every implementation: inputs down, implementations across."""
    names = list(dict.fromkeys(cell.implementation for contest in contests for cell in contest.cells))
    rows = []
    signs = MARKS | {"cannot tell": ""}
    for contest in contests:
        cells = {cell.implementation: cell for cell in contest.cells}
        best = {cell.implementation for cell in contest.rivals}
        row = [Item(contest.run)] if several else []
        row += [
            Item(contest.title, contest.n if contest.benchmark in ("Sweep", "Strided") else None),
            Item(contest.dtype),
        ]
        for name in names:
            cell = cells.get(name)
            if cell is None:
                row.append(Item(text.NOTHING, math.nan, "missing"))
            elif not cell.measured:
                row.append(Item({"skipped": "n/a"}.get(cell.status, cell.status), math.nan, "missing", cell.reason))
            else:
                mark = "" if name not in best else signs[contest.decision.outcome]
                between = text.seconds_range(cell.low, cell.high)
                words = text.seconds(cell.value) + ("\N{DAGGER}" if cell.reason else "")
                row.append(Item(words, cell.value, mark, f"{between}; {cell.reason}" if cell.reason else between))
        rows.append(row)
    first = ["run"] if several else []
    columns = [*first, "input", "dtype", *names]
    return Grid(id, caption, columns, rows, set(range(len(first) + 2, len(columns))))


def missing(absents: Sequence[Absent]) -> Grid:
    """What was not measured and why."""
    reasons: dict[tuple[str, str, str], list[Absent]] = {}
    for one in absents:
        reasons.setdefault((one.status, one.reason, one.where), []).append(one)
    # Those with the same status there, which differ in their reasons: more threads than there are, by each number.
    alike: dict[tuple[str, str, str], list[tuple[str, int]]] = {}
    for (status, reason, where), group in reasons.items():
        who = text.listed([f"{a.operation}.{a.implementation}" for a in group])
        alike.setdefault((who, status, where), []).append((reason, sum(a.count for a in group)))
    rows = [
        [
            Item(who),
            Item(status),
            Item("; ".join(reason for reason, _ in found)),
            Item(where, sum(count for _, count in found)),
        ]
        for (who, status, where), found in alike.items()
    ]
    return Grid("absent", "Not measured, and why", ["implementation", "status", "reason", "where"], rows)


MEASURED = (
    "operation",
    "implementation",
    "benchmark",
    "statistic",
    "dtype",
    "workload",
    "n",
    "value",
    "low",
    "high",
    "status",
)
MOST_ROWS = 10_000


def measurements(table: pd.DataFrame, several: bool) -> Grid:
    """Every measurement, as far as a page can hold them."""
    names = [*(["run"] if several else []), *MEASURED, "bandwidth"]
    rows = []
    for record in table[[*names, "unit", "order", "cache"]].head(MOST_ROWS).to_dict("records"):
        show = text.seconds if record["unit"] == "s" else text.size if record["unit"] == "B" else text.digits
        what = ", ".join(filter(None, (record["workload"], record["order"], record["cache"])))
        row = []
        for name in names:
            value = record[name]
            if name in ("value", "low", "high"):
                row.append(Item(show(value), value))
            elif name == "bandwidth":
                row.append(Item(text.digits(value), value))
            elif name == "n":
                row.append(Item("" if pd.isna(value) else f"{value:,}", math.nan if pd.isna(value) else int(value)))
            else:
                row.append(Item(what if name == "workload" else str(value)))
        rows.append(row)
    titles = {"workload": "workload, order or cache", "bandwidth": "bandwidth, GB/s"}
    numeric = {i for i, name in enumerate(names) if name in ("n", "value", "low", "high", "bandwidth")}
    return Grid(
        "measurements", "Every measurement", [titles.get(name, name) for name in names], rows, numeric, total=len(table)
    )


def memory(table: pd.DataFrame) -> pd.DataFrame:
    """Peak memory by implementation, with a column ``over``: what it is above that of the arrays alone, in bytes."""
    rows = table[(table["benchmark"] == "Memory") & (table["status"] == "ok")]
    keys = ["run", "operation", "dtype"]
    baseline = rows[rows["implementation"] == base.Memory.BASELINE].set_index(keys)["value"]
    mine = rows[rows["implementation"] != base.Memory.BASELINE].copy()
    mine["over"] = [
        value - baseline.get(key, math.nan)
        for key, value in zip(mine[keys].itertuples(index=False, name=None), mine["value"], strict=True)
    ]
    return mine
