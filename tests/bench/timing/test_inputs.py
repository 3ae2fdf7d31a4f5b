"""Inputs by description, and the words of a claim and a verdict."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

from maxbench.bench.inputs import workloads
from maxbench.bench.inputs.recipe import Input
from maxbench.bench.processes import verdict
from maxbench.impls import agreement, contract
from maxbench.impls.contract import layouts
from maxbench.impls.contract.dtypes import named

SHAPE = (5, 40, 3)


def same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def test_each_description_is_the_array_that_it_names() -> None:
    assert same(Input("scores", "float32", SHAPE).array(), workloads.scores(SHAPE, "float32"))
    rising = Input("scores", "float32", SHAPE, "ascending").array()
    assert same(rising, workloads.scores(SHAPE, "float32", "ascending"))
    assert same(Input("tiled", "int8", SHAPE).array(), workloads.tiled(SHAPE, "int8"))
    case = contract.KERNEL_CASES[3]
    dtype = case.dtypes[0]
    assert same(Input("case", dtype, name=case.name).array(), case.array(dtype))
    layout = layouts.LAYOUTS[2]
    found = Input("layout", "float32", name=layout.name).array()
    assert same(found, agreement.as_rows(layout.array("float32"), layout.axis))
    for axis in (0, 1):
        found = Input("out", "float32", axis=axis).array()
        assert same(found, agreement.as_rows(agreement.out_input("float32"), axis))


def test_the_users_array_is_folded_and_converted(tmp_path: Path) -> None:
    own = np.arange(24, dtype=">i4").reshape(2, 3, 4)
    np.savez(tmp_path / "x.npz", a=own, b=own[0])
    x = Input("array", "float64", name=str(tmp_path / "x.npz"), key="a", axis=1).array()
    assert same(x, own.astype(np.float64))
    assert Input("array", "int32", name=str(tmp_path / "x.npz"), key="b", axis=0).array().shape == (1, 3, 4)
    assert Input("array", "int32", name=str(tmp_path / "x.npz"), key="b").other().shape == (1, 12, 1)


@pytest.mark.parametrize(
    "given",
    [Input("none", "float32"), Input("case", "float32", name="no such case"),
     Input("layout", "float32", name="no such layout")],
)  # fmt: skip
def test_what_describes_nothing_is_refused(given: Input) -> None:
    with pytest.raises(ValueError, match="no input is described by Input"):
        given.array()


@pytest.mark.parametrize("dtype", contract.DTYPES)
def test_the_other_values_are_the_same_in_every_process_and_use_the_range(dtype: str) -> None:
    given = Input("scores", dtype, (33, 100, 2))
    other = given.other()
    assert (other.kind, other.dtype, other.shape) == ("another", dtype, (33, 100, 2))
    x = other.array()
    assert x.dtype == named(dtype)
    assert same(x, other.array())
    if x.dtype.kind == "b":
        assert 0.4 < x.mean() < 0.6
    elif x.dtype.kind == "f":
        assert 2.7 < float(x.astype(np.float64).std()) < 3.3
    else:
        info = np.iinfo(x.dtype)
        assert x.min() < info.min + (info.max - info.min) // 50
        assert x.max() > info.max - (info.max - info.min) // 50
    # The values repeat after a number of elements that is odd, so rows of a power of two differ.
    long = Input("another", dtype, (2, 1 << 16, 1)).array()
    assert long[0, 0] == long[1, 1]
    assert not np.array_equal(long[0], long[1])


def test_whole_numbers_reach_both_ends() -> None:
    x = Input("another", "int8", (1, 1 << 16, 1)).array()
    assert (x.min(), x.max()) == (-128, 127)


@pytest.mark.parametrize("dtype", contract.DTYPES)
@pytest.mark.parametrize("index", [0, 7, 599])
def test_one_element_changes_and_comes_to_be_the_largest_of_its_row(dtype: str, index: int) -> None:
    changed = Input("scores", dtype, SHAPE).changed(index)
    assert (changed.kind, changed.shape, changed.name) == ("changed", SHAPE, str(index))
    x, before = changed.array(), Input("scores", dtype, SHAPE).other().array()
    assert np.flatnonzero(x != before).tolist() == [index]
    row, _, column = np.unravel_index(index, SHAPE)
    assert changed.row == (row, column)
    values = x[row, :, column].astype(np.float64)
    if dtype != "bool":
        assert x.flat[index] == values.max()
    if x.dtype.kind == "f":
        assert x.flat[index] == 20  # more than any other, and finite in every dtype
    assert Input("scores", dtype, SHAPE).row is None


def test_an_element_that_is_the_largest_number_becomes_the_smallest() -> None:
    x = Input("another", "int8", (1, 1 << 12, 1)).array()
    index = int(np.argmax(x))
    assert x.flat[index] == 127
    assert Input("scores", "int8", x.shape).changed(index).array().flat[index] == -128


def test_checksums() -> None:
    x = np.arange(6, dtype=np.int16).reshape(1, 3, 2)
    assert verdict.checksum(x) == zlib.crc32(x.tobytes())


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("shape", [(7, 11, 3), (40, 2, 1)])
def test_rows_are_those_of_the_whole(dtype: str, shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workloads, "TILED", 16)
    workloads.tiled_block.cache_clear()
    for given in (Input("tiled", dtype, shape), Input("another", dtype, shape), Input("scores", dtype, shape)):
        x = given.array()
        for first, last in [(0, 1), (0, shape[0]), (3, 5), (shape[0] - 1, shape[0])]:
            assert same(given.rows(first, last), x[first:last])
    workloads.tiled_block.cache_clear()


def test_what_an_input_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workloads, "TILED", 16)
    workloads.tiled_block.cache_clear()
    large, small = Input("tiled", "float32", (17, 1, 1)), Input("tiled", "float32", (16, 1, 1))
    assert same(large.repeated(), large.array().reshape(-1))
    assert small.repeated() is None
    assert Input("scores", "float32", (17, 1, 1)).repeated() is None
    assert large.other().repeated() is not None
    assert large.changed(3).repeated() is None
    with pytest.raises(ValueError, match="read-only"):
        large.repeated()[0] = 1
    workloads.tiled_block.cache_clear()
