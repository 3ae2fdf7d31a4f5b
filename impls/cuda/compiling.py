"""How kernels and device functions are compiled, and what of them the simulator understands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import cuda

from . import compile_cache
from .platform import SIMULATED

RESIDENT_THREADS = 512
"""Threads that a multiprocessor must at least be able to hold: 65,536 registers leave each of them 128."""


def kernel(threads: int, resident: int = RESIDENT_THREADS) -> Callable[[Callable[..., None]], Any]:
    """Decorate a kernel that is launched with blocks of `threads` threads.

    Args:
        resident: threads that a multiprocessor must be able to hold together, which bounds their registers.
    """

    def compile(function: Callable[..., None]) -> Any:
        if SIMULATED:
            return cuda.jit(function)
        bounds = (threads, max(1, resident // threads))
        return compile_cache.enable(cuda.jit(function, launch_bounds=bounds))

    return compile


def device(function: Callable[..., Any]) -> Any:
    """Decorate a device function, which becomes part of every kernel that calls it."""
    if not SIMULATED:
        return cuda.jit(function, device=True, forceinline=True)
    # The simulator gives a function the names of `cuda` at every call, for a microsecond or more: only where it
    # uses them.
    return cuda.jit(function, device=True) if "cuda" in function.__code__.co_names else function
