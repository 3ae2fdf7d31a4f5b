"""CPU threads: how many an implementation may use, and the one parallel call at a time that Numba can bear."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

_parallel = threading.Lock()


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
