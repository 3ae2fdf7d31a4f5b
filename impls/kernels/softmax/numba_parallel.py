"""Softmax in Numba on all CPU cores: SIMD vectors, and a chunk of the work for each thread.

Every kernel takes a range of rows, tiles or parts, of which each thread is given a chunk. `cpu.regimes` says which
kernel takes which arrays.
A row (or a tile of columns) passes twice through a core's cache: exponentials and their sum, results. Exponentials are
relative to an estimate of the maximum, from the row's first and last elements, which the sum verifies; if it does not,
the exponentials are computed again from the maximum. An estimate changes exponentials by a
power of 2, which cancels. Sums go on in float64 after a fixed number of additions in the type of x, so that errors do
not grow with n.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import parallel, simd
from ...contract import FLOATS, OPTIONAL
from ...cpu.machine import this_machine
from ...cpu.plan import Plan, Problem, plan
from ...cpu.regimes import PARALLEL
from ...cpu.softmax_packed import packed
from ...cpu.softmax_pipelined import interleaved, pipelined
from ...cpu.softmax_registers import registers_for
from ...cpu.softmax_rows import rows
from ...cpu.softmax_split_columns import columns, split_columns
from ...cpu.softmax_split_rows import split_rows
from ...cpu.softmax_tiles import column_tiles, pipelined_column_tiles
from ...cpu.softmax_transposed import transposed
from ...cpu.tuned import table_of
from ...registry import implements
from ...threads import numbas
from ...views import bits_of, plain

_PARALLEL = PARALLEL["softmax"]


def _bind(dtype: np.dtype, shape: tuple[int, int, int]) -> Callable[..., Any] | None:
    """What `run` calls, where one thread does it whatever the alignment of `out`."""
    if math.prod(shape) * dtype.itemsize >= _PARALLEL:
        return None
    call, needs_alignment = _call(dtype, shape, 1, True)
    if needs_alignment:
        return None
    bits = bits_of(dtype)
    return call if bits is None else lambda x, out: call(x.view(bits), out.view(bits))


@implements(dtypes=(*FLOATS, *OPTIONAL), threads="many", bind=_bind)
def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Softmax over axis 1 of x (outer, n, inner) into out."""
    threads = numbas() if x.nbytes >= _PARALLEL else 1
    call, needs_alignment = _call(x.dtype, x.shape, threads, True)
    a, b = plain(x), plain(out, True)
    if needs_alignment and b.ctypes.data % simd.VECTOR_BYTES:
        call, _ = _call(x.dtype, x.shape, threads, False)
    call(a, b)
    return out


@functools.lru_cache(maxsize=1024)
def _call(dtype: np.dtype, shape: tuple[int, int, int], threads: int, aligned: bool) -> tuple[Callable[..., Any], bool]:
    """What is called for views as `plain` makes them, and whether `out` must be aligned for it."""
    if 0 in shape:
        return lambda x, out: None, False
    problem = Problem("softmax", dtype.name, shape, threads, aligned)
    chosen = plan(this_machine(), problem, table_of(this_machine(), problem))
    return bound(chosen, shape, dtype), chosen.regime.needs_alignment


def bound(chosen: Plan, shape: tuple[int, int, int], dtype: np.dtype) -> Callable[..., Any]:
    """What a plan calls for views, as `plain` makes them, of arrays of a shape and a dtype."""
    regime, threads, tile, tiles, parts, recompute, _ = chosen
    (outer, n, _), itemsize = shape, dtype.itemsize
    streaming = True if regime.streaming else None  # each is compiled by itself
    kernel: Any
    arguments: tuple[Any, ...]
    tasks = outer
    match regime.kernel:
        case "packed":
            kernel, arguments, tasks = packed, (streaming,), -(-outer * n * itemsize // simd.VECTOR_BYTES)
        case "registers":
            kernel, arguments = registers_for(n, itemsize), (streaming,)
        case "transposed":
            kernel, arguments = transposed, ()
        case "pipelined" if regime.interleave == 2:
            kernel, arguments = interleaved, ()
        case "pipelined":
            kernel, arguments = pipelined, (streaming,)
        case "rows":
            kernel, arguments = rows, (regime.streaming,)
        case "split_rows":
            return lambda x, out: split_rows(x, out, parts, not recompute, threads)
        case "pipelined_column_tiles":
            kernel, arguments, tasks = pipelined_column_tiles, (tile, tiles), outer * tiles
        case "column_tiles":
            kernel, arguments = column_tiles, (tile, tiles, regime.in_output, regime.streaming)
            tasks = outer * tiles
        case "split_columns":
            return lambda x, out: _columns(x, out, dtype, parts, not recompute, threads)
        case unknown:
            raise ValueError(f"a regime names the kernel {unknown!r}, which does not exist")
    return parallel.bound(kernel, arguments, tasks, threads)


def _columns(x: np.ndarray, out: np.ndarray, dtype: np.dtype, parts: int, keep: bool, threads: int) -> None:
    """Softmax of long columns, the rows of each x[i] in so many parts; x and out are views of arrays of a dtype."""
    verified = np.ones(len(x), np.bool_)
    if parts > 1:
        split_columns(x, out, keep, verified, threads)
    else:
        parallel.run(columns, (x, out, keep, verified), len(x), threads)
    for i in np.flatnonzero(~verified):
        # The sums did not verify the estimated shifts.
        transposed_x = np.ascontiguousarray(x[i].view(dtype).T)[:, :, None]
        out[i].view(dtype)[...] = run(transposed_x, np.empty_like(transposed_x))[:, :, 0].T
