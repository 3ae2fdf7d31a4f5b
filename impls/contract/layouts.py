"""Inputs that only the public API sees: strides, byte orders and axes that kernels never meet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import dtypes
from .cases import EVERY, normal


@dataclass(frozen=True)
class Layout:
    """A named input for the public functions.

    Attributes:
        name: what tables call it.
        axis: the axis to reduce.
        build: (dtype, random generator) -> the array.
    """

    name: str
    axis: int
    build: Callable[[np.dtype, np.random.Generator], np.ndarray]
    dtypes: tuple[str, ...] = EVERY

    def array(self, dtype: str) -> np.ndarray:
        """The array for this dtype, the same in every process."""
        return self.build(dtypes.named(dtype), np.random.default_rng(len(self.name)))


def _read_only(dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
    a = normal(dtype, rng, (3, 70))
    a.flags.writeable = False
    return a


LAYOUTS = (
    Layout("every second column", -1, lambda d, g: normal(d, g, (5, 140))[:, ::2]),
    Layout("every second row", -1, lambda d, g: normal(d, g, (10, 70))[::2]),
    Layout("negative stride", -1, lambda d, g: normal(d, g, (5, 70))[:, ::-1]),
    Layout("negative row stride", 0, lambda d, g: normal(d, g, (70, 5))[::-1]),
    Layout("Fortran order, last axis", 1, lambda d, g: np.asfortranarray(normal(d, g, (9, 70)))),
    Layout("Fortran order, first axis", 0, lambda d, g: np.asfortranarray(normal(d, g, (70, 9)))),
    Layout("transposed, middle axis", 1, lambda d, g: normal(d, g, (4, 33, 5)).transpose(2, 1, 0)),
    Layout("broadcast", -1, lambda d, g: np.broadcast_to(normal(d, g, (1, 70)), (3, 70))),
    Layout("read-only", -1, _read_only),
    Layout("big-endian", -1, lambda d, g: normal(d, g, (3, 70)).astype(d.newbyteorder(">"))),
    Layout("unaligned", -1, lambda d, g: _unaligned(normal(d, g, (3, 70)))),
    Layout("first of four axes", 0, lambda d, g: normal(d, g, (33, 2, 3, 4))),
)


def _unaligned(a: np.ndarray) -> np.ndarray:
    """A copy of a that starts one byte off its dtype's alignment (bytes have none)."""
    raw = np.empty(a.nbytes + 1, np.uint8)
    moved = raw[1:].view(a.dtype).reshape(a.shape)
    moved[...] = a
    return moved
