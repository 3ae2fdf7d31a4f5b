"""What the public functions give to a kernel, by which backend, and what they do with its result."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import scipy.special

from maxbench import impls
from maxbench.impls import api, contract, registry
from maxbench.impls.contract.dtypes import named
from tests import needs
from tests.plugins import Install

A = np.random.default_rng(3).standard_normal((3, 4, 5)).round(1)
BOTH = pytest.mark.parametrize("operation", contract.OPERATIONS)

# `fills` fills out, `new` returns another array: {backend} is where their arrays are.
SOURCE = """
    import numpy as np
    from maxbench import implements
    from maxbench.impls.backends import Backend

    calls = []

    class Far(Backend):
        name, device = "far", "cpu"

        def put(self, array):
            calls.append(("put", array))
            return [array.copy()]

        def get(self, array):
            calls.append(("get", array))
            return array[0]

        def synchronize(self):
            pass

    class Through(Far):
        def run_host(self, run, x, out):
            calls.append(("run_host", x, out))
            return run([x], [out])[0]

    def run(x, out, result):
        e = np.exp(x - x.max(axis=1, keepdims=True).astype(x.dtype))
        result[...] = np.argmax(x, axis=1) if out.dtype == np.int64 else e / e.sum(axis=1, keepdims=True)
        return result

    def fills(x, out):
        calls.append(("run", x, out))
        return run(x, out, out)

    def new(x, out):
        calls.append(("run", x, out))
        return run(x, out, np.empty_like(out))

    def far(x, out):
        calls.append(("run", x, out))
        return [run(x[0], out[0], out[0])]

    dtypes = ("float32", "float64")
    fills, new = implements(dtypes=dtypes)(fills), implements(dtypes=dtypes)(new)
    away, through = implements(dtypes=dtypes, backend=Far())(far), implements(dtypes=dtypes, backend=Through())(far)
    half = implements(dtypes=(*dtypes, "bfloat16"))(fills.run) if {bfloat16} else None
    narrow = implements(dtypes=("float32",), largest=9)(fills.run)
