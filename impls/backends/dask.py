"""Arrays in chunks that Dask computes on its threaded scheduler, with as many threads as the others have."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import threads
from ..peers import need
from . import HOST, Backend

da: Any = need("dask.array", "maxbench[dask]")

PARTS = 4  # chunks along axis 1, which is what has to be merged


@dataclass(frozen=True)
class Chunked:
    """An array that tasks read and write by slices.

    Attributes:
        stored: a NumPy array, or what is read and written as one, as a file.
        lazy: the Dask array that reads it in chunks.
    """

    stored: Any
    lazy: Any


class _Dask(Backend):
    name = "dask"
    device = "cpu"

    def put(self, array: np.ndarray) -> Chunked:
        return chunked(HOST.put(array), PARTS)

    def get(self, array: Any) -> np.ndarray:
        return np.asarray(array.stored)

    def fill(self, array: Any, values: np.ndarray) -> Any:
        array.stored[...] = values
        return array

    def synchronize(self) -> None:
        return None


BACKEND = _Dask()


def chunked(stored: Any, parts: int) -> Chunked:
    """What is stored, in so many chunks along axis 1 (of fewer elements: in chunks of one)."""
    chunks = [max(1, length) for length in stored.shape]
    chunks[1] = max(1, -(-chunks[1] // parts))
    # Without a name Dask would hash the array; as a NumPy array it would be cut once, and might be copied.
    return Chunked(stored, da.from_array(stored, chunks=tuple(chunks), name=False))


def computed(lazy: Callable[[Any], Any]) -> Callable[[Chunked, Chunked], Chunked]:
    """``run`` of an implementation that is a function of a Dask array (outer, n, inner) over axis 1."""

    @functools.wraps(lazy)
    def run(x: Chunked, out: Chunked) -> Chunked:
        workers = threads.count()
        result = lazy(x.lazy)
        if not isinstance(result, da.Array):  # it has computed it
            result = da.from_array(result, chunks=result.shape, name=False)
        da.store(result, out.stored, lock=False, scheduler="threads", num_workers=workers)
        return out

    return run
