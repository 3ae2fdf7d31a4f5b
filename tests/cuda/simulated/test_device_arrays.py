"""Arrays on the (simulated) device through the public functions: taken as they are, answered in kind."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numba import cuda

import impls
from impls import contract
from impls.cuda import device_arrays, plans


def _array(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(3).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize(("shape", "axis"), [((5, 70), -1), ((5, 7, 6), 1), ((70,), None), ((4, 3, 5), (0, 1))])
def test_softmax_stays_on_the_device(shape: tuple[int, ...], axis: Any) -> None:
    x = _array(*shape)
    given = cuda.to_device(x)
    result = impls.softmax(given, axis)
    assert type(result) is type(given)
    np.testing.assert_allclose(result.copy_to_host(), impls.softmax(x, axis, impl="numpy_vectorized"), rtol=1e-5)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(("shape", "axis"), [((5, 70), -1), ((5, 7, 6), 1), ((70,), 0)])
def test_argmax_stays_on_the_device(shape: tuple[int, ...], axis: Any, keepdims: bool) -> None:
    x = _array(*shape)
    result = impls.argmax(cuda.to_device(x), axis, keepdims=keepdims).copy_to_host()
    expected = x.argmax(axis, keepdims=keepdims)
    np.testing.assert_array_equal(result, expected)
    assert result.shape == np.shape(expected)


def test_the_given_memory_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}
    original = plans.run

    def watch(operation: str, x: Any, out: Any, stream: Any) -> Any:
        seen.update(x=x, out=out, stream=stream)
        return original(operation, x, out, stream)

    monkeypatch.setattr(plans, "run", watch)
    x, out, stream = cuda.to_device(_array(3, 40)), cuda.device_array((3, 40), np.float32), cuda.stream()
    assert impls.softmax(x, -1, out=out, stream=stream) is out
    assert np.shares_memory(seen["x"]._ary, x._ary)
    assert np.shares_memory(seen["out"]._ary, out._ary)
    assert seen["stream"] is stream


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: impls.softmax(x, 0, impl="naive"), ValueError, "numba_cuda does"),
        (lambda x: impls.softmax(cuda.to_device(np.ones((2, 3), np.int32)), 0), TypeError, "accepted are float16"),
        (lambda x: impls.softmax(x.T, 0), ValueError, "not C-contiguous"),
        (lambda x: impls.softmax(x, 5), np.exceptions.AxisError, "axis 5"),
        (lambda x: impls.softmax(x, 0, out=np.ones((4, 6), np.float32)), TypeError, "on the device too"),
        (lambda x: impls.softmax(x, 0, out=cuda.device_array((4, 6), np.float64)), TypeError, "the result has float32"),
        (
            lambda x: impls.softmax(x, 0, out=cuda.device_array((4, 5), np.float32)),
            ValueError,
            r"the result has \(4, 6\)",
        ),
        (lambda x: impls.softmax(x, 0, stream="main"), TypeError, "stream is a str"),
        (lambda x: impls.argmax(x, (0, 1)), TypeError, "one axis or None"),
        (lambda x: impls.argmax(cuda.to_device(np.ones((3, 0), np.float32)), 1), ValueError, "empty axis"),
        (lambda x: impls.softmax(cuda.to_device(np.ones((2, 3, 4), np.float32)), (0, 2)), ValueError, "not neighbours"),
        (lambda x: impls.softmax(np.ones(3), stream=cuda.stream()), TypeError, "arrays in GPU memory"),
    ],
)
def test_bad_input_is_named(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call(cuda.to_device(_array(4, 6)))


class _Tensor:
    """Stands for another library's array: it states the interface, and refuses it while it records gradients."""

    def __init__(self, array: Any, recording: bool) -> None:
        self.array, self.recording = array, recording

    def detach(self) -> _Tensor:
        return _Tensor(self.array, False)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        if self.recording:
            raise RuntimeError("detach first")
        return {"array": self.array}


def test_other_libraries_arrays_by_the_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        device_arrays.cuda, "as_cuda_array", lambda x: x.__cuda_array_interface__["array"], raising=False
    )
    x = _array(3, 40)
    result = impls.softmax(_Tensor(cuda.to_device(x), recording=True), -1)
    assert contract.SOFTMAX.verify(x[:, :, None], result.copy_to_host()[:, :, None]) is None


