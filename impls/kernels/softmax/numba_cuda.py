"""Softmax on an NVIDIA GPU, in Numba."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...contract import FLOATS
from ...cuda_backend import BACKEND
from ...registry import implements


@implements(dtypes=FLOATS, backend=BACKEND, threads="many")
def run(x: Any, out: Any) -> Any:
    """Softmax over axis 1 of x (outer, n, inner) into out, device arrays."""
    from ...cuda import portable

    portable.launch(portable.softmax_kernel(np.float64 if x.dtype == np.float64 else np.float32), x, out)
    return out
