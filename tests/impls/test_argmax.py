"""The oracle of argmax: what a mismatch points at, and how many there are."""

from __future__ import annotations

import numpy as np
import pytest

from maxbench.impls.contract import ARGMAX, Mismatch, operation

X = np.array(
    [[[1, 9, 3, 0], [7, 2, 4, 1], [0, 5, 8, 0]], [[1, 2, 9, 3], [3, 8, 4, 1], [6, 5, 0, 2]]], np.float32
)  # (2, 3, 4)
RIGHT = np.array([[1, 0, 2, 1], [2, 1, 0, 0]])


def test_an_output_starts_with_no_index() -> None:
    out = ARGMAX.allocate(X)
    assert (out.shape, out.dtype) == ((2, 4), np.int64)
    assert (out == -1).all()


@pytest.mark.parametrize("block", [1, 4, 8, 12, 1000])
def test_the_worst_mismatch_and_the_number_of_all(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation, "BLOCK", block)
    assert ARGMAX.compare(X, RIGHT) is None
    wrong = RIGHT.copy()
    wrong[1, 2] = 2
    assert ARGMAX.compare(X, wrong) == Mismatch((1, 2), "0 (x = 9.0)", "2 (x = 0.0)", "2 positions", 1, 2)
    wrong[1, 0] = 0
    assert ARGMAX.compare(X, wrong) == Mismatch((1, 0), "2 (x = 6.0)", "0 (x = 1.0)", "2 positions", 2, 2)
    wrong[0] = [2, 1, 1, 2]
    assert ARGMAX.compare(X, wrong) == Mismatch((1, 0), "2 (x = 6.0)", "0 (x = 1.0)", "2 positions", 6, 2)
    wrong[1, 3] = 5
    assert ARGMAX.compare(X, wrong) == Mismatch((1, 3), "0 (x = 3.0)", "5 (outside the row)", "5 positions", 7)
    wrong[0, 1] = -1
    assert ARGMAX.compare(X, wrong) == Mismatch((0, 1), "0 (x = 9.0)", "-1 (outside the row)", "1 positions", 7)


@pytest.mark.parametrize("index", [-1, 3, 5, -4])
def test_an_index_outside_the_row_is_said_to_be(index: int) -> None:
    wrong = RIGHT.copy()
    wrong[0, 1] = index
    mismatch = ARGMAX.compare(X, wrong)
    assert mismatch == Mismatch((0, 1), "0 (x = 9.0)", f"{index} (outside the row)", f"{abs(index)} positions", 1)


@pytest.mark.parametrize(
    ("row", "right"),
    [
        ([1, np.nan, 3, np.nan], 1),
        ([np.nan, np.inf], 0),
        ([-np.inf, -np.inf], 0),
        ([-0.0, 0.0], 0),
        ([0.0, -0.0], 0),
        ([-1, 2, 2], 1),
        ([0, 1, 2, 3, 3], 3),
    ],
)
@pytest.mark.parametrize("block", [1, 2, 1000])
def test_nans_and_ties(row: list[float], right: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation, "BLOCK", block)
    x = np.array(row).reshape(1, -1, 1)
    for index in range(len(row)):
        assert (ARGMAX.compare(x, np.array([[index]])) is None) == (index == right)


def test_least_bytes() -> None:
    assert ARGMAX.least_bytes(2, 3, 5, 4) == 2 * 5 * (3 * 4 + 8)
