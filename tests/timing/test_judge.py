"""The judge: what correct means for everything that is timed or checked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench import judge, verdict
from bench.inputs import Input
from bench.judge import Judge, Part
from bench.verdict import Claim
from impls import contract

GIVEN = Input("scores", "float32", (6, 50, 4))


def claim_of(given: Input, operation: str = "softmax", **changes: Any) -> tuple[Claim, np.ndarray]:
    x = given.array()
    if operation == "argmax":
        result = np.argmax(x, axis=1)
    else:
        wide = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
        result = (wide / wide.sum(axis=1, keepdims=True)).astype(x.dtype)
    claim = Claim(operation, given, "timed", result.shape, result.dtype.name, verdict.checksum(x))
    return replace(claim, **changes), result


def judged(claim: Claim, result: np.ndarray, differs: dict[str, str] | None = None, by: Judge | None = None) -> Any:
    def fetch(parts: list[Part]) -> list[np.ndarray]:
        return [np.ascontiguousarray(result[a:b, ..., c:d]) for a, b, c, d in parts]

    return (by or Judge()).judge(claim, fetch, differs or {})


@pytest.mark.parametrize("operation", ["softmax", "argmax"])
def test_a_right_result_agrees_and_one_element_off_is_wrong(operation: str) -> None:
    claim, result = claim_of(GIVEN, operation)
    assert judged(claim, result).status == "agrees"
    at = (5, 49, 3)[: result.ndim] if operation == "softmax" else (5, 3)
    result[at] = result[at] * 1.001 if operation == "softmax" else (result[at] + 1) % 50
    found = judged(claim, result)
    assert found.status == "wrong"
    assert f"at {at}: expected" in found.detail


def test_bounds_are_those_of_the_comparison() -> None:
    """An element may be as far off as the contract allows, and no further: the quick way and the slow one agree."""
    x = GIVEN.array()
    low, high = contract.SOFTMAX.bounds(x)
    for limit, outwards in ((low, -np.inf), (high, np.inf)):
        assert contract.SOFTMAX.compare(x, limit) is None
        beyond = np.nextafter(limit, np.float32(outwards))
        found = contract.SOFTMAX.compare(x, beyond)
        assert found is not None
        assert found.count == x.size
        assert judged(claim_of(GIVEN)[0], limit).status == "agrees"
        assert judged(claim_of(GIVEN)[0], beyond).status == "wrong"


def test_what_else_is_wrong_comes_before_the_values() -> None:
    claim, result = claim_of(GIVEN)
    assert judged(replace(claim, checksum=1), result).detail == "the input was overwritten"
    assert judged(replace(claim, checksum=None), result).status == "agrees"
    assert judged(replace(claim, problem="it wrote beside out"), result).detail == "it wrote beside out"
    assert "expected shape (6, 50, 4), got shape (6, 50)" in judged(replace(claim, shape=(6, 50)), result).detail
    assert "expected dtype float32, got dtype float64" in judged(replace(claim, dtype="float64"), result).detail
    assert "got dtype None" in judged(replace(claim, dtype="object of mine"), result).detail
    everything = {"timed/*": "it differs by up to 1,000,000,000 ulp"}
    assert judged(replace(claim, checksum=1), result, everything).status == "wrong"


def test_a_declared_difference_excuses_what_it_names_and_no_more_than_it_says() -> None:
    claim, result = claim_of(GIVEN)
    result[0, 0, 0] *= 1 + 200 * np.finfo(np.float32).eps
    allowed = {"timed/float32": "sums round: up to 1,000 ulp"}
    found = judged(claim, result, allowed)
    assert (found.status, found.pattern, found.declared) == ("differs", "timed/float32", allowed["timed/float32"])
    assert "ulp" in found.detail
    assert judged(claim, result, {"timed/float32": "sums round: up to 10 ulp"}).status == "wrong"
    assert judged(claim, result, {"timed/float32": "sums round"}).status == "wrong"
    assert judged(claim, result, {"timed/float64": "sums round: up to 1,000 ulp"}).status == "wrong"
    assert judged(claim, result, {"t*": "sums round: up to 1,000 ulp"}).status == "wrong"  # it does not name them
    assert judged(replace(claim, case="n = 50"), result, {"n = 5?/float32": "sums round"}).status == "differs"
    result[0, 0, 0] = np.nan
    assert judged(claim, result, allowed).status == "wrong"


def test_a_poisoned_element_is_wrong_also_where_a_nan_is_right() -> None:
    given = Input("case", "float32", name="NaN in the middle")
    claim, result = claim_of(given, case="NaN in the middle", checksum=None)
    assert judged(claim, result).status == "agrees"
    left = contract.SOFTMAX.allocate(given.array())
    rows = np.isnan(result)
    result[rows] = left[rows]
    found = judged(claim, result)
    assert found.status == "wrong"
    assert "nothing written" in found.detail


@pytest.mark.parametrize(
    "shape", [(1 << 13, 1024, 1), (1, 1 << 23, 1), (2, 21, 1 << 19), (3, 1 << 20, 4), (1 << 22, 2, 1), (40, 7, 1 << 15)]
)
def test_of_a_large_result_both_ends_and_whole_rows_are_looked_at(shape: tuple[int, int, int]) -> None:
    parts = Judge(seed=1)._parts(shape)
    outer, n, inner = shape
    assert {parts[0][0], parts[-1][1]} == {0, outer}
    for first, last, left, right in parts:
        assert 0 <= first < last <= outer
        assert 0 <= left < right <= inner
    looked = sum((b - a) * (d - c) for a, b, c, d in parts) * n
    assert looked <= max(judge.WHOLE, n * judge.PARTS * min(judge.PARTS, outer))
    assert looked >= judge.WHOLE // 8
    drawn = {tuple(Judge(seed=seed)._parts(shape)) for seed in range(8)}
    assert len(parts) == 1 or len(drawn) > 1


def test_the_last_rows_are_looked_at() -> None:
    given = Input("tiled", "float32", (1 << 14, 512, 1))
    claim, result = claim_of(given, "argmax")
    assert judged(claim, result).status == "agrees"
    result[-1] += 1
    found = judged(claim, result)
    assert found.status == "wrong"
    assert "at (16383, 0)" in found.detail


def test_inputs_and_bounds_are_kept_within_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "KEPT_BYTES", 20_000)
    by = Judge()
    for rows in range(1, 9):
        claim, result = claim_of(Input("scores", "float32", (rows, 100, 1)))
        assert judged(claim, result, by=by).status == "agrees"
    assert sum(a.nbytes for some in by._kept.values() for a in some) <= 20_000
    assert len(by._kept) > 1


def test_other_values_differ_everywhere() -> None:
    for dtype in ("float32", "int8", "float16"):
        given = Input("scores", dtype, (64, 64, 1))
        one, other = given.array(), given.other().array()
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        assert np.mean(one == other) < 0.05
        assert not np.array_equal(other[0], other[1])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint64", "bool"])
def test_values_are_filled_in_as_they_are_made_and_one_element_is_changed(dtype: str) -> None:
    given = Input("scores", dtype, (70, 1000, 1))  # more than one block
    other, changed = given.other(), given.changed(12_345)
    assert changed.row == (12, 0)
    assert other.row is None
    for one in (given, other, changed):
        x = np.zeros(given.shape, dtype)
        one.into(x)
        np.testing.assert_array_equal(x, one.array())
    assert np.flatnonzero(other.array() != changed.array()).tolist() == [12_345]


def test_of_a_changed_input_its_row_is_looked_at() -> None:
    given = Input("scores", "float32", (6, 50, 4)).changed(7 * 4 + 2)
    claim, result = claim_of(given)
    assert judged(claim, result).status == "agrees"
    result[0, 30, 2] *= 2
    assert judged(claim, result).status == "wrong"
    result[0, 30, 2] /= 2
    result[5, 30, 2] *= 2  # looked at with the values before the change
    assert judged(claim, result).status == "agrees"
