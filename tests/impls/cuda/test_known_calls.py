"""Calls with arrays on the device that were made before: repeated with other addresses, and told from all others."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba_cuda")

from maxbench.impls.cuda import device_arrays, known_calls, launching, plans
from maxbench.impls.cuda.device_arrays import argmax, softmax
from maxbench.impls.cuda.streams import at_address
from tests.impls.cuda.launches import Driver, Kernel, Stream, device_array

ROW = 11  # parameters of an array of three dimensions; the fifth is its address


class Device:
    """A driver with kernels for everything.

    Attributes:
        checked: how many calls were made in full, with all checks.
        result: the address of the newest result.
        entered: devices that were made the current one for a time.
    """

    def __init__(self, driver: Driver) -> None:
        self.driver, self.checked, self.result = driver, 0, 1 << 20
        self.entered: list[int] = []

    def addresses(self) -> list[tuple[int, int]]:
        """Of the input and the result, of each launch."""
        return [(launched.parameters[4], launched.parameters[ROW + 4]) for launched in self.driver.launches]

    def allocate(self) -> int:
        self.result += 256
        return self.result


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    driver = Driver()
    device = Device(driver)
    monkeypatch.setattr(launching, "driver", driver)
    monkeypatch.setattr(known_calls, "_several_devices", lambda: False)
    made: dict[Any, plans.Plan] = {}

    def plan(*key: Any) -> plans.Plan:
        if key not in made:
            launch = plans.Launch(Kernel(driver, len(made)), 1, 128)
            made[key] = plans.Plan(lambda x, out, stream: launch(stream, x, out))
        return made[key]

    prepare = device_arrays._prepare

    def checked(*arguments: Any) -> Any:
        device.checked += 1
        return prepare(*arguments)

    monkeypatch.setattr(plans, "plan", plan)
    monkeypatch.setattr(device_arrays, "_prepare", checked)

    def take(stated: dict[str, Any], owner: Any) -> Any:
        described = {"dtype": stated["typestr"], "strides": stated.get("strides")}
        return device_array(stated["data"][0], *stated["shape"], **described)

    def new(shape: tuple[int, ...], dtype: Any) -> Any:
        array = device_array(device.allocate(), *shape, dtype=dtype)
        array.gpu_data.context.memalloc = lambda size: SimpleNamespace(
            device_ctypes_pointer=ctypes.c_size_t(device.allocate()), context=array.gpu_data.context
        )
        return array

    class Entered(contextlib.AbstractContextManager[None]):
        def __init__(self, number: int) -> None:
            self.number = number

        def __enter__(self) -> None:
            self.before, driver.device = driver.device, self.number
            device.entered.append(self.number)

        def __exit__(self, *error: object) -> None:
            driver.device = self.before

    cuda = SimpleNamespace(
        from_cuda_array_interface=take, device_array=new, gpus={number: Entered(number) for number in (0, 1)},
        external_stream=Stream,
    )  # fmt: skip
    monkeypatch.setattr(device_arrays, "cuda", cuda)
    monkeypatch.setattr(known_calls, "cuda", cuda)
    monkeypatch.setattr("maxbench.impls.cuda.streams.cuda", cuda)
    for cache in (known_calls._call, known_calls._library, at_address):
        cache.cache_clear()
    yield device
    for cache in (known_calls._call, known_calls._library, at_address):
        cache.cache_clear()


class Stated:
    """An array of a library that is not known by name: it states the CUDA array interface."""

    def __init__(self, address: int, *shape: int, dtype: Any = np.float32, **more: Any) -> None:
        self.address, self.shape, self.dtype, self.more = address, shape, np.dtype(dtype), more

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        data = {"data": (self.address, False), "shape": self.shape, "typestr": self.dtype.str, "version": 3}
        return {**data, **self.more}


class Placed(Stated):
    """The same, and tells which device it is on."""

    def __init__(self, address: int, *shape: int, dtype: Any = np.float32, device: int = 0, **more: Any) -> None:
        super().__init__(address, *shape, dtype=dtype, **more)
        self.number, self.device = device, f"cuda:{device}"

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, self.number)


class Tensor(Placed):
    """Stands for a tensor of PyTorch."""

    def detach(self) -> Tensor:
        return self

    def data_ptr(self) -> int:
        return self.address

    def get_device(self) -> int:
        return self.number

    def is_contiguous(self) -> bool:
        return "strides" not in self.more


Tensor.__module__ = "torch"


class Cupy(Placed):
    """Stands for an array of CuPy."""

    @property
    def data(self) -> Any:
        return SimpleNamespace(ptr=self.address, device_id=self.number)

    @property
    def strides(self) -> tuple[int, ...]:
        return self.more.get("strides") or np.empty(self.shape, self.dtype).strides


Cupy.__module__, Cupy.__qualname__ = "cupy", "ndarray"


@pytest.fixture
def torch(device: Device, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stands for PyTorch; `stream` is the handle of its current stream."""
    torch = SimpleNamespace(
        stream=0, float32=np.dtype(np.float32), int64=np.dtype(np.int64),
        empty=lambda shape, dtype, device: Tensor(fake.allocate(), *shape, dtype=dtype, device=int(device[5:])),
        empty_like=lambda x: torch.empty(x.shape, x.dtype, x.device),
    )  # fmt: skip
    fake = device
    monkeypatch.setattr(Tensor, "new_empty", lambda x, shape, dtype: torch.empty(shape, dtype, x.device), raising=False)
    torch.cuda = SimpleNamespace(current_stream=lambda device: SimpleNamespace(cuda_stream=torch.stream))
    torch._C = SimpleNamespace(_cuda_getCurrentRawStream=lambda device: torch.stream)
    monkeypatch.setitem(sys.modules, "torch", torch)
    return torch


