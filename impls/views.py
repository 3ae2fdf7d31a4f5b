"""Host arrays as the few types that compiled code is made for."""

from __future__ import annotations

from typing import Any

import numpy as np

# By the character of a dtype, which costs less to look up than the dtype.
_BITS: dict[str, np.dtype] = {
    np.dtype(np.float16).char: np.dtype(np.int16),
    np.dtype(np.bool_).char: np.dtype(np.uint8),
}


def is_viewed(dtype: np.dtype) -> bool:
    """Whether `plain` makes arrays of this dtype views as another one."""
    return dtype.char in _BITS


class _Writable:
    """The memory of a read-only array, as the array interface describes it, without the mark."""

    def __init__(self, a: np.ndarray) -> None:
        self._owner = a
        interface = dict(a.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__ = interface


def plain(a: np.ndarray, written: bool = False) -> np.ndarray:
    """The same memory as an aligned, writable array of a dtype that Numba computes with; never a copy.

    Numba compiles anew for a read-only array and for an unaligned one. float16 becomes the int16 and bool the
    uint8 of the same bits.

    Args:
        a: the array, which may be read-only unless it is to be written.
        written: whether it is to be written.

    Raises:
        ValueError: the array is not aligned, or is to be written and is read-only.
    """
    flags = a.flags
    if not flags.behaved:
        if written or not flags.aligned:
            raise ValueError(
                f"{'read-only' if flags.aligned else 'unaligned'} array of {a.dtype}: accepted are aligned ones"
                + " that are writable" * written
            )
        holder: Any = _Writable(a)
        a = np.asarray(holder)
    bits = _BITS.get(a.dtype.char)
    return a if bits is None else a.view(bits)
