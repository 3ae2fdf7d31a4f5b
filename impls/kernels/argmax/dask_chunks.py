"""Argmax of a Dask array: partials of its chunks, merged in a tree; one thread a chunk; see `impls.dask_arrays`."""

from __future__ import annotations

from typing import Any

from ... import api
from ...backends.dask import BACKEND, computed
from ...contract import ARGMAX
from ...registry import implements


@implements(dtypes=ARGMAX.dtypes, backend=BACKEND, threads="many")
@computed
def run(x: Any) -> Any:
    """Argmax over axis 1 of x (outer, n, inner), lazy."""
    return api.argmax(x, 1)
