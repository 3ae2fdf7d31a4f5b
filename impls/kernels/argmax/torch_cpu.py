"""Argmax of PyTorch on the CPU."""

from __future__ import annotations

from typing import Any

from ...backends.torch import BACKEND, torch
from ...registry import implements


# It takes neither bool nor the wider unsigned integers.
@implements(
    dtypes=("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8"),
    backend=BACKEND,
    threads="many",
)
def run(x: Any, out: Any) -> Any:
    """Argmax over axis 1 of x (outer, n, inner) into out."""
    if x.shape[2] == 1:
        torch.argmax(x[:, :, 0], 1, out=out[:, 0])
    else:
        torch.argmax(x, 1, out=out)
    return out
