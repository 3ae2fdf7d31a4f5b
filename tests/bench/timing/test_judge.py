"""The judge: what correct means for everything that is timed or checked."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from maxbench.bench.inputs.recipe import Input
from maxbench.bench.processes import judge, verdict
from maxbench.bench.processes.judge import Judge, Part
from maxbench.bench.processes.verdict import Claim
from maxbench.impls import contract

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
    for other in (1, 2**32 - 1):
        assert judged(replace(claim, checksum=other), result).detail == "the input was overwritten"
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


@pytest.mark.parametrize(
    ("shape", "parts"),
    [
        ((96, 1, 1), [(0, 96, 0, 1)]),  # all of what is small
        ((97, 1, 1), [(0, 32, 0, 1), None, (65, 97, 0, 1)]),
        ((97, 8, 1), [(0, 4, 0, 1), None, (93, 97, 0, 1)]),
        ((12, 9, 1), [(0, 3, 0, 1), None, (9, 12, 0, 1)]),
        ((9, 11, 1), [(0, 2, 0, 1), None, (7, 9, 0, 1)]),
        ((4, 1000, 1), [(0, 1, 0, 1), None, (3, 4, 0, 1)]),
        ((3, 1000, 1), [(0, 3, 0, 1)]),
        ((1, 8, 100), [(0, 1, 0, 4), None, (0, 1, 96, 100)]),
        ((2, 8, 100), [(0, 2, 0, 2), None, (0, 2, 98, 100)]),
    ],
)
def test_which_parts_are_looked_at(shape: tuple[int, int, int], parts: list[Any], monkeypatch: Any) -> None:
    """Of more than 96 elements: parts of 32 at both ends, and one between them."""
    monkeypatch.setattr(judge, "WHOLE", 96)
    found = [Judge(seed)._parts(shape) for seed in range(500)]
    assert {len(some) for some in found} == {len(parts)}
    for some in found:
        for part, expected in zip(some, parts, strict=True):
            assert expected is None or part == expected
    if None in parts:  # it may lie anywhere between them
        axis = 0 if shape[0] > judge.PARTS else 2
        size = parts[0][axis + 1] - parts[0][axis]
        firsts = {some[1][axis] for some in found}
        assert {some[1][axis + 1] - some[1][axis] for some in found} == {size}
        assert min(firsts) == size
        assert max(firsts) == shape[axis] - 2 * size


def test_of_wide_rows_columns_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "WHOLE", 96)
    found = [Judge(seed)._parts((10, 8, 100)) for seed in range(300)]
    assert {part[:2] for some in found for part in some} >= {(0, 1), (9, 10)}
    lefts = [some[0][2] for some in found]
    assert (min(lefts), max(lefts)) == (0, 96)
    assert all(right - left == 4 for some in found for _, _, left, right in some)
    assert {Judge(seed)._parts((10, 32, 1))[0] for seed in range(9)} == {(0, 1, 0, 1)}
    assert {part[2:] for part in Judge()._parts((100, 4, 2))} == {(0, 2)}
    assert Judge()._parts((100, 4, 2))[0] == (0, 4, 0, 2)


@pytest.mark.parametrize("operation", ["softmax", "argmax"])
@pytest.mark.parametrize("at", [(0, 0), (39, 1)])
def test_the_first_and_the_last_rows_are_looked_at(operation: str, at: tuple[int, int], monkeypatch: Any) -> None:
    monkeypatch.setattr(judge, "WHOLE", 300)
    claim, result = claim_of(Input("tiled", "float32", (40, 12, 2)), operation)
    assert judged(claim, result).status == "agrees"
    where = at if operation == "argmax" else (at[0], 5, at[1])
    result[where] = (result[where] + 1) % 12
    found = judged(claim, result)
    assert found.status == "wrong"
    assert f"at {where}: " in found.detail


def test_a_mismatch_between_the_ends_is_at_its_place_in_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "WHOLE", 96)
    claim, result = claim_of(Input("tiled", "float32", (1, 8, 100)))
    monkeypatch.setattr(Judge, "_parts", lambda self, shape: [(0, 1, 40, 44)])
    result[0, 3, 42] = 2
    assert "at (0, 3, 42): " in judged(claim, result).detail
    claim, result = claim_of(Input("tiled", "float32", (100, 8, 1)), "argmax")
    monkeypatch.setattr(Judge, "_parts", lambda self, shape: [(40, 44, 0, 1)])
    result[41] = -1
    assert "at (41, 0): " in judged(claim, result).detail


def test_bounds_of_large_parts_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for whole, kept in ((GIVEN.array().size, 1), (GIVEN.array().size // 4, 1), (GIVEN.array().size // 4 - 1, 0)):
        monkeypatch.setattr(judge, "WHOLE", whole)
        monkeypatch.setattr(Judge, "_parts", lambda self, shape: [(0, 6, 0, 4)])
        by = Judge()
        claim, result = claim_of(GIVEN)
        assert judged(claim, result, by=by).status == "agrees"
        assert len(by._kept) == kept
        result[5, 49, 3] = 2
        assert "at (5, 49, 3): " in judged(claim, result, by=by).detail


def test_of_one_changed_element_its_row_is_looked_at() -> None:
    changed = Input("scores", "float32", (40, 12, 3)).changed(20 * 36 + 4 * 3 + 2)
    claim, result = claim_of(changed)
    asked: list[Part] = []

    def fetch(parts: list[Part]) -> list[np.ndarray]:
        asked.extend(parts)
        return [np.ascontiguousarray(result[a:b, ..., c:d]) for a, b, c, d in parts]

    by = Judge()
    assert by.judge(claim, fetch, {}).status == "agrees"
    assert asked == [(20, 21, 2, 3)]
    assert not by._kept  # no other input has this element changed
    result[20, 11, 2] = 2
    assert "at (20, 11, 2): " in by.judge(claim, fetch, {}).detail


def test_an_input_whose_bounds_are_kept_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Input] = []
    array = Input.array
    monkeypatch.setattr(Input, "array", lambda self: made.append(self) or array(self))
    monkeypatch.setattr(judge, "RECENT_BYTES", (3 + 4) * 5 * 4)
    by = Judge()
    inputs = [Input("scores", "float32", (n, 5, 1)) for n in (2, 3, 4)]
    claims = [claim_of(given) for given in inputs]
    made.clear()
    for claim, result in claims * 2:
        assert judged(claim, result, by=by).status == "agrees"
    assert made == inputs
    assert list(by._recent) == inputs[1:]
    claims[0][1][1, 3] = 2
    assert judged(*claims[0], by=by).status == "wrong"  # its element is described
    assert made == [*inputs, inputs[0]]


def test_what_was_made_once_is_kept_and_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def make(name: str, size: int) -> Any:
        return lambda: made.append(name) or (np.zeros(size, np.int8), np.zeros(size, np.int8))

    monkeypatch.setattr(judge, "KEPT_BYTES", 40)
    by = Judge()
    for name in "ab", "ab", "cab":
        for one in name:
            assert [len(a) for a in by._keep(one, make(one, 10))] == [10, 10]
    assert "".join(made) == "abcab"
    by = Judge()
    for one in "abacb":  # a was used after b
        by._keep(one, make(one, 10))
    assert "".join(made[5:]) == "abcb"
    by._keep("large", make("large", 100))
    assert list(by._kept) == ["large"]


def test_checksums_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(judge, "checksum", lambda x: asked.append(1) or verdict.checksum(x))
    by = Judge()
    claim, result = claim_of(GIVEN)
    for _ in range(2):
        assert judged(claim, result, by=by).status == "agrees"
    assert asked == [1]


def test_a_declaration_that_covers_timed_arrays_names_them() -> None:
    differs = {"n = */float32": "a", "*/float64": "b", "timed*/float64": "c", "timed/float32": "d"}
    assert judge.declared(differs, "n = 5", "float32") == "n = */float32"
    assert judge.declared(differs, "timed", "float32") == "timed/float32"
    assert judge.declared(differs, "timed", "float64") == "timed*/float64"
    assert judge.declared(differs, "n = 5", "float64") == "*/float64"
    assert judge.declared(differs, "n = 5", "int8") is None


def test_a_difference_may_be_as_large_as_it_says() -> None:
    for size, allowed in ((10.0, True), (10.000001, False)):
        found: Any = SimpleNamespace(size=size)
        assert judge._allowed("sums round: up to 10 ulp", found, 4) == allowed
        assert judge._allowed("sums round: up to 100 ulp at n = 40", found, 4) == allowed
        assert not judge._allowed("sums round", found, 4)


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


@pytest.mark.parametrize("operation", ["softmax", "argmax"])
def test_of_an_input_that_repeats_values_no_more_is_made_than_is_looked_at(operation: str, monkeypatch: Any) -> None:
    given = Input("another", "float32", (400, 50, 4))
    claim, result = claim_of(given, operation, checksum=None)
    whole, _ = claim_of(given, operation)
    monkeypatch.setattr(judge, "WHOLE", 1 << 12)
    monkeypatch.setattr(Input, "array", None)
    assert judged(claim, result).status == "agrees"
    result[-1] = result[0]
    assert judged(claim, result).status == "wrong"
    assert judged(replace(claim, shape=(400, 50)), result).status == "wrong"
    with pytest.raises(TypeError):  # its checksum is that of all of it
        judged(whole, result)
