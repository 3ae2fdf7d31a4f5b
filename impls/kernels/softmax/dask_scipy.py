"""Softmax of SciPy on a Dask array: `scipy.special.softmax`, which computes it and returns a NumPy array."""

from __future__ import annotations

from typing import Any

from ...backends.dask import BACKEND, computed
from ...contract import FLOATS
from ...registry import implements
from . import scipy_special


@implements(dtypes=FLOATS, backend=BACKEND, threads="many", differs=scipy_special.run.differs)
@computed
def run(x: Any) -> Any:
    """Softmax over axis 1 of x (outer, n, inner)."""
    return scipy_special.special.softmax(x, axis=1)
