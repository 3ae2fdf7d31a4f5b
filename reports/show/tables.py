"""The tables of a report."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from maxbench.bench.suite import base

from ..analysis.answer import Absent, Line
from ..analysis.content import Answer
from ..analysis.contests import Contest, main_contests
from ..analysis.rules import Outcome
from ..analysis.standing import Mean
from ..system import text
from .grid import Grid, Item

# How the fastest of an input is set off, by what is known of it.
MARKS: dict[Outcome, str] = {"faster": "best", "tie": "tie", "cannot tell": "missing", "slower": "worse"}


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


def standings(found: Sequence[Answer], baseline: str | None) -> Grid:
    """The leader of each operation, one row each."""
    rows = []
    for one in found:
        if one.leader is None:
            continue
        over = one.leader.over_baseline(baseline)
        rows.append([
            Item(one.title),
            Item(one.leader.implementation),
            Item(one.leader.tally),
            mean(over) if over else Item("is the baseline"),
            mean(one.leader.over_best_other),
        ])  # fmt: skip
    columns = ["operation", "leads", "inputs", f"over {baseline or 'the baseline'}", "over the best other"]
    return Grid("standings", "Which one leads", columns, rows)


BAR = 9  # characters of the longest


def bars(found: Answer, baseline: str | None) -> Grid | None:
    """The leader of an operation on each input, with a bar for its speed over the best other, on a log axis.

    To the right of the axis it is faster, to the left slower; a bar is as long as that of the inverse ratio.
    """
    if found.leader is None:
        return None
    name, contests = found.leader.implementation, found.leader.contests
    ratios = [contest.over_best_other(name) for contest in contests]
    logs = [math.log(ratio.value) if ratio and ratio.value > 0 else 0.0 for ratio in ratios]
    longest = max(1e-9, *map(abs, logs))
    left = max([0, *(round(BAR * -log / longest) for log in logs)])
    dtypes = list(dict.fromkeys(contest.dtype for contest in contests))
    rows = []
    for contest, ratio, log in zip(contests, ratios, logs, strict=True):
        mine, base = contest.of(name), contest.of(baseline or "")
        bar = "━" * round(BAR * abs(log) / longest)
        row = [Item(contest.title)] + ([Item(contest.dtype)] if len(dtypes) > 1 else [])
        row += [
            Item(text.seconds(mine.value) if mine else text.NOTHING, mark=MARKS[contest.outcome(name).outcome]),
            Item(text.factor(mine.over(base).value) if mine and base else text.NOTHING),
            Item(f"{bar if log < 0 else '':>{left}}│{bar if log > 0 else ''}"),
            Item(f"{ratio or text.NOTHING}{' ?' if contest.outcome(name).outcome == 'cannot tell' else ''}"),
        ]
        rows.append(row)
    first = ["input", *(["dtype"] if len(dtypes) > 1 else [])]
    columns = [*first, "time", "baseline", "", "best other"]
    title = ", ".join([found.title, *(dtypes if len(dtypes) == 1 else [])])
    caption = f"{title}: {name}, {found.leader.tally}; over {baseline}, the baseline, and over the best other"
    return Grid("bars", caption, columns, rows, {len(first) + 1})


def mean(ratio: Mean) -> Item:
    """A ratio over several inputs, and what it is of."""
    known = math.isfinite(ratio.figure.value)
    return Item(f"{text.factor(ratio.figure.value)} ({ratio})" if known else str(ratio), ratio.figure.value)


def times(contests: Sequence[Contest], several: bool) -> list[Grid]:
    """Times of every implementation on the inputs that the answer is about, a table per operation."""
    found = main_contests(contests)
    return [
        _times(operation, [c for c in found if c.operation == operation], several)
        for operation in dict.fromkeys(c.operation for c in found)
    ]


def _times(operation: str, contests: Sequence[Contest], several: bool) -> Grid:
    """Inputs down, implementations across."""
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
    numeric = set(range(len(first) + 2, len(columns)))
    return Grid(f"times-{operation}", f"{operation}: time of one call", columns, rows, numeric)


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
