"""Arrays for simulated kernels: at a chosen offset from a 16-byte boundary, and every case in both layouts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

from impls import contract
from impls.cuda import plans, regimes
from impls.cuda.elements import ELEMENTS
from impls.cuda.regimes import Regime
from tests.cuda import simulator

BFLOAT16_EPS = 2.0**-7
LARGEST = 4000  # elements of the cases that go through every regime


def placed(values: np.ndarray, offset: int) -> Any:
    """A simulated device array with these values that starts `offset` elements after a 64-byte boundary."""
    size = values.itemsize
    raw = np.empty(values.nbytes + 64 + offset * size, np.uint8)
    start = -raw.ctypes.data % 64 + offset * size
    array = raw[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    array[...] = values
    return FakeCUDAArray(array)


def small_cases(dtype: str) -> Iterator[tuple[str, np.ndarray]]:
    """Every contract case of at most LARGEST elements; bfloat16 takes float32's, rounded."""
    name = "float32" if dtype == "bfloat16" else dtype
    for case in contract.KERNEL_CASES:
        if name in case.dtypes and "many rows" not in case.name:
            x = case.array(name)
            if x.size <= LARGEST:
                yield case.name, to_bfloat16(x) if dtype == "bfloat16" else x


def to_bfloat16(x: np.ndarray) -> np.ndarray:
    """float32 values cut to bfloat16 (still as float32); a NaN stays one."""
    bits = np.where(np.isnan(x), np.uint32(0x7FC00000), x.view(np.uint32) & np.uint32(0xFFFF0000))
    result: np.ndarray = bits.astype(np.uint32).view(np.float32)
    return result


def wrong(
    operation: str, dtype: str, x: np.ndarray, regime: Regime, *, x_offset: int = 0, out_offset: int = 0,
    multiprocessors: int = 64, seed: int | None = 1,
) -> str | None:  # fmt: skip
    """Run one regime on x, whatever its length; what is wrong with the result, or None.

    Raises:
        StopIteration: the regime cannot hold rows of this length.
    """
    element = ELEMENTS[dtype]
    name = f"{operation} {'rows' if x.shape[2] == 1 else 'columns'}"
    device = plans.Device(multiprocessors, {**regimes.DEVICE, name: (regimes.checked(name, regime),)})
    given = (x.view(np.uint32) >> 16).astype(np.uint16) if dtype == "bfloat16" else x.view(element.storage)
    nothing = 0xBF80 if dtype == "bfloat16" else -1  # the bits of -1
    out = np.full(x.shape, nothing, given.dtype) if operation == "softmax" else contract.ARGMAX.allocate(x)
    on_device, result = placed(given, x_offset), placed(out, out_offset)
    size = element.storage.itemsize
    run = plans.make(operation, element, x.shape, x_offset * size % 16, out_offset * out.itemsize % 16, device)
    with simulator.installed(resident=8, seed=seed):
        run(on_device, result, 0)
    if on_device.copy_to_host().tobytes() != given.tobytes():
        return "the input was overwritten"
    host = result.copy_to_host()
    if dtype != "bfloat16" or operation == "argmax":
        mismatch = contract.OPERATIONS[operation].verify(x, host)
        return str(mismatch) if mismatch else None
    return _wrong_bfloat16(x, (host.astype(np.uint32) << 16).view(np.float32))


def _wrong_bfloat16(x: np.ndarray, got: np.ndarray) -> str | None:
    """As the contract's comparison, with bfloat16's eps: half of it for the last rounding, the rest as float32."""
    with np.errstate(all="ignore"):
        distance = x.astype(np.float64) - x.max(axis=1, keepdims=True)
        expected = np.exp(distance) / np.exp(distance).sum(axis=1, keepdims=True)
        error = np.abs(got.astype(np.float64) - expected)
        allowed = (BFLOAT16_EPS / 2 + 1e-6 * (8 + np.minimum(np.abs(distance), 1e4))) * expected + 1.2e-38
        fine = np.where(np.isnan(expected), np.isnan(got), error <= allowed)
    return None if fine.all() else f"at {np.argwhere(~fine)[0]}"
