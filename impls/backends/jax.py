"""JAX arrays in main memory, and functions compiled by XLA for their shapes."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import threads
from ..peers import need
from . import Backend


def _start() -> Any:
    """Load JAX with as many threads as the others have; it reads two variables, once, when it first computes."""
    number = threads.count()
    flags = os.environ.get("XLA_FLAGS", "")
    changed = {"NPROC": str(number)}
    if number == 1:
        changed["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        need("jax").devices("cpu")
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return need("jax")


jax = _start()


class _Jax(Backend):
    name = "jax"
    device = "cpu"

    def put(self, array: np.ndarray) -> Any:
        # Only inside enable_x64 does JAX keep 64-bit types.
        with jax.enable_x64(True):
            return jax.device_put(array.copy(), jax.devices("cpu")[0]).block_until_ready()

    def get(self, array: Any) -> np.ndarray:
        return np.asarray(array)

    def synchronize(self) -> None:
        return None


BACKEND = _Jax()


def executable(function: Callable[[Any], Any], device: Any) -> Callable[[tuple[int, ...], Any], Any]:
    """(shape, dtype) -> a function of one JAX array, compiled for a device; made once for each."""
    here = jax.sharding.SingleDeviceSharding(device)  # without it, XLA compiles for a GPU where there is one

    @functools.lru_cache(maxsize=256)
    def for_type(shape: tuple[int, ...], dtype: Any) -> Any:
        with jax.enable_x64(True):
            return jax.jit(function).lower(jax.ShapeDtypeStruct(shape, dtype, sharding=here)).compile()

    return for_type


def compiled(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function of one JAX array in main memory that compiles itself for each shape and dtype, and waits."""
    for_type = executable(function, jax.devices("cpu")[0])

    def call(x: Any) -> Any:
        return for_type(x.shape, x.dtype)(x).block_until_ready()

    return call