@pytest.fixture
def cupy(device: Device, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stands for CuPy."""
    cupy = SimpleNamespace(stream=0, empty=lambda shape, dtype: Cupy(device.allocate(), *shape, dtype=dtype))
    cupy.cuda = SimpleNamespace(get_current_stream=lambda: SimpleNamespace(ptr=cupy.stream))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return cupy


KINDS = pytest.mark.parametrize("kind", [device_array, Placed, Tensor, Cupy])


def _soft(x: Any, out: Any = None, axis: Any = -1, stream: Any = None) -> Any:
    return softmax(x, axis, out, None, stream)


@pytest.mark.usefixtures("torch", "cupy")
@KINDS
def test_a_call_is_repeated_with_other_addresses(device: Device, kind: Any) -> None:
    """A first one goes through numba-cuda's launcher."""
    results = [_soft(kind(4096 + 256 * i, 3, 64)) for i in range(3)]
    assert device.checked == 1
    assert device.addresses() == [(4096 + 256, (1 << 20) + 512), (4096 + 512, (1 << 20) + 768)]
    assert len({id(result) for result in results}) == 3
    known = kind if kind in (Tensor, Cupy) else device_array
    assert {type(result) for result in results} == {type(known(256, 3, 64))}
    assert {(tuple(result.shape), result.dtype) for result in results} == {((3, 64), np.dtype(np.float32))}
    assert launching.address(results[2]) if known is device_array else results[2].address == (1 << 20) + 768


@pytest.mark.usefixtures("torch", "cupy")
@KINDS
def test_a_call_is_repeated_with_an_out(device: Device, kind: Any) -> None:
    for i in range(3):
        out = kind(65536 + 256 * i, 3, dtype=np.int64)
        assert argmax(kind(4096 + 256 * i, 3, 64), 1, out, False, None, None) is out
    assert device.checked == 1
    assert device.addresses() == [(4096 + 256, 65536 + 256), (4096 + 512, 65536 + 512)]


DIFFERENT = {
    "shape": lambda: _soft(device_array(4096, 4, 64)),
    "dtype": lambda: _soft(device_array(4096, 3, 64, dtype=np.float64)),
    "axis": lambda: _soft(device_array(4096, 3, 64), axis=0),
    "no axis": lambda: _soft(device_array(4096, 3, 64), axis=None),
    "an axis that is no int": lambda: _soft(device_array(4096, 3, 64), axis=np.int64(-1)),
    "alignment": lambda: _soft(device_array(4096 + 4, 3, 64)),
    "out": lambda: _soft(device_array(4096, 3, 64), device_array(65536, 3, 64)),
    "stream": lambda: _soft(device_array(4096, 3, 64), stream=Stream(80)),
    "library": lambda: _soft(Cupy(4096, 3, 64)),
    "operation": lambda: argmax(device_array(4096, 3, 64), -1, None, False, None, None),
}


@pytest.mark.usefixtures("cupy")
@pytest.mark.parametrize("different", DIFFERENT.values(), ids=DIFFERENT)
def test_another_call_is_checked(device: Device, different: Any) -> None:
    for _ in range(2):
        _soft(device_array(4096, 3, 64))
    different()
    assert device.checked == 2


@pytest.mark.usefixtures("torch", "cupy")
@KINDS
def test_arrays_are_told_apart_in_every_library(device: Device, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_calls, "_several_devices", lambda: True)
    for out in (None, None, kind(1 << 31, 64, 64), kind(1 << 31, 64, 64)):
        _soft(kind(1 << 30, 64, 64), out)
    for shape, dtype, number in (((64, 32), "f4", 0), ((64, 64), "f8", 0), ((64, 64), "f4", 1)):
        before = device.checked
        for _ in range(2):
            _soft(*(kind(address, *shape, dtype=dtype, device=number) for address in (1 << 30, 1 << 31)))
        assert device.checked == before + 1, (shape, dtype, number)
    with pytest.raises(TypeError, match="does not take int32"):
        _soft(kind(1 << 30, 64, 64, dtype="i4"))
    for arrays in (
        (kind(1 << 30, 64, 64, strides=(4, 256)),),
        (kind(1 << 30, 64, 64), kind(1 << 30, 64, 64, strides=(4, 256))),
    ):
        with pytest.raises(ValueError, match="not C-contiguous"):
            _soft(*arrays)


@pytest.mark.parametrize("shape", [(3, 64), (3,)])
def test_keepdims_and_the_alignment_of_out_are_of_the_kind(device: Device, shape: tuple[int, ...]) -> None:
    for keepdims in (False, True, False, True):
        assert argmax(device_array(4096, 3, 64), -1, None, keepdims, None, None).shape == ((3, 1) if keepdims else (3,))
    assert device.checked == 2
    for offset in (0, 8, 0, 8):
        _soft(device_array(4096, *shape), device_array(65536 + offset, *shape))
    assert device.checked == 4


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: _soft(x, axis=True), TypeError, "axis is True"),
        (lambda x: _soft(x, axis=1.0), TypeError, r"axis is 1\.0"),
        (lambda x: _soft(x, axis=[1, 1]), ValueError, "repeated axis"),
        (lambda x: _soft(x, out=device_array(65536, 3, 63), axis=1), ValueError, "the result has"),
        (lambda x: _soft(x, out=device_array(65536, 3, 64, dtype="i4"), axis=1), TypeError, "the result has float32"),
        (lambda x: _soft(x, out=np.empty((3, 64), np.float32), axis=1), TypeError, "on the device too"),
        (lambda x: softmax(x, 1, None, "naive", None), ValueError, "numba_cuda does"),
        (lambda x: _soft(x, axis=1, stream="main"), TypeError, "stream is a str"),
        (lambda x: _soft(Stated(4096, 3, 64, strides=(4, 12)), axis=1), ValueError, "not C-contiguous"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_after_good_one(device: Device, call: Any, error: type[Exception], text: str) -> None:
    x = device_array(4096, 3, 64)
    for out in (None, device_array(65536, 3, 64)):
        for _ in range(2):
            _soft(x, out, axis=1)
            _soft(Stated(4096, 3, 64), axis=1)
    launches = len(device.driver.launches)
    for _ in range(2):
        with pytest.raises(error, match=text):
            call(x)
    assert len(device.driver.launches) == launches


def test_streams_are_those_of_the_library(device: Device, torch: Any, cupy: Any) -> None:
    for library, kind in ((torch, Tensor), (cupy, Cupy)):
        before = device.checked
        for handle in (0, 64, 0, 64):
            library.stream = handle
            _soft(kind(4096, 3, 64))
        assert device.checked == before + 2
    assert [launched.stream for launched in device.driver.launches] == [64, 0, 64, 0, 64, 0, 64]


def test_another_stream_than_the_librarys_is_given_by_a_full_call(device: Device, torch: Any) -> None:
    """Which lets its producer order its work before."""
    torch.stream = 64
    for _ in range(2):
        _soft(Tensor(4096, 3, 64), stream=SimpleNamespace(cuda_stream=64))
    assert device.checked == 1
    for _ in range(2):
        _soft(Tensor(4096, 3, 64), stream=SimpleNamespace(cuda_stream=80))
    assert device.checked == 3
    assert [launched.stream for launched in device.driver.launches] == [64, 80, 80]


def test_pytorchs_public_function_tells_the_stream_where_the_quick_one_is_gone(device: Device, torch: Any) -> None:
    del torch._C._cuda_getCurrentRawStream
    torch.stream = 64
    for _ in range(2):
        _soft(Tensor(4096, 3, 64))
    assert (device.checked, device.driver.launches[0].stream) == (1, 64)


@pytest.mark.parametrize("stated", [{"stream": 64}, {"mask": Stated(4096, 3, 64)}])
def test_an_array_that_states_more_is_always_checked(device: Device, stated: dict[str, Any]) -> None:
    for _ in range(2):
        _soft(Stated(4096, 3, 64, **stated))
    assert device.checked == 2


def test_a_dtype_without_a_name_in_the_interface_goes_by_dlpack_each_time(device: Device) -> None:
    """So that its producer orders its work before."""
    assert known_calls.repeat("softmax", Stated(4096, 3, 64, typestr="<V2"), 1, None, False, None) == (None, None)


def test_an_array_that_does_not_tell_its_device_is_on_the_current_one(device: Device) -> None:
    for number in (0, 1, 0, 1):
        device.driver.device = number
        _soft(Stated(4096, 3, 64))
    assert (device.checked, device.entered) == (2, [])


def test_the_device_of_the_array_is_the_current_one(device: Device, torch: Any) -> None:
    for _ in range(2):
        _soft(Tensor(4096, 3, 64, device=1))
    assert (device.checked, device.entered, device.driver.device) == (1, [1, 1], 0)
    device.driver.device = 1
    assert _soft(Tensor(4096, 3, 64, device=1)).device == "cuda:1"
    assert (device.checked, device.entered) == (1, [1, 1])
    _soft(Tensor(4096, 3, 64, device=0))
    assert (device.checked, device.entered) == (2, [1, 1, 0])


def test_numbas_arrays_on_several_devices(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_calls, "_several_devices", lambda: True)
    for number in (0, 1, 0, 1):
        _soft(device_array(4096, 3, 64, device=number), device_array(65536, 3, 64, device=number))
    assert (device.checked, device.entered) == (2, [1, 1])


def test_a_result_of_another_alignment_is_filled_by_a_full_call(device: Device) -> None:
    x = device_array(4096, 3, 64)
    _soft(x)
    device.result += 4
    _soft(x)
    assert device.checked == 2
    assert len(device.driver.launches) == 0


def test_without_prepared_launches_every_call_is_made_in_full(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "prepare", lambda *arguments: None)
    for _ in range(3):
        _soft(device_array(4096, 3, 64))
    assert (device.checked, device.driver.launches) == (3, [])


def test_numbas_allocation_is_public_where_the_quick_one_is_gone(device: Device) -> None:
    result = _soft(device_array(4096, 3, 64))
    for changed in (SimpleNamespace(context=None), SimpleNamespace(context=SimpleNamespace(memalloc=lambda: None))):
        result.gpu_data = changed
        again = known_calls._numba_empty(result)()
        assert (again.shape, again.dtype, type(again)) == (result.shape, result.dtype, type(result))
    assert device.result == (1 << 20) + 3 * 256


def test_the_simulator_knows_no_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    known_calls._library.cache_clear()
    monkeypatch.setattr(known_calls, "SIMULATED", True)
    monkeypatch.setattr(known_calls, "_several_devices", lambda: False)
    assert known_calls.repeat("softmax", device_array(4096, 3, 64), 1, None, False, None) == (None, None)
    known_calls._library.cache_clear()
