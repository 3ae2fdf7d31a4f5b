"""The oracles against definitions that share nothing with them, and the tolerance where it matters."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import scipy.special

from impls import contract
from impls.contract import operation as statement
from impls.contract import softmax as softmax_statement
from impls.contract.dtypes import finfo, named
from tests import needs


@pytest.mark.parametrize("dtype", contract.SOFTMAX.dtypes)
def test_softmax_oracle_accepts_scipys_float64_rounded(dtype: str) -> None:
    x = (np.random.default_rng(0).standard_normal((5, 77, 3)) * 9).astype(named(dtype))
    right = scipy.special.softmax(x.astype(np.float64), axis=1).astype(named(dtype))
    assert contract.SOFTMAX.verify(x, right) is None


# Distances of a score from the maximum, and roundings of its probability just inside and just outside the bound. The
# first is exact, rows of four zeros; in the others exp is up to an ulp off, in the oracle as well as here.
EDGES = [(0, 8, 9), (6, 12.5, 15.5), (20, 26.5, 29.5)]


@pytest.mark.parametrize("dtype", contract.FLOATS)
@pytest.mark.parametrize(("far", "inside", "outside"), EDGES)
@pytest.mark.parametrize("sign", [-1, 1])
def test_softmax_oracle_draws_the_line_at_the_stated_bound(
    dtype: str, far: int, inside: float, outside: float, sign: int
) -> None:
    if dtype == "float16" and far > 6:
        pytest.skip("such probabilities are subnormal in float16, whose last step is allowed")
    x = np.zeros((2, 4, 1), dtype)
    x[1, 1] = -far
    exact = scipy.special.softmax(x.astype(np.float64), axis=1)
    eps = float(np.finfo(dtype).eps)
    assert contract.SOFTMAX.verify(x, _off(exact, 1 + sign * inside * eps, dtype)) is None
    mismatch = contract.SOFTMAX.verify(x, _off(exact, 1 + sign * outside * eps, dtype))
    assert mismatch is not None
    assert mismatch.position == (1, 1, 0)
    assert mismatch.count == 1
    assert "ulp" in str(mismatch)


def _off(exact: np.ndarray, factor: float, dtype: str) -> np.ndarray:
    """Probabilities, one of which is off by a factor, rounded to a dtype."""
    spoilt = exact.copy()
    spoilt[1, 1, 0] *= factor
    return spoilt.astype(dtype)


@needs.bfloat16
@pytest.mark.parametrize("far", [0, 6, 20])
def test_bfloat16_allows_the_bound_of_float32_beside_its_last_rounding(far: int) -> None:
    """Where a probability is all but half way between two numbers, the farther is right within the bound."""
    columns = np.arange(1, 1 << 18)
    exact = math.exp(-far) / (columns + math.exp(-far))  # the last of so many zeros and one score that is far
    nearest = exact.astype(named("bfloat16"))
    upward = nearest.astype(np.float64) < exact
    farther = (nearest.view(np.int16) + np.where(upward, 1, -1).astype(np.int16)).view(named("bfloat16"))
    midway = (nearest.astype(np.float64) + farther.astype(np.float64)) / 2
    roundings = np.abs(exact - midway) / exact / float(np.finfo(np.float32).eps)
    for low, high, right in ((0.85, 0.98, True), (1.02, 1.15, False)):
        found = np.flatnonzero((low * (8 + far) < roundings) & (roundings < high * (8 + far)) & (columns > 9))
        n = int(found[0])
        x = np.zeros((1, n + 2, 1), named("bfloat16"))
        x[0, -1] = -far
        result = scipy.special.softmax(x.astype(np.float64), axis=1).astype(named("bfloat16"))
        assert result[0, -1, 0] == nearest[n]
        result[0, -1, 0] = farther[n]
        assert (contract.SOFTMAX.verify(x, result) is None) is right


def test_softmax_oracle_adds_exactly() -> None:
    """Against exact sums of what exp gives, over an axis where NumPy's own are off by thousands of roundings."""
    case = next(c for c in contract.KERNEL_CASES if c.name == "inner axis: sums that round badly, 1 x 349525 x 3")
    x = case.array("float64")
    weights = np.exp(x)
    exact = weights / np.array([math.fsum(weights[0, :, k]) for k in range(3)])
    eps = float(np.finfo(np.float64).eps)
    assert contract.SOFTMAX.verify(x, exact * (1 + 7 * eps)) is None
    mismatch = contract.SOFTMAX.verify(x, exact * (1 + 10 * eps))
    assert mismatch is not None
    assert mismatch.count == 3  # the maxima, at distance 0


