"""Where an implementation's arrays live: the protocol of backends, the host, and the backends by name."""

from __future__ import annotations

import functools
import importlib
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

ALIGNMENT = 64  # bytes: a cache line and an AVX-512 vector, so that no implementation is favoured


class Backend(Protocol):
    """The array type and the memory of an implementation. A plug-in may bring a subclass of its own.

    Attributes:
        name: what lists and results call it.
        device: ``cpu`` or ``cuda``.
        simulated: whether its device is a simulator, whose times say nothing about the device.
        fill: ``fill(array, values)`` writes a host array of the same shape and dtype into an array of this backend and
            returns that array. None where arrays cannot be written.
        timer: ``timer(call)`` returns the seconds that a device spends in the work that call() starts. None where the
            host's clock is the only one.
        run_host: ``run_host(run, x, out)`` fills the host array out from the host array x by ``run`` on arrays of this
            backend, and returns out. None where x and out are put, and the result is got, as a whole.
        clone: ``clone(array)`` copies an array that any library has on the device (by ``__cuda_array_interface__``)
            into an array of this backend, on the device; ``fill`` takes such arrays too. None where values come from
            the host alone.
    """

    name: str
    device: str
    simulated: bool = False
    fill: Callable[[Any, np.ndarray], Any] | None = None
    timer: Callable[[Callable[[], Any]], float] | None = None
    run_host: Callable[[Callable[..., Any], np.ndarray, np.ndarray], np.ndarray] | None = None
    clone: Callable[[Any], Any] | None = None

    @abstractmethod
    def put(self, array: np.ndarray) -> Any:
        """A copy of a C-contiguous host array in this backend's own array type."""

    @abstractmethod
    def get(self, array: Any) -> np.ndarray:
        """The array as a host array."""

    @abstractmethod
    def synchronize(self) -> None:
        """Return once every call made so far has finished."""


_MEMBERS = ("name", "device", "simulated", "fill", "timer", "run_host", "clone", "put", "get", "synchronize")


def check(backend: Any) -> Backend:
    """A plug-in's backend as it is.

    Raises:
        ValueError: it lacks members, or its device is unknown.
    """
    if missing := [member for member in _MEMBERS if not hasattr(backend, member)]:
        raise ValueError(
            f"a backend of type {type(backend).__name__} lacks {', '.join(missing)}: accepted are names of backends "
            "and instances of subclasses of maxbench.impls.backends.Backend"
        )
    if backend.device not in ("cpu", "cuda"):
        raise ValueError(f"backend {backend.name!r}: device {backend.device!r}: accepted are 'cpu' and 'cuda'")
    checked: Backend = backend
    return checked


class _Host(Backend):
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

# Those that an implementation may name: modules of this package that define BACKEND, imported on first use.
_NAMED = ("numba_cuda",)


@functools.cache
def get(name: str) -> Backend:
    """The backend of this name.

    Raises:
        ValueError: there is none; the message lists those there are.
        ImportError: the packages it needs are missing.
    """
    if name == HOST.name:
        return HOST
    if name not in _NAMED:
        raise ValueError(f"backend {name!r}: accepted are {', '.join(['host', *_NAMED])}, or a Backend object")
    backend: Backend = importlib.import_module(f".{name}", __package__).BACKEND
    return backend


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An uninitialised host array that starts on a 64-byte boundary."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)
