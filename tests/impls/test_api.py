"""The public functions: drop-ins for scipy.special.softmax and numpy.argmax."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special

from maxbench import impls
from maxbench.impls import contract
from maxbench.impls.contract.dtypes import named
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


class Index:
    """An integer as far as `operator.index` goes."""

    def __index__(self) -> int:
        return 1


@pytest.mark.parametrize("axis", [np.array(1), np.int64(1), np.uint8(1), np.int64(-3), Index(), 1])
@pytest.mark.parametrize("out", [False, True])
def test_an_axis_is_whatever_is_an_integer(axis: Any, out: bool) -> None:
    given = {"out": np.empty_like(A)} if out else {}
    np.testing.assert_allclose(impls.softmax(A, axis, **given), scipy.special.softmax(A, axis), rtol=1e-13)
    given = {"out": np.empty((3, 5, 6), np.int64)} if out else {}
    np.testing.assert_array_equal(impls.argmax(A, axis, **given), np.argmax(A, axis))


@pytest.mark.parametrize(
    "axes", [(np.int64(0), np.array(2)), (Index(), -1), [0, np.int8(1)], [1], (1,), range(2), (), (0, 1, 2, 3)]
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_axes_are_whatever_are_integers(axes: Any, order: Any) -> None:
    x = np.asarray(A, order=order)
    expected = scipy.special.softmax(x, tuple(axes))
    np.testing.assert_allclose(impls.softmax(x, axes), expected, rtol=1e-13)
    out = np.empty_like(x)
    assert impls.softmax(x, axes, out=out) is out
    np.testing.assert_allclose(out, expected, rtol=1e-13)


@pytest.mark.parametrize("x", [3.0, np.inf, np.empty((0, 3))])
def test_no_axis(x: Any) -> None:
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(impls.softmax(x, ()), scipy.special.softmax(x, ()))
    with pytest.raises(np.exceptions.AxisError):
        impls.softmax(1.0, (0,))


@pytest.mark.parametrize(
    "axis", [True, False, np.True_, np.array(True), 1.0, np.float64(1), np.array([0, 1]), {0}, "1"], ids=repr
)
def test_an_axis_that_is_no_integer(axis: Any) -> None:
    for function in (impls.softmax, impls.argmax):
        function(A, 1)  # what equals the axis is known from here on
        with pytest.raises(TypeError, match=r"axis is .*: accepted are integers|argmax takes one axis or None"):
            function(A, axis)
    with pytest.raises(TypeError, match=r"axis is .*: accepted are integers, and None for the whole array"):
        impls.softmax(A, (0, axis))


def test_argmaxs_out_is_its_third_argument() -> None:
    out = np.empty((3, 5, 6), np.int64)
    assert impls.argmax(A, 1, out) is out
    np.testing.assert_array_equal(out, np.argmax(A, 1))
    with pytest.raises(TypeError, match="positional"):
        impls.argmax(A, 1, None, True)  # type: ignore[misc]
    with pytest.raises(TypeError, match="positional"):
        impls.softmax(A, 1, out)  # type: ignore[misc]


class Subclass(np.ndarray):
    pass


@pytest.mark.parametrize("kind", [np.matrix, np.recarray, np.memmap, Subclass])
@pytest.mark.parametrize("axis", [None, 0, 1, -1, np.array(1)])
@pytest.mark.parametrize("order", ["C", "F", "strided"])
def test_subclasses_give_the_shapes_of_numpy_and_scipy(kind: Any, axis: Any, order: str) -> None:
    x = np.round(A[0, 0])
    x = {"C": x, "F": np.asfortranarray(x), "strided": x[::-1, ::2]}[order].view(kind)
    soft, hard, expected = impls.softmax(x, axis), impls.argmax(x, axis), np.argmax(x, 1 if axis == -1 else axis)
    np.testing.assert_allclose(soft, scipy.special.softmax(x, axis), rtol=1e-13)
    assert type(soft) is np.ndarray
    assert np.shape(hard) == np.shape(expected)
    np.testing.assert_array_equal(hard, np.asarray(expected))
    out = np.empty(np.shape(expected), np.int64)
    assert impls.argmax(x, axis, out) is out
    np.testing.assert_array_equal(out, hard)
    keeping = np.argmax(np.asarray(x), axis, keepdims=True)
    np.testing.assert_array_equal(impls.argmax(x, axis, keepdims=True), keeping)


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
        (np.empty((3, 4), ">f4"), TypeError, "out has dtype >f4: the result has float64, and accepted are both"),
        (np.empty((1, 3, 4)), ValueError, r"out has shape \(1, 3, 4\)"),
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
        (np.empty(3, np.uint64), TypeError, "out has dtype uint64: the result has int64"),
        (np.empty((3, 1), np.int64), ValueError, r"out has shape \(3, 1\)"),
        (np.broadcast_to(np.zeros(1, np.int64), 3), ValueError, "out is read-only: accepted is a writable array"),
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
        from maxbench import implements
        run = implements(dtypes=("float32",))(lambda x, out: out)
    """
    install({"narrow": source}, {"softmax.narrow": "narrow"})
    with pytest.raises(TypeError, match="float64 is not among its dtypes"):
        impls.softmax([1.0, 2.0], impl="narrow")


def test_a_kernel_without_out(install: Any) -> None:
    source = """
        import numpy as np
        from maxbench import implements

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
    """The default takes it as it is, and may round the other way where float32 is between two."""
    x, native = _bfloat16(order), named("bfloat16")
    before = x.tobytes()
    expected = impls.softmax(x.astype(native).astype(np.float32), axis, impl=impl).astype(native)
    out = np.empty(x.shape, native)
    results = impls.softmax(x, axis, impl=impl), impls.softmax(x, axis, impl=impl, out=out)
    assert results[1] is out
    for result in results:
        assert result.dtype == native
        np.testing.assert_allclose(result.astype(float), expected.astype(float), rtol=0 if impl else 2**-7)
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
        from maxbench import implements
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
        from maxbench import implements

        @implements(dtypes=("float32", "bfloat16"))
        def run(x, out):
            assert x.dtype.name == out.dtype.name == "bfloat16"
            out[...] = 0.5
            return out
    """
    install({"half": source}, {"softmax.half": "half"})
    result = impls.softmax(np.zeros(3, named("bfloat16")), impl="half")
    np.testing.assert_array_equal(result.astype(float), [0.5] * 3)
