"""Softmax of SciPy on a Dask array: `scipy.special.softmax`."""

from __future__ import annotations

from typing import Any

from ...backends.dask import BACKEND, computed
from ...contract import FLOATS
from ...peers import need
from ...registry import implements

special = need("scipy.special")


@implements(dtypes=FLOATS, backend=BACKEND, threads="many")
@computed
def run(x: Any) -> Any:
    """Softmax over axis 1 of x (outer, n, inner)."""
    return special.softmax(x, axis=1)
