"""Host arrays through the device: rows in blocks, copied by way of pinned memory while other blocks compute.

Block after block goes through a few slots, each with pinned buffers, device buffers and a stream of its own, so that
one block is copied in while another is computed and a third copied out. What the device must hold is that of the
slots, whatever the size of the array.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda

SLOTS = 3
BLOCK_BYTES = 32 << 20  # of x, in one slot
MEMORY_SHARE = 0.8  # of the device's free memory that slots may take

Launch = Callable[[Any, Any, Any], Any]
"""(x, out, stream): start the kernel on device arrays, without waiting."""


class _Slot:
    """Pinned and device memory for one block of x and of its result, and the stream they belong to."""

    def __init__(self, x_shape: tuple[int, ...], x_dtype: np.dtype, out_shape: tuple[int, ...], out_dtype: np.dtype):
        self.stream = cuda.stream()
        self.x_host, self.out_host = cuda.pinned_array(x_shape, x_dtype), cuda.pinned_array(out_shape, out_dtype)
        self.x, self.out = cuda.device_array(x_shape, x_dtype), cuda.device_array(out_shape, out_dtype)
        self._fetch: Callable[[], None] | None = None

    def start(self, x: np.ndarray, out: np.ndarray, launch: Launch) -> None:
        """Send a block of at most the slot's rows on its way; what was in the slot must have been finished."""
        rows = len(x)
        x_host, out_host = self.x_host[:rows], self.out_host[:rows]
        x_device, out_device = _first(self.x, rows), _first(self.out, rows)
        x_host[...] = x
        x_device.copy_to_device(x_host, stream=self.stream)
        launch(x_device, out_device, self.stream)
        out_device.copy_to_host(out_host, stream=self.stream)

        def fetch() -> None:
            out[...] = out_host

        self._fetch = fetch

    def finish(self) -> None:
        """Wait for the block in the slot, if there is one, and copy its result to where it belongs."""
        if self._fetch is not None:
            self.stream.synchronize()
            self._fetch()
            self._fetch = None


def _first(array: Any, rows: int) -> Any:
    return array if rows == array.shape[0] else array[:rows]


def run(launch: Launch, x: np.ndarray, out: np.ndarray, *, block_bytes: int | None = None) -> np.ndarray:
    """Fill out from x, host arrays of shape (outer, n, inner) and (outer, ...), both C-contiguous; returns out.

    Args:
        launch: starts the kernel for a block of rows.
        block_bytes: about how much of x a block takes; None for BLOCK_BYTES, or less where memory is short.

    Raises:
        MemoryError: the device cannot hold even one row of x (one x[i]) with its result.
    """
    row = _bytes(x.shape[1:], x.dtype) + _bytes(out.shape[1:], out.dtype)
    free = cuda.current_context().get_memory_info().free
    room = int(min(free * MEMORY_SHARE, 1 << 62))
    if row > room:
        raise MemoryError(
            f"one row takes {row} bytes with its result, and the device has {free} bytes free: "
            "rows are the least that it is given"
        )
    wanted = BLOCK_BYTES if block_bytes is None else block_bytes
    slots = min(SLOTS, room // row)
    rows = max(1, min(len(x), room // (slots * row), wanted // max(1, _bytes(x.shape[1:], x.dtype))))
    slots = min(slots, math.ceil(len(x) / rows))
    ring = [_Slot((rows, *x.shape[1:]), x.dtype, (rows, *out.shape[1:]), out.dtype) for _ in range(slots)]
    for number, start in enumerate(range(0, len(x), rows)):
        slot = ring[number % slots]
        slot.finish()
        slot.start(x[start : start + rows], out[start : start + rows], launch)
    for slot in ring:
        slot.finish()
    return out


def _bytes(shape: tuple[int, ...], dtype: np.dtype) -> int:
    return math.prod(shape) * dtype.itemsize
