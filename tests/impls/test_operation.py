"""What a mismatch says, what `verify` refuses before it compares, and the blocks that oracles take."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from maxbench.impls import contract
from maxbench.impls.contract import Mismatch, operation


@pytest.mark.parametrize(
    ("count", "more"), [(1, "2 positions"), (2, "2 positions, 2 wrong in all"), (3, "2 positions, 3 wrong in all")]
)
def test_a_mismatch_counts_what_else_is_wrong(count: int, more: str) -> None:
    assert str(Mismatch((0, 1), "4", "6", "2 positions", count)) == f"at (0, 1): expected 4, got 6 ({more})"


@pytest.mark.parametrize(
    ("reason", "size"),
    [
        ("up to 2,000 ulp", 2000),
        ("sums round: up to 1.5 ulp, on AVX2 up to 3 ulp", 1.5),
        ("up to 0 ulp", 0),
        ("up to 1,234,567.25 ulp.", 1234567.25),
        ("up to ulp", None),
        ("up to , ulp", None),
        ("up to -3 ulp", None),
        ("up to 1e9 ulp", None),
        ("up to inf ulp", None),
        ("up to 3 ulps", None),
        ("pup to 3 ulp", None),
        ("3 ulp", None),
    ],
)
def test_the_size_that_a_reason_declares(reason: str, size: float | None) -> None:
    assert contract.size_declared(reason) == size


@pytest.mark.parametrize(("n", "size"), [(None, 800), (1, 0.5), (160, 80), (1600, 800), (16000, 800)])
def test_a_size_that_grows_with_the_columns(n: int | None, size: float) -> None:
    assert contract.size_declared("sums round: up to 800 ulp at n = 1,600", n) == size
    assert contract.size_declared("sums round: up to 800 ulp", n) == 800
    assert contract.size_declared("up to 800 ulp at n = 0", n) == 800


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (np.zeros((2, 4), np.int32), "at (): expected dtype int64, got dtype int32 (not comparable)"),
        (np.zeros((3, 4), np.int64), "at (): expected shape (2, 4), got shape (3, 4) (not comparable)"),
        (np.zeros((2, 3), np.int64), "at (): expected shape (2, 4), got shape (2, 3) (not comparable)"),
        (7, "at (): expected shape (2, 4), got shape None (not comparable)"),
    ],
)
def test_what_cannot_be_compared_is_said_without_allocating_a_result(result: np.ndarray, message: str) -> None:
    x = np.zeros((2, 3, 4))
    sizes = []

    def allocate(x: np.ndarray) -> np.ndarray:
        sizes.append(x.size)
        return contract.ARGMAX.allocate(x)

    mismatch = dataclasses.replace(contract.ARGMAX, allocate=allocate).verify(x, result)
    assert mismatch is not None
    assert (str(mismatch), mismatch.count) == (message, 1)
    assert sizes == [0]


def test_results_are_compared() -> None:
    x = np.array([[[1.0], [2.0]]])
    assert contract.ARGMAX.verify(x, np.array([[1]])) is None
    assert contract.ARGMAX.verify(x, np.array([[0]])) == Mismatch(
        (0, 0), "1 (x = 2.0)", "0 (x = 1.0)", "1 positions", 1, 1.0
    )


@pytest.mark.parametrize(
    ("block", "shape", "rows", "cuts"),
    [
        (42, (5, 7, 3), [(0, 2), (2, 4), (4, 5)], [(0, 7)]),
        (10, (2, 7, 3), [(0, 1), (1, 2)], [(0, 3), (3, 6), (6, 7)]),
        (21, (2, 7, 3), [(0, 1), (1, 2)], [(0, 7)]),
        (3, (1, 7, 1), [(0, 1)], [(0, 3), (3, 6), (6, 7)]),
        (2, (1, 2, 3), [(0, 1)], [(0, 1), (1, 2)]),  # inner alone is more than a block
        (4, (9, 1, 1), [(0, 4), (4, 8), (8, 9)], [(0, 1)]),
        (4, (9, 2, 0), [(0, 4), (4, 8), (8, 9)], [(0, 2)]),
        (4, (9, 0, 2), [(0, 4), (4, 8), (8, 9)], []),
        (4, (0, 3, 1), [], []),
    ],
)
def test_blocks_are_as_large_as_they_may_be(
    block: int, shape: tuple[int, ...], rows: list, cuts: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operation, "BLOCK", block)
    found = list(operation.blocks(shape))
    assert [(r.start, r.stop) for r, _ in found] == rows
    for _, pieces in found:
        assert [(c.start, c.stop) for c in pieces] == cuts
