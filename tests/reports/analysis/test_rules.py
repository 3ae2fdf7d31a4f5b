"""The decision rules at their edges, against numbers worked out by hand."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest
from scipy.stats import gmean

from maxbench.reports.analysis import rules
from maxbench.reports.analysis.derived import Derived
from maxbench.reports.analysis.rules import Decision

NAN = math.nan


def test_the_thresholds_are_the_documented_ones() -> None:
    assert (rules.LEAST_PROCESSES, rules.SAME, rules.VAGUE, rules.BETWEEN_RUNS) == (3, 0.10, 2, 0.10)
    assert (rules.BETWEEN_VERSIONS, rules.STEP, rules.SURE, rules.MOST_SHARE) == (0.025, 0.02, 0.95, 1.05)


@pytest.mark.parametrize(
    ("figure", "least", "outcome", "reason"),
    [
        ((1.5, 1.01, 2.0, 3), 0, "faster", ""),
        ((0.5, 0.2, 0.99, 3), 0, "slower", ""),
        # An interval that reaches 1 decides nothing; up to a fifth to either side it is a tie.
        ((1.1, 1.0, 1.2, 3), 0, "tie", ""),
        ((0.9, 1 / 1.2, 1.0, 3), 0, "tie", ""),
        ((1.1, 1.0, 1.21, 3), 0, "cannot tell", "interval too wide"),
        ((0.9, 0.83, 1.0, 3), 0, "cannot tell", "interval too wide"),
        ((1.1, 0.9, 1.15, 3), 0, "tie", ""),
        ((0.95, 0.9, 1.15, 3), 0, "tie", ""),
        ((0.5, 0.1, 1.1, 3), 0, "cannot tell", "interval too wide"),
        ((25.4, 0.865, 76.7, 3), 0.1, "cannot tell", "interval too wide"),
        # A smallest difference that counts makes a tie of less, whatever the interval leaves out.
        ((1.09, 1.05, 1.15, 3), 0.1, "tie", ""),
        ((1.11, 1.05, 1.15, 3), 0.1, "faster", ""),
        ((0.92, 0.9, 0.95, 3), 0.1, "tie", ""),
        ((0.9, 0.85, 0.95, 3), 0.1, "slower", ""),
        ((1.09, 1.05, 1.3, 3), 0.1, "cannot tell", "interval too wide"),
        ((1.4, 1.3, 1.9, 3), 0.5, "tie", ""),
        ((1.4, 1.3, 2.1, 3), 0.5, "cannot tell", "interval too wide"),
        # Whatever the ratio.
        ((99.0, 98.0, 100.0, 2), 0, "cannot tell", "2 processes"),
        ((99.0, NAN, NAN, 1), 0, "cannot tell", "1 process"),
        ((99.0, NAN, NAN, 0), 0, "cannot tell", "one sample: no interval"),
        ((1.0, NAN, NAN, 3), 0, "cannot tell", "one sample: no interval"),
        ((99.0, 98.0, NAN, 3), 0, "cannot tell", "one sample: no interval"),
        ((99.0, 98.0, 100.0, 0), 0, "cannot tell", "processes not known"),
        ((NAN, NAN, NAN, 0), 0, "cannot tell", "not measured"),
    ],
)
def test_a_ratio_is_decided_by_its_interval(
    figure: tuple[float, float, float, int], least: float, outcome: rules.Outcome, reason: str
) -> None:
    found = Derived(*figure, neutral=1.0).decide(least)
    assert found == Decision(outcome, reason)
    assert str(found) == (f"{outcome}: {reason}" if reason else outcome)


@pytest.mark.parametrize("figure", [(1.5, 1.01, 2.0, 3), (1.1, 1.0, 1.2, 3), (1.1, 1.0, 1.21, 3), (1.3, 1.2, 1.4, 2)])
def test_the_other_way_round_the_rule_says_the_opposite(figure: tuple[float, float, float, int]) -> None:
    value, low, high, processes = figure
    there = Derived(value, low, high, processes, 1.0).decide(0.1)
    back = Derived(1 / value, 1 / high, 1 / low, processes, 1.0).decide(0.1)
    opposite = {"faster": "slower", "slower": "faster"}
    assert (back.outcome, back.reason) == (opposite.get(there.outcome, there.outcome), there.reason)


@pytest.mark.parametrize(("least", "less"), [(0.0, 0.0), (0.025, -0.025 / 1.025), (0.25, -0.2), (1.0, -0.5)])
def test_a_change_counts_from_the_same_ratio_in_both_directions(least: float, less: float) -> None:
    assert [rules.beyond(v, least) for v in (least, math.nextafter(least, 9))] == [0, 1]
    assert [rules.beyond(v, least) for v in (less, math.nextafter(less, -9))] == [0, -1]
    assert rules.vague(math.nextafter(2 * least, 9), least)
    assert not rules.vague(2 * least, least)


def test_a_step_is_large_and_sure() -> None:
    below = math.nextafter(0.02, 0), math.nextafter(0.95, 0)
    assert [rules.step(size, 1.0) for size in (below[0], -below[0], 0.02, -0.02)] == ["none", "none", "step", "step"]
    assert [rules.step(0.5, confidence) for confidence in (below[1], 0.95)] == ["possible step", "step"]


def test_a_share_of_the_ceiling_may_be_a_little_more_than_all() -> None:
    assert [rules.impossible(share) for share in (0.5, 1.05, math.nextafter(1.05, 2))] == [False, False, True]


@pytest.mark.parametrize(
    ("count", "dropped"), [(2, 0), (3, 0), (8, 0), (9, 1), (12, 2)]
)  # 1 - 2 (1 + 9) / 2^9 = 96.1%, 1 - 2 (1 + 12 + 66) / 2^12 = 96.1%
def test_the_interval_is_the_range_of_few_processes_and_narrower_of_many(count: int, dropped: int) -> None:
    values = [float((7 * k) % 13) for k in range(count)]
    assert rules.interval(values) == (sorted(values)[dropped], sorted(values)[count - 1 - dropped])


@pytest.mark.parametrize("confidence", [0.05, 0.5, 0.625, 0.95, 0.999])  # of 5 processes the inner three cover 0.625
def test_as_many_are_dropped_as_the_confidence_allows(confidence: float) -> None:
    for count in range(1, 40):
        drop, reached = rules.median_interval(count, confidence)
        below = itertools.accumulate(math.comb(count, k) for k in range(count))
        covered = [1 - Fraction(2 * some, 2**count) for some in below]
        assert drop == max((k for k in range(count) if covered[k] >= confidence), default=0)
        assert reached == covered[drop]


def test_one_process_has_no_interval() -> None:
    assert all(math.isnan(end) for found in (rules.interval([1.0]), rules.interval([])) for end in found)


def test_the_geometric_mean_is_divided_by_the_count_of_its_values() -> None:
    assert rules.geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    assert rules.geometric_mean([1.0, 1.0, 27.0]) == pytest.approx(3.0)
    values = [0.5, 1.02, 3.3, 41.0, 7.0]
    assert rules.geometric_mean(values) == pytest.approx(gmean(values))
    assert all(math.isnan(rules.geometric_mean(some)) for some in ([], [1.0, 0.0], [-1.0, 2.0]))
