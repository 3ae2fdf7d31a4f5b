"""The ``numba_cuda`` backend: arrays in the memory of a CUDA device, or of Numba's CUDA simulator."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..cuda import platform

if reason := platform.unavailable() or platform.compiler_problem():
    raise ImportError(reason)

from numba import cuda

from ..cuda import staging
from ..cuda.elements import storage
from ..cuda.plans import run as launch
from . import Backend


class _NumbaCuda(Backend):
    """Numba device arrays on the current device and its default stream."""

    name = "numba_cuda"
    device = "cuda"
    simulated = platform.SIMULATED

    @property
    def device_name(self) -> str:
        """The GPU, or the simulator, by name."""
        return platform.device_name()

    def put(self, array: np.ndarray) -> Any:
        """A copy of a C-contiguous host array on the device."""
        # As what kernels read: NumPy does not hand out the memory of an array of bfloat16, which the copy needs.
        return cuda.to_device(array.view(storage(array.dtype))).view(array.dtype)

    def clone(self, array: Any) -> Any:
        """A copy on the device of an array that is there, of any library."""
        given = array if self.simulated else cuda.as_cuda_array(array)
        copy = cuda.device_array(given.shape, given.dtype)
        copy.copy_to_device(given)
        return copy

    def get(self, array: Any) -> np.ndarray:
        """A device array as a host array; waits for the kernels that write it."""
        host: np.ndarray = array.copy_to_host()
        return host

    def fill(self, array: Any, values: np.ndarray) -> Any:
        """Copy a C-contiguous array of the host or the device into a device array of its shape and dtype."""
        array.view(storage(values.dtype)).copy_to_device(values.view(storage(values.dtype)))
        return array

    def synchronize(self) -> None:
        """Wait until the device has finished everything."""
        cuda.synchronize()

    def run_host(self, run: Callable[[Any, Any, Any], Any], x: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Fill the host array out from x by ``run(x, out, stream)`` on device arrays, in blocks of rows."""
        return staging.run(run, x, out)

    def timer(self, call: Callable[[], Any]) -> float:
        """Seconds that the device spends in the work that call() starts, between two events of its stream.

        The simulator has no events that tell time: there it is the host's clock.
        """
        if self.simulated:
            begin = time.perf_counter()
            call()
            return time.perf_counter() - begin
        start, end = cuda.event(timing=True), cuda.event(timing=True)
        start.record()
        call()
        end.record()
        end.synchronize()
        return float(cuda.event_elapsed_time(start, end)) * 1e-3  # milliseconds


BACKEND = _NumbaCuda()

__all__ = ["BACKEND", "launch"]
