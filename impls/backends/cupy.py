"""CuPy arrays in the memory of a CUDA device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..peers import need
from . import Backend

cupy = need("cupy", "cupy-cuda13x")
try:
    cupy.cuda.runtime.getDeviceCount()
except cupy.cuda.runtime.CUDARuntimeError as error:
    raise ImportError(f"CuPy {cupy.__version__} finds no CUDA device: {error}") from None


class _Cupy(Backend):
    name = "cupy"
    device = "cuda"

    def put(self, array: np.ndarray) -> Any:
        return cupy.array(array)

    def clone(self, array: Any) -> Any:
        return cupy.array(cupy.asarray(array))

    def get(self, array: Any) -> np.ndarray:
        result: np.ndarray = cupy.asnumpy(array)
        return result

    def fill(self, array: Any, values: Any) -> Any:
        if isinstance(values, np.ndarray):
            array.set(values)
        else:
            array[...] = cupy.asarray(values)
        return array

    def synchronize(self) -> None:
        cupy.cuda.runtime.deviceSynchronize()

    def timer(self, call: Callable[[], Any]) -> float:
        """Seconds that the device spends in the work that call() starts, between two events of its stream."""
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        call()
        end.record()
        end.synchronize()
        return float(cupy.cuda.get_elapsed_time(start, end)) * 1e-3  # milliseconds


BACKEND = _Cupy()
