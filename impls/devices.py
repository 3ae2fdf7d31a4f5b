"""Telling arrays in a GPU's memory from all others, without importing what handles them."""

from __future__ import annotations

from typing import Any

_CUDA = 2  # DLPack's number for CUDA device memory


def on_device(x: Any) -> bool:
    """Whether x is an array in CUDA device memory: by the CUDA array interface or by DLPack."""
    kind = type(x)
    if hasattr(kind, "__cuda_ndarray__"):  # Numba's own
        return True
    if kind.__module__.startswith("torch") and (answer := getattr(x, "is_cuda", None)) is not None:
        return bool(answer)  # in a twentieth of the time
    if getattr(x, "__cuda_ndarray__", False):  # simulated
        return True
    try:
        if hasattr(kind, "__dlpack_device__"):
            return int(x.__dlpack_device__()[0]) == _CUDA
        # A library may define the property for all of its arrays and raise for those in main memory.
        return hasattr(kind, "__cuda_array_interface__") and x.__cuda_array_interface__ is not None
    except Exception:  # foreign code; whatever x is, it does not say that it is there
        return False