def test_the_tolerance_does_not_grow_with_n() -> None:
    for n in (10, 100_000):
        x = np.zeros((1, n, 1), np.float32)
        right = np.full((1, n, 1), 1 / n, np.float32)
        assert contract.SOFTMAX.verify(x, right) is None
        assert contract.SOFTMAX.verify(x, right * np.float32(1 + 2e-6)) is not None


@needs.bfloat16
def test_bfloat16_allows_its_last_rounding_and_no_more() -> None:
    """The nearest value is right and both its neighbours are wrong, at any |x - max|."""
    for far in (0, 1, 5, 20):
        x = np.full((1, 5, 1), -far, named("bfloat16"))
        x[0, 0] = 0
        exact = np.exp(x.astype(np.float64))
        exact /= exact.sum()
        right = exact.astype(named("bfloat16"))
        assert contract.SOFTMAX.verify(x, right) is None
        for step in (-1, 1):
            off = (right.view(np.int16) + np.int16(step)).view(named("bfloat16"))
            assert contract.SOFTMAX.verify(x, off) is not None
    tiny = np.array([[[0], [-100]]], named("bfloat16"))  # its exp is subnormal, and may be flushed
    assert contract.SOFTMAX.verify(tiny, np.array([[[1], [0]]], named("bfloat16"))) is None


Rows = np.ndarray  # of a case, (outer, n)


def _first_maxima(x: Rows, *positions: int) -> bool:
    """Whether the maxima of every row, and nothing else, are at these positions."""
    at = np.zeros(x.shape, bool)
    at[:, positions] = True
    return bool(((x == x.max(axis=1, keepdims=True)) == at).all())


def _specials(x: Rows, **where: tuple[int, ...]) -> bool:
    """Whether every second row has NaN, inf and -inf at these positions, and no row has one elsewhere."""
    at = {"nan": np.isnan(x), "inf": np.isposinf(x), "minus_inf": np.isneginf(x)}
    for name, hit in at.items():
        expected = np.zeros(x.shape, bool)
        expected[1::2, where.get(name, ())] = True
        if not np.array_equal(hit, expected):
            return False
    return True


def _ascends(x: Rows) -> bool:
    return bool((x[:, :-1] <= x[:, 1:]).all() and (x[:, 0] < x[:, -1]).all())


def _means(x: Rows, even: float, odd: float) -> bool:
    means = x.astype(np.float64).mean(axis=1)
    return bool((np.abs(means[::2] - even) < 9).all() and (np.abs(means[1::2] - odd) < 9).all())


def _rounds_badly(x: Rows) -> bool:
    """One maximum in each row, at 0; the exponentials of the others, all equal, add up to 0.5 to 1."""
    others = np.sort(x, axis=1)[:, :-1].astype(np.float64)
    sums = np.exp(others).sum(axis=1)
    return bool((x.max(axis=1) == 0).all() and (others == others[:, :1]).all() and (abs(sums - 0.75) < 0.3).all())


