"""CUDA streams of Numba, CuPy and PyTorch, as Numba takes them."""

from __future__ import annotations

import functools
from typing import Any

from numba import cuda


def as_stream(stream: Any) -> Any:
    """A stream of Numba, CuPy, PyTorch, or its address, as Numba takes it; None is the default stream.

    Raises:
        TypeError: it is none of these.
    """
    if stream is None:
        return 0
    for attribute in ("cuda_stream", "ptr"):  # PyTorch's, CuPy's
        stream = getattr(stream, attribute, stream)
    if isinstance(stream, int):
        return at_address(stream) if stream else 0
    if hasattr(stream, "auto_synchronize"):  # Numba's own
        return stream
    raise TypeError(f"stream is a {type(stream).__name__}: accepted are streams of Numba, CuPy, PyTorch, or an address")


@functools.lru_cache(maxsize=64)
def at_address(address: int) -> Any:
    """One object for a stream, because launches are prepared for each."""
    return cuda.external_stream(address)


def current_stream(x: Any) -> Any:
    """The stream that x's library is working on, so that what it has begun is done before."""
    library = type(x).__module__.partition(".")[0]
    if library == "torch":
        import torch

        return torch.cuda.current_stream(x.device)
    if library == "cupy":
        import cupy

        return cupy.cuda.get_current_stream()
    return None
