"""Argmax on an NVIDIA GPU, in Numba: kernels by regimes of the row length (`impls.cuda.regimes`).

Not yet run on a device: shown right in simulation, and by its machine code.
"""

from __future__ import annotations

from typing import Any

from ...backends.numba_cuda import BACKEND, launch
from ...contract import DTYPES, OPTIONAL
from ...registry import implements


@implements(dtypes=(*DTYPES, *OPTIONAL), backend=BACKEND, threads="many")
def run(x: Any, out: Any, stream: Any = 0) -> Any:
    """Argmax over axis 1 of x (outer, n, inner) into out (outer, inner), device arrays; does not wait."""
    return launch("argmax", x, out, stream)
