"""Inputs and outputs that only the public API sees: strides, byte orders and axes that kernels never meet."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..backends import ALIGNMENT, aligned_empty
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


class Placed(NamedTuple):
    """An `out` in memory that shows what else is written.

    Attributes:
        out: what is given to a public function.
        x: what is reduced, in the same memory where the two overlap.
        memory: the bytes of out and of what is around it.
        owned: which of them belong to out.
        where: in words.
    """

    out: Any
    x: np.ndarray
    memory: np.ndarray
    owned: np.ndarray
    where: str


@dataclass(frozen=True)
class OutLayout:
    """A named `out` for the public functions.

    Attributes:
        name: what tables call it.
        build: (memory, shape, dtype) -> the out, from the first byte of that memory.
        refused: what an error must state, as a regular expression; None where out must be filled.
        starts: bytes from a cache line to that first byte, one out for each.
        overlaps: elements from out to x in the same memory, one out for each; None: x is elsewhere.
        axes: axes of an x of three that it is for.
    """

    name: str
    build: Callable[[np.ndarray, tuple[int, ...], np.dtype], Any]
    refused: str | None = None
    starts: tuple[int, ...] = (0,)
    overlaps: tuple[int | None, ...] = (None,)
    axes: tuple[int | None, ...] = (1, -1, None)

    def place(self, x: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> Iterator[Placed]:
        """Every out for this x and a result of this shape and dtype."""
        around = 4 * ALIGNMENT
        size = 2 * math.prod(n + 2 for n in shape) * dtype.itemsize + x.nbytes + 3 * around
        for start, shift in itertools.product(self.starts, self.overlaps):
            memory, owned = aligned_empty((size,), np.dtype(np.uint8)), np.zeros(size, np.uint8)
            memory.fill(0xA5)
            begin = around + start
            out = self.build(memory[begin:], shape, dtype)
            if self.refused is None:
                self.build(owned[begin:], shape, np.dtype((np.void, dtype.itemsize)))[...] = b"\xff" * dtype.itemsize
            where = f"out at byte {start} of a cache line"
            given = x
            if shift is not None:
                given = np.ndarray(x.shape, x.dtype, memory, begin + shift * x.itemsize)
                given[...] = x
                where += f", x {shift} elements from it"
            yield Placed(out, given, memory, owned.astype(bool), where)


def _contiguous(memory: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    return np.ndarray(shape, dtype, memory)


def _strided(memory: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    return np.ndarray((*shape, 2), dtype, memory)[..., 0]


def _reversed(memory: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    return _cut(np.ndarray(shape, dtype, memory), slice(None, None, -1))


def _slice(memory: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    return _cut(np.ndarray([n + 2 for n in shape], dtype, memory), slice(1, -1))


def _cut(a: np.ndarray, along: slice) -> np.ndarray:
    """A slice along every axis; a view, and no scalar, also where there is none."""
    view: np.ndarray = a[(..., *[along] * a.ndim)]  # type: ignore[arg-type]
    return view


def _unwritable(memory: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    out = _contiguous(memory, shape, dtype)
    out.flags.writeable = False
    return out


OUT_LAYOUTS = (
    OutLayout("out: every place in a cache line", _contiguous, starts=tuple(range(0, 64, 8))),
    OutLayout("out: unaligned", _contiguous, starts=tuple(range(1, 8))),
    OutLayout("out: every second element", _strided),
    OutLayout("out: negative strides", _reversed),
    OutLayout("out: Fortran order", lambda m, s, d: np.ndarray(s, d, m, order="F")),
    OutLayout("out: slice of a larger array", _slice),
    OutLayout("out: unaligned, every second element", _strided, starts=(1, 3)),
    OutLayout("out: other byte order", lambda m, s, d: np.ndarray(s, d.newbyteorder(), m)),
    OutLayout("out: the memory of x", _contiguous, overlaps=(0,)),
    OutLayout("out: overlapping x", _contiguous, overlaps=(-7, 1, 30)),
    OutLayout("out: unaligned, overlapping x", _contiguous, starts=(1,), overlaps=(0, 5)),
    OutLayout("out: negative strides, overlapping x", _reversed, overlaps=(0, 5)),
    OutLayout("out: read-only", _unwritable, "out is read-only"),
    OutLayout("out: other dtype", lambda m, s, d: np.ndarray(s, np.int32, m), "out has dtype int32: the result has"),
    OutLayout("out: other shape", lambda m, s, d: np.ndarray((*s, 1), d, m), r"out has shape .*1,?\): the result has"),
    OutLayout(
        "out: one element for all",
        lambda m, s, d: np.ndarray(s, d, m, strides=(0,) * len(s)),
        r"out has strides .*0\), elements that overlap",
        axes=(1, -1),
    ),
    OutLayout("out: masked", lambda m, s, d: np.ma.array(np.ndarray(s, d, m), copy=False), "out is a MaskedArray"),
    OutLayout(
        "out: no array",
        lambda m, s, d: _contiguous(m, s, d).tolist(),
        r"out is a (list|int|float): accepted is a numpy\.ndarray",
    ),
)
