"""Softmax of a Dask array: partials of its chunks, merged in a tree; one thread a chunk; see `impls.dask_arrays`."""

from __future__ import annotations

from typing import Any

from ... import api
from ...backends.dask import BACKEND, computed
from ...contract import SOFTMAX
from ...registry import implements


@implements(dtypes=SOFTMAX.dtypes, backend=BACKEND, threads="many")
@computed
def run(x: Any) -> Any:
    """Softmax over axis 1 of x (outer, n, inner), lazy."""
    return api.softmax(x, 1)