HOLDS: dict[str, Callable[[Rows], bool]] = {
    "ties among few values": lambda x: set(np.unique(x)) <= {0, 1, 2} and bool((x == 0).any()),
    "inner axis: ties": lambda x: set(np.unique(x)) <= {0, 1, 2} and bool((x == 0).any()),
    "1,048,576 nearly equal columns": lambda x: (
        int((x == 0).sum()) == (1 << 20) - 2 and bool((x[0, [3, -2]] == 1).all())
    ),
    "all equal": lambda x: bool((x == 1).all()),
    "all zero": lambda x: bool((x == 0).all()),
    "ascending": _ascends,
    "descending": lambda x: _ascends(x[:, ::-1]),
    "maximum first": lambda x: _first_maxima(x, 0),
    "maximum last": lambda x: _first_maxima(x, -1),
    "ties at both ends": lambda x: _first_maxima(x, 0, -1),
    "ties in neighbours": lambda x: _first_maxima(x, 63, 64, 65, 500),
    "ends of the integer range": lambda x: {x.min(), x.max()} == {np.iinfo(x.dtype).min, np.iinfo(x.dtype).max},
    "all negative": lambda x: bool((x < 0).all()),
    "rows offset by +-1e3": lambda x: _means(x, -1e3, 1e3),
    "alternate rows +200": lambda x: _means(x, 0, 200),
    "N(0, 40)": lambda x: 35 < float(x.astype(np.float64).std()) < 45,
    "huge magnitudes": lambda x: {abs(x).max(), x.max()} == {finfo(x.dtype).max} and x.min() == -finfo(x.dtype).max,
    "tiny magnitudes": lambda x: 0 < abs(x).max() < 64 * finfo(x.dtype).smallest_normal,
    "subnormals": lambda x: 0 < abs(x).max() < finfo(x.dtype).smallest_normal,
    "signed zeros": lambda x: {bool(sign) for sign in np.signbit(x[x == 0])} == {False, True},
    "-inf entries": lambda x: 0.2 < float(np.isneginf(x).mean()) < 0.4 and not (np.isnan(x) | np.isposinf(x)).any(),
    "all -inf": lambda x: bool(np.isneginf(x).all()),
    "all -inf but the last": lambda x: _specials(x, minus_inf=tuple(range(69))) and x.shape[1] == 70,
    "+inf": lambda x: _specials(x, inf=(100,)),
    "+inf and -inf": lambda x: _specials(x, minus_inf=(7,), inf=(100, 200)),
    "NaN first": lambda x: _specials(x, nan=(0,)),
    "NaN in the middle": lambda x: _specials(x, nan=(130,)) and x.shape[1] == 261,
    "NaN last": lambda x: _specials(x, nan=(-1,)),
    "several NaNs and +inf": lambda x: _specials(x, inf=(5,), nan=(77, 78, -1)),
    "NaN in short rows": lambda x: _specials(x, nan=(2, 4)) and x.shape[1] == 6,
    "NaN in a long row": lambda x: _specials(x, nan=(40000, 60001)) and x.shape[1] == 70001,
    "-inf and NaN over an inner axis": lambda x: bool((np.isneginf(x).sum(1) + np.isnan(x).sum(1) == 2)[35:70].all()),
    "+inf over an inner axis": lambda x: bool((np.isposinf(x).argmax(axis=1) == 4)[35:70].all()),
}


@pytest.mark.parametrize("case", contract.KERNEL_CASES, ids=lambda case: case.name)
def test_cases_hold_what_they_are_named_for(case: contract.Case) -> None:
    holds = _rounds_badly if "round badly" in case.name else HOLDS.get(case.name)
    sizes = re.search(r"([\d,]+) (?:nearly equal )?columns|n = (\d+)|(\d+) x (\d+)(?: x (\d+))?$", case.name)
    many = re.match("(two|ten) columns, many rows", case.name)
    assert holds or sizes or many, "nothing is known of a case of this name"
    for dtype in case.dtypes:
        x = case.array(dtype)
        assert x.dtype == named(dtype)
        if sizes:
            numbers = [int(number.replace(",", "")) for number in sizes.groups() if number]
            assert numbers in ([x.shape[1]], [*x.shape][: len(numbers)])
        if many:
            assert x.shape[0] > 1000
            assert x.shape[1:] == ({"two": 2, "ten": 10}[many[1]], 1)
        if holds:
            assert holds(x.swapaxes(1, 2).reshape(-1, x.shape[1])), dtype


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
    x = next(c for c in contract.KERNEL_CASES if c.name == case).array("bfloat16")
    assert x.dtype == named("bfloat16")
    assert holds(set(x.view(np.uint16).ravel().tolist()))


@needs.bfloat16
def test_every_case_about_floats_exists_in_bfloat16() -> None:
    for case in contract.KERNEL_CASES:
        assert ("float32" in case.dtypes) == ("bfloat16" in case.dtypes)


def test_without_its_package_bfloat16_is_not_known() -> None:
    program = (
        "import sys; sys.modules['ml_dtypes'] = None\n"
        "import impls; from impls import contract\n"
        "print(contract.OPTIONAL, contract.SOFTMAX.dtypes, "
        "{d for c in contract.KERNEL_CASES for d in c.dtypes} == {*contract.DTYPES})\n"
        "try: impls.implements(dtypes=('bfloat16',))\n"
        "except ValueError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "() ('float16', 'float32', 'float64') True",
        f"dtypes ['bfloat16']: accepted are {', '.join(contract.DTYPES)}",
    ]


