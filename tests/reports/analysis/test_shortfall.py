"""Why a share of the ceiling is missed: only what sizes, caches and other times tell."""

from __future__ import annotations

from dataclasses import replace

import pytest

from maxbench.reports.analysis.contests import Ceiling, Cell, Contest
from maxbench.reports.analysis.shortfall import Reasons

CACHES = {"L1d": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}
TOP = Ceiling(100.0, 99.0, 101.0, 1e-3, 3, 4 << 20)


def of(shape: tuple[int, int, int], seconds: float, operation: str = "softmax", gbs: float = 50.0) -> Contest:
    mine = Cell("mine", seconds, 0.99 * seconds, 1.01 * seconds, (seconds,) * 3, gbs, "ok", "")
    outer, n, inner = shape
    return Contest("run", operation, "float32", "Sweep", "", n, outer, inner, (mine,), TOP)


def reason(contest: Contest, *others: Contest, caches: dict[str, int] = CACHES) -> str:
    return Reasons([contest, *others], caches).of(contest, contest.ranked[0])


def test_nothing_is_said_where_the_goal_is_reached_or_no_share_is_stated() -> None:
    assert reason(of((1, 1 << 20, 1), 1e-3, gbs=90.0)) == ""
    one = of((1, 1 << 20, 1), 1e-3)
    for ceiling in (None, replace(TOP, doubt="withheld")):
        assert reason(replace(one, ceiling=ceiling)) == ""


@pytest.mark.parametrize(
    ("contest", "others", "words"),
    [
        (of((1, 1000, 64), 1e-3), [], "strided: the elements of a column lie 256 B apart"),
        (of((1, 1 << 24, 1), 1e-2), [], "read twice: no cache holds a row of 64.0 MiB, which leaves 67% at most"),
        (of((1024, 1000, 1), 1e-3), [], "the caches hold all of it; 0.977 ns an element, its exponential included"),
        (of((1024, 1000, 1), 1e-3, "argmax"), [], "0.977 ns an element"),
        (of((64, 100, 1), 1e-5), [of((1, 4, 1), 1e-6)], "too few bytes: a call on n = 4 takes 1.00 µs, 10% of this"),
        (of((1 << 16, 1024, 1), 1.0, gbs=0.5), [of((64, 1024, 1), 1.0, gbs=0.51)], "not bytes: 0.510 GB/s at most"),
    ],
)  # fmt: skip
def test_the_reasons(contest: Contest, others: list[Contest], words: str) -> None:
    assert words in reason(contest, *others)


def test_what_cannot_be_told_is_not_known() -> None:
    large = of((1 << 16, 1024, 1), 1.0)
    assert reason(large) == reason(large, of((64, 1024, 1), 1.0, gbs=99.0)) == "not known"
    # The caches of another machine say nothing, and a call is no small part of it.
    assert reason(of((1, 1 << 24, 1), 1.0), of((1, 4, 1), 1e-6), caches={}) == "not known"
    assert "read twice" not in reason(of((1, 1 << 24, 1), 1.0, "argmax"))
