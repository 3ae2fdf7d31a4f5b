"""Chooses how a call is done from facts of the machine and of the arrays, by the tables of `regimes`; runs nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..contract import DTYPES
from . import regimes
from .machine import Machine
from .regimes import Operation, Regime

_LINE = 64  # bytes of a vector
_ITEMSIZES = {"bfloat16": 2} | {name: np.dtype(name).itemsize for name in DTYPES}


class Problem(NamedTuple):
    """What a call is about.

    Attributes:
        operation: "softmax" or "argmax".
        dtype: the name of x's.
        shape: of x, (outer, n, inner), none of them 0.
        threads: how many may be used.
        aligned: whether `out` begins with a vector.
    """

    operation: Operation
    dtype: str
    shape: tuple[int, int, int]
    threads: int = 1
    aligned: bool = True

    @property
    def itemsize(self) -> int:
        return _ITEMSIZES[self.dtype]

    @property
    def lane_bytes(self) -> int:
        """Bytes of a lane: softmax of 16 bits is computed in float32."""
        return max(4, self.itemsize) if self.operation == "softmax" else self.itemsize

    @property
    def lanes(self) -> int:
        """Lanes of a vector."""
        return _LINE // self.lane_bytes

    @property
    def bytes(self) -> int:
        """Bytes of x."""
        outer, n, inner = self.shape
        return outer * n * inner * self.itemsize

    @property
    def shared(self) -> int:
        """The threads that share the call."""
        return self.threads if self.bytes >= regimes.PARALLEL[self.operation] else 1

    @property
    def tile(self) -> int:
        """Elements of the inner axis that a whole tile has."""
        return regimes.TILE_VECTORS[self.operation] * self.lanes

    def tiles(self, tile: int) -> int:
        """Tiles of the inner axis. In softmax one holds as much more as is left beyond whole vectors."""
        inner = self.shape[2]
        columns = inner // self.lanes * self.lanes if self.operation == "softmax" else inner
        return max(1, -(-columns // tile))


class Plan(NamedTuple):
    """How a call is done.

    Attributes:
        regime: see `regimes.Regime`.
        threads: how many share it.
        tile: the elements of the inner axis that a tile of columns has at most.
        tiles: the tiles of the inner axis.
        parts: how many parts threads are given of a row, or of the rows of columns.
        recompute: whether exponentials that no cache holds are computed twice.
        prefetch: the prefetch distance in elements.
    """

    regime: Regime
    threads: int
    tile: int
    tiles: int
    parts: int
    recompute: bool
    prefetch: int


def plan(machine: Machine, problem: Problem, table: Sequence[Regime] | None = None) -> Plan:
    """The first regime of a table, the built-in one if none is given, that takes the arrays, and what follows."""
    measured = measures(machine, problem)
    if table is None:
        table = regimes.TABLES[problem.operation, problem.shape[2] > 1]
    regime = next(one for one in table if next(misfits(one, machine, problem, measured), None) is None)
    outer, n, inner = problem.shape
    threads, tile, parts = problem.shared, problem.tile, 1
    softmax = problem.operation == "softmax"
    if regime.kernel == "split_rows":
        parts = n // regimes.SOFTMAX_PART
    elif regime.kernel == "split_columns":
        parts = threads if outer < threads and n * inner >= threads * regimes.SOFTMAX_PART else 1
    elif softmax and regime.kernel == "column_tiles" and not regime.streaming and not regime.in_output:
        tile = problem.lanes * max(1, min(regimes.TILE_VECTORS["softmax"], machine.l1 // (_LINE * n)))
    elif not softmax and regime.kernel in ("rows", "column_tiles") and not regime.in_registers:
        tasks = outer * problem.tiles(tile)
        if threads > 1:
            parts = max(1, min(-(-4 * threads // tasks), problem.bytes // tasks // regimes.ARGMAX_PART))
        parts = max(parts, n >> 30)  # a position within a part is an int32
    return Plan(
        regime, threads, tile, problem.tiles(tile), parts, bool(measured["recompute"]), regime.prefetch * problem.lanes
    )


def traffic(chosen: Plan, machine: Machine, problem: Problem) -> tuple[int, int]:
    """How often as many bytes as x has are read, and written, by a plan.

    An ordinary store to memory reads the cache line first, which counts where x and the result exceed the last-level
    cache.
    """
    if problem.operation == "argmax":
        return int(chosen.regime.kernel != "zeros"), 0
    ordinary = int(2 * problem.bytes >= machine.llc and not chosen.regime.streaming)
    if not chosen.regime.kernel.startswith("split"):
        return 1 + ordinary, 1
    # Recomputed exponentials are stored by non-temporal stores, unless they are rounded to 16 bits.
    if chosen.recompute:
        return 2 + (ordinary if problem.itemsize == 2 else 0), 1
    return 2 + ordinary, 2


def measures(machine: Machine, problem: Problem) -> dict[str, float]:
    """What the conditions of a regime are compared with, by their names."""
    (outer, n, inner), lanes, threads, tile = problem.shape, problem.lanes, problem.shared, problem.tile
    size, row, exponential = problem.bytes, n * problem.itemsize, _LINE // lanes
    width = lanes if inner < lanes else tile
    recomputed = problem.operation == "softmax" and (size if inner > 1 else row) >= machine.llc * (
        regimes.recompute_from(problem.dtype, machine.vector_bytes)
    )
    return {
        "columns": n,
        "vectors": n / lanes,
        "outer": outer / lanes,
        "inner": inner / lanes,
        "idle": max(0, threads - outer * problem.tiles(tile)),
        "part": n * inner / threads,
        "row_l2": row / machine.l2,
        "rows_llc": row * threads / machine.llc,
        "tile_l1": n * width * exponential / machine.l1,
        "tile_l2": n * min(inner, width) * exponential / machine.l2,
        "matrix_l1": row * inner / machine.l1,
        "beyond": 2 * size >= machine.llc,
        "recompute": recomputed,
    }


def misfits(regime: Regime, machine: Machine, problem: Problem, measured: dict[str, float]) -> Iterator[str]:
    """The conditions of a regime that do not hold, by name; none: it takes the arrays."""
    for name, least, most in regime.conditions:
        if not least <= measured[name] <= most:
            yield name
    if regime.dtypes and problem.dtype not in regime.dtypes:
        yield "dtypes"
    if regime.vector_bytes > machine.vector_bytes:
        yield "vector_bytes"
    if regime.vector_registers > machine.vector_registers:
        yield "vector_registers"
    if regime.whole is not None or regime.needs_alignment:
        outer, n, inner = problem.shape
        # Rows of memory, each of which begins where the one before it ends.
        period = outer * n if regime.kernel == "packed" else n if inner == 1 else inner
        if (period % problem.lanes == 0) != (regime.whole is not False):
            yield "whole"
        elif regime.needs_alignment and not problem.aligned:
            yield "aligned"
