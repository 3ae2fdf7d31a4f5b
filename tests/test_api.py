"""The public functions: drop-ins for scipy.special.softmax and numpy.argmax."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special

import impls
from impls import contract
from impls.contract.dtypes import named
from tests import needs

RNG = np.random.default_rng(3)
A = RNG.standard_normal((3, 4, 5, 6))
SHAPES = [(), (1,), (7,), (3, 4), (3, 4, 5, 6), (2, 1, 3)]


@pytest.mark.parametrize("impl", [None, "numpy_vectorized", "numba_simple"])
@pytest.mark.parametrize("axis", [None, 0, 1, 2, 3, -1, -4, (0, 1), (1, 3), (3, 0), (-1, -2), (0, 1, 2, 3)])
@pytest.mark.parametrize("order", ["C", "F", "strided"])
def test_softmax_is_scipys(impl: str | None, axis: Any, order: str) -> None:
    x = {"C": A, "F": np.asfortranarray(A), "strided": A[::-1, :, ::2]}[order]
    before = x.copy()
    np.testing.assert_allclose(impls.softmax(x, axis, impl=impl), scipy.special.softmax(x, axis), rtol=1e-13)
    out = np.empty(x.shape)
    assert impls.softmax(x, axis, out=out, impl=impl) is out
    np.testing.assert_allclose(out, scipy.special.softmax(x, axis), rtol=1e-13)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("impl", [None, "numpy_vectorized", "numba_simple"])
@pytest.mark.parametrize("axis", [None, 0, 1, 2, 3, -1, -4])
@pytest.mark.parametrize("order", ["C", "F", "strided"])
@pytest.mark.parametrize("keepdims", [False, True])
def test_argmax_is_numpys(impl: str | None, axis: int | None, order: str, keepdims: bool) -> None:
    x = np.round(A)  # with ties
    x = {"C": x, "F": np.asfortranarray(x), "strided": x[::-1, :, ::2]}[order]
    expected = np.argmax(x, axis, keepdims=keepdims)
    result = impls.argmax(x, axis, keepdims=keepdims, impl=impl)
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == np.int64
    out = np.empty(np.shape(expected), np.int64)
    assert impls.argmax(x, axis, out=out, keepdims=keepdims, impl=impl) is out
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_shapes_and_types_of_results(shape: tuple[int, ...], axis: int | None) -> None:
    x = RNG.standard_normal(shape)
    soft, hard = impls.softmax(x, axis), impls.argmax(x, axis)
    assert type(soft) is type(scipy.special.softmax(x, axis))
    assert np.shape(soft) == shape
    assert type(hard) is type(np.argmax(x, axis))
    assert np.shape(hard) == np.shape(np.argmax(x, axis))


@pytest.mark.parametrize("dtype", contract.ARGMAX.dtypes)
def test_dtypes(dtype: str) -> None:
    x = np.array([[1, 0, 1], [0, 1, 1]], named(dtype))
    soft = impls.softmax(x, axis=1)
    assert soft.dtype == (named(dtype) if dtype in contract.SOFTMAX.dtypes else "float64")
    np.testing.assert_allclose(soft.sum(axis=1).astype(float), 1, rtol=1e-2 if dtype == "bfloat16" else 1e-3)
    np.testing.assert_array_equal(impls.argmax(x, axis=1), [0, 1])


def test_lists_and_scalars() -> None:
    np.testing.assert_allclose(impls.softmax([1, 2, 3]), scipy.special.softmax([1, 2, 3]))
    assert impls.argmax([[1, 5], [7, 2]]) == 2
    assert impls.softmax(3.0) == 1.0
    assert impls.argmax(3.0) == 0
    assert impls.argmax(True) == 0


def test_out_may_be_the_input() -> None:
    x = A.copy()
    assert impls.softmax(x, 1, out=x) is x
    np.testing.assert_allclose(x, scipy.special.softmax(A, 1), rtol=1e-13)


def test_out_may_overlap_the_input() -> None:
    raw = RNG.standard_normal(120)
    x, out = raw[:100].reshape(10, 10), raw[20:].reshape(10, 10)
    expected = scipy.special.softmax(x, 1)
    impls.softmax(x, 1, out=out)
    np.testing.assert_allclose(out, expected, rtol=1e-13)


def test_empty_input() -> None:
    assert impls.softmax(np.empty((0, 3)), 1).shape == (0, 3)
    assert impls.argmax(np.empty((0, 3)), 1).shape == (0,)
    assert impls.argmax(np.empty((0, 3)), 1, keepdims=True).shape == (0, 1)
    out = np.empty((0, 3))
    assert impls.softmax(np.empty((0, 3)), 1, out=out) is out
    with pytest.raises(ValueError, match="argmax of an empty axis"):
        impls.argmax(np.empty((3, 0)), 1)
    with pytest.raises(ValueError, match="argmax of an empty axis"):
        impls.argmax([])
    with pytest.raises(ValueError, match="softmax of an empty axis"):
        impls.softmax([])


@pytest.mark.parametrize("function", [impls.softmax, impls.argmax])
@pytest.mark.parametrize("axis", [4, -5, 100])
def test_wrong_axis(function: Any, axis: int) -> None:
    with pytest.raises(np.exceptions.AxisError):
        function(A, axis)


def test_wrong_axes() -> None:
    with pytest.raises(TypeError, match="argmax takes one axis or None"):
        impls.argmax(A, (0, 1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="repeated axis"):
        impls.softmax(A, (1, 1))
    with pytest.raises(ValueError, match="axis is empty"):
        impls.softmax(A, ())
    with pytest.raises(TypeError):
        impls.softmax(A, 1.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("function", [impls.softmax, impls.argmax])
@pytest.mark.parametrize(
    "x", [np.array([1j, 2]), np.array(["a", "b"]), np.array([object()]), np.array(["2020-01-01"], "datetime64[D]")]
)
def test_unsupported_dtypes(function: Any, x: np.ndarray) -> None:
    with pytest.raises(TypeError, match=r"does not take .*: accepted are float16, float32, float64, bool, int8"):
        function(x)


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.empty((3, 5)), ValueError, r"out has shape \(3, 5\): the result has \(3, 4\)"),
        (np.empty((3, 4), np.float32), TypeError, "out has dtype float32: the result has float64"),
        (np.empty((4, 3)).T, ValueError, "out is not C-contiguous"),
        ([[0.0] * 4] * 3, TypeError, "out is a list: accepted is a numpy.ndarray"),
    ],
)
def test_wrong_out_of_softmax(out: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        impls.softmax(np.zeros((3, 4)), 1, out=out)


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.empty(4, np.int64), ValueError, r"out has shape \(4,\): the result has \(3,\)"),
        (np.empty(3, np.int32), TypeError, "out has dtype int32: the result has int64"),
        (np.empty(6, np.int64)[::2], ValueError, "out is not C-contiguous"),
    ],
)
def test_wrong_out_of_argmax(out: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        impls.argmax(np.zeros((3, 4)), 1, out=out)


def test_read_only_out() -> None:
    out = np.empty((3, 4))
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        impls.softmax(np.zeros((3, 4)), 1, out=out)


def test_implementations_by_name() -> None:
    with pytest.raises(impls.UnknownImplementation, match="did you mean 'naive'"):
        impls.softmax([1.0], impl="naiv")
    limited = impls.load("softmax", "naive").kernel.largest
    assert limited is not None
    with pytest.raises(ValueError, match=r"does not support this input: .* more than its limit"):
        impls.softmax(np.zeros(limited + 1, np.float16), impl="naive")


def test_a_refused_dtype(install: Any) -> None:
    source = """
        from impls import implements
        run = implements(dtypes=("float32",))(lambda x, out: out)
    """
    install({"narrow": source}, {"softmax.narrow": "narrow"})
    with pytest.raises(TypeError, match="float64 is not among its dtypes"):
        impls.softmax([1.0, 2.0], impl="narrow")


def test_a_kernel_without_out(install: Any) -> None:
    source = """
        import numpy as np
        from impls import implements

        @implements(dtypes=("float64",))
        def run(x, out):
            e = np.exp(x - x.max(axis=1, keepdims=True))
            return e / e.sum(axis=1, keepdims=True)
    """
    install({"other": source}, {"softmax.other": "other"})
    out = np.empty((3, 4))
    assert impls.softmax(A[0, :3, 0, :4], 1, out=out, impl="other") is out
    np.testing.assert_allclose(out, scipy.special.softmax(A[0, :3, 0, :4], 1), rtol=1e-13)


def _bfloat16(order: str) -> np.ndarray:
    """A with a NaN, an infinity and one of each sign of it in rows of their own, in bfloat16."""
    x = (A * 5).astype(named("bfloat16"))
    x[0, 0, 0, 1], x[0, 1, 0, 2], x[1, 0, 0, 3] = np.nan, np.inf, -np.inf
    return {"C": x, "F": np.asfortranarray(x), "strided": x[::-1, :, ::2], "swapped": x.astype(x.dtype.newbyteorder())}[
        order
    ]


@needs.bfloat16
@pytest.mark.parametrize("impl", [None, "naive", "numpy_vectorized", "numba_simple"])
@pytest.mark.parametrize("axis", [None, 0, 3, (0, 1), (1, 3)])
@pytest.mark.parametrize("order", ["C", "F", "strided", "swapped"])
def test_softmax_in_bfloat16_is_float32s_rounded_once(impl: str | None, axis: Any, order: str) -> None:
    x, native = _bfloat16(order), named("bfloat16")
    before = x.tobytes()
    expected = impls.softmax(x.astype(native).astype(np.float32), axis, impl=impl).astype(native)
    out = np.empty(x.shape, native)
    results = impls.softmax(x, axis, impl=impl), impls.softmax(x, axis, impl=impl, out=out)
    assert results[1] is out
    for result in results:
        assert result.dtype == native
        np.testing.assert_array_equal(result.astype(float), expected.astype(float))
    assert x.tobytes() == before


@needs.bfloat16
@pytest.mark.parametrize("impl", [None, "naive", "numpy_vectorized", "numba_simple"])
@pytest.mark.parametrize("axis", [None, 0, 3])
@pytest.mark.parametrize("order", ["C", "F", "strided", "swapped"])
def test_argmax_in_bfloat16_is_exact(impl: str | None, axis: int | None, order: str) -> None:
    x = _bfloat16(order)
    expected = np.argmax(x.astype(named("bfloat16")).astype(np.float64), axis)
    np.testing.assert_array_equal(impls.argmax(x, axis, impl=impl), expected)
    out = np.empty(np.shape(expected), np.int64)
    assert impls.argmax(x, axis, out=out, impl=impl) is out
    np.testing.assert_array_equal(out, expected)


@needs.bfloat16
def test_bfloat16_in_place_scalars_and_refusals(install: Any) -> None:
    source = """
        from impls import implements
        run = implements(dtypes=("float64",))(lambda x, out: out)
    """
    install({"narrow": source}, {"softmax.narrow": "narrow"})
    x = (A * 5).astype(named("bfloat16"))
    expected = impls.softmax(x, 1)
    assert impls.softmax(x, 1, out=x) is x
    assert x.tobytes() == expected.tobytes()
    assert type(impls.softmax(x[0, 0, 0, 0])) is named("bfloat16").type
    with pytest.raises(TypeError, match="out has dtype float32: the result has bfloat16"):
        impls.softmax(x, 1, out=np.empty(x.shape, np.float32))
    with pytest.raises(TypeError, match=r"accepted are float16, .*, uint64, bfloat16"):
        impls.softmax(["a"])
    with pytest.raises(TypeError, match=r"bfloat16 is not among its dtypes \(float64\)"):
        impls.softmax(x, impl="narrow")
    with pytest.raises(ValueError, match="more than its limit"):
        impls.argmax(np.zeros((1 << 22) + 1, named("bfloat16")), impl="naive")


@needs.bfloat16
def test_an_implementation_that_takes_bfloat16_is_given_it(install: Any) -> None:
    source = """
        from impls import implements

        @implements(dtypes=("float32", "bfloat16"))
        def run(x, out):
            assert x.dtype.name == out.dtype.name == "bfloat16"
            out[...] = 0.5
            return out
    """
    install({"half": source}, {"softmax.half": "half"})
    result = impls.softmax(np.zeros(3, named("bfloat16")), impl="half")
    np.testing.assert_array_equal(result.astype(float), [0.5] * 3)
