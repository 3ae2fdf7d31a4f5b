"""The arrays that are timed: real workloads by name, the sweep over n, argmax's input orders.

Shapes are (outer, n, inner), as kernels take them. Contents are seeded, so every process and every commit times
the same numbers.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

SWEEP_ELEMENTS = 1 << 20
LARGEST = 1 << 24  # the largest n side by side; smaller ones have rows up to SWEEP_ELEMENTS
STRIDED_INNER = 64
TILED = 1 << 22  # elements from which on scores are repeated


@dataclass(frozen=True)
class Workload:
    """A shape that people really run, and where it comes from."""

    name: str
    shape: tuple[int, int, int]
    origin: str


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("two-class filter", (1048576, 2, 1), "a spam or relevance filter over a million documents"),
        Workload("CIFAR-10", (131072, 10, 1), "ten image classes, a large evaluation batch"),
        Workload("ImageNet", (1024, 1000, 1), "1,000 image classes, one batch"),
        Workload("attention rows", (98304, 512, 1), "8 x 12 heads x 1,024 queries over 512 keys"),
        Workload("GPT-2 vocabulary", (64, 50257, 1), "next-token scores of 64 sequences"),
        Workload("Llama-3 vocabulary", (32, 128256, 1), "next-token scores of 32 sequences"),
        Workload("segmentation", (8, 21, 65536), "21 classes over axis 1 of 8 images of 256 x 256 pixels"),
        Workload("one long vector", (1, 16777216, 1), "one row: only its elements can be shared out"),
    )
}
# The same rows, and fewer of them: what a quick run measures.
SMALLER = {
    workload.name: workload
    for workload in (
        Workload("attention, 2 heads", (2048, 512, 1), "2 heads x 1,024 queries over 512 keys"),
        Workload("GPT-2, 20 rows", (20, 50257, 1), "next-token scores of 20 sequences"),
        Workload("Llama-3, 8 rows", (8, 128256, 1), "next-token scores of 8 sequences"),
        Workload("segmented image", (1, 21, 65536), "21 classes over axis 1 of an image of 256 x 256 pixels"),
        Workload("one vector of 2^20", (1, 1048576, 1), "one row: only its elements can be shared out"),
    )
}
ALL = WORKLOADS | SMALLER


def sweep_shape(n: int) -> tuple[int, int, int]:
    """Rows of n columns with 2^20 elements in all, one row at least."""
    return (max(1, SWEEP_ELEMENTS // n), n, 1)


def cells(steps: int = 1) -> Iterator[tuple[str, tuple[int, int, int]]]:
    """Name and shape (outer, n, inner) of what is timed side by side: workloads, sweeps over the last axis, and others.

    Args:
        steps: take every so many-th power of two of the sweeps.
    """
    for workload in WORKLOADS.values():
        yield workload.name, workload.shape
    for k in range(1, 25, steps):
        yield f"n = 2^{k}", sweep_shape(1 << k)
    for k in range(1, 25, steps):
        n = 1 << k
        inner = max(2, min(STRIDED_INNER, LARGEST // n))
        yield f"n = 2^{k}, strided", (max(1, SWEEP_ELEMENTS // (n * inner)), n, inner)


def scores(shape: tuple[int, ...], dtype: str, order: str = "random") -> np.ndarray:
    """Scores of a dtype: N(0, 3) for floats, the whole range for integers, in one of argmax's input orders."""
    rng = np.random.default_rng(20260101)
    kind = np.dtype(dtype)
    x: np.ndarray
    if kind.kind == "f":
        x = rng.standard_normal(shape, dtype=np.float32 if kind.itemsize <= 4 else np.float64)
        x *= 3
        x = x.astype(kind, copy=False)
    elif kind.kind == "b":
        x = rng.integers(0, 2, shape, np.uint8).astype(bool)
    else:
        info = np.iinfo(kind)
        x = rng.integers(info.min, info.max, shape, kind, endpoint=True)
    if order == "random":
        return x
    if order == "all equal":
        x[...] = 1
    elif order in ("ascending", "descending"):
        x.sort(axis=1)
        if order == "descending":
            x = np.ascontiguousarray(x[:, ::-1])
    elif order in ("maximum first", "maximum last"):
        x[:, 0 if order == "maximum first" else -1] = x.max()
    else:
        raise ValueError(f"unknown order {order!r}")
    return x


def tiled(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Seeded scores, repeated where there are many, which takes a tenth of the time."""
    total = math.prod(shape)
    if total <= TILED:
        return scores(shape, dtype)
    return np.resize(tiled_block(dtype), total).reshape(shape)


@functools.lru_cache(maxsize=4)
def tiled_block(dtype: str) -> np.ndarray:
    """The scores that `tiled` repeats in arrays of more elements than a block has; not to be written to."""
    # One more than a power of two, so that the block is no whole number of rows.
    block = scores((TILED + 1,), dtype)
    block.flags.writeable = False
    return block
