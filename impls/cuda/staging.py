"""Host arrays through the device: rows in blocks, copied by way of pinned memory while other blocks compute.

Block after block goes through a few slots, each with pinned buffers, device buffers and a stream of its own, so that
one block is copied in while another is computed and a third copied out. What the device must hold is that of the
slots, whatever the size of the array. They are kept for the next call.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda

from . import plans

SLOTS = 3
BLOCK_BYTES = 32 << 20  # of x, in one slot
MEMORY_SHARE = 0.8  # of the device's free memory that slots may take

Launch = Callable[[Any, Any, Any], Any]
"""(x, out, stream): start the kernel on device arrays, without waiting."""


class _Slot:
    """Pinned and device memory for one block of x and of its result, and the stream they belong to."""

    def __init__(self, x_bytes: int, out_bytes: int) -> None:
        self.stream = cuda.stream()
        self.x_host, self.out_host = (cuda.pinned_array(size, np.uint8) for size in (x_bytes, out_bytes))
        self.x, self.out = (cuda.device_array(size, np.uint8) for size in (x_bytes, out_bytes))
        self._fetch: Callable[[], None] | None = None

    def start(self, x: np.ndarray, out: np.ndarray, launch: Launch) -> None:
        """Send a block that fits the slot on its way; what was in the slot must have been finished."""
        # Copied as bytes: NumPy does not hand out the memory of an array of bfloat16, which a copy needs.
        x_host, x_device = self.x_host[: x.nbytes], self.x[: x.nbytes]
        out_host, out_device = self.out_host[: out.nbytes], self.out[: out.nbytes]
        _as(x_host, x)[...] = x
        x_device.copy_to_device(x_host, stream=self.stream)
        launch(_as(x_device, x), _as(out_device, out), self.stream)
        out_device.copy_to_host(out_host, stream=self.stream)

        def fetch() -> None:
            out[...] = _as(out_host, out)

        self._fetch = fetch

    def finish(self) -> None:
        """Wait for the block in the slot, if there is one, and copy its result to where it belongs."""
        if self._fetch is not None:
            self.stream.synchronize()
            self._fetch()
            self._fetch = None


def _as(data: Any, like: np.ndarray) -> Any:
    """Bytes as an array like another."""
    return data.view(like.dtype).reshape(like.shape)


class _Ring:
    """The slots of one device, kept from call to call: allocating pinned memory takes longer than most calls."""

    def __init__(self, count: int, x_bytes: int, out_bytes: int) -> None:
        self.count, self.x_bytes, self.out_bytes = count, x_bytes, out_bytes
        self.slots = [_Slot(x_bytes, out_bytes) for _ in range(count)]

    @property
    def nbytes(self) -> int:
        """Bytes of device memory."""
        return self.count * (self.x_bytes + self.out_bytes)

    def holds(self, count: int, x_bytes: int, out_bytes: int) -> bool:
        """Whether it serves a call that wants so much."""
        return self.count >= count and self.x_bytes >= x_bytes and self.out_bytes >= out_bytes


_idle: dict[int, _Ring] = {}  # by device; a ring that is in use is not here, so that threads do not share one
_lock = threading.Lock()


def release() -> None:
    """Give back the memory that is kept between calls."""
    with _lock:
        _idle.clear()


def run(launch: Launch, x: np.ndarray, out: np.ndarray, *, block_bytes: int | None = None) -> np.ndarray:
    """Fill out from x, host arrays of shape (outer, n, inner) and (outer, ...), both C-contiguous; returns out.

    Args:
        launch: starts the kernel for a block of rows.
        block_bytes: about how much of x a block takes; None for BLOCK_BYTES, or less where memory is short.

    Raises:
        MemoryError: the device cannot hold even one row of x (one x[i]) with its result.
    """
    number = plans.current_number()
    with _lock:
        kept = _idle.pop(number, None)
    x_row, out_row = _bytes(x.shape[1:], x.dtype), _bytes(out.shape[1:], out.dtype)
    row = x_row + out_row
    free = cuda.current_context().get_memory_info().free
    room = int(min(free * MEMORY_SHARE, 1 << 62)) + (kept.nbytes if kept else 0)
    if row > room:
        raise MemoryError(
            f"one row takes {row} bytes with its result, and the device has {free} bytes free: "
            "rows are the least that it is given"
        )
    wanted = BLOCK_BYTES if block_bytes is None else block_bytes
    slots = min(SLOTS, room // row)
    rows = max(1, min(len(x), room // (slots * row), wanted // max(1, x_row)))
    slots = min(slots, math.ceil(len(x) / rows))
    ring = kept if kept is not None and kept.holds(slots, rows * x_row, rows * out_row) else None
    if ring is None:
        del kept  # before as much again is taken
        ring = _Ring(slots, rows * x_row, rows * out_row)
    for number_of_block, start in enumerate(range(0, len(x), rows)):
        slot = ring.slots[number_of_block % slots]
        slot.finish()
        slot.start(x[start : start + rows], out[start : start + rows], launch)
    for slot in ring.slots:
        slot.finish()
    with _lock:
        # Not after an error, which may leave work under way: then the ring goes with its streams.
        _idle[number] = ring
    return out


def _bytes(shape: tuple[int, ...], dtype: np.dtype) -> int:
    return math.prod(shape) * dtype.itemsize
