"""Softmax of PyTorch on a CUDA device."""

from __future__ import annotations

from typing import Any

from ...backends.torch_cuda import BACKEND
from ...peers import DRIFTS_ON_CUDA, SERIAL_ON_CUDA
from ...registry import implements
from . import torch_cpu


@implements(
    dtypes=torch_cpu.run.dtypes,
    backend=BACKEND,
    threads="many",
    differs={**DRIFTS_ON_CUDA, **torch_cpu.TIMED, **SERIAL_ON_CUDA},
)
def run(x: Any, out: Any) -> Any:
    """Softmax over axis 1 of x (outer, n, inner) into out; does not wait."""
    return torch_cpu.run(x, out)
