"""Contests: who competes on an input, who wins it how surely, and which share of the ceiling each reaches."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some

from maxbench.reports.analysis import contests
from maxbench.reports.analysis.contests import Ceiling, Cell, Contest
from maxbench.reports.analysis.derived import Derived
from maxbench.reports.analysis.rules import Decision

NAN = math.nan


def cell(name: str, *medians: float, bandwidth: float = 8.0, status: str = "ok") -> Cell:
    """A cell whose value is the second of its medians, and whose interval their range."""
    value = sorted(medians)[len(medians) // 2] if medians else NAN
    low, high = (min(medians), max(medians)) if len(medians) > 1 else (NAN, NAN)
    return Cell(name, value, low, high, medians, bandwidth, status, "")


def contest(*cells: Cell, ceiling: Ceiling | None = None, **changes: Any) -> Contest:
    about: dict[str, Any] = {"benchmark": "Sweep", "workload": "", "n": 1024, "outer": 2, "inner": 1}
    return Contest("run", "softmax", "float32", **about | changes, cells=cells, ceiling=ceiling)


A, B, C = cell("a", 1.0, 1.1, 1.2), cell("b", 2.0, 2.1, 2.2), cell("c", 1.1, 1.15, 1.3)
FAR = cell("far", 3.0, 4.0)  # of two processes
FAILED, EMPTY = cell("failed", 0.1, 0.1, 0.1, status="failed"), cell("empty")


def test_what_is_measured_is_ranked_and_the_rest_is_missing() -> None:
    found = contest(FAILED, B, EMPTY, A)
    assert (found.ranked, found.missing) == ((A, B), (FAILED, EMPTY))
    assert (found.fastest, found.runner_up, found.processes) == (A, B, 3)
    assert (contest(A).fastest, contest(A).runner_up) == (A, None)
    assert (contest().fastest, contest().runner_up, contest().processes) == (None, None, 0)
    assert [found.of(name) for name in ("a", "failed", "x")] == [A, None, None]
    assert (contest(A, FAR).processes, cell("one", 1.0).processes) == (2, 1)


def test_a_cell_is_shown_with_its_interval_where_it_has_one() -> None:
    assert (str(A), str(cell("one", 1.0))) == ("1.10 s (1.00–1.20 s)", "1.00 s")


def test_how_many_times_faster_one_is_than_another() -> None:
    assert A.over(B) == Derived(2.1 / 1.1, 2.0 / 1.2, 2.2 / 1.0, 3, 1.0)
    found = contest(A, B, C)
    assert (found.over_baseline("b"), found.over_runner_up()) == (A.over(B), A.over(C))
    assert [found.over_baseline(name) for name in ("a", "x")] == [None, None]
    assert [contest(A).over_runner_up(), contest().over_runner_up(), contest().over_baseline("a")] == [None] * 3


@pytest.mark.parametrize(
    ("cells", "decision", "rivals"),
    [
        ((A, B), Decision("faster"), "a"),
        ((A, B, cell("same", 1.1, 1.1, 1.1)), Decision("tie"), "a same"),
        ((A, B, cell("wide", 1.0, 1.2, 9.0)), Decision("cannot tell", "interval too wide"), "a wide"),
        ((A, cell("same", 1.1, 1.1, 1.1), FAR), Decision("cannot tell", "2 processes"), "a same"),
        ((A, B, FAR), Decision("cannot tell", "2 processes"), "a"),
        ((A,), Decision("cannot tell", "nothing else was measured"), "a"),
        ((), Decision("cannot tell", "nothing else was measured"), ""),
    ],
)
def test_the_fastest_must_beat_all_others(cells: tuple[Cell, ...], decision: Decision, rivals: str) -> None:
    found = contest(*cells)
    assert (found.decision, found.clear) == (decision, decision.outcome == "faster")
    assert " ".join(one.implementation for one in found.rivals) == rivals


@given(some.lists(some.lists(some.integers(1, 5), min_size=3, max_size=4), min_size=1, max_size=4))
def test_the_probability_is_the_share_of_all_draws(medians: list[list[int]]) -> None:
    found = contest(*(cell(f"{k}", *map(float, times)) for k, times in enumerate(medians)))
    wins = [Fraction(0)] * len(medians)
    draws = list(itertools.product(*medians))
    for draw in draws:
        best = [k for k, time in enumerate(draw) if time == min(draw)]
        for k in best:
            wins[k] += Fraction(1, len(best) * len(draws))
    assert [found.probability(f"{k}") for k in range(len(medians))] == pytest.approx(list(map(float, wins)))


def test_without_three_processes_of_each_there_is_no_probability() -> None:
    assert contest(A, B).probability("b") == 0.0
    unknown = (contest(A, FAR).probability("a"), contest(A).probability("x"), contest().probability("a"))
    assert all(map(math.isnan, unknown))


@pytest.mark.parametrize(
    ("changes", "title", "shape"),
    [
        ({}, "n = 1,024", "2 × 1024"),
        ({"inner": 3}, "n = 1,024", "2 × 1024 × 3 (axis 1)"),
        ({"benchmark": "Strided"}, "n = 1,024, strided", "2 × 1024"),
        ({"benchmark": "Own", "workload": "x"}, "your array", "2 × 1024"),
        ({"benchmark": "Workloads", "workload": "ImageNet"}, "ImageNet", "2 × 1024"),
        ({"benchmark": "Shapes"}, "2 × 1024", "2 × 1024"),
        ({"benchmark": "Shapes", "outer": None}, "n = 1,024", ""),
        ({"benchmark": "Workloads", "workload": "x", "n": None}, "x", ""),
        ({"benchmark": "Workloads", "workload": "x", "inner": None}, "x", ""),
        *(({"benchmark": name}, "n = 1,024", "2 × 1024") for name in ("Api", "Threads")),
    ],
)
def test_an_input_is_called_by_what_it_is(changes: dict[str, Any], title: str, shape: str) -> None:
    found = contest(**changes)
    assert (found.title, found.shape) == (title, shape)


def test_the_share_of_the_ceiling_has_the_widest_interval() -> None:
    ceiling = Ceiling(bandwidth=10.0, low=9.0, high=12.0, value=0.5, processes=4, size=64.0, doubt="so")
    one = Cell("a", 2.0, 1.0, 4.0, (1.0, 2.0, 4.0), 5.0, "ok", "")
    share = contest(one, ceiling=ceiling).share(one)
    assert share == Derived(0.5, 2.5 / 12.0, 10.0 / 9.0, 3, None, "so")
    assert contest(one).share(one) is None
    assert contest(one, ceiling=ceiling).share(replace(one, bandwidth=NAN)) is None
    assert not contests.impossible(None)
    assert [contests.impossible(Derived(value, 1, 1, 3)) for value in (1.05, 1.06)] == [False, True]


def row(implementation: str = "a", **changes: Any) -> dict[str, Any]:
    """A row of the tidy table, of 2 * 1024 elements of float32 that take 1 ms."""
    return {
        "run": "r", "operation": "softmax", "benchmark": "Sweep", "dtype": "float32", "workload": "", "n": 1024,
        "outer": 2, "inner": 1, "implementation": implementation, "statistic": "time", "value": 1e-3, "low": 0.5e-3,
        "high": 2e-3, "process_medians": (0.5e-3, 1e-3, 2e-3), "bandwidth": 1.0, "status": "ok", "reason": "",
    } | changes  # fmt: skip


def ceiling(outer: float = 2, **changes: Any) -> dict[str, Any]:
    return row("ceiling", **{"benchmark": "Ceiling", "outer": outer, "bandwidth": 4.0, **changes})


def found_in(*rows: dict[str, Any], **options: Any) -> list[Contest]:
    frame = pd.DataFrame(rows)
    for name in ("n", "outer", "inner"):
        frame[name] = frame[name].astype("Int64")
    return contests.contests(frame, **options)


def test_a_row_of_the_table_becomes_a_cell_of_its_input() -> None:
    rows = [
        row("a"), row("b", status="failed", reason="why", value=NAN), row("a", statistic="load"),
        row("a", benchmark="Api"), ceiling(),
    ]  # fmt: skip
    (found,) = found_in(*rows)
    expected = Ceiling(4.0, 4.0 * 1e-3 / 2e-3, 4.0 * 1e-3 / 0.5e-3, 2 * 4 * 2048 / 4e9, 3, 8192.0)
    cells = (
        Cell("a", 1e-3, 0.5e-3, 2e-3, (0.5e-3, 1e-3, 2e-3), 1.0, "ok", ""),
        replace(found.cells[1], implementation="b", status="failed", reason="why"),
    )
    assert found == Contest("r", "softmax", "float32", "Sweep", "", 1024, 2, 1, cells, expected)
    assert found.ceiling is not None
    (unknown,) = found_in(row(process_medians=()), ceiling(process_medians=NAN))
    assert unknown.ceiling is not None
    assert (unknown.cells[0].medians, unknown.ceiling.processes) == ((), 0)
    (unknown,) = found_in(row(process_medians=NAN))
    assert (unknown.cells[0].medians, unknown.ceiling) == ((), None)


def test_inputs_differ_in_all_that_makes_them() -> None:
    changes: list[dict[str, Any]] = [
        {}, {"run": "s"}, {"dtype": "int8"}, {"n": 1}, {"n": pd.NA}, {"outer": 3}, {"operation": "argmax"},
        {"benchmark": "Strided"}, {"benchmark": "Shapes"}, {"benchmark": "Workloads", "workload": "x"},
        {"benchmark": "Workloads", "workload": "y"}, {"benchmark": "Own"},
    ]  # fmt: skip
    found = found_in(*(row(name, **change) for change in changes for name in "ab"))
    assert [len(one.cells) for one in found] == [2] * len(changes)
    order = [(one.operation, one.benchmark) for one in found]
    assert [key for key, _ in itertools.groupby(order)] == [
        *(("softmax", name) for name in contests.BENCHMARKS), ("argmax", "Sweep"),
    ]  # fmt: skip
    some_of = found_in(*(row(**change) for change in changes), benchmarks=["Shapes", "Own"])
    assert [one.benchmark for one in some_of] == ["Shapes", "Own"]


def test_a_skipped_one_takes_the_size_of_its_input_from_the_others() -> None:
    for benchmark in ("Workloads", "Own"):
        unsized = {"n": pd.NA, "outer": pd.NA, "inner": pd.NA, "status": "skipped", "value": NAN}
        (found,) = found_in(row("a", benchmark=benchmark, **unsized), row("b", benchmark=benchmark))
        assert (len(found.cells), found.n, found.outer, found.inner) == (2, 1024, 2, 1)
        (found,) = found_in(row("a", benchmark=benchmark, **unsized))
        assert (found.n, found.outer, found.inner, found.shape) == (None, None, None, "")


@pytest.mark.parametrize(
    ("outers", "expected"),
    [((2,), 2), ((4,), 4), ((1,), 1), ((5,), None), ((8, 1), 1), ((1, 2, 4), 2), ((4, 3), 3), ((16,), None)],
)
def test_the_ceiling_is_that_of_the_nearest_size(outers: tuple[int, ...], expected: int | None) -> None:
    (found,) = found_in(row(), *(ceiling(outer, bandwidth=float(outer)) for outer in outers))
    assert (found.ceiling and found.ceiling.bandwidth) == expected
    assert found.ceiling is None or found.ceiling.size == 4096 * found.ceiling.bandwidth
    (found,) = found_in(row(outer=5, dtype="int8", operation="argmax"), ceiling(1, operation="argmax"))
    assert found.ceiling is not None
    assert found.ceiling.value == pytest.approx((5 * 1024 + 5 * 8) / 4e9)


@pytest.mark.parametrize(
    ("mine", "of"),
    [
        ({}, {"status": "wrong"}), ({}, {"status": "failed"}), ({}, {"bandwidth": NAN}), ({}, {"run": "s"}),
        ({}, {"operation": "argmax"}), ({}, {"benchmark": "Api"}), ({}, {"benchmark": "Threads"}),
        ({"dtype": "float99"}, {}), ({"outer": pd.NA}, {}), ({"n": pd.NA}, {}), ({"inner": pd.NA}, {}),
    ],
)  # fmt: skip
def test_there_is_no_ceiling_of_what_is_not_known(mine: dict[str, Any], of: dict[str, Any]) -> None:
    assert {one.ceiling for one in found_in(row(**mine), ceiling(**of))} == {None}


def test_a_ceiling_that_is_exceeded_is_doubted_wherever_it_counts() -> None:
    def exceeding(name: str, share: float, **changes: Any) -> dict[str, Any]:
        return row(name, bandwidth=4.0 * share, value=1e-3 / share, **changes)

    rows = [
        exceeding("a", 1.05), exceeding("b", 1.06), exceeding("c", 2.0, dtype="int32"), exceeding("d", 1.5, n=1023),
        row("e", run="s"), row("e", operation="argmax"), row("e", outer=40), exceeding("f", 3.0, status="failed"),
    ]  # fmt: skip
    tops = [ceiling(), ceiling(run="s"), ceiling(operation="argmax"), ceiling(40)]
    found = found_in(*rows, *tops)
    said = "withheld: c on n = 1,024 (int32) reaches 200% of the ceiling, so one of the two was not measured right"
    assert {(c.run, c.operation, c.outer, c.ceiling.doubt) for c in found if c.ceiling} == {
        ("r", "softmax", 2, said), ("s", "softmax", 2, ""), ("r", "argmax", 2, ""), ("r", "softmax", 40, ""),
    }  # fmt: skip
    assert len(found) == 6


def test_the_answer_is_about_the_array_and_workloads_where_there_are_any() -> None:
    sweep, own, workload = (contest(A, benchmark=name, workload=name) for name in ("Sweep", "Own", "Workloads"))
    other = replace(sweep, operation="argmax")
    assert contests.main_contests(iter([sweep, own, other, workload])) == [own, workload, other]
    assert contests.main_contests([sweep, other]) == [sweep, other]


def test_the_baseline_is_the_one_wanted_else_numpy_s_else_the_slowest() -> None:
    numpy = cell("numpy_vectorized", 1.0)
    slow, fast = contest(A, B), contest(B, A, FAR)
    assert contests.baseline_of(iter([slow, fast]), "a") == "a"
    assert contests.baseline_of([slow, contest(numpy, A)]) == "numpy_vectorized"
    assert contests.baseline_of([slow, fast, fast]) == "far"
    assert contests.baseline_of([slow, fast]) == "b"  # the first of equally many
    assert contests.baseline_of([contest(FAILED), slow]) == "b"
    assert contests.baseline_of([contest(FAILED)]) is None
    with pytest.raises(ValueError, match=r"baseline 'x' was not measured; measured were a, b$"):
        contests.baseline_of([slow], "x")
    with pytest.raises(ValueError, match="measured were none"):
        contests.baseline_of([], "x")
