"""Who leads an operation: by how much on how many inputs, its losses counted as its wins are."""

from __future__ import annotations

import math

import pytest

from maxbench.reports.analysis.rules import Decision
from maxbench.reports.analysis.standing import standing
from tests.reports.analysis.test_contests import cell, contest


def level(name: str, about: float) -> object:
    return cell(name, about, 1.01 * about, 1.02 * about)


WON = contest(level("a", 1.0), level("b", 2.0), level("numpy", 4.0), n=2)
LOST = contest(level("a", 3.0), level("b", 1.0), level("numpy", 2.0), n=4)
TIED = contest(level("a", 1.0), level("b", 1.005), level("numpy", 2.0), n=8)
VAGUE = contest(cell("a", 1.0, 1.5, 3.0), cell("b", 1.2, 1.6, 2.9), level("numpy", 9.0), n=16)
ABSENT = contest(level("b", 1.0), level("numpy", 2.0), n=32)


def test_the_leader_is_fastest_on_the_most_inputs_and_its_losses_are_counted() -> None:
    found = standing([WON, contest(level("a", 1.0), level("b", 5.0), n=64), LOST, TIED, VAGUE])
    assert found is not None
    assert found.implementation == "a"
    assert found.outcomes == {"faster": 2, "tie": 1, "slower": 1, "cannot tell": 1}
    assert found.tally == "fastest on 2 of 5 inputs; 1 tie, 1 slower, 1 cannot tell"


@pytest.mark.parametrize(
    ("one", "outcome", "over"),
    [
        (WON, Decision("faster"), 2.0), (LOST, Decision("slower"), 1 / 3), (TIED, Decision("tie"), 1.005),
        (VAGUE, Decision("cannot tell", "interval too wide"), 1.6 / 1.5),
        (ABSENT, Decision("cannot tell", "not measured"), None),
    ],
)  # fmt: skip
def test_how_one_stands_on_an_input(one: object, outcome: Decision, over: float | None) -> None:
    assert one.outcome("a") == outcome
    ratio = one.over_best_other("a")
    assert (ratio and ratio.value) == (over and pytest.approx(over))


def test_means_are_over_the_inputs_that_tell_something_lost_ones_too() -> None:
    found = standing([WON, WON, LOST, VAGUE, ABSENT])
    best = found.over_best_other
    assert best.figure.value == pytest.approx((2 * 2 / 3) ** (1 / 3))
    assert (best.least, best.most) == pytest.approx((1 / 3, 2))
    assert (best.inputs, best.left_out) == (3, 1)  # where it has no time there is no ratio
    assert str(best).startswith("geometric mean of 3 inputs, 0.333× to 2.00×")
    assert str(best).endswith("; 1 more cannot tell")
    assert found.over_baseline("numpy").figure.value == pytest.approx((4 * 4 * 2 / 3 * 9.09 / 1.5) ** (1 / 4))
    assert found.over_baseline("a") is None
    assert found.over_baseline(None) is None
    assert "includes level" not in str(best)
    assert "includes level" in str(standing([TIED, TIED]).over_best_other)


def test_one_input_has_its_interval_and_none_says_so() -> None:
    assert str(standing([WON]).over_best_other) == "1.96–2.04× on one input"
    few = standing([contest(cell("a", 1.0, 1.0), cell("b", 2.0, 2.0))]).over_best_other
    assert (str(few), few.inputs) == ("cannot tell on 1 input", 0)
    assert math.isnan(few.figure.value)
    assert standing([contest()]) is None
