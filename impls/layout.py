"""Folding an array around its reduced axis to (outer, n, inner), and results back.

C-contiguous input is folded without a copy and Fortran-ordered input through its transpose; other
layouts cost one copy.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

# What softmax takes as its axis.
Axis = SupportsIndex | Sequence[SupportsIndex] | None


@dataclass(frozen=True, slots=True)
class Fold:
    """How one array becomes (outer, n, inner), and how a result in that shape goes back.

    Attributes:
        shape: (outer, n, inner).
        before: the array's shape just before it was folded.
        reduced: the original array's shape without the reduced axes.
        keepdims: the same with length 1 in their place.
        transposed: the array is Fortran-ordered and is folded through its transpose.
        moved: axes that must first be moved to the end, because they are not neighbours.
    """

    shape: tuple[int, int, int]
    before: tuple[int, ...]
    reduced: tuple[int, ...]
    keepdims: tuple[int, ...]
    transposed: bool = False
    moved: tuple[int, ...] | None = None

    def apply(self, a: np.ndarray) -> np.ndarray:
        """The array as (outer, n, inner), C-contiguous and aligned; a view of it where its layout allows."""
        if self.transposed:
            a = a.T
        elif self.moved is not None:
            a = np.moveaxis(a, self.moved, range(-len(self.moved), 0))
        a = a.reshape(self.shape)
        # reshape keeps a layout that it can stride over.
        flags = a.flags  # carray: writable as well, which spares the usual array one query of two
        return a if flags.carray or (flags.c_contiguous and flags.aligned) else a.copy()

    def restore(self, result: np.ndarray) -> np.ndarray:
        """A result of shape (outer, n, inner) in the shape of the original array."""
        result = result.reshape(self.before)
        if self.transposed:
            return result.T
        if self.moved is not None:
            return np.moveaxis(result, range(-len(self.moved), 0), self.moved)
        return result


def fold(a: np.ndarray, axis: Axis, order_matters: bool = False) -> Fold:
    """How to fold an array around one axis, several, or all (None).

    Args:
        order_matters: with axis None, keep the elements in C order, whatever the layout.

    Raises:
        numpy.exceptions.AxisError: the array has no such axis.
        TypeError: an axis is no integer, or is a bool.
        ValueError: an axis is named twice.
    """
    return fold_shape(a.shape, axis, a.flags.fnc, order_matters)


def fold_shape(
    shape: tuple[int, ...],
    axis: Axis,
    transposed: bool = False,
    order_matters: bool = False,
) -> Fold:
    """The same for an array of this shape, C-contiguous or, if `transposed`, Fortran-ordered only."""
    if axis is not None and type(axis) is not int:
        axis = tuple(map(_index, axis)) if isinstance(axis, Sequence) else _index(axis)
    return _fold(shape, axis, transposed, order_matters)


def _index(axis: Any) -> int:
    """An axis as an int."""
    try:
        if not isinstance(axis, bool):  # NumPy's own has no __index__
            return operator.index(axis)
    except TypeError:
        pass
    raise TypeError(f"axis is {axis!r}: accepted are integers, and None for the whole array")


# Working it out takes longer than a small kernel.
@functools.lru_cache(maxsize=256)
def _fold(shape: tuple[int, ...], axis: int | tuple[int, ...] | None, transposed: bool, order_matters: bool) -> Fold:
    ndim = len(shape)
    if axis is None or (ndim == 0 and axis in (0, -1)):  # NumPy takes axis 0 of a scalar
        transposed = transposed and not order_matters
        before = shape[::-1] if transposed else shape
        return Fold((1, math.prod(shape), 1), before, (), (1,) * ndim, transposed)
    if isinstance(axis, tuple):
        axes = tuple(sorted(normalize_axis_tuple(axis, ndim, "axis")))
        if not axes:
            before = shape[::-1] if transposed else shape
            return Fold((math.prod(shape), 1, 1), before, shape, shape, transposed)
    else:
        axes = (normalize_axis_index(axis, ndim),)
    reduced = tuple(length for i, length in enumerate(shape) if i not in axes)
    keepdims = tuple(1 if i in axes else length for i, length in enumerate(shape))
    first, last = axes[0], axes[-1]
    if last - first + 1 != len(axes):
        gone = tuple(shape[i] for i in axes)
        folded = (math.prod(reduced), math.prod(gone), 1)
        return Fold(folded, (*reduced, *gone), reduced, keepdims, moved=axes)
    if transposed:
        shape, first, last = shape[::-1], ndim - 1 - last, ndim - 1 - first
    folded = (math.prod(shape[:first]), math.prod(shape[first : last + 1]), math.prod(shape[last + 1 :]))
    return Fold(folded, shape, reduced, keepdims, transposed)


def overlaps_itself(a: np.ndarray) -> bool:
    """Whether elements of an array share memory, as those of one with a stride of 0."""
    if a.size == 0:
        return False
    steps = sorted((abs(step), length) for step, length in zip(a.strides, a.shape, strict=True) if length > 1)
    reach = a.itemsize
    for step, length in steps:
        if step < reach:
            break
        reach += step * (length - 1)
    else:
        return False
    # Strides that do not nest may still keep elements apart.
    places = np.zeros(1, np.int64)
    for step, length in steps:
        places = np.add.outer(places, np.arange(length) * step).reshape(-1)
    return bool((np.diff(np.sort(places)) < a.itemsize).any())
