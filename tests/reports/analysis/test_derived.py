"""Derived figures at their edges: too few processes, an interval that reaches no effect, an exceeded ceiling."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from maxbench.reports.analysis import content, derived, rules, startup
from maxbench.reports.analysis.derived import Derived, Measured
from maxbench.reports.show import compare, report
from maxbench.reports.show.figures import heat
from maxbench.reports.show.grid import Item
from maxbench.reports.system import text
from tests.report_data import Results

A, B = Measured(4.0, 3.0, 5.0, 3), Measured(2.0, 1.0, 2.5, 4)


def test_intervals_are_the_widest_that_both_allow() -> None:
    assert derived.ratio(A, B) == Derived(2.0, 3.0 / 2.5, 5.0, 3, 1.0)
    assert derived.difference(A, B) == Derived(2.0, 0.5, 4.0, 3, 0.0)
    total = A + B
    assert total == Measured(6.0, 4.0, 7.5, 3)
    assert derived.scaled(derived.ratio(A, B), 0.5) == Derived(1.0, 0.6, 2.5, 3, 0.5)


def test_a_row_of_the_table_is_a_quantity() -> None:
    row = {"value": 2, "low": 1, "high": 3, "processes": 4}
    assert derived.of(row) == Measured(2.0, 1.0, 3.0, 4)
    assert derived.of(row | {"processes": pd.NA}) == Measured(2.0, 1.0, 3.0, 0)
    assert repr(Measured(2.0)) == "Measured(value=2.0, low=nan, high=nan, processes=0)"


def test_figures_without_a_neutral_value_keep_none() -> None:
    share = derived.ratio(A, B, neutral=None)
    assert (share.neutral, share.decided) == (None, True)
    assert derived.scaled(share, 3.0) == Derived(6.0, 3.0 / 2.5 * 3.0, 15.0, 3, None)
    few = Derived(2.0, 1.5, 3.0, 3, 1.0)
    assert (few.decide().outcome, few.decide(2.0).outcome) == ("faster", "tie")
    assert Derived(1.0000001, 1.00000001, 1.1, 3, 1.0).decide() == rules.decide(few)
    assert [found.outcome for found in (Derived(0.999, 0.9, 1.1, 3).decide(), few.decide())] == ["tie", "faster"]
    assert Derived(0.5, 0.4, 0.6, 3).decide().outcome == "slower"
    assert derived.geometric_mean([Derived(1.01, 1.005, 1.02, 3, 1.0)])[1] == 0


def test_the_geometric_mean_is_of_the_ratios_that_can_be_told() -> None:
    told = [Derived(2, 1.5, 4, 5, 1.0), Derived(8, 4, 16, 4, 1.0), Derived(0.5, 0.25, 0.75, 3, 1.0)]
    tie = Derived(1.0, 0.9, 1.1, 3, 1.0)
    wide, few, alone, unknown = (
        Derived(25.4, 0.865, 76.7, 3, 1.0), Derived(9, 8, 10, 2, 1.0), Derived(9, math.nan, math.nan, 0, 1.0),
        Derived(9, 8, 10, 0, 1.0),
    )  # fmt: skip
    # The cube root of 2 * 8 / 2 is 2, the fourth root of the same with a tie is 8 ** 0.25.
    found, left = derived.geometric_mean([*told, wide, few, alone, unknown])
    assert (found.value, found.low, found.high) == pytest.approx((2, 1.5 ** (1 / 3), 48 ** (1 / 3)))
    assert (found.processes, left) == (3, 4)
    found, left = derived.geometric_mean([wide, *told, tie])
    assert (found.value, left) == (pytest.approx(8**0.25), 1)
    found, left = derived.geometric_mean([wide, few])
    assert (math.isnan(found.value), found.processes, left) == (True, 0, 2)
    assert found.withheld == "not measured"


@pytest.mark.parametrize(
    ("figure", "withheld", "words"),
    [
        (Derived(2.0, 1.01, 3.0, 3, 1.0), "", "2.00× (1.01–3.00×)"),
        (Derived(0.5, 0.3, 0.99, 3, 1.0), "", "0.500× (0.300–0.990×)"),
        (Derived(2.0, 1.0, 3.0, 3, 1.0), "not shown: the interval includes no effect", "2.00× (1.00–3.00×)"),
        (Derived(0.5, 0.3, 1.0, 3, 1.0), "not shown: the interval includes no effect", "0.500× (0.300–1.00×)"),
        (Derived(2.0, 0.5, 3.0, 3, None), "", "2.00× (0.500–3.00×)"),
        (Derived(2.0, 1.9, 2.1, 2, 1.0), "not shown: 2 processes", "2.00× (2 processes)"),
        (Derived(2.0, math.nan, math.nan, 1, 1.0), "not shown: 1 process", "2.00× (1 process)"),
        (Derived(2.0, 1.9, 2.1, 0, 1.0), "not shown: processes not known", "2.00× (processes not known)"),
        (Derived(math.nan, 1.9, 2.1, 3, 1.0), "not measured", "– (1.90–2.10×)"),
        (Derived(2.0, 1.9, 2.1, 3, 1.0, "too fast"), "too fast", "2.00× (1.90–2.10×)"),
    ],
)
def test_what_is_not_stated_has_its_reason(figure: Derived, withheld: str, words: str) -> None:
    assert figure.withheld == withheld
    assert figure.shown == (withheld == "")
    assert str(figure) == words


def test_a_table_marks_what_is_not_stated() -> None:
    item = Item.of(Derived(1e-3, 1e-4, 2e-3, 3, 0.0), text.seconds)
    assert (item.words, item.key, item.mark, item.title) == ("1.00 ms", 1e-3, "", "")
    item = Item.of(Derived(1e-3, 1e-4, 2e-3, 2, 0.0), text.seconds)
    assert (item.words, item.key, item.mark) == ("1.00 ms (2 processes)", 1e-3, "missing")
    item = Item.of(Derived(1e-3, -1e-4, 2e-3, 3, 0.0), text.seconds)
    assert (item.words, item.title) == ("1.00 ms (not shown)", "not shown: the interval includes no effect")
    item = Item.of(Derived(3.27, 3.0, 3.5, 3, None, "too fast"), text.percent)
    assert (item.words, item.title) == ("withheld", "too fast")


def run(folder: Path, processes: int, ceiling: float = 1.0e-3, scale: float = 1.0) -> Path:
    """numpy_vectorized 4 times as slow as `fast`, whose bandwidth is the ceiling's at 1 ms."""
    found = Results()
    for name, seconds in (("numpy_vectorized", 4e-3), ("middle", 2e-3), ("fast", 1e-3)):
        each = [[scale * seconds * (1 + 0.01 * k)] for k in range(-(processes // 2), processes - processes // 2)]
        found.add("softmax.Own.time_call", (name,), each, shape=(7, 10, 1), dtype="float32")
        found.add("softmax.Workloads.time_call", (name, "float32", "ImageNet"), each)
        found.add("softmax.Threads.time_call", (name, "float32", 1024, 1), each)
        found.add("softmax.Threads.time_call", (name, "float32", 1024, 2), [[s / 1.5 for s in p] for p in each])
        found.add("softmax.Sweep.time_call", (name, "float32", 2), each)
        found.add("softmax.Sweep.time_call", (name, "float32", 1024), each)
        found.add("argmax.Orders.time_call", (name, "float32", "random"), each)
        found.add("argmax.Orders.time_call", (name, "float32", "ascending"), [[15.6 * s for s in p] for p in each])
    top = [[ceiling]] * processes
    found.add("softmax.Ceiling.time_call", ("ceiling", "float32", 1 << 20), top, shape=(1, 1 << 20, 1))
    return found.write(folder)


@pytest.mark.parametrize("processes", [2, 3])
def test_a_run_of_few_processes_states_times_and_no_ratios(tmp_path: Path, processes: int) -> None:
    enough = processes == 3
    found = content.gather([run(tmp_path, processes)])
    page = report.write([tmp_path], tmp_path).read_text()
    assert found.lines[0].fastest == ("fast" if enough else "cannot tell (2 processes): fast has the smallest time")
    assert found.lines[0].over_baseline == ("4.00× (3.92–4.08×)" if enough else "4.00× (2 processes)")
    for words in ("as fast as numpy_vectorized", "as fast as middle, the runner-up"):
        assert (words in found.sentences[0]) == enough
    assert ("as fast as" in found.sentences[1]) == enough
    assert ("with 2 threads, efficiency 75%" in page) == enough
    assert ("with 2 threads not shown: 2 processes" in page) != enough
    later = content.gather([run(tmp_path / "later", processes, scale=0.5)])
    changes = compare.changes(found.contests, later.contests)
    assert {change.verdict for change in changes} == {"faster" if enough else "cannot tell"}
    assert {change.reason for change in changes} == {"" if enough else "2 processes"}
    assert any("need 3 processes" in warning for warning in found.warnings) != enough
    assert ("(15.6×)" in page) == enough
    assert ("100%</td>" in page) == enough  # the share of the ceiling
    assert ("fast from 4.00× to 4.00×" in page) == enough  # the heat map's description
    contest = found.contests[0]
    grey = heat._cell(contest, "fast", "numpy_vectorized")[0] == heat._SAME
    assert grey != enough
    assert math.isnan(contest.probability("fast")) != enough
    assert ("fast not shown: 2 processes" in page) != enough


def of_processes(count: int, value: float) -> Measured:
    return Measured(value, 0.9 * value, 1.1 * value, count)


@pytest.mark.parametrize(("load", "cold", "call"), [(2, 3, 3), (3, 2, 3), (3, 3, 2)])
def test_break_even_has_the_fewest_processes_of_any_of_its_times(load: int, cold: int, call: int) -> None:
    few, enough = (
        startup.Ladder("run", "softmax", name, "float32", {
            "load": of_processes(counts[0], 10 * cost), "cold": of_processes(counts[1], 10 * cost),
            "call": of_processes(counts[2], 1 / cost),
        })
        for name, counts, cost in (("few", (load, cold, call), 2.0), ("enough", (3, 3, 3), 1.0))
    )  # fmt: skip
    for one, other in ((few, enough), (enough, few)):
        even = startup.break_even(one, other, compiling=True)
        assert even is not None
        assert even.processes == 2
        assert not even.shown


def test_an_input_has_the_fewest_processes_of_its_implementations(tmp_path: Path) -> None:
    found = Results()
    for name, samples in (("a", [[1.0], [1.1], [1.2]]), ("b", [[1.05], [1.15]]), ("c", [[2.0], [2.1], [2.2], [2.3]])):
        found.add("softmax.Sweep.time_call", (name, "float32", 2), samples)
    (contest,) = content.gather([found.write(tmp_path)]).contests
    assert contest.processes == 2
    assert math.isnan(contest.probability("a"))


@pytest.mark.parametrize(("mine", "ceiling"), [(2, 3), (3, 2), (3, 3)])
def test_a_share_has_the_fewest_processes_of_the_two(tmp_path: Path, mine: int, ceiling: int) -> None:
    found = Results()
    found.add("softmax.Sweep.time_call", ("a", "float32", 2), [[2.0e-3]] * mine)
    found.add("softmax.Ceiling.time_call", ("ceiling", "float32", 1 << 20), [[1.0e-3]] * ceiling, shape=(1, 1 << 20, 1))
    (contest,) = content.gather([found.write(tmp_path)]).contests
    share = contest.share(contest.ranked[0])
    assert share is not None
    assert share.value == pytest.approx(0.5)
    assert share.processes == min(mine, ceiling)
    assert share.shown == (mine == ceiling)


def test_break_even_needs_processes_and_an_end() -> None:
    assert startup.BreakEven("x", 5.0, 3.0, 9.0, 3).shown
    assert str(startup.BreakEven("x", 5.0, 3.0, 9.0, 2)) == "not shown: 2 processes"
    assert str(startup.BreakEven("x", 5.0, 3.0, math.inf, 3)) == "not shown: the calls are too close"
    assert str(startup.BreakEven("x", math.inf, math.inf, math.inf, 3)) == "never"


@pytest.mark.parametrize(("percent", "doubted"), [(104.9, False), (105.1, True)])
def test_shares_above_105_percent_withhold_the_ceiling(tmp_path: Path, percent: float, doubted: bool) -> None:
    found = content.gather([run(tmp_path, 3, ceiling=1e-3 * percent / 100)])
    ceilings = [contest.ceiling for contest in found.contests if contest.ceiling]
    assert [bool(ceiling.doubt) for ceiling in ceilings] == [doubted] * 3
    assert any("withheld" in warning for warning in found.warnings) == doubted
