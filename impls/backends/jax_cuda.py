"""JAX arrays in the memory of a CUDA device.

JAX shows neither its streams nor events: device times are the host's, from the first call to the end of the last.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

# Otherwise JAX takes three quarters of the memory that others are to be measured in.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

from . import Backend
from .jax import executable, jax

try:
    DEVICE = jax.devices("cuda")[0]
except RuntimeError as error:
    raise ImportError(f"JAX {jax.__version__} finds no CUDA device: {error}") from None


class _JaxCuda(Backend):
    name = "jax_cuda"
    device = "cuda"

    def __init__(self) -> None:
        self._last: Any = None

    def put(self, array: np.ndarray) -> Any:
        # Only inside enable_x64 does JAX keep 64-bit types.
        with jax.enable_x64(True):
            return jax.device_put(array.copy(), DEVICE).block_until_ready()

    def clone(self, array: Any) -> Any:
        with jax.enable_x64(True):
            return jax.numpy.array(array, copy=True).block_until_ready()

    def get(self, array: Any) -> np.ndarray:
        return np.asarray(array)

    def started(self, result: Any) -> Any:
        """Remember the newest result, which `synchronize` waits for; work on a device is done in order."""
        self._last = result
        return result

    def synchronize(self) -> None:
        if self._last is not None:
            self._last.block_until_ready()
            self._last = None

    def timer(self, call: Callable[[], Any]) -> float:
        """Seconds from the start of call() until its work is done, by the host's clock: launching included."""
        self.synchronize()
        begin = time.perf_counter()
        call()
        self.synchronize()
        return time.perf_counter() - begin


BACKEND = _JaxCuda()


def compiled(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function of one JAX array that compiles itself once for each shape and dtype; it does not wait."""
    for_type = executable(function, DEVICE)
    return lambda x: BACKEND.started(for_type(x.shape, x.dtype)(x))
