"""Inputs by description: what two processes need to have the same array without sending it."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from . import array_files, workloads

_BLOCK = (1 << 16) + 1  # elements that `another` array repeats; odd, so that rows of a power of two differ


@dataclass(frozen=True)
class Input:
    """x of shape (outer, n, inner), described.

    Attributes:
        kind: ``scores`` (seeded, in the order `name`), ``tiled`` (few scores, repeated), ``another`` (other values of
            the same shape and dtype), ``changed`` (those but for the element whose flat index is `name`), ``case`` or
            ``layout`` (of the contract, by `name`), ``out`` (what the contract's layouts of out are for) or ``array``
            (the user's own, in the file `name`).
        dtype: of x, by name.
        shape: of scores and of another array.
        key, axis: of the user's array and of ``out``.
    """

    kind: str
    dtype: str
    shape: tuple[int, ...] = ()
    name: str = ""
    key: str | None = None
    axis: int | None = None

    def array(self) -> np.ndarray:
        """x: C-contiguous, aligned, native byte order; the same numbers in every process.

        Raises:
            ValueError: nothing goes by this description.
        """
        if self.kind == "scores":
            return workloads.scores(self.shape, self.dtype, self.name or "random")
        if self.kind == "tiled":
            return workloads.tiled(self.shape, self.dtype)
        if self.kind == "another":
            return np.resize(_block(np.dtype(self.dtype)), math.prod(self.shape)).reshape(self.shape)
        if self.kind == "changed":
            x = self.other().array()
            _change(x, int(self.name))
            return x
        if self.kind == "array":
            return own_array(self.name, self.key, self.axis, self.dtype)
        # What follows is the judge's: the contract of an old commit has none of it.
        from maxbench.impls import agreement, contract
        from maxbench.impls.contract import layouts

        if self.kind == "case":
            case = next((case for case in contract.KERNEL_CASES if case.name == self.name), None)
            if case is not None:
                return case.array(self.dtype)
        if self.kind == "layout":
            found = next((one for one in layouts.LAYOUTS if one.name == self.name), None)
            if found is not None:
                return agreement.as_rows(found.array(self.dtype), found.axis)
        if self.kind == "out":
            return agreement.as_rows(agreement.out_input(self.dtype), self.axis)
        raise ValueError(f"no input is described by {self}")

    def repeated(self) -> np.ndarray | None:
        """The flat values that x repeats from its first element on; None where it does not repeat any."""
        if self.kind == "another":
            return _block(np.dtype(self.dtype))
        if self.kind == "tiled" and math.prod(self.shape) > workloads.TILED:
            return workloads.tiled_block(self.dtype)
        return None

    def rows(self, first: int, last: int) -> np.ndarray:
        """x[first:last]; without the rest of x where that repeats a few values."""
        block = self.repeated()
        if block is None:
            return self.array()[first:last]
        size = math.prod(self.shape[1:])
        begin, count = first * size % len(block), (last - first) * size
        values = block[begin : begin + count]
        if len(values) < count:
            values = np.concatenate([values, np.resize(block, count - len(values))])
        return values.reshape(last - first, *self.shape[1:])

    def into(self, x: np.ndarray) -> None:
        """Fill an array of its shape and dtype; with other values without a second array as large."""
        if self.kind not in ("another", "changed"):
            x[...] = self.array()
            return
        block, flat = _block(x.dtype), x.reshape(-1)
        for start in range(0, flat.size, len(block)):
            part = flat[start : start + len(block)]
            part[...] = block[: len(part)]
        if self.kind == "changed":
            _change(x, int(self.name))

    def other(self) -> Input:
        """Other values of the same shape and dtype."""
        shape = self.shape or self.array().shape
        return Input("another", self.dtype, shape)

    def changed(self, index: int) -> Input:
        """The other values, but for one element."""
        return Input("changed", self.dtype, self.other().shape, str(index))

    @property
    def row(self) -> tuple[int, int] | None:
        """Of a ``changed`` input the row and column (outer and inner) that its element is in; None of all others."""
        if self.kind != "changed":
            return None
        row, _, column = np.unravel_index(int(self.name), self.shape)
        return int(row), int(column)


@functools.lru_cache(maxsize=16)
def _block(dtype: np.dtype) -> np.ndarray:
    """The values that another array repeats; not to be written to."""
    rng = np.random.default_rng(20260102)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        block = rng.integers(info.min, info.max, _BLOCK, dtype, endpoint=True)
    else:
        normal = rng.standard_normal(_BLOCK, np.float32)
        block = normal > 0 if dtype.kind == "b" else (normal * 3).astype(dtype)
    block.flags.writeable = False
    return block


def _change(x: np.ndarray, index: int) -> None:
    """Change one element, so that it is the largest of its row then, or else another one than before."""
    at = np.unravel_index(index, x.shape)
    if x.dtype.kind == "f":
        x[at] = 20
    elif x.dtype.kind == "b":
        x[at] = not x[at]
    else:
        info = np.iinfo(x.dtype)
        x[at] = info.max if x[at] != info.max else info.min


def own_array(path: str, key: str | None, axis: int | None, dtype: str) -> np.ndarray:
    """The user's array, folded around its axis, in a dtype; as `array_files.read_array` raises."""
    from maxbench.impls import layout

    a = array_files.read_array(path, key)
    folded = layout.fold(a, axis, order_matters=True)
    return folded.apply(a).astype(np.dtype(dtype), copy=False)