def test_streams_of_other_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_arrays.cuda, "external_stream", lambda address: ("stream", address))
    device_arrays._at_address.cache_clear()
    assert device_arrays.as_stream(SimpleNamespace(cuda_stream=64)) == ("stream", 64)
    assert device_arrays.as_stream(SimpleNamespace(ptr=96)) == ("stream", 96)
    assert device_arrays.as_stream(SimpleNamespace(ptr=0)) == 0
    device_arrays._at_address.cache_clear()


class _OnlyDlpack:
    """Stands for an array that hands out its memory by DLPack alone, as device memory or as what it is."""

    def __init__(self, array: np.ndarray, device: int = 0) -> None:
        self.array, self.device = array, device

    def __dlpack__(self, **how: Any) -> Any:
        return self.array.__dlpack__(**{k: v for k, v in how.items() if k != "stream"})

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, self.device)


def test_arrays_by_dlpack_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What numba-cuda reads DLPack with gives the address and shape; its stream is told to the producer."""
    x = _array(3, 40)
    asked: dict[str, Any] = {}

    class View:
        is_device_accessible, readonly = True, False

        @classmethod
        def from_dlpack(cls, given: _OnlyDlpack, stream_ptr: int) -> View:
            asked.update(stream=stream_ptr)
            view = cls()
            view.ptr, view.shape, view.dtype = given.array.ctypes.data, given.array.shape, given.array.dtype
            view.strides = (40, 1)
            return view

    def from_interface(described: dict[str, Any], owner: Any) -> Any:
        asked.update(described)
        return cuda.to_device(x)

    monkeypatch.setattr("cuda.core.utils.StridedMemoryView", View)
    monkeypatch.setattr(device_arrays.cuda, "from_cuda_array_interface", from_interface, raising=False)
    result = impls.softmax(_OnlyDlpack(x), -1)
    assert contract.SOFTMAX.verify(x[:, :, None], result.copy_to_host()[:, :, None]) is None
    assert asked == {"stream": 1, "shape": (3, 40), "strides": (160, 4), "typestr": "<f4",
                     "data": (x.ctypes.data, False), "version": 3}  # fmt: skip


def test_memory_that_cannot_be_taken_is_named() -> None:
    with pytest.raises(TypeError, match="_OnlyDlpack hands out its memory neither by the CUDA array interface nor by"):
        impls.softmax(_OnlyDlpack(_array(3, 40)), -1)


def test_the_device_of_the_array_becomes_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """And plans are made for it: another device has another table, working memory and compiled code."""
    entered: list[int] = []

    class Entered:
        def __init__(self, number: int) -> None:
            self.number = number

        def __enter__(self) -> None:
            entered.append(self.number)
            monkeypatch.setattr(plans, "current_number", lambda: self.number)

        def __exit__(self, *error: Any) -> None:
            monkeypatch.setattr(plans, "current_number", lambda: 0)

    class OnSecond(_Tensor):
        def __dlpack_device__(self) -> tuple[int, int]:
            return (2, 1)

    numbers: list[int] = []
    original = plans.plan

    def watch(number: int, *rest: Any) -> Any:
        numbers.append(number)
        return original(number, *rest)

    monkeypatch.setattr(plans, "plan", watch)
    monkeypatch.setattr(device_arrays.cuda, "gpus", {1: Entered(1)})
    monkeypatch.setattr(
        device_arrays.cuda, "as_cuda_array", lambda x: x.__cuda_array_interface__["array"], raising=False
    )
    given = cuda.to_device(_array(3, 40))
    impls.softmax(_Tensor(given, recording=False), -1)
    impls.softmax(OnSecond(given, recording=False), -1)
    assert (entered, numbers) == ([1], [0, 1])
    shape = ("softmax", "float32", (3, 40, 1), 0, 0)
    assert original(0, *shape) is original(0, *shape) is not original(1, *shape)
    with pytest.raises(ValueError, match="out is on device 1, and the array on device 0"):
        impls.softmax(_Tensor(given, False), -1, out=OnSecond(given, False))
