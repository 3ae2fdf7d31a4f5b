"""Outputs that show what was written: poisoned, and between guards."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from maxbench.impls.backends import aligned_empty

# The bits of a quiet NaN that no arithmetic makes, by itemsize. They are those of `impls.contract.operation`, by which
# the judge knows them; this package also measures commits whose contract has others.
POISON = {2: 0x7FD5, 4: 0x7FC5A5A5, 8: 0x7FF85A5A5A5A5A5A}
# A page, so that an output begins at the same place of one as without guards.
GUARD_BYTES, GUARD = 4096, 0xA5


def poison(out: np.ndarray) -> None:
    """Fill an output with values that no correct result holds: a NaN of a pattern of its own, or -1 for an index."""
    if out.dtype == np.int64:
        out.fill(-1)
    else:
        out.view(f"u{out.dtype.itemsize}").fill(POISON[out.dtype.itemsize])


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