@pytest.mark.parametrize("value", [-1e-9, np.nan, np.inf])
def test_values_that_are_no_probabilities_are_rejected(value: float) -> None:
    x = np.array([[[0.0], [-np.inf]]], np.float32)
    assert contract.SOFTMAX.verify(x, np.array([[[1.0], [value]]], np.float32)) is not None


def test_minus_infinity_is_exactly_zero() -> None:
    x = np.array([[[0.0], [-np.inf]]], np.float32)
    assert contract.SOFTMAX.verify(x, np.array([[[1.0], [0.0]]], np.float32)) is None
    assert contract.SOFTMAX.verify(x, np.array([[[1.0], [1e-45]]], np.float32)) is not None


@pytest.mark.parametrize("row", [[np.nan, 1.0], [np.inf, 1.0], [-np.inf, -np.inf]])
def test_rows_that_must_be_nan(row: list[float]) -> None:
    x = np.array(row, np.float64).reshape(1, 2, 1)
    assert contract.SOFTMAX.verify(x, np.full((1, 2, 1), np.nan)) is None
    assert contract.SOFTMAX.verify(x, np.full((1, 2, 1), 0.5)) is not None


def test_blocks_cover_everything_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for shape in [(5, 7, 3), (1, 100, 1), (100, 1, 1), (2, 3, 50), (1, 1, 1)]:
        for block in (1, 4, 10, 1000):
            monkeypatch.setattr(statement, "BLOCK", block)
            seen = np.zeros(shape, int)
            for rows, cuts in statement.blocks(shape):
                for cut in cuts:
                    seen[rows, cut] += 1
            assert (seen == 1).all()


@pytest.mark.parametrize("dtype", contract.ARGMAX.dtypes)
def test_argmax_oracle_in_blocks_is_pythons(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statement, "BLOCK", 16)
    case = next(c for c in contract.KERNEL_CASES if c.name == "ties among few values")
    x = case.array(dtype)
    right = np.array([[max(range(x.shape[1]), key=lambda j: (x[i, j, 0], -j))] for i in range(x.shape[0])])
    assert contract.ARGMAX.verify(x, right) is None
    right[3, 0] += 1
    mismatch = contract.ARGMAX.verify(x, right)
    assert mismatch is not None
    assert mismatch.position == (3, 0)


def test_integers_beyond_float64_are_told_apart() -> None:
    x = np.array([2**63 - 2, 2**63 - 1, 2**63 - 3], np.int64).reshape(1, 3, 1)
    assert contract.ARGMAX.verify(x, np.array([[1]])) is None
    assert contract.ARGMAX.verify(x, np.array([[0]])) is not None


@pytest.mark.parametrize("operation", contract.OPERATIONS.values(), ids=lambda o: o.name)
def test_results_of_a_wrong_shape_or_dtype_are_named(operation: contract.Operation) -> None:
    x = np.zeros((2, 3, 4), np.float32)
    out = operation.allocate(x)
    assert "shape" in str(operation.verify(x, out[:1]))
    assert "dtype" in str(operation.verify(x, out.astype(np.int8)))
    assert operation.verify(x, None) is not None  # type: ignore[arg-type]


def test_ulp_errors_against_exact_arithmetic() -> None:
    rng = np.random.default_rng(5)
    for dtype in (np.float32, np.float64):
        expected = np.exp(rng.uniform(-30, 0, 50)).astype(dtype)
        got = np.nextafter(np.nextafter(expected, dtype(2)), dtype(2))
        errors = softmax_statement.ulp_error(got.astype(np.float64), expected.astype(np.float64), np.dtype(dtype))
        for g, e, error in zip(got, expected, errors, strict=True):
            unit = Fraction(float(np.spacing(e)))
            exact = abs(Fraction(float(g)) - Fraction(float(e))) / unit
            assert math.isclose(error, float(exact))


def test_least_bytes() -> None:
    assert contract.SOFTMAX.least_bytes(2, 3, 5, 4) == 2 * 30 * 4
    assert contract.ARGMAX.least_bytes(2, 3, 5, 4) == 30 * 4 + 10 * 8
