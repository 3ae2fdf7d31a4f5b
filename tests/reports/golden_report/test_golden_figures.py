"""What the figures draw and what their descriptions say, worked out once more from the raw samples."""

from __future__ import annotations

import itertools
import math
import re

import pytest

from .data import BASELINE, CEILING, DTYPES, ITEMSIZE, NAMES, SIZES, THREADS, WORKLOADS
from .expected import against, inputs, ladder, leads, medians, moved, near, outcome, ratio, rivals, time, times
from .page import said


def figure(found, section, operation):
    """The name of the figure of a section that is about an operation."""
    names = [name for name in found.drawings if re.fullmatch(rf"{section}-\d+", name)]
    (name,) = [name for name in names if found.alts[name].startswith(operation)]
    return name


def drawing(found, section, operation):
    """(axes, description) of that figure."""
    name = figure(found, section, operation)
    return found.drawings[name].axes[0], found.alts[name]


def line_of(axes, label):
    (one,) = [one for one in axes.get_lines() if one.get_label() == label]
    return one


def line(axes, label, style=None):
    """x -> y of a line."""
    (one,) = [one for one in axes.get_lines() if one.get_label() == label and style in (None, one.get_linestyle())]
    return dict(zip(one.get_xdata(), one.get_ydata(), strict=True))


def bars(axes):
    """The intervals drawn, as (x, low, high)."""
    return {(x, low, high) for one in axes.collections for (x, low), (_, high) in one.get_segments()}


def near_bar(axes, x, low, high):
    return any((x, low, high) == pytest.approx(bar) for bar in bars(axes))


