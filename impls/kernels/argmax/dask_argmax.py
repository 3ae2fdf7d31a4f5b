"""Argmax of Dask: `dask.array.argmax`."""

from __future__ import annotations

from typing import Any

from ...backends.dask import BACKEND, computed, da
from ...contract import DTYPES
from ...registry import implements


@implements(dtypes=DTYPES, backend=BACKEND, threads="many")
@computed
def run(x: Any) -> Any:
    """Argmax over axis 1 of x (outer, n, inner), lazy."""
    return da.argmax(x, axis=1)
