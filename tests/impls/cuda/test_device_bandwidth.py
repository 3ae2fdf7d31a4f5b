"""Ceilings are launched as implementations are, so that those of small arrays are no ceilings of a launcher."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba_cuda")

from maxbench.bench.workers import device_bandwidth
from maxbench.impls.cuda import launching, plans, platform
from tests.impls.cuda.launches import Driver, Kernel, device_array

VECTORS = 5000


@pytest.mark.parametrize("operation", ["softmax", "argmax"])
def test_each_way_is_one_launch_by_the_driver(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    driver, kernels = Driver(), dict[int, Kernel]()
    monkeypatch.setattr(launching, "driver", driver)
    monkeypatch.setattr(device_bandwidth.cuda, "default_stream", lambda: None)
    for module in (device_bandwidth, platform, plans):
        monkeypatch.setattr(module, "SIMULATED", False, raising=False)

    def make(vectors: int) -> Kernel:
        return kernels.setdefault(vectors, Kernel(driver, vectors))

    monkeypatch.setattr(device_bandwidth, "copy_kernel", make)
    monkeypatch.setattr(device_bandwidth, "read_kernel", make)

    def ways(address: int) -> list[Any]:
        x = device_array(address, 4 * VECTORS)
        if operation == "argmax":
            found = device_bandwidth.reads(x, device_array(64, 1, dtype=np.int32))
        else:
            found = device_bandwidth.copies(x, device_array(2 * address, 4 * VECTORS))
        return [call for way, call in found.items() if way.startswith("a kernel")]

    for call in ways(4096):
        call()  # compiles
    calls = sum(len(kernel.calls) for kernel in kernels.values())
    assert calls == 4 * 3
    for call in ways(8192):  # the next copy of the input
        call()
    assert sum(len(kernel.calls) for kernel in kernels.values()) == calls
    assert len(driver.launches) == calls
    for launched in driver.launches:
        assert 8192 in launched.parameters
        # Every vector once, and less than one block beyond.
        blocks, each = launched.grid[0], launched.function * launched.threads
        assert (blocks - 1) * each < VECTORS <= blocks * each
