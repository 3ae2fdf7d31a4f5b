"""What else an implementation costs: starting it, threads, accuracy, memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from ...analysis import startup
from ...analysis.content import Content
from ...analysis.derived import Derived
from ...analysis.scaling import scalings
from ...analysis.startup import DEVICE_RUNGS, RUNGS, Ladder
from ...system import text
from .. import tables
from ..figures import Styles, other
from ..figures import starts as drawn
from ..grid import Grid, Item
from .section import Section, grouped, panels

LADDER = (
    "What a user waits for, from importing an implementation to a steady call; each step in a process of its own where "
    "it can happen only once. "
)
DIFFERENCES = (
    "Compiling is the difference of the two first calls; allocating, and checking the input, that of the public "
    "function and the steady call. A difference that fewer than three processes measured, or that is within the spread "
    "of the two, is marked and is no property. One below zero is the copy that a library without an output argument "
    "makes into the preallocated one."
)
ON_CPU = "On the CPU nothing is copied: the kernel is the steady call, and end to end is the public function."
ON_DEVICE = "Launch, copies to the device and back, device kernel and end to end"
BREAK_EVEN = (
    "Import, first call and k further calls on {input}: where two lines cross, the implementation with "
    "the dearer start has paid off: the difference of the starts over the difference of one call. "
    "The interval is the widest that the intervals of the starts and of the calls allow. Of fewer than three processes "
    "no number of calls is stated, and the lines only show what was measured once."
)
SCALING = (
    "How many times faster more threads make it than the fewest measured, and the efficiency: that factor over the "
    "factor by which there are more threads. The dotted line is an efficiency of 100%."
)
ACCURACY = (
    "Error of softmax on N(0, 3) scores against the result in the machine's longest float, in units in the last place "
    "of the dtype (ulp): the largest of any element, and the median over all as the typical one."
)
MEMORY = (
    "The most memory that a process held while it made one call on 2^24 elements, over that of a process that only "
    "holds the arrays: libraries, compiled code and temporaries. One process each, so a difference is no property."
)

CHUNKED = (
    "One call on an array of {elements} elements in a file, read in chunks along the reduced axis, its result written "
    "to another file in chunks: its time, the most memory that the process held during it beyond what it held before, "
    "and how often each element was read. One call in one process each, so a difference is no property."
)


def sections(content: Content, styles: Styles) -> Iterator[Section]:
    """The sections about costs."""
    ladders = content.ladders
    yield _ladder(ladders, content, styles)
    yield _break_even(ladders, content, styles)
    yield _scaling(content, styles)
    yield _accuracy(content, styles)
    yield _memory(content, styles)
    yield _chunked(content)


def _ladder(ladders: list[Ladder], content: Content, styles: Styles) -> Section:
    used = [rung for rung in RUNGS if any(rung[0] in one.rungs for one in ladders)]
    steps: list[tuple[str, Callable[[Ladder], Item]]] = []
    for key, title, _ in used:
        steps.append((title, lambda one, key=key: _time(one.of(key).value)))  # type: ignore[misc]
        steps += [("of it compiling", lambda one: Item.of(one.compiling, text.seconds))] if key == "warm" else []
        steps += [("of it allocating", lambda one: Item.of(one.allocating, text.seconds))] if key == "api" else []
    rows = [
        [
            Item(f"{one.operation}.{one.implementation}" + (f", {one.run}" if content.several else "")),
            Item(one.dtype),
            *(step(one) for _, step in steps),
        ]
        for one in ladders
    ]
    columns = ["implementation", "dtype", *(title for title, _ in steps)]
    grid = Grid("ladder", "From import to a steady call", columns, rows, set(range(2, len(columns))), DIFFERENCES)
    meanings = "; ".join(f"{title}: {meaning}" for _, title, meaning in used)
    section = Section("ladder", "The ladder of times", f"{LADDER}{meanings[:1].upper()}{meanings[1:]}.", grids=[grid])
    if ladders and not any(rung in one.rungs for one in ladders for rung in DEVICE_RUNGS):
        device = any(run.about.machine.gpu for run in content.runs)
        section.points.append(f"{ON_DEVICE}: not measured{' in these runs' if device else ': no device'}. {ON_CPU}")
    groups = grouped(ladders, lambda one: (one.run, one.operation, one.dtype))
    return panels(section, groups, lambda name, group: drawn.ladder(name, group, styles))


def _time(seconds: float) -> Item:
    return Item(text.seconds(seconds), seconds)


def _break_even(ladders: list[Ladder], content: Content, styles: Styles) -> Section:
    what = text.listed(list(dict.fromkeys(one.input for one in ladders)))
    section = Section("break-even", "When it pays off", BREAK_EVEN.format(input=what))
    groups = []
    for group in grouped(ladders, lambda one: (one.run, one.operation, one.dtype)):
        base = next((one for one in group if one.implementation == content.baseline), None)
        if base is not None and math.isfinite(base.after(1, compiling=True)):
            groups.append([base, *(one for one in group if one is not base)])
            run = f"{base.run} – " if content.several else ""
            others = [one for one in group if one is not base and "call" in one.rungs]
            section.points += [f"{run}{startup.sentence(one, base)}" for one in others]
    for compiling in (True, False):
        panels(
            section,
            groups,
            lambda name, group, compiling=compiling: drawn.break_even(  # type: ignore[misc]
                name, group, group[0], styles, compiling=compiling
            ),
        )
    return section


def _scaling(content: Content, styles: Styles) -> Section:
    found = scalings(content.table)
    machines = len({one.machine for one in found})
    rows = [
        [
            Item(f"{one.operation}.{one.implementation}" + (f", {one.machine}" if machines > 1 else "")),
            Item(one.input),
            Item(one.dtype),
            Item(str(step.threads), step.threads),
            _time(step.time.value),
            Item.of(step.speedup, text.factor) if step.speedup else Item(text.factor(1), 1.0),
            Item.of(step.efficiency, text.percent),
        ]
        for one in found
        for step in one.steps
    ]
    columns = ["implementation", "input", "dtype", "threads", "time of one call", "times faster", "efficiency"]
    section = Section("scaling", "Threads", SCALING, grids=[Grid("scaling", "Threads", columns, rows, {3, 4, 5, 6})])
    groups = grouped(found, lambda one: (one.machine, one.operation, one.dtype, one.input))
    return panels(section, groups, lambda name, group: other.scaling(name, group, styles))


def _accuracy(content: Content, styles: Styles) -> Section:
    rows = content.table[(content.table["benchmark"] == "Accuracy") & (content.table["status"] == "ok")]
    groups = [group for _, group in rows.groupby(["run", "dtype"], sort=False)]
    lines = []
    for key, mine in rows.groupby(["run", "implementation", "dtype"], sort=False):
        largest = mine[mine["statistic"] == "largest_error"]["value"].max()
        typical = mine[mine["statistic"] == "typical_error"]["value"].max()
        lines.append(
            [
                Item(str(key[1]) + (f", {key[0]}" if content.several else "")),
                Item(str(key[2])),
                Item(text.digits(largest), largest),
                Item(text.digits(typical), typical),
            ]
        )
    columns = ["implementation", "dtype", "largest error (ulp)", "largest typical error (ulp)"]
    grid = Grid("accuracy", "Errors over all n", columns, lines, {2, 3})
    section = Section("accuracy", "Accuracy of softmax", ACCURACY, grids=[grid])
    return panels(section, [[g] for g in groups], lambda name, group: other.accuracy(name, group[0], styles))


def _memory(content: Content, styles: Styles) -> Section:
    rows = tables.memory(content.table)
    lines = [
        [
            Item(f"{r['operation']}.{r['implementation']}" + (f", {r['run']}" if content.several else "")),
            Item(r["dtype"]),
            Item(text.size(r["value"]), r["value"]),
            Item.of(Derived(r["over"], math.nan, math.nan, 1), text.size),
        ]
        for r in rows.to_dict("records")
    ]
    columns = ["implementation", "dtype", "peak of the process", "over the arrays alone"]
    grid = Grid("memory", "Peak memory", columns, lines, {2, 3})
    groups = [[group] for _, group in rows[rows["over"].notna()].groupby(["run", "operation", "dtype"], sort=False)]
    section = Section("memory", "Peak memory", MEMORY, grids=[grid])
    return panels(section, groups, lambda name, group: other.memory(name, group[0], styles))


def _chunked(content: Content) -> Section:
    rows = content.table[(content.table["benchmark"] == "Chunked") & (content.table["status"] == "ok")]
    lines = []
    for key, mine in rows.groupby(["run", "operation", "implementation", "dtype"], sort=False):
        run, operation, implementation, dtype = map(str, key)
        found = mine.set_index("statistic")["value"]
        time, peak, loads = (float(found.get(name, math.nan)) for name in ("time", "peak_memory", "loads"))
        who = f"{operation}.{implementation}" + (f", {run}" if content.several else "")
        lines.append(
            [Item(who), Item(dtype), _time(time), Item(text.size(peak), peak), Item(text.digits(loads), loads)]
        )
    columns = ["implementation", "dtype", "time", "peak memory beyond", "times read"]
    elements = text.listed([f"{n:,}" for n in dict.fromkeys(rows["n"].dropna())])
    grid = Grid("chunked", "Arrays in chunks", columns, lines, {2, 3, 4})
    return Section("chunked", "Arrays in chunks", CHUNKED.format(elements=elements), grids=[grid])
