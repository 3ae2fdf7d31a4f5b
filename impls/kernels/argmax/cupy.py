"""Argmax of CuPy on a CUDA device."""

from __future__ import annotations

from typing import Any

from ...backends.cupy import BACKEND, cupy
from ...contract import DTYPES
from ...registry import implements

NOT_FIRST = "of several NaNs it does not always find the first: its threads compare them in no order"


@implements(
    dtypes=DTYPES,
    backend=BACKEND,
    threads="many",
    differs={
        "subnormals/float32": "its kernels take subnormal numbers for zero, so that they tie",
        **dict.fromkeys(("several NaNs and +inf/float*", "NaN in short rows/float*"), NOT_FIRST),
    },
)
def run(x: Any, out: Any) -> Any:
    """Argmax over axis 1 of x (outer, n, inner) into out (outer, inner); does not wait."""
    cupy.argmax(x, axis=1, out=out)
    return out
