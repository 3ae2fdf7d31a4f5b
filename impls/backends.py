"""Where an implementation's arrays live: moving arrays there and back, and waiting for it."""

from __future__ import annotations

import functools
import importlib
from typing import Any, Protocol

import numpy as np

ALIGNMENT = 64  # bytes: a cache line and an AVX-512 vector, so that no implementation is favoured


class Backend(Protocol):
    """A place for arrays. A plug-in may bring its own object with these members.

    Two more are optional: ``fill(array, values)`` writes a host array of the same shape and dtype into an array of this
    backend and returns that array, for those that can be written; ``timer(call)`` returns the seconds that a device
    spends in the work that call() starts.

    Attributes:
        name: what lists and results call it.
        device: ``cpu`` or ``cuda``.
    """

    @property
    def name(self) -> str: ...

    @property
    def device(self) -> str: ...

    def put(self, array: np.ndarray) -> Any:
        """A copy of a C-contiguous host array in this backend's own array type."""

    def get(self, array: Any) -> np.ndarray:
        """The array as a host array."""

    def synchronize(self) -> None:
        """Return once every call made so far has finished."""


class _Host:
    """NumPy arrays in main memory."""

    name = "host"
    device = "cpu"

    def put(self, array: np.ndarray) -> np.ndarray:
        copy = aligned_empty(array.shape, array.dtype)
        copy[...] = array
        return copy

    def get(self, array: Any) -> np.ndarray:
        return np.asarray(array)

    def synchronize(self) -> None:
        return None


HOST: Backend = _Host()

# Modules of this package that define BACKEND, imported when first asked for.
_MODULES = {"numba_cuda": ".cuda_backend"}


@functools.cache
def get(name: str) -> Backend:
    """The backend of this name.

    Raises:
        ValueError: there is none; the message lists those there are.
        ImportError: the packages it needs are missing.
    """
    if name == HOST.name:
        return HOST
    if name not in _MODULES:
        raise ValueError(f"backend {name!r}: accepted are {', '.join(['host', *_MODULES])}, or a Backend object")
    backend: Backend = importlib.import_module(_MODULES[name], __package__).BACKEND
    return backend


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An uninitialised host array that starts on a 64-byte boundary."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)
