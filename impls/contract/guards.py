"""Outputs between guards: memory of a known pattern that shows what is written beside them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..backends import aligned_empty
from .operation import poison

# A page, so that an output begins at the same place of one as without them.
GUARD_BYTES, GUARD = 4096, 0xA5


def guarded(operation: str, x: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """A poisoned output of an operation for x of shape (outer, n, inner), and the guards around it."""
    shape, dtype = (x.shape, x.dtype) if operation == "softmax" else ((x.shape[0], x.shape[2]), np.dtype(np.int64))
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    memory = aligned_empty((size + 2 * GUARD_BYTES,), np.dtype(np.uint8))
    guards = [memory[:GUARD_BYTES], memory[GUARD_BYTES + size :]]
    for guard in guards:
        guard.fill(GUARD)
    out: np.ndarray = memory[GUARD_BYTES : GUARD_BYTES + size].view(dtype).reshape(shape)
    poison(out)
    return out, guards


def intact(guards: Iterable[np.ndarray]) -> bool:
    """Whether nothing was written into guards."""
    return all(bool((guard == GUARD).all()) for guard in guards)