@pytest.mark.parametrize("operation", DTYPES)
def test_times_bandwidths_and_shares(raw, found, operation):
    itemsize = ITEMSIZE[DTYPES[operation]]
    elements = 2**20 * itemsize // ITEMSIZE[CEILING]
    copied = time(raw, operation, "Ceiling.time_call", ("ceiling", CEILING, elements))
    top, most_top, least_top = (moved(operation, (1, elements, 1), 4) / seconds for seconds in copied)
    drawn = {section: drawing(found, section, operation) for section in ("time", "bandwidth", "share")}
    for n in SIZES:
        bytes_moved = moved(operation, (2**20 // n, n, 1), itemsize)
        ran = times(raw, operation, f"n = {n:,}")
        for name, (value, low, high) in ran.items():
            expected = {
                "time": (value, low, high),
                "bandwidth": (bytes_moved / value, bytes_moved / high, bytes_moved / low),
            }
            tops = (top, most_top, least_top)
            expected["share"] = tuple(100 * of / by for of, by in zip(expected["bandwidth"], tops, strict=True))
            for section, (y, least, most) in expected.items():
                axes = drawn[section][0]
                assert line(axes, name)[n] == pytest.approx(y)
                assert near_bar(axes, n, least, most)
        assert line(drawn["time"][0], "ceiling")[n] == pytest.approx(bytes_moved / top)
        assert line(drawn["bandwidth"][0], "ceiling")[n] == pytest.approx(top)
        if n in (SIZES[0], SIZES[-1]):
            first = next(iter(ran))
            words = re.search(rf"at n = {n:,} (\w+) has the smallest time, ([^;.]+\.?\d* \S?s)", drawn["time"][1])
            assert words[1] == first
            near(said(words[2]), [ran[first][0]])
    # The ceiling is within what is shown.
    low, high = drawn["bandwidth"][0].get_ylim()
    assert low == 0 < top < high


@pytest.mark.parametrize("operation", DTYPES)
def test_the_heat_map(raw, found, operation):
    axes, alt = drawing(found, "speedup", operation)
    words = [text.get_text() for text in axes.texts]
    names = [BASELINE, *(name for name in words if name in NAMES and name != BASELINE)]
    titles = [title for title in inputs(operation) if "×" not in title]
    assert words[len(names) :][: len(titles)] == titles
    cells = words[len(names) + len(titles) :]  # implementation by implementation
    ratios = {name: [] for name in NAMES}
    for row, title in enumerate(titles):
        here = cells[row :: len(titles)]
        ran = times(raw, operation, title)
        for name, shown in zip(names, here, strict=True):
            if name not in ran:
                assert shown == "failed"
            elif name == BASELINE:
                near(said(shown), [ran[name][0]])
            else:
                ratios[name].append(ran[BASELINE][0] / ran[name][0])
                near(said(shown), [ratios[name][-1]])
    for name in set(NAMES) - {BASELINE}:
        between = re.search(rf"{name} from (\S+) to (\S+?)[;.]( |$)", alt)
        near(said(" ".join(between.groups()[:2])), [min(ratios[name]), max(ratios[name])])
    greys = sum(
        ratio(ran[BASELINE], ran[name])[1] <= 1 <= ratio(ran[BASELINE], ran[name])[2]
        for ran in (times(raw, operation, title) for title in titles)
        for name in ran
        if name != BASELINE
    )
    colors = [tuple(round(255 * c) for c in face[:3]) for one in axes.collections for face in one.get_facecolors()]
    assert colors.count((0xD9, 0xD9, 0xD8)) == greys


@pytest.mark.parametrize("operation", DTYPES)
def test_the_performance_profile(raw, found, operation):
    axes, alt = drawing(found, "profile", operation)
    every = [times(raw, operation, title) for title in inputs(operation)]
    best = [min(value for value, _, _ in ran.values()) for ran in every]
    for name in NAMES:
        slowdowns = [ran[name][0] / least for ran, least in zip(every, best, strict=True) if name in ran]
        steps = line(axes, name)
        for tau, share in steps.items():
            within = sum(slowdown <= tau * (1 + 1e-9) for slowdown in slowdowns)
            assert share == pytest.approx(100 * within / len(every)) or (tau, share) == (1, 0)
        assert f"{name} on {sum(s == 1 for s in slowdowns)}" in alt


@pytest.mark.parametrize("operation", DTYPES)
def test_the_curves_of_what_pays_off(raw, found, operation):
    for name, first in itertools.product(NAMES, ("first_call_cold", "first_call_warm")):
        one = ladder(raw, operation, name)
        where = {"first_call_cold": "compiling", "first_call_warm": "from cache"}[first]
        (figure,) = [
            key for key, alt in found.alts.items() if key.startswith("break-even") and alt.startswith(operation)
            and f": {where}:" in alt
        ]  # fmt: skip
        for calls, seconds in line(found.drawings[figure].axes[0], name).items():
            assert seconds == pytest.approx(one["load"] + one[first] + calls * one["call"][0])


@pytest.mark.parametrize("operation", DTYPES)
def test_threads_with_the_line_of_full_efficiency(raw, found, operation):
    axes, alt = drawing(found, "scaling", operation)
    for name in ("quick", "near"):
        values = [time(raw, operation, "Threads.time_call", (name, DTYPES[operation], 1024, k))[0] for k in THREADS]
        assert list(line(axes, name).values()) == pytest.approx([values[0] / value for value in values])
        last = values[0] / values[-1]
        words = re.search(rf"{name}: (\S+) with (\d+) threads, efficiency (\S+%)", alt)
        near(said(words[1]), [last])
        assert said(words[3]) == pytest.approx([last / (THREADS[-1] / THREADS[0])], abs=5e-3)
    # All of it is shown.
    assert axes.get_ylim()[1] >= THREADS[-1] / THREADS[0]


def test_errors_and_memory(raw, found):
    axes, alt = drawing(found, "accuracy", "softmax")
    for name in NAMES:
        for statistic, style in (("largest", "-"), ("typical", ":")):
            values = {n: raw.cells["softmax", f"Accuracy.track_{statistic}_error", (name, "float32", n)] for n in SIZES}
            assert line(axes, name, style) == pytest.approx(values)
        worst = max(raw.cells["softmax", "Accuracy.track_largest_error", (name, "float32", n)] for n in SIZES)
        near(said(re.search(rf"{name} (\S+) ulp", alt)[1]), [worst])
    for operation, dtype in DTYPES.items():
        _, alt = drawing(found, "memory", operation)
        for name in NAMES:
            peak, arrays = (raw.cells[operation, "Memory.peakmem_call", (k, dtype)] for k in (name, "(arrays only)"))
            near(said(re.search(rf"{name} (\S+ MiB)", alt)[1]), [peak - arrays])


def test_the_map_has_each_winner_in_its_cell_with_its_chance(raw, found):
    looks = set()
    for operation in DTYPES:
        axes, alt = drawing(found, "winners", operation)
        marks = {mark.input: mark for mark in found.marks[figure(found, "winners", operation)]}
        drawn = {}  # centre of a cell -> whether it is filled, and hatched
        for one in axes.collections:
            for path in one.get_paths():
                (left, low), (right, high) = path.vertices.min(axis=0), path.vertices.max(axis=0)
                drawn[(left + right) / 2, (low + high) / 2] = len(one.get_facecolors()) > 0, bool(one.get_hatch())
        assert len(drawn) == len(marks) == len(inputs(operation))
        for title, (benchmark, rest, (outer, n, inner)) in inputs(operation).items():
            ran = times(raw, operation, title)
            assert f"{title}: {' or '.join(rivals(ran))}" in alt
            (mark,) = [m for name, m in marks.items() if f", {title}, " in name]
            assert (round(mark.x), mark.y) == (round(math.log2(n)), round(math.log2(outer * inner)))
            look = {"faster": (True, False), "tie": (False, True), "cannot tell": (False, False)}[outcome(ran)]
            looks.add(look)
            (place,) = [one for place, one in drawn.items() if place == pytest.approx((mark.x, mark.y))]
            assert place == look
            assert re.match(rf"{outcome(ran)}(: interval too wide)?: {next(iter(ran))} on {title}", mark.words)
            draws = list(itertools.product(*(medians(raw, operation, benchmark, (name, *rest)) for name in ran)))
            wins = sum(draw[0] == min(draw) for draw in draws) / len(draws)
            chance = re.search(r"fastest with a probability of (\S+);", mark.words)[1]
            assert said(chance) == pytest.approx([wins], abs=5e-3)
            near(said(mark.words.rpartition("; ")[2].partition(" as fast")[0]), ratio(*list(ran.values())[1::-1]))
    assert len(looks) == 3


@pytest.mark.parametrize("operation", DTYPES)
@pytest.mark.parametrize("section", ["overview", "time", "bandwidth", "share", "speedup"])
def test_what_a_point_says_when_touched(raw, found, operation, section):
    dtype = DTYPES[operation]
    itemsize = ITEMSIZE[dtype]
    ceiling = time(raw, operation, "Ceiling.time_call", ("ceiling", CEILING, 2**20 * itemsize // ITEMSIZE[CEILING]))
    top = [moved(operation, (1, 2**20 * itemsize // ITEMSIZE[CEILING], 1), 4) / seconds for seconds in ceiling]
    marks = [mark for mark in found.marks[figure(found, section, operation)] if mark.tag]
    seen = set()
    for mark in marks:
        name, title = re.match(
            rf"(\w+)(?: on |: )({'|'.join(map(re.escape, inputs(operation)))})?", mark.words
        ).groups()
        if title is None:  # it failed there
            assert (section, name) == ("speedup", "slow")
            continue
        seen.add((name, title))
        _, _, shape = inputs(operation)[title]
        ran = times(raw, operation, title)
        value, low, high = ran[name]
        facts = mark.words.split("; ")
        assert f", {dtype}: " in facts[0]
        near(said(facts[0].rpartition(f"{dtype}: ")[2]), (value, low, high))
        bandwidth = moved(operation, shape, itemsize) / value
        near(said(facts[1]), [bandwidth])
        shares = [fact for fact in facts if "of the ceiling" in fact]
        size = math.prod(shape) * itemsize
        assert bool(shares) == (1 / 2 <= size / (2**20 * itemsize) <= 2)  # as many bytes as the ceiling's, about
        if shares:
            ends = bandwidth / top[0], bandwidth * value / high / top[1], bandwidth * value / low / top[2]
            assert said(shares[0].partition(" of the")[0]) == pytest.approx(list(ends), abs=5e-3)
        assert "3 processes" in facts
        if section == "overview":
            assert mark.x == pytest.approx(value)
        if section == "speedup" and name != BASELINE:
            (over,) = [fact for fact in facts if f"as fast as {BASELINE}" in fact]
            near(said(over.partition(" as fast")[0]), ratio(ran[BASELINE], (value, low, high)))
    titles = [t for t, (benchmark, _, _) in inputs(operation).items() if benchmark.startswith(
        {"overview": "Workloads", "speedup": ("Workloads", "Sweep")}.get(section, "Sweep"))]  # fmt: skip
    assert seen == {(name, title) for title in titles for name in times(raw, operation, title)}


def test_the_overview_draws_every_interval_and_what_the_leader_reaches(raw, found):
    for operation in DTYPES:
        axes, alt = drawing(found, "overview", operation)
        leader = leads(raw, operation, WORKLOADS)
        rows = [text.get_text() for text in axes.texts]
        assert rows[::2] == list(WORKLOADS)
        for row, (title, words) in enumerate(zip(WORKLOADS, rows[1::2], strict=True)):
            ran = times(raw, operation, title)
            for name, (value, low, high) in ran.items():
                spans = [tuple(map(tuple, s)) for one in axes.collections for s in one.get_segments()]
                assert any(s == (pytest.approx((low, row)), pytest.approx((high, row))) for s in spans)
                assert dict(zip(line_of(axes, name).get_ydata(), line_of(axes, name).get_xdata(), strict=True))[
                    row
                ] == pytest.approx(value)
            outcome_here, over = against(ran, leader)
            if outcome_here in ("faster", "slower"):
                assert words.endswith({"faster": "faster", "slower": "LOST"}[outcome_here])
                near(said(words), [over[0]])
            else:
                assert words == outcome_here
            assert f"{title} {words}" in alt
