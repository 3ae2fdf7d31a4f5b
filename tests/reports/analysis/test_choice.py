"""Rules in words: ranges that end at measured inputs, and every exception named."""

from __future__ import annotations

from maxbench.reports.analysis import choice
from tests.reports.analysis.test_contests import cell, contest


def one(n: int, best: str, by: float = 2.0, outer: int = 1, missing: str = "") -> object:
    """An input of one row on which one of two is `by` times as fast as the other."""
    times = {name: 1.0 if name == best else by for name in ("a", "b") if name != missing}
    return contest(*(cell(name, t, 1.01 * t, 1.02 * t) for name, t in times.items()), n=n, outer=outer)


def test_two_ranges_with_a_gap_between_them_in_which_nothing_is_said() -> None:
    small, large = choice.rules([one(4000, "a"), one(10, "b"), one(100, "b"), one(64000, "a")])
    assert (small.sizes, small.implementation, small.count) == ("up to 100 elements", "b", "fastest on 2")
    assert (large.sizes, large.implementation) == ("from 4,000 elements on", "a")
    assert (small.measured, large.measured) == ("2 inputs, 10 to 100 elements", "2 inputs, 4,000 to 64,000 elements")
    assert small.exceptions == large.exceptions == []


def test_an_exception_is_cheaper_than_two_more_ranges_and_is_named_with_its_ratio() -> None:
    (rule,) = choice.rules([one(n, "b" if n == 64 else "a") for n in (2, 16, 64, 256, 1024)])
    assert (rule.implementation, rule.sizes) == ("a", "from 2 to 1,024 elements")
    assert rule.exceptions == ["b on n = 64: 2.00× (1.96–2.04×) as fast"]
    assert rule.count == "fastest on 4, slower on 1"
    middle = choice.rules([one(n, "b" if 16 <= n <= 256 else "a") for n in (2, 16, 64, 256, 1024)])
    assert [r.implementation for r in middle] == ["a", "b", "a"]
    assert middle[1].sizes == "from 16 to 256 elements"


def test_who_ties_is_no_exception_and_who_has_no_time_is_one() -> None:
    level = one(64, "b", by=1.005)
    (rule,) = choice.rules([one(2, "a"), level, one(1024, "a")])
    assert (rule.implementation, rule.count, rule.exceptions) == ("a", "fastest on 2, tied on 1", [])
    (rule,) = choice.rules([one(2, "a"), one(64, "b", missing="a"), one(1024, "a")])
    assert rule.exceptions == ["b on n = 64: not measured with a"]
    (rule,) = choice.rules([one(2, "a")])
    assert rule.sizes == "2 elements"


def test_sizes_count_all_elements_and_unknown_ones_are_left_out() -> None:
    (rule,) = choice.rules([one(2, "a", outer=500), one(3000, "a")])
    assert rule.sizes == "from 1,000 to 3,000 elements"
    assert choice.rules([one(2, "a", outer=0)]) == choice.rules([]) == []
