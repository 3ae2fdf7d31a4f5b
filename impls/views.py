"""Host arrays as the few types that compiled code is made for."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

_BITS: dict[str, np.dtype] = {
    "float16": np.dtype(np.int16),
    "bfloat16": np.dtype(np.uint16),
    "bool": np.dtype(np.uint8),
}


@functools.cache
def bits_of(dtype: np.dtype) -> np.dtype | None:
    """The dtype as which `plain` views arrays of another one; None for those that it leaves as they are."""
    return _BITS.get(dtype.name)  # a name is computed anew at every use


class _Writable:
    """The memory of a read-only array, as the array interface describes it, without the mark."""

    def __init__(self, a: np.ndarray) -> None:
        self._owner = a
        interface = dict(a.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__ = interface


def plain(a: np.ndarray, written: bool = False) -> np.ndarray:
    """The same memory as an aligned, writable array of a dtype that Numba computes with; never a copy.

    Numba compiles anew for a read-only array and for an unaligned one. float16 becomes the int16, bfloat16 the uint16
    and bool the uint8 of the same bits.

    Args:
        a: the array, which may be read-only unless it is to be written.
        written: whether it is to be written.

    Raises:
        ValueError: the array is not aligned, or is to be written and is read-only.
    """
    flags, bits = a.flags, bits_of(a.dtype)
    if not flags.behaved:
        if written or not flags.aligned:
            raise ValueError(
                f"{'read-only' if flags.aligned else 'unaligned'} array of {a.dtype}: accepted are aligned ones"
                + " that are writable" * written
            )
        holder: Any = _Writable(a)
        a = np.asarray(holder)
    return a if bits is None else a.view(bits)
