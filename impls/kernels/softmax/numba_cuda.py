"""Softmax on an NVIDIA GPU, in Numba."""

from __future__ import annotations

from typing import Any

from ...contract import FLOATS
from ...cuda_backend import BACKEND, launch
from ...registry import implements


@implements(dtypes=FLOATS, backend=BACKEND, threads="many")
def run(x: Any, out: Any) -> Any:
    """Softmax over axis 1 of x (outer, n, inner) into out, device arrays."""
    return launch("softmax", x, out)
