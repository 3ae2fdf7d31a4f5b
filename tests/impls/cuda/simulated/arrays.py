"""Arrays for simulated kernels: at a chosen offset from a 16-byte boundary, and every case in both layouts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

from maxbench.impls import contract
from maxbench.impls.cuda import plans, regimes
from maxbench.impls.cuda.elements import ELEMENTS
from maxbench.impls.cuda.regimes import Regime
from tests.impls.cuda import simulator

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
    """Every contract case of at most LARGEST elements."""
    for case in contract.KERNEL_CASES:
        if dtype in case.dtypes and "many rows" not in case.name:
            x = case.array(dtype)
            if x.size <= LARGEST:
                yield case.name, x


def wrong(
    operation: str, dtype: str, x: np.ndarray, regime: Regime, *, x_offset: int = 0, out_offset: int = 0,
    multiprocessors: int = 64, shared: int = 6 << 10, seed: int | None = 1,
) -> str | None:  # fmt: skip
    """Run one regime on x, whatever its length; what is wrong with the result, or None.

    Args:
        shared: bytes of shared memory that a block may have.

    Raises:
        StopIteration: the regime cannot hold rows of this length.
    """
    element = ELEMENTS[dtype]
    name = f"{operation} {'rows' if x.shape[2] == 1 else 'columns'}"
    device = plans.Device(multiprocessors, {**regimes.DEVICE, name: (regimes.checked(name, regime),)}, shared)
    given, out = x.view(element.storage), contract.OPERATIONS[operation].allocate(x)
    if operation == "softmax":
        out = out.view(element.storage)
    on_device, result = placed(given, x_offset), placed(out, out_offset)
    size = element.storage.itemsize
    run = plans.make(operation, element, x.shape, x_offset * size % 16, out_offset * out.itemsize % 16, device)
    with simulator.installed(resident=8, seed=seed):
        run(on_device, result, 0)
    if on_device.copy_to_host().tobytes() != given.tobytes():
        return "the input was overwritten"
    host = result.copy_to_host()
    mismatch = contract.OPERATIONS[operation].verify(x, host.view(x.dtype) if operation == "softmax" else host)
    return str(mismatch) if mismatch else None
