"""Anchor kernels: work that no implementation touches, so what moves them is the machine.

The gate times two copies of this file as a control; the history divides by `one_thread` of the same run. Changing
a kernel here breaks the series of every anchored ratio.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable

import numpy as np

SHAPE = (256, 1000, 1)  # 1 MB of float32: beyond the first-level caches, within the last one


def one_thread(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """exp of x (outer, n, inner) into out of the same shape: NumPy, one thread."""
    np.exp(x, out=out)
    return out


def many_threads(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """The same work as `one_thread` or more, shared out over all of Numba's threads."""
    _parallel()(x, out)
    return out


@functools.cache
def _parallel() -> Callable[[np.ndarray, np.ndarray], None]:
    # Numba is imported late: asv imports this package's every module to find its benchmarks.
    import numba

    from maxbench.impls import threads

    threads.numbas()  # starts Numba's threads as the implementations do, on the same layer
    prange = numba.prange

    @numba.njit(parallel=True)
    def squash(x, out):  # type: ignore[no-untyped-def]
        for i in prange(x.shape[0]):
            for j in range(x.shape[1]):
                for k in range(x.shape[2]):
                    value = x[i, j, k]
                    out[i, j, k] = value / (np.float32(1) + np.sqrt(np.float32(1) + value * value))

    # In Numba's own cache: the gate puts this file, which is all that is compiled, beside versions of `impls` that have
    # none. It cannot be kept where no folder can be written, nor where NUMBA_DISABLE_JIT makes it a plain function.
    with contextlib.suppress(RuntimeError, AttributeError):
        squash.enable_caching()
    compiled: Callable[[np.ndarray, np.ndarray], None] = squash
    return compiled
