"""CPU threads: one number for every library, and the one parallel call at a time that Numba can bear."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

_parallel = threading.Lock()
_numbas: Callable[[], int] | None = None


def cpus() -> int:
    """The CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def count() -> int:
    """The CPU threads that an implementation may use: NUMBA_NUM_THREADS where it is set, else the usable CPUs.

    Numba reads the variable itself; the implementations of other libraries ask here, so that all have as many.

    Raises:
        ValueError: NUMBA_NUM_THREADS is no positive integer.
    """
    given = os.environ.get("NUMBA_NUM_THREADS")
    if given is None:
        return cpus()
    if not given.isdecimal() or int(given) < 1:
        raise ValueError(f"NUMBA_NUM_THREADS={given!r}: accepted is a positive integer")
    return int(given)


def numbas() -> int:
    """As `numba.get_num_threads`, which takes 0.8 us, most of them for two locks, and several with cold caches."""
    global _numbas
    if _numbas is None:
        import numba
        from numba.np.ufunc import parallel

        number = int(numba.get_num_threads())  # which starts the threads; then there is a function that only asks
        asking = getattr(parallel, "_get_num_threads", numba.get_num_threads)
        _numbas = (lambda: 1) if numba.config.NUMBA_NUM_THREADS == 1 else asking
        return number
    return int(_numbas())


def in_parallel(function: Callable[..., Any], *args: Any) -> bool:
    """Call a function that was compiled with parallel=True, unless another Python thread is in one.

    Numba's workqueue layer aborts the process when two threads enter it at once, and on the other layers
    they would compete for the same cores; so the later caller is told to do its work serially.

    Returns:
        Whether the function was called.
    """
    if not _parallel.acquire(blocking=False):
        return False
    try:
        function(*args)
    finally:
        _parallel.release()
    return True
