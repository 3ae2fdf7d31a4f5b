"""Which is fastest: the answer, the map, times against n, speed-ups, profiles, bandwidth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from ...analysis import choice, shortfall
from ...analysis.content import Content
from ...analysis.contests import Contest, contests
from ...analysis.derived import of, ratio
from ...analysis.rules import LEAST_PROCESSES, SAME, VAGUE
from ...system import text
from .. import tables
from ..figures import Styles, curves, heat, overview, winners
from ..grid import Grid, Item
from .section import Section, grouped, most_panels, panels

ANSWER = (
    "Time of one steady call of the kernel on a preallocated output, compilation not counted. The value is the median "
    "over processes of each process's median; the interval in brackets is the range of these process medians. It is a "
    f"tie where the interval of the ratio holds 1 and no difference above {VAGUE * SAME:.0%}. It cannot be told where "
    f"one has fewer than {LEAST_PROCESSES} processes, or where the interval is wider. Every array timed was "
    "first checked against the oracle; an implementation with a wrong result is not ranked."
)
WINNERS = (
    "The fastest implementation on every input measured, by its length n and its number of rows, to the nearest power "
    "of two; inputs of the same cell share it. Filled: faster than all others; hatched: a tie; an outline: cannot be "
    "told. What is empty was not measured. The probability that it is the fastest, when every implementation runs in "
    "one new process, is the share, among all ways to draw one measured process of each, in which it wins. The rules "
    "are the fewest ranges of sizes that leave the fewest exceptions; they hold for the inputs measured, for no size "
    "between two ranges, and for arrays in the state that they are timed in: the same one call after call, of random "
    "values."
)
OVERVIEW = (
    "Every implementation on every input: a dot is the median over processes, the bar its interval, the upright stroke "
    "the ceiling. Further left is faster, and the axis is logarithmic."
)
SWEEP = (
    "The total number of elements is constant, so a flat line means that the length of a row does not matter. The bars "
    "are the intervals over processes; the dotted lines mark where one row fills a cache; the dashed line, where there "
    "is one, is the time at the bandwidth that the machine was measured to reach. Both axes are logarithmic."
)
SPEEDUP = (
    "How many times faster than {baseline}, whose own column holds its times. Blue is faster, orange is slower, by the "
    "same factor for the same strength. Grey cells cannot be told apart from {baseline}, or have fewer than {least} "
    "processes; hatched: not measured."
)
PROFILE = (
    "On which share of all inputs and dtypes an implementation is within a factor of the fastest there: at 1 the share "
    "on which it is the fastest, far right the share that it can run at all. It is no ranking of two implementations "
    "when others are left out, and it has no interval: a difference is one where the tables above show it."
)
BANDWIDTH = (
    "The fewest bytes of main-memory traffic that the operation needs (softmax: x read once and the result written "
    "once; argmax: x read once), over the time. Higher is better; 1 GB is 10^9 bytes."
)
SHARE = (
    "Bandwidth over the bandwidth measured in the same run on as many bytes with as many threads: of copying for "
    "softmax, of reading for argmax. 100% means that no implementation can be faster on this machine; more than that "
    "is an error of measurement. Where an implementation reaches more than 105%, no share of that ceiling is stated. "
    f"Beside a share below {shortfall.GOAL:.0%} stands what the sizes, the caches and the cost of a call tell of it."
)
CALLS = (
    "The public function with each implementation, as users call it: it checks its input and allocates its result. "
    "Ranked like the kernels; beside it the kernel on the same input, and how many times its time the call takes."
)
ORDERS = (
    "Time of argmax on 1024 × 1024 elements by the order of the values, and how many times that on random order where "
    f"{LEAST_PROCESSES} processes or more show a difference; "
    "code that branches on every new maximum is slow where maxima keep coming."
)


def sections(content: Content, styles: Styles) -> Iterator[Section]:
    """The sections about speed."""
    most = most_panels(len(content.table))
    answers = tables.answers(content.lines, content.baseline, content.several)
    times = tables.times(content.contests, content.several)
    yield _overview(content, styles)
    yield Section("answer", "Fastest on each input", ANSWER, grids=[answers, *times])
    yield _winners(content, styles)
    yield Section("calls", "What users call", CALLS, grids=[_calls(content)])
    sweeps = _sweeps(content)
    reasons = {_field(g[0]): shortfall.Reasons(g, content.caches(g[0].run)) for g in grouped(content.contests, _field)}
    yield panels(
        Section("time", "Time against n", SWEEP),
        sweeps,
        lambda name, group: curves.time(name, group, styles, content.caches(group[0].run)),
        most,
    )
    yield _speedups(content, styles)
    yield panels(
        Section("profile", "Performance profile", PROFILE),
        [g for g in grouped((c for c in content.contests if c.ranked), lambda c: (c.run, c.operation)) if len(g) > 2],
        lambda name, group: curves.profile(name, group, styles),
    )
    yield panels(
        Section("bandwidth", "Bandwidth", BANDWIDTH),
        sweeps,
        lambda name, group: curves.bandwidth(name, group, styles, content.caches(group[0].run)),
        most,
    )
    yield panels(
        Section("share", "Share of the ceiling", SHARE, grids=[_shares(content, reasons)]),
        [group for group in sweeps if sum(c.ceiling is not None and not c.ceiling.doubt for c in group) > 1],
        lambda name, group: curves.share(name, group, styles, content.caches(group[0].run), reasons[_field(group[0])]),
        most,
    )
    yield Section("orders", "Order of the input", ORDERS, grids=_orders(content))


def _overview(content: Content, styles: Styles) -> Section:
    """The first screen's: the standing of each operation's leader, and all of its inputs at a glance."""
    section = Section("overview", "At a glance", OVERVIEW, grids=[tables.standings(content.answers, content.baseline)])
    leaders = [one.leader for one in content.answers if one.leader]
    by_dtype = [grouped(one.contests, lambda c: c.dtype) for one in leaders]
    # The first dtype of each operation stands on the first screen.
    groups = [*(found[0] for found in by_dtype), *(group for found in by_dtype for group in found[1:])]
    best = {id(contest): one.implementation for one in leaders for contest in one.contests}
    return panels(section, groups, lambda name, g: overview.overview(name, g, best[id(g[0])], styles))


def _sweeps(content: Content) -> list[list[Contest]]:
    wanted = (c for c in content.contests if c.benchmark in ("Sweep", "Strided") and c.n and c.ranked)
    return [g for g in grouped(wanted, lambda c: (c.run, c.operation, c.dtype, c.benchmark)) if len(g) > 1]


def _winners(content: Content, styles: Styles) -> Section:
    placed = [c for c in content.contests if c.n and c.outer and c.fastest]
    rows = []
    for contest in placed:
        best = contest.ranked[0]
        chance = contest.probability(best.implementation)
        row = [Item(contest.run)] if content.several else []
        row += [
            Item(f"{contest.operation}: {contest.title}"),
            Item(contest.dtype),
            Item(f"{contest.n:,}", contest.n),
            Item(f"{(contest.outer or 1) * (contest.inner or 1):,}", (contest.outer or 1) * (contest.inner or 1)),
            Item(text.listed([c.implementation for c in contest.rivals]), mark=tables.MARKS[contest.decision.outcome]),
            Item(text.percent(chance), chance),
        ]
        rows.append(row)
    first = ["run"] if content.several else []
    columns = [*first, "input", "dtype", "n", "rows", "fastest", "probability of the first"]
    start = len(first)
    grid = Grid("winners", "The fastest by n and rows", columns, rows, {start + 2, start + 3, start + 5}, folded=True)
    groups = [g for g in grouped(placed, _field) if len(g) > 1]
    section = Section("winners", "Which should I use", WINNERS, grids=[_rules(groups, content.several), grid])
    return panels(
        section, groups, lambda name, group: winners.winners(name, group, styles), most_panels(len(content.table))
    )


def _rules(groups: list[list[Contest]], several: bool) -> Grid:
    rows = []
    for group in groups:
        for rule in choice.rules(group):
            row = [Item(group[0].run)] if several else []
            row += [
                Item(f"{group[0].operation}, {group[0].dtype}"),
                Item(rule.sizes, rule.least),
                Item(rule.implementation),
                Item(rule.measured),
                Item(rule.count),
                Item("; ".join(rule.exceptions) or "none", mark="worse" if rule.exceptions else ""),
            ]
            rows.append(row)
    columns = [*(["run"] if several else []), "for", "arrays of", "use", "measured on", "of these", "lost to"]
    whole = set(range(len(columns) - 1))
    return Grid("rules", "Rules", columns, rows, whole=whole)


def _calls(content: Content) -> Grid:
    """The public function by implementation, the fastest first."""
    kernels = {(c.name, cell.implementation): cell for c in content.contests for cell in c.ranked}
    rows = []
    for contest in contests(content.table, ["Api"]):
        best = {cell.implementation for cell in contest.rivals}
        base = contest.of(content.baseline or "")
        for cell in contest.ranked:
            kernel = kernels.get((contest.name, cell.implementation))
            over = cell.over(base) if base and base is not cell else None
            mark = tables.MARKS[contest.decision.outcome] if cell.implementation in best else ""
            row = [Item(contest.run)] if content.several else []
            row += [
                Item(f"{contest.operation}: {contest.shape}"),
                Item(contest.dtype),
                Item(cell.implementation, mark=mark),
                Item(str(cell), cell.value),
                Item.of(over, text.factor) if over else Item("is the baseline" if base else text.NOTHING, math.nan),
                Item(str(kernel), kernel.value) if kernel else Item(text.NOTHING, math.nan),
                Item.of(kernel.over(cell), text.factor) if kernel else Item(text.NOTHING, math.nan),
            ]
            rows.append(row)
    first = ["run"] if content.several else []
    over_whom = f"over {content.baseline or 'the baseline'}"
    columns = [*first, "input", "dtype", "implementation", "public function", over_whom, "kernel", "call over kernel"]
    start = len(first)
    return Grid("calls", "The public function", columns, rows, {start + k for k in range(3, 7)})


def _speedups(content: Content, styles: Styles) -> Section:
    baseline = content.baseline
    if baseline is None:
        return Section("speedup", "Speed-up")
    groups = grouped((c for c in content.contests if c.ranked and c.benchmark != "Shapes"), _field)
    section = Section("speedup", f"Speed-up over {baseline}", SPEEDUP.format(baseline=baseline, least=LEAST_PROCESSES))
    return panels(
        section,
        groups,
        lambda name, group: heat.speedup(name, group, baseline, styles),
        most_panels(len(content.table)),
    )


def _field(contest: Contest) -> tuple[str, str, str]:
    """Inputs of one operation and dtype in a run are compared with each other."""
    return contest.run, contest.operation, contest.dtype


def _shares(content: Content, reasons: Mapping[tuple[str, str, str], shortfall.Reasons]) -> Grid:
    known = [c for c in content.contests if c.ceiling and c.ranked]
    rows = []
    for contest in known:
        for cell in contest.ranked:
            share = contest.share(cell)
            if share is None or contest.ceiling is None:
                continue
            row = [Item(contest.run)] if content.several else []
            row += [
                Item(f"{contest.operation}: {contest.title}"),
                Item(contest.dtype),
                Item(cell.implementation),
                Item(text.bandwidth(cell.bandwidth), cell.bandwidth),
                Item(text.bandwidth(contest.ceiling.bandwidth), contest.ceiling.bandwidth),
                Item.of(share, text.percent),
                Item(reasons[_field(contest)].of(contest, cell)),
            ]
            rows.append(row)
    first = ["run"] if content.several else []
    columns = [
        *first,
        "input",
        "dtype",
        "implementation",
        "bandwidth",
        "ceiling",
        "share",
        f"why below {shortfall.GOAL:.0%}",
    ]
    start = len(first)
    return Grid("shares", "Share of the ceiling", columns, rows, {start + 3, start + 4, start + 5}, folded=True)


def _orders(content: Content) -> list[Grid]:
    rows = content.table[(content.table["benchmark"] == "Orders") & (content.table["status"] == "ok")]
    found: list[Grid] = []
    for (run, dtype), group in rows.groupby(["run", "dtype"], sort=False):
        names = list(dict.fromkeys(group["implementation"]))
        times = {(r["implementation"], r["order"]): r for r in group.to_dict("records")}
        lines = []
        for order in dict.fromkeys(group["order"]):
            line = [Item(str(order))]
            for name in names:
                mine, random = times.get((name, order)), times.get((name, "random"))
                if mine is None:
                    line.append(Item(text.NOTHING, math.nan, "missing"))
                    continue
                slower = ratio(of(mine), of(random)) if random and order != "random" else None
                words = f" ({text.factor(slower.value)})" if slower and slower.shown else ""
                why = slower.withheld if slower else ""
                line.append(Item(f"{text.seconds(mine['value'])}{words}", mine["value"], title=why))
            lines.append(line)
        caption = f"argmax, {dtype}: time by order" + (f", {run}" if content.several else "")
        found.append(Grid(f"orders-{len(found) + 1}", caption, ["order", *names], lines, set(range(1, len(names) + 1))))
    return found
