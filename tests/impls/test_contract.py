"""The oracles against definitions that share nothing with them, and the tolerance where it matters."""

from __future__ import annotations

import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import scipy.special

from maxbench.impls import contract
from maxbench.impls.contract import operation as statement
from maxbench.impls.contract import softmax as softmax_statement
from maxbench.impls.contract.dtypes import named
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


def test_without_its_package_bfloat16_is_not_known() -> None:
    program = (
        "import sys; sys.modules['ml_dtypes'] = None\n"
        "from maxbench import impls; from maxbench.impls import contract\n"
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
