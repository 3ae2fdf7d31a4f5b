"""Arrays on the (simulated) device through the public functions: taken as they are, answered in kind."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numba import cuda
from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

from maxbench import impls
from maxbench.impls import contract
from maxbench.impls.backends import aligned_empty
from maxbench.impls.contract.dtypes import named
from maxbench.impls.cuda import device_arrays, plans
from maxbench.impls.cuda.streams import as_stream, at_address
from tests import needs


def _array(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(3).standard_normal(shape).astype(named(dtype))


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


@pytest.fixture
def stated(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every CUDA array interface that is read: the simulator cannot, but NumPy's own differs in its name alone."""
    seen: list[dict[str, Any]] = []

    def read(described: dict[str, Any], owner: Any) -> Any:
        seen.append(described)
        holder: Any = SimpleNamespace(__array_interface__=described, owner=owner)
        return FakeCUDAArray(np.asarray(holder))

    monkeypatch.setattr(device_arrays.cuda, "from_cuda_array_interface", read, raising=False)
    return seen


class _Tensor:
    """Stands for another library's array: it states the interface, and refuses it while it records gradients."""

    def __init__(self, array: np.ndarray, recording: bool = False) -> None:
        self.array, self.recording = array, recording

    def detach(self) -> _Tensor:
        return _Tensor(self.array, False)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        if self.recording:
            raise RuntimeError("detach first")
        return self.array.__array_interface__


@pytest.mark.usefixtures("stated")
def test_other_libraries_arrays_by_the_interface() -> None:
    x = _array(3, 40)
    result = impls.softmax(_Tensor(x, recording=True), -1)
    assert contract.SOFTMAX.verify(x[:, :, None], result.copy_to_host()[:, :, None]) is None


@pytest.mark.parametrize(("own", "waited_for"), [(1, None), (64, 64)])
def test_the_stream_that_an_array_states_is_waited_for_unless_it_is_the_calls_own(
    own: int, waited_for: int | None, stated: list[dict[str, Any]]
) -> None:
    class Streaming(_Tensor):
        def detach(self) -> _Tensor:
            return self

        @property
        def __cuda_array_interface__(self) -> dict[str, Any]:
            return {**self.array.__array_interface__, "stream": own}

    impls.softmax(Streaming(_array(3, 40)), -1)
    assert stated[0]["stream"] == waited_for


def test_streams_of_other_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_arrays.cuda, "external_stream", lambda address: ("stream", address))
    at_address.cache_clear()
    assert as_stream(SimpleNamespace(cuda_stream=64)) == ("stream", 64)
    assert as_stream(SimpleNamespace(ptr=96)) == ("stream", 96)
    assert as_stream(SimpleNamespace(ptr=0)) == 0
    at_address.cache_clear()