"""
CALLS = {"fills": ["run"], "new": ["run"], "away": ["put", "put", "run", "get"], "through": ["run_host", "run"]}


@pytest.fixture
def calls(install: Install) -> list[Any]:
    """What the planted kernels and their backends were called with."""
    names = [*CALLS, "narrow", *["half"] * bool(contract.OPTIONAL)]
    points = {f"{operation}.{name}": f"planted:{name}" for operation in contract.OPERATIONS for name in names}
    install({"planted": SOURCE.format(bfloat16=bool(contract.OPTIONAL))}, points)
    for operation, name in itertools.product(contract.OPERATIONS, names):
        impls.load(operation, name)
    calls: list[Any] = import_module("planted").calls
    return calls


def expected(operation: str, x: np.ndarray, axis: int | None = 1, keepdims: bool = False) -> np.ndarray:
    return scipy.special.softmax(x, axis) if operation == "softmax" else np.argmax(x, axis, keepdims=keepdims)


ARRAYS = {"C": A, "F": np.asfortranarray(A), "strided": A.repeat(2, axis=2)[:, :, ::2]}


def given(like: np.ndarray, layout: str) -> Any:
    """An out for a result like this."""
    if layout == "strided":
        return np.full((*like.shape, 2), -1, like.dtype)[..., 0]
    if layout == "unaligned":
        return np.ndarray(like.shape, like.dtype, bytearray(like.nbytes + 1), 1)
    out = np.full(like.shape, -1, like.dtype.newbyteorder() if layout == "swapped" else like.dtype)
    return np.asarray(out, order="F" if layout == "F" else "C")


@BOTH
@pytest.mark.parametrize("impl", CALLS)
@pytest.mark.parametrize("layout", [None, "C", "F", "strided", "swapped", "unaligned"])
def test_a_kernel_is_called_once_through_its_backend(
    calls: list, operation: str, impl: str, layout: str | None
) -> None:
    for x, axis in itertools.product(ARRAYS.values(), (0, 1, None)):
        calls.clear()
        right = np.asarray(expected(operation, x, axis))
        out = None if layout is None else given(right, layout)
        result = getattr(impls, operation)(x, axis, out=out, impl=impl)
        assert out is None or result is out
        np.testing.assert_allclose(result, right, rtol=1e-13)
        assert [name for name, *_ in calls] == CALLS[impl]
        for a in (a for _, *arrays in calls for a in arrays if isinstance(a, np.ndarray)):
            assert a.flags.carray
            assert a.dtype.isnative


@BOTH
@pytest.mark.parametrize("impl", ["fills", "new"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_kernel_is_given_the_arrays_themselves(calls: list, operation: str, impl: str, order: Any) -> None:
    x = np.asarray(A, order=order)
    for axis in (0, 1, 2):
        out = np.asarray(np.empty_like(expected(operation, x, axis)), order=order)
        getattr(impls, operation)(x, axis, out=out, impl=impl)
        assert np.shares_memory(calls[-1][1], x)
        assert np.shares_memory(calls[-1][2], out)


@BOTH
def test_a_kernel_is_given_another_out_where_it_overlaps_x(calls: list, operation: str) -> None:
    memory = np.zeros(2 * A.size)
    x = memory[: A.size].reshape(A.shape)
    for begin in (0, 3, A.size - 1):
        x[...] = A
        right = expected(operation, x)
        out = memory[begin:].view(right.dtype)[: right.size].reshape(right.shape)
        assert getattr(impls, operation)(x, 1, out=out, impl="fills") is out
        np.testing.assert_allclose(out, right, rtol=1e-13)
        assert not np.shares_memory(calls[-1][1], calls[-1][2])


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("impl", ["fills", "new"])
def test_argmax_keeps_the_axis_in_out(calls: list, keepdims: bool, impl: str) -> None:
    for axis in (None, 0, 1, 2):
        right = expected("argmax", A, axis, keepdims)
        out = np.full(right.shape, -1)
        assert impls.argmax(A, axis, out, keepdims=keepdims, impl=impl) is out
        np.testing.assert_array_equal(out, right)
        result = impls.argmax(A, axis, keepdims=keepdims, impl=impl)
        np.testing.assert_array_equal(result, right)
        assert type(result) is type(np.argmax(A, axis, keepdims=keepdims))


@needs.bfloat16
@BOTH
def test_bfloat16_is_given_as_it_is_or_as_float32(calls: list, operation: str) -> None:
    x = A.astype(named("bfloat16"))
    wide = {"softmax": "float32", "argmax": "int64"}[operation]
    for impl, dtypes in (("fills", ["float32", wide]), ("half", ["bfloat16", wide.replace("float32", "bfloat16")])):
        result = getattr(impls, operation)(x, 1, impl=impl)
        assert [a.dtype.name for a in calls[-1][1:]] == dtypes
        assert result.dtype.name == ("bfloat16" if operation == "softmax" else "int64")
        np.testing.assert_allclose(result.astype(float), expected(operation, x.astype(float)), rtol=0.05)
    assert np.shares_memory(calls[-1][1], x)  # of `half`
    getattr(impls, operation)(x.astype(x.dtype.newbyteorder()), 1, impl="half")
    assert calls[-1][1].dtype.isnative


@BOTH
def test_what_a_kernel_does_not_take_is_refused_before_it_is_called(calls: list, operation: str) -> None:
    function = getattr(impls, operation)
    with pytest.raises(TypeError) as refused:
        function(np.zeros(3), impl="narrow")
    start = f"{operation}.narrow does not support this input: "
    assert str(refused.value) == f"{start}float64 is not among its dtypes (float32)"
    with pytest.raises(ValueError, match=f"^{start}10 elements are more than its limit of 9"):
        function(np.zeros(10, np.float32), impl="narrow")
    if contract.OPTIONAL:
        with pytest.raises(ValueError, match="10 elements are more than its limit of 9"):
            function(np.zeros(10, named("bfloat16")), impl="narrow")
    assert calls == []
    function(np.zeros(9, np.float32), impl="narrow")


@BOTH
def test_a_stream_is_for_arrays_in_gpu_memory(operation: str) -> None:
    for x in (A, [1.0, 2.0]):
        with pytest.raises(TypeError) as refused:
            getattr(impls, operation)(x, stream=0)
        assert str(refused.value) == "stream is for arrays in GPU memory, and this one is not"


class OnDevice:
    """An array in GPU memory as far as its attributes go."""

    __cuda_array_interface__: Any = {"version": 3, "shape": (2,), "typestr": "<f8", "data": (1, True)}  # noqa: RUF012


@BOTH
def test_arrays_in_gpu_memory_are_passed_on(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Recorder:
        def softmax(self, *args: Any) -> Any:
            return args

        argmax = softmax

    monkeypatch.setattr(api, "_on_device", Recorder)
    x, out = OnDevice(), np.empty(2)
    if operation == "softmax":
        assert impls.softmax(x, 3, out=out, impl="some", stream=5) == (x, 3, out, "some", 5)
    else:
        assert impls.argmax(x, 3, out, keepdims=True, impl="some", stream=5) == (x, 3, out, True, "some", 5)


@pytest.fixture
def not_loaded() -> Iterator[None]:
    """The functions for arrays in GPU memory have not been needed yet."""
    api._on_device.cache_clear()
    yield
    api._on_device.cache_clear()


@pytest.mark.usefixtures("not_loaded")
@BOTH
def test_arrays_in_gpu_memory_need_the_cuda_implementation(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(operation: str, name: str) -> Any:
        raise impls.Unavailable(f"{operation}.{name} is not available: no GPU")

    monkeypatch.setattr(registry, "load", load)
    with pytest.raises(impls.Unavailable, match=r"softmax\.numba_cuda is not available: no GPU"):
        getattr(impls, operation)(OnDevice())


@pytest.mark.usefixtures("not_loaded")
def test_arrays_in_gpu_memory_have_a_module_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    module = object()
    monkeypatch.setattr(registry, "load", lambda operation, name: None)
    monkeypatch.setitem(sys.modules, "maxbench.impls.cuda.device_arrays", module)
    assert api._on_device() is module


@BOTH
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_empty_result_needs_no_kernel(calls: list, operation: str, order: Any) -> None:
    x = np.empty((0, 3, 2), order=order)
    right = expected(operation, x)
    out = np.empty(right.shape, right.dtype)
    assert getattr(impls, operation)(x, 1, out=out, impl="fills") is out
    result = getattr(impls, operation)(x, 1, impl="fills")
    assert calls == []
    assert (result.shape, result.dtype) == (right.shape, right.dtype)
    with pytest.raises(ValueError, match=f"^{operation} of an empty axis: there is no element to choose from$"):
        getattr(impls, operation)(x, 0)
