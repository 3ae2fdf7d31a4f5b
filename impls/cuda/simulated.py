"""The intrinsics in Python, for Numba's CUDA simulator: same names, same results, checked addresses.

Lanes exchange values through `exchange`, which the simulator that ships with Numba can do for a whole block
only: there every thread of a block must take part, which is stricter than the device asks for. The tests'
own simulator replaces `exchange` by one of warps, and `let_others_run` by one that does.
"""

from __future__ import annotations

import functools
import math
import threading
from typing import Any

import numpy as np

from .elements import VECTOR_BYTES, Access, Element

_SMALLEST_NORMAL = float(np.finfo(np.float32).smallest_normal)


def exchange(value: Any, kind: str) -> tuple[dict[Any, Any], int]:
    """Show value to the other threads; returns what all showed, by number, and the number of this thread.

    Args:
        kind: the intrinsic that asks; threads that meet must ask for the same.

    Raises:
        KeyError: from reading the entry of a thread that did not take part.
    """
    thread: Any = threading.current_thread()
    thread.exchanges = getattr(thread, "exchanges", 0) + 1
    boards = thread._manager.__dict__.setdefault("boards", {})
    board = boards.setdefault((kind, thread.exchanges), {})
    board[thread.thread_id] = value
    thread.syncthreads()
    # All have come here, so all have read what was shown the time before.
    boards.pop((kind, thread.exchanges - 1), None)
    return board, thread.thread_id


def shuffle_xor(value: Any, mask: int) -> Any:
    """The value of the thread whose number differs by XOR with mask."""
    board, me = exchange(value, "shuffle_xor")
    return board[me ^ mask]


def warp_max(value: Any) -> Any:
    """The largest value of the warp."""
    return _over_warp(value, "warp_max", max)


def warp_min(value: Any) -> Any:
    """The smallest value of the warp."""
    return _over_warp(value, "warp_min", min)


def _over_warp(value: Any, kind: str, choose: Any) -> Any:
    board, me = exchange(value, kind)
    first = me - me % 32
    warp: Any = "of the warp from", first  # the lane that comes first finds it for all
    if warp not in board:
        board[warp] = choose(board[lane] for lane in range(first, first + 32))
    return board[warp]


def pause(nanoseconds: int) -> None:
    """Wait for another block."""
    let_others_run()


def let_others_run() -> None:
    """Blocks run one after the other here, so that waiting is in vain."""
    raise RuntimeError("a block waits for another, but this simulator runs blocks one after the other")


def exp2(x: Any) -> Any:
    """2 to the power x in float32, a subnormal result as 0."""
    y = math.exp2(x)  # of a float32, in float64: several times faster here than NumPy on a scalar
    return np.float32(0) if y < _SMALLEST_NORMAL else np.float32(y)


def reciprocal(x: Any) -> Any:
    """1 / x in float32."""
    return np.float32(1) / x


def maximum(a: Any, b: Any) -> Any:
    """The larger one, NaN if either is."""
    return a if a > b or a != a else b


def float_bits(x: Any) -> Any:
    """The bits of a float as an unsigned integer."""
    return x.view(np.uint64 if x.dtype == np.float64 else np.uint32)


def bits_float(x: Any) -> Any:
    """The float with the bits of an unsigned integer."""
    return x.view(np.float64 if x.dtype == np.uint64 else np.float32)


def misalignment(array: Any, size: int) -> int:
    """Elements by which the array starts after a 16-byte boundary."""
    flat = _flat(array)
    return int(flat.ctypes.data % VECTOR_BYTES) // int(size)


def load_relaxed(array: Any, index: int) -> Any:
    """A word that another block may be writing."""
    flat = _flat(array)
    return flat[_inside(flat, index)]


def store_relaxed(array: Any, index: int, value: Any) -> None:
    """Write a word that other blocks wait for."""
    flat = _flat(array)
    flat[_inside(flat, index)] = value


def copy_async(buffer: Any, slot: int, array: Any, index: int) -> None:
    """Copy the vector at array[index] to vector `slot` of shared memory, at once."""
    flat = _flat(array)
    width = VECTOR_BYTES // flat.itemsize
    start = _vector(flat, index, width)
    _shared_vector(buffer, slot)[...] = flat[start : start + width].view(np.uint32)


def wait_for_copies() -> None:
    """Nothing: they are made at once."""


def _shared_vector(buffer: Any, slot: int) -> np.ndarray:
    """The words of a vector in shared memory."""
    words = VECTOR_BYTES // 4
    start = _inside(buffer, slot * words, words)
    vector: np.ndarray = buffer[start : start + words]
    return vector


@functools.cache
def access(element: Element) -> Any:
    """The loads and stores of an element type."""
    width = element.per_vector
    bfloat16 = element.name == "bfloat16"

    def widen(stored: Any) -> Any:
        if bfloat16:
            return (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return stored.astype(element.register)

    def narrow(values: Any) -> Any:
        if not bfloat16:
            with np.errstate(over="ignore"):
                return values.astype(element.storage)
        bits = values.view(np.uint32)
        rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        return np.where(values != values, np.uint16(0x7FFF), rounded.astype(np.uint16))

    def load_vector(registers: Any, at: int, array: Any, index: int) -> None:
        flat = _flat(array)
        start = _vector(flat, index, width)
        registers[at : at + width] = widen(flat[start : start + width])

    def load_vector_if(registers: Any, at: int, array: Any, index: int, inside: bool) -> None:
        if inside:
            load_vector(registers, at, array, index)
        else:
            registers[at : at + width] = widen(element.fill.view(element.storage))

    def load_shared(registers: Any, at: int, buffer: Any, slot: int, inside: bool) -> None:
        words = _shared_vector(buffer, slot) if inside else element.fill
        registers[at : at + width] = widen(words.view(element.storage))

    def store_shared(buffer: Any, slot: int, registers: Any, at: int) -> None:
        _shared_vector(buffer, slot)[...] = registers[at : at + width].view(np.uint32)

    def store_vector(array: Any, index: int, registers: Any, at: int) -> None:
        flat = _flat(array)
        start = _vector(flat, index, width)
        flat[start : start + width] = narrow(registers[at : at + width])

    def load(array: Any, index: int) -> Any:
        flat = _flat(array)
        return widen(flat[_inside(flat, index)])

    def store(array: Any, index: int, value: Any) -> None:
        flat = _flat(array)
        flat[_inside(flat, index)] = narrow(element.register(value))

    return Access(load_vector, load_vector_if, load_shared, store_shared, store_vector, load, store)


def _flat(array: Any) -> np.ndarray:
    """The NumPy array behind a simulated device array, or a NumPy array, as one dimension."""
    item = getattr(array, "__dict__", {}).get("_item", array)  # inside a kernel it is wrapped twice
    flat: np.ndarray = getattr(item, "_ary", item).reshape(-1)
    return flat


def _inside(flat: np.ndarray, index: int, count: int = 1) -> int:
    """The index, once it is shown that `count` elements from there on are in the array."""
    if not 0 <= index <= flat.size - count:
        raise IndexError(f"elements {index} to {index + count - 1} of an array of {flat.size}")
    return int(index)


def _vector(flat: np.ndarray, index: int, width: int) -> int:
    """As `_inside` for one vector, which must also be aligned in memory."""
    start = _inside(flat, index, width)
    if (flat.__array_interface__["data"][0] + start * flat.itemsize) % VECTOR_BYTES:
        raise ValueError(f"a vector at element {start} is not aligned to {VECTOR_BYTES} bytes")
    return start
