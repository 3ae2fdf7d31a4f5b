"""The cases of the contract: those there are, and that each holds what it is named for."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from maxbench.impls import contract
from maxbench.impls.contract.dtypes import finfo, named
from tests import needs

CASES = {case.name: case for case in contract.KERNEL_CASES}


def _maxima_at(x: np.ndarray, *positions: int) -> bool:
    """Whether the maxima of every row, and nothing else, are at these positions."""
    at = np.zeros(x.shape, bool)
    at[:, positions] = True
    return bool(((x == x.max(axis=1, keepdims=True)) == at).all())


def _largest_at(x: np.ndarray, *positions: int) -> bool:
    """The same, where most values are smaller and, of integers, the maxima are the largest that there is."""
    largest = x.dtype.kind not in "iu" or x.max() == np.iinfo(x.dtype).max
    return bool(largest and np.unique(x).size > (1 if x.dtype == bool else 99) and _maxima_at(x, *positions))


def _specials(x: np.ndarray, **where: tuple[int, ...]) -> bool:
    """Whether every second row has NaN, inf and -inf at these positions, and no row has one elsewhere."""
    at = {"nan": np.isnan(x), "inf": np.isposinf(x), "minus_inf": np.isneginf(x)}
    for name, hit in at.items():
        expected = np.zeros(x.shape, bool)
        expected[1::2, where.get(name, ())] = True
        if not np.array_equal(hit, expected):
            return False
    return True


def _few(x: np.ndarray) -> bool:
    return bool(set(np.unique(x)) == ({0, 1} if x.dtype == bool else {0, 1, 2}))


def _ascends(x: np.ndarray) -> bool:
    return bool((x[:, :-1] <= x[:, 1:]).all() and (x[:, 0] < x[:, -1]).all())


def _means(x: np.ndarray, even: float, odd: float) -> bool:
    means = x.astype(np.float64).mean(axis=1)
    return bool((np.abs(means[::2] - even) < 0.6).all() and (np.abs(means[1::2] - odd) < 0.6).all())


def _rounds_badly(x: np.ndarray) -> bool:
    """One maximum in each row, at 0; the exponentials of the others, equal in a row only, add up to 0.5 to 1."""
    others = np.sort(x, axis=1)[:, :-1].astype(np.float64)
    sums = np.exp(others).sum(axis=1)
    return bool(
        (x.max(axis=1) == 0).all()
        and (others == others[:, :1]).all()
        and (np.unique(others[:, 0]).size > 1 or sums.size == 1)
        and (sums > 0.48).all()
        and (sums < 1.04).all()  # -log(n) is rounded as well
    )


def _huge(x: np.ndarray) -> bool:
    """Half of the rows hold both ends of the range, half are negative; nothing is far smaller than an end."""
    end = finfo(x.dtype).max
    half = len(x) // 2
    ends = (x.min(axis=1) == -end).all() and (x[:half].max(axis=1) == end).all() and (x[half:] < 0).all()
    return bool(ends and (abs(x) >= end / 8).all())


def _tiny(x: np.ndarray) -> bool:
    """Around the smallest normal number, some are larger and some subnormal."""
    normal = finfo(x.dtype).smallest_normal
    return bool(abs(x).max() < 64 * normal and (abs(x) >= normal).any() and (abs(x) < normal).any())


def _subnormal(x: np.ndarray) -> bool:
    """0 and the first nine numbers on both sides of it."""
    steps = x.astype(np.float64) / float(finfo(x.dtype).smallest_subnormal)
    return set(np.unique(steps)) == set(range(-9, 10))


def _signed_zeros(x: np.ndarray) -> bool:
    """Zeros alone, the first of either sign; and two that are neighbours in either order, above all else."""
    negative = np.signbit(x)
    pairs = {tuple(negative[i, 3:5, 0]) for i in (1, 2) if _maxima_at(x[i : i + 1], 3, 4)}
    zeros = {bool(negative[i, 0, 0]) for i in (3, 4) if (x[i] == 0).all()}
    mixed = (x[[0, 5]] == 0).all() and 0.4 < negative[[0, 5]].mean() < 0.6
    return bool((x.max(axis=1) == 0).all() and mixed) and pairs == {(False, True), (True, False)} and len(zeros) == 2


def _integer_ends(x: np.ndarray) -> bool:
    """The maximum and its first position, and all values, of rows that differ by as little as they can."""
    low, high = np.iinfo(x.dtype).min, np.iinfo(x.dtype).max
    rows = [(row[row.argmax()], row.argmax(), {*row.tolist()}) for row in x[:, :, 0]]
    return rows == [
        (low, 0, {low}),
        (low + 1, 40, {low, low + 1}),
        (high, 41, {low, high - 1, high}),
        (high, 9, {high - 1, high}),
        (high, 0, {high}),
        (high, 66, {low, high}),
    ] and bool(x[2, 40] == high - 1)


def _normal(x: np.ndarray) -> bool:
    """Of floats N(0, 3), of bool a fair coin, of integers every value or, where they are many, both halves."""
    if x.dtype == bool:
        return bool(0.49 < x.mean() < 0.51)
    if x.dtype.kind in "iu":
        info = np.iinfo(x.dtype)
        low, high = int(x.min()) - info.min, info.max - int(x.max())
        return max(low, high) <= (info.max - info.min) // 10_000
    wide = x.astype(np.float64)
    return bool(abs(wide.mean()) < 0.02 and 2.98 < wide.std() < 3.02)


# Columns, where the name does not say how many.
COLUMNS = {
    "two columns, many rows": 2,
    "ten columns, many rows": 10,
    "all -inf but the last": 70,
    "NaN in the middle": 2 * 130 + 1,
    "NaN in short rows": 6,
    "NaN in a long row": 70001,
}
HOLDS: dict[str, Callable[[np.ndarray], bool]] = {
    "two columns, many rows": lambda x: len(x) > 1000,
    "ten columns, many rows": lambda x: len(x) > 1000,
    "1,048,576 columns": _normal,
    "1,048,576 nearly equal columns": lambda x: _maxima_at(x, 3, -2) and set(np.unique(x)) == {0, 1},
    "inner axis: ties": _few,
    "ties among few values": _few,
    "all equal": lambda x: bool((x == 1).all()),
    "all zero": lambda x: bool((x == 0).all()),
    "ascending": _ascends,
    "descending": lambda x: _ascends(x[:, ::-1]),
    "maximum first": lambda x: _largest_at(x, 0),
    "maximum last": lambda x: _largest_at(x, -1),
    "ties at both ends": lambda x: _largest_at(x, 0, -1),
    "ties in neighbours": lambda x: _largest_at(x, 63, 64, 65, 500),
    "ends of the integer range": _integer_ends,
    "all negative": lambda x: bool((x < 0).all() and (x == x[0, 0]).all()),
    "rows offset by +-1e3": lambda x: _means(x, -1e3, 1e3),
    "alternate rows +200": lambda x: _means(x, 0, 200),
    "N(0, 40)": lambda x: 39.2 < float(x.astype(np.float64).std()) < 40.8,
    "huge magnitudes": _huge,
    "tiny magnitudes": _tiny,
    "subnormals": _subnormal,
    "signed zeros": _signed_zeros,
    "-inf entries": lambda x: 0.2 < float(np.isneginf(x).mean()) < 0.4 and not (np.isnan(x) | np.isposinf(x)).any(),
    "all -inf": lambda x: bool(np.isneginf(x).all()),
    "all -inf but the last": lambda x: _specials(x, minus_inf=tuple(range(69))),
    "+inf": lambda x: _specials(x, inf=(100,)),
    "+inf and -inf": lambda x: _specials(x, minus_inf=(7,), inf=(100, 200)),
    "NaN first": lambda x: _specials(x, nan=(0,)),
    "NaN in the middle": lambda x: _specials(x, nan=(130,)),
    "NaN last": lambda x: _specials(x, nan=(-1,)),
    "several NaNs and +inf": lambda x: _specials(x, inf=(5,), nan=(77, 78, -1)),
    "NaN in short rows": lambda x: _specials(x, nan=(2, 4)),
    "NaN in a long row": lambda x: _specials(x, nan=(40000, 60001)),
    "-inf and NaN over an inner axis": lambda x: _specials(x, minus_inf=(1,), nan=(3,)),
    "+inf over an inner axis": lambda x: _specials(x, inf=(4,)),
}

# Powers of two and multiples of 64, with the neighbours of each.
LENGTHS = {1, 2} | {
    width + d for width in (4, 8, 16, 32, *(64 * k for k in (1, 2, 3, 4, 8, 16, 64))) for d in (-1, 0, 1)
}
SIZED = {
    *(f"n = {n}" for n in LENGTHS),
    "50,257 columns",
    *(f"inner axis: {shape}" for shape in ("8 x 21 x 4096", "2 x 1000 x 3", "3 x 65 x 33", "1 x 1 x 7")),
    *(f"sums that round badly: {shape}" for shape in ("1 x 1048576", "128 x 8192")),
    *(f"inner axis: sums that round badly, {shape}" for shape in ("1 x 349525 x 3", "4 x 4096 x 64", "1 x 256 x 4096")),
}


def test_the_cases_are_those_that_are_tested_here() -> None:
    assert list(CASES) == [case.name for case in contract.KERNEL_CASES]
    assert set(CASES) == SIZED | set(HOLDS)


@pytest.mark.parametrize("case", contract.KERNEL_CASES, ids=lambda case: case.name)
def test_cases_exist_for_the_dtypes_that_they_are_about(case: contract.Case) -> None:
    special = re.search("inf|NaN|offset|alternate|N\\(|magnitudes|subnormals|zeros|badly", case.name)
    floats = (*contract.FLOATS, *contract.OPTIONAL)
    signed = [name for name in contract.INTEGERS if np.iinfo(name).min < 0]
    expected = {
        "ends of the integer range": contract.INTEGERS,
        "all negative": (*floats, *signed),
    }.get(case.name, floats if special else (*contract.DTYPES, *contract.OPTIONAL))
    assert sorted(case.dtypes) == sorted(expected)


@pytest.mark.parametrize("case", contract.KERNEL_CASES, ids=lambda case: case.name)
def test_cases_have_the_shapes_and_hold_what_they_are_named_for(case: contract.Case) -> None:
    holds = _rounds_badly if "round badly" in case.name else HOLDS.get(case.name, lambda x: True)
    length = re.search(r"n = (\d+)$|([\d,]+) (?:nearly equal )?columns", case.name)
    shape = re.search(r"(\d+) x (\d+)(?: x (\d+))?$", case.name)
    for dtype in case.dtypes:
        x = case.array(dtype)
        assert x.dtype == named(dtype)
        assert min(x.shape) > 0
        assert (x.shape[2] > 1) == ("inner axis" in case.name)
        if shape:
            assert x.shape == tuple(int(number or 1) for number in shape.groups())
        elif length:
            assert x.shape[1] == int((length[1] or length[2]).replace(",", ""))
        elif case.name in COLUMNS:
            assert x.shape[1] == COLUMNS[case.name]
        elif x.shape[2] == 1:  # longer than a vector, with a remainder
            assert x.shape[1] > 64
            assert x.shape[1] % 64
        assert holds(x), dtype


@needs.bfloat16
@pytest.mark.parametrize(
    ("case", "holds"),
    [
        ("huge magnitudes", lambda bits: {0x7F7F, 0xFF7F, 0x7EFF} <= bits),  # +- the largest, and half of it
        ("tiny magnitudes", lambda bits: len(bits) > 300 and max(b & 0x7FFF for b in bits) < 0x0400),
        ("subnormals", lambda bits: bits == {*range(10), *(0x8000 + k for k in range(1, 10))}),
        ("signed zeros", lambda bits: {0x0000, 0x8000} <= bits),
        ("-inf entries", lambda bits: 0xFF80 in bits and 0x7F80 not in bits),
        ("+inf", lambda bits: 0x7F80 in bits),
        ("several NaNs and +inf", lambda bits: {0x7F80, 0x7FC0} <= {b & 0x7FFF for b in bits}),
    ],
)
def test_cases_in_bfloat16_hold_what_they_are_named_for(case: str, holds: Callable[[set[int]], bool]) -> None:
    x = CASES[case].array("bfloat16")
    assert x.dtype == named("bfloat16")
    assert holds(set(x.view(np.uint16).ravel().tolist()))