class _OnlyDlpack:
    """Stands for an array that hands out its memory by DLPack alone, as device memory or as what it is."""

    def __init__(self, array: np.ndarray, device: int = 0) -> None:
        self.array, self.device = array, device

    def __dlpack__(self, **how: Any) -> Any:
        return self.array.__dlpack__(**{k: v for k, v in how.items() if k != "stream"})

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, self.device)


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The streams that producers are told of, by what reads DLPack for numba-cuda: here it reads a stand-in's array."""
    told: list[int] = []

    class View:
        is_device_accessible, readonly = True, False

        @classmethod
        def from_dlpack(cls, given: Any, stream_ptr: int) -> View:
            told.append(stream_ptr)
            view, array = cls(), given.array
            view.ptr, view.shape, view.dtype = array.ctypes.data, array.shape, array.dtype
            view.strides = tuple(step // array.itemsize for step in array.strides)
            return view

    monkeypatch.setattr("cuda.core.utils.StridedMemoryView", View)
    return told


def test_arrays_by_dlpack_alone(stated: list[dict[str, Any]], streams: list[int]) -> None:
    """What numba-cuda reads DLPack with gives the address and shape; its stream is told to the producer."""
    x = _array(3, 40)
    result = impls.softmax(_OnlyDlpack(x), -1)
    assert contract.SOFTMAX.verify(x[:, :, None], result.copy_to_host()[:, :, None]) is None
    assert streams == [1]
    assert stated == [{"shape": (3, 40), "strides": (160, 4), "typestr": "<f4", "data": (x.ctypes.data, False),
                       "version": 3}]  # fmt: skip


def test_memory_that_cannot_be_taken_is_named() -> None:
    with pytest.raises(TypeError, match="_OnlyDlpack hands out its memory neither by the CUDA array interface nor by"):
        impls.softmax(_OnlyDlpack(_array(3, 40)), -1)


@pytest.mark.usefixtures("stated")
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
    given = aligned_empty((3, 40), np.dtype("float32"))
    given[...] = _array(3, 40)
    impls.softmax(_Tensor(given), -1)
    impls.softmax(OnSecond(given), -1)
    assert (entered, numbers) == ([1], [0, 1])
    shape = ("softmax", "float32", (3, 40, 1), 0, 0)
    assert original(0, *shape) is original(0, *shape) is not original(1, *shape)
    with pytest.raises(ValueError, match="out is on device 1, and the array on device 0"):
        impls.softmax(_Tensor(given), -1, out=OnSecond(given))


def _right(operation: str, x: np.ndarray, result: Any) -> bool:
    """Whether a result over the last axis is right, and of the operation's dtype."""
    rows = np.asarray(result).reshape(3, -1, 1) if operation == "softmax" else np.asarray(result).reshape(3, 1)
    return contract.OPERATIONS[operation].verify(x[:, :, None], rows) is None


@needs.bfloat16
def test_numba_arrays_of_bfloat16() -> None:
    x = _array(3, 40, dtype="bfloat16")
    given, out = cuda.to_device(x), cuda.device_array((3, 40), named("bfloat16"))
    for result in (impls.softmax(given, -1), impls.softmax(given, -1, out=out)):
        assert result.dtype == named("bfloat16")
        assert _right("softmax", x, result.copy_to_host())
    assert result is out
    assert _right("argmax", x, impls.argmax(given, -1).copy_to_host())
    with pytest.raises(TypeError, match="out has dtype float32: the result has bfloat16"):
        impls.softmax(given, -1, out=cuda.device_array((3, 40), np.float32))


class _TorchTensor(_Tensor):
    """Stands for a tensor of PyTorch, which states of bfloat16 that it has two bytes, or fails as older versions do."""

    older = False
    device = "cuda:0"

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        if self.array.dtype != named("bfloat16"):
            return self.array.__array_interface__
        if self.older:
            raise KeyError("torch.bfloat16")
        return {**self.array.__array_interface__, "typestr": "<V2"}


_TorchTensor.__module__ = "torch"


@needs.bfloat16
@pytest.mark.parametrize("older", [False, True])
def test_tensors_of_bfloat16(
    older: bool, monkeypatch: pytest.MonkeyPatch, stated: list[dict[str, Any]], streams: list[int]
) -> None:
    """Read as 16-bit integers, answered in tensors of bfloat16; work that was begun on the stream comes first."""
    torch = SimpleNamespace(
        bfloat16=named("bfloat16"), int64=np.dtype(np.int64), empty=lambda shape, dtype, device: _tensor(shape, dtype),
        cuda=SimpleNamespace(current_stream=lambda device: SimpleNamespace(cuda_stream=64)),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "torch", torch)
    stream: Any = cuda.stream()
    stream.handle = 64
    monkeypatch.setattr(device_arrays.cuda, "external_stream", lambda address: stream, raising=False)
    monkeypatch.setattr(_TorchTensor, "older", older)
    at_address.cache_clear()
    x = _array(3, 40, dtype="bfloat16")
    soft, hard = impls.softmax(_TorchTensor(x), -1), impls.argmax(_TorchTensor(x), -1)
    assert type(soft) is type(hard) is _TorchTensor
    assert _right("softmax", x, soft.array)
    assert _right("argmax", x, hard.array)
    assert [described["typestr"] for described in stated] == ["<u2", "<u2", "<u2", "<i8"]
    assert streams == [64, 64, 64]
    at_address.cache_clear()


def _tensor(shape: tuple[int, ...], dtype: np.dtype) -> _TorchTensor:
    return _TorchTensor(aligned_empty(shape, dtype))


@needs.bfloat16
def test_bfloat16_by_dlpack_alone_is_answered_in_a_numba_array(
    stated: list[dict[str, Any]], streams: list[int]
) -> None:
    """As JAX, which does not state its bfloat16 by the interface."""
    x = _array(3, 40, dtype="bfloat16")
    result = impls.softmax(_OnlyDlpack(x), -1)
    assert isinstance(result, FakeCUDAArray)
    assert _right("softmax", x, result.copy_to_host())
    assert [described["typestr"] for described in stated] == ["<u2"]
