"""Which kernel takes which arrays: a table for each operation and layout; the first regime that fits is used.

No other module has thresholds. Bounds are in elements, in vectors of 64 bytes, or shares of a cache. docs/cpu.md says
what each regime gains, and where that was measured.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, fields, replace
from typing import Literal, NamedTuple


class Range(NamedTuple):
    """Numbers from `least` to `most`, both included."""

    least: float = 0
    most: float = math.inf


ANY = Range()


def at_least(number: float) -> Range:
    """All numbers from one on."""
    return Range(least=number)


def above(number: float) -> Range:
    """All numbers above one."""
    return Range(least=math.nextafter(number, math.inf))


def at_most(number: float) -> Range:
    """All numbers up to one."""
    return Range(most=number)


def below(number: float) -> Range:
    """All numbers below one."""
    return Range(most=math.nextafter(number, 0))


@dataclass(frozen=True, kw_only=True)
class Regime:
    """A kernel, the arrays that it takes, and its parameters.

    Attributes:
        kernel: its name: see docs/cpu.md.
        reason: what it is better at than the regimes below it.
        dtypes: those that it takes; none: all.
        vector_bytes: the shortest vector registers that it is for.
        vector_registers: the fewest of them.
        columns: elements of a row.
        vectors: the same in vectors of 64 bytes of the type that is computed in.
        outer: rows, in lanes of such a vector.
        inner: columns of the inner axis, in lanes of such a vector.
        idle: threads that would have no row, or no tile of columns.
        part: elements that each thread would have of x[i], if its threads shared it.
        row_l2: bytes of a row as a share of the L2.
        rows_llc: bytes of a row for each thread as a share of the last-level cache.
        tile_l1: bytes of the exponentials of a whole tile of columns as a share of the L1.
        tile_l2: bytes of those that x[i] has, which may be narrower, as a share of the L2.
        matrix_l1: bytes of x[i] as a share of the L1.
        beyond: whether x and a result of its size exceed the last-level cache; None: either.
        recompute: whether exponentials are computed twice, as `RECOMPUTE` has it; None: either.
        whole: whether rows are whole vectors; None: either.
        streaming: non-temporal stores.
        interleave: rows that are computed at a time.
        in_output: exponentials wait for their sum in the output.
        in_registers: the best so far stays in registers down all rows.
        prefetch: the prefetch distance in vectors.
    """

    kernel: str
    reason: str
    dtypes: tuple[str, ...] = ()
    vector_bytes: int = 16
    vector_registers: int = 16
    columns: Range = ANY
    vectors: Range = ANY
    outer: Range = ANY
    inner: Range = ANY
    idle: Range = ANY
    part: Range = ANY
    row_l2: Range = ANY
    rows_llc: Range = ANY
    tile_l1: Range = ANY
    tile_l2: Range = ANY
    matrix_l1: Range = ANY
    beyond: bool | None = None
    recompute: bool | None = None
    whole: bool | None = None
    streaming: bool = False
    interleave: int = 1
    in_output: bool = False
    in_registers: bool = False
    prefetch: int = 0

    @functools.cached_property
    def conditions(self) -> tuple[tuple[str, float, float], ...]:
        """Those of its ranges, and of `beyond` and `recompute`, that exclude something, as (name, least, most)."""
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        found = [(name, *value) for name, value in given.items() if isinstance(value, Range) and value != ANY]
        switches = [(name, given[name]) for name in ("beyond", "recompute") if given[name] is not None]
        return (*found, *((name, value, value) for name, value in switches))

    @property
    def needs_alignment(self) -> bool:
        """Whether `out` has to begin with a vector, and its rows to be whole ones."""
        return self.streaming and self.kernel in ("packed", "registers", "pipelined_column_tiles")


Operation = Literal["softmax", "argmax"]

PARALLEL: dict[Operation, int] = {"softmax": 1 << 17, "argmax": 1 << 19}
"""Bytes from which a call is shared out among threads: what starting them costs."""
TILE_VECTORS: dict[Operation, int] = {"softmax": 8, "argmax": 128}
"""Vectors of the inner axis that a tile of columns has at most."""
SOFTMAX_PART, ARGMAX_PART = 1 << 13, 1 << 17
"""Elements (softmax) and bytes (argmax) of the smallest part of x[i] that a thread is given."""
_SPLIT = 1 << 16  # columns from which a row is shared out among threads

_WIDE = ("float32", "float64")
_FOUR_BYTES = ("float32", "int32", "uint32")

RECOMPUTE: dict[str, dict[int, float]] = {
    "bfloat16": {16: 0},
    "float16": {16: 0},  # an output of 16 bits has no room for exponentials in float32
    "float32": {16: 1 / 2, 64: 1 / 4},
    "float64": {16: math.inf, 64: 1},
}
"""From which size on exponentials that no cache holds are computed twice, as a share of the last-level cache, by the
dtype and the shortest vector registers: then reading x again is cheaper than writing and reading them."""

_AVX512 = Regime(kernel="", reason="", dtypes=_WIDE, vector_bytes=64)
_AVX512_REGISTERS = replace(_AVX512, vector_registers=32)

_packed = replace(
    _AVX512,
    kernel="packed",
    reason="a vector holds four rows, and nothing is transposed",
    columns=Range(4, 4),
    outer=at_least(1),
)
_registers = replace(
    _AVX512_REGISTERS,
    kernel="registers",
    reason="the exponentials of a row never leave the registers",
    columns=at_least(16),
    vectors=Range(1.55, 8),
)
_pipelined = replace(
    _AVX512_REGISTERS,
    kernel="pipelined",
    reason="loads and stores overlap: row i is exponentiated while row i - 1 is normalised",
    row_l2=at_most(1 / 5),
)

SOFTMAX_ROWS = (
    replace(_packed, beyond=True, whole=True, streaming=True),
    _packed,
    replace(_registers, beyond=True, whole=True, streaming=True),
    replace(_registers, beyond=False),
    replace(_registers, whole=True),
    replace(_registers, reason="short rows win more by registers than by non-temporal stores", vectors=Range(1.55, 6)),
    Regime(kernel="transposed", reason="rows of less than a vector would leave lanes idle", columns=below(16)),
    Regime(
        kernel="transposed", reason="a row a lane: nothing is reduced across lanes", vectors=below(4), outer=at_least(1)
    ),
    replace(
        _AVX512,
        kernel="split_rows",
        reason="reading a row again is cheaper than exponentials that wait in memory",
        columns=at_least(_SPLIT),
        recompute=True,
    ),
    Regime(kernel="split_rows", reason="there are fewer rows than threads", columns=at_least(_SPLIT), idle=at_least(1)),
    replace(
        _pipelined,
        reason="as the next, and memory is faster in two places at a time",
        row_l2=at_most(1 / 7),
        beyond=True,
        streaming=True,
        interleave=2,
    ),
    replace(_pipelined, beyond=True, streaming=True),
    _pipelined,
    Regime(
        kernel="rows",
        reason="exponentials wait in a cache, and memory that is written is not read first",
        dtypes=_WIDE,
        rows_llc=at_most(1 / 4),
        beyond=True,
        streaming=True,
    ),
    Regime(kernel="rows", reason="takes every row of a vector or more"),
)

SOFTMAX_COLUMNS = (
    Regime(
        kernel="split_columns",
        reason="there are fewer tiles than threads",
        idle=at_least(1),
        part=at_least(SOFTMAX_PART),
    ),
    Regime(
        kernel="split_columns",
        reason="no L1 holds the exponentials of columns that leave lanes idle",
        inner=below(1),
        tile_l1=above(1),
    ),
    Regime(
        kernel="split_columns",
        reason="no L2 holds the exponentials of a tile beside what else is there",
        dtypes=_WIDE,
        inner=at_least(1),
        tile_l2=above(1 / 4),
        beyond=True,
    ),
    replace(
        _AVX512_REGISTERS,
        kernel="pipelined_column_tiles",
        reason="loads and stores overlap: a tile is exponentiated while the one before it is normalised",
        inner=at_least(1),
        beyond=True,
        whole=True,
        streaming=True,
    ),
    Regime(
        kernel="column_tiles",
        reason="exponentials wait in a cache, and memory that is written is not read first",
        dtypes=_WIDE,
        inner=at_least(1),
        beyond=True,
        streaming=True,
    ),
    Regime(kernel="column_tiles", reason="exponentials wait in the L1", tile_l1=at_most(1)),
    Regime(
        kernel="column_tiles",
        reason="wide tiles read longer pieces of memory; exponentials wait in the output",
        dtypes=_WIDE,
        inner=at_least(1),
        in_output=True,
    ),
    Regime(kernel="column_tiles", reason="takes every x: tiles are as narrow as the L1 demands"),
)

_rows = Regime(
    kernel="rows", reason="one comparison for four vectors; their best block is searched again", vectors=at_least(3)
)
_byte_rows = replace(
    _rows,
    reason="transposed rows of bytes would need positions of four bytes",
    dtypes=("bool", "int8", "uint8"),
    vectors=at_least(1),
)

_zeros = Regime(kernel="zeros", reason="the only element is the first of the largest", columns=Range(1, 1))

ARGMAX_ROWS = (
    _zeros,
    Regime(kernel="packed", reason="a vector holds four rows", dtypes=_FOUR_BYTES, columns=Range(4, 4)),
    Regime(
        kernel="registers",
        reason="one maximum, then the lowest bit of a mask of 64",
        dtypes=("float64", *_FOUR_BYTES),
        columns=at_most(64),
        vectors=at_least(1 / 2),
    ),
    Regime(
        kernel="registers",
        reason="as above; shorter, since AVX2 has no maximum of these",
        dtypes=("int64", "uint64"),
        columns=at_most(32),
        vectors=at_least(1 / 2),
    ),
    *(
        regime
        for rows in (_rows, _byte_rows)
        for regime in (replace(rows, vector_bytes=64, prefetch=64), replace(rows, beyond=False, prefetch=32), rows)
    ),
    Regime(kernel="transposed", reason="takes every row: a row a lane, nothing is reduced across lanes"),
)

ARGMAX_COLUMNS = (
    _zeros,
    Regime(kernel="column_tiles", reason="the best so far stays in registers", columns=at_most(16), in_registers=True),
    Regime(
        kernel="column_tiles",
        reason="the best so far stays in registers; the L1 holds x[i], which is read in short pieces",
        matrix_l1=at_most(1 / 2),
        in_registers=True,
    ),
    Regime(kernel="column_tiles", reason="takes every x: in the order of memory"),
)

TABLES: dict[tuple[Operation, bool], tuple[Regime, ...]] = {
    ("softmax", False): SOFTMAX_ROWS,
    ("softmax", True): SOFTMAX_COLUMNS,
    ("argmax", False): ARGMAX_ROWS,
    ("argmax", True): ARGMAX_COLUMNS,
}
"""By operation, and whether there is an inner axis."""


LIMITS: dict[Operation, tuple[Regime, ...]] = {
    "softmax": (
        Regime(kernel="packed", reason="", dtypes=_WIDE, columns=Range(4, 4), outer=at_least(1)),
        Regime(kernel="registers", reason="", dtypes=_WIDE, vectors=Range(1, 8)),
        Regime(kernel="transposed", reason="", columns=at_most(512)),
        Regime(kernel="pipelined", reason="", dtypes=_WIDE, vectors=at_least(1)),
        Regime(kernel="pipelined", reason="", dtypes=_WIDE, vectors=at_least(1), streaming=True),
        Regime(kernel="pipelined", reason="", dtypes=_WIDE, vectors=at_least(1), streaming=True, interleave=2),
        Regime(kernel="rows", reason="", vectors=at_least(1)),
        Regime(kernel="rows", reason="", dtypes=_WIDE, vectors=at_least(1), streaming=True),
        Regime(kernel="split_rows", reason="", columns=at_least(2 * SOFTMAX_PART)),
    ),
    "argmax": (
        Regime(kernel="packed", reason="", dtypes=_FOUR_BYTES, columns=Range(4, 4)),
        Regime(
            kernel="registers",
            reason="",
            dtypes=("float64", "int64", "uint64", *_FOUR_BYTES),
            columns=at_most(64),
            vectors=at_least(1 / 2),
        ),
        Regime(kernel="transposed", reason="", columns=at_most(512)),
        *(Regime(kernel="rows", reason="", vectors=at_least(1), prefetch=prefetch) for prefetch in (0, 32, 64)),
    ),
}
"""What the kernels of rows can do at all, wherever it pays: the candidates of ``maxbench tune``."""


def recompute_from(dtype: str, vector_bytes: int) -> float:
    """The entry of `RECOMPUTE` for vector registers of so many bytes."""
    return max((shortest, share) for shortest, share in RECOMPUTE[dtype].items() if shortest <= vector_bytes)[1]
