"""Argmax in Numba on all CPU cores: SIMD maxima and the blocks they were found in, a chunk for each thread.

Every kernel takes a range of rows, tiles or parts, of which each thread is given a chunk. `cpu.regimes` says which
kernel takes which arrays.
No branch depends on the data except where a NaN was seen, so the order of the input does not matter.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import parallel
from ...contract import DTYPES, OPTIONAL
from ...cpu.argmax_columns import column_tiles
from ...cpu.argmax_registers import packed, registers_for
from ...cpu.argmax_rows import merge_parts, parts_of_rows, rows
from ...cpu.argmax_transposed import transposed
from ...cpu.machine import this_machine
from ...cpu.plan import Plan, Problem, plan
from ...cpu.regimes import PARALLEL
from ...cpu.tuned import table_of
from ...registry import implements
from ...threads import numbas
from ...views import bits_of, plain

_PARALLEL = PARALLEL["argmax"]
_INFINITIES = {"float16": np.int16(0x7C00), "bfloat16": np.int16(0x7F80)}


def _bind(dtype: np.dtype, shape: tuple[int, int, int]) -> Callable[..., Any] | None:
    """What `run` calls, where one thread does it."""
    if math.prod(shape) * dtype.itemsize >= _PARALLEL:
        return None
    call, bits = _call(dtype, shape, 1)[0], bits_of(dtype)
    return call if bits is None else lambda x, out: call(x.view(bits), out)


@implements(dtypes=(*DTYPES, *OPTIONAL), threads="many", bind=_bind)
def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Argmax over axis 1 of x (outer, n, inner) into out (outer, inner)."""
    call, viewed = _call(x.dtype, x.shape, numbas() if x.nbytes >= _PARALLEL else 1)
    call(plain(x) if viewed or not x.flags.behaved else x, out)
    return out


@functools.lru_cache(maxsize=1024)
def _call(dtype: np.dtype, shape: tuple[int, int, int], threads: int) -> tuple[Callable[..., Any], bool]:
    """What is called for x as `plain` makes it, and whether that makes another dtype of it."""
    if 0 in shape:
        return lambda x, out: None, False
    problem = Problem("argmax", dtype.name, shape, threads)
    chosen = plan(this_machine(), problem, table_of(this_machine(), problem))
    return bound(chosen, shape, dtype), bits_of(dtype) is not None


def bound(chosen: Plan, shape: tuple[int, int, int], dtype: np.dtype) -> Callable[..., Any]:
    """What a plan calls for views, as `plain` makes them, of arrays of a shape and a dtype."""
    regime, threads, tile, tiles, parts, _, prefetch = chosen
    outer, n, inner = shape
    infinity = _INFINITIES.get(dtype.name)
    kernel: Any
    arguments: tuple[Any, ...]
    tasks = outer * parts
    match regime.kernel:
        case "zeros":
            return lambda x, out: out.fill(0)
        case "packed":
            kernel, arguments = packed, ()
        case "registers":
            kernel, arguments = registers_for(n, dtype.itemsize), ()
        case "transposed":
            kernel, arguments = transposed, (infinity,)
        case "rows" if parts > 1:
            kernel, arguments = parts_of_rows, (infinity, prefetch)
        case "rows":
            kernel, arguments = rows, (infinity, prefetch)
        case "column_tiles":
            kernel, arguments, tasks = column_tiles, (infinity, tile, tiles, regime.in_registers), tasks * tiles
        case unknown:
            raise ValueError(f"a regime names the kernel {unknown!r}, which does not exist")
    call = parallel.bound(kernel, arguments, tasks, threads)

    def in_parts(x: np.ndarray, out: np.ndarray) -> None:
        if parts == 1:
            call(x, out.reshape(outer, 1, inner))
            return
        winners = np.empty((outer, parts, inner), np.int64)
        call(x, winners)
        merge_parts(x, winners, out, infinity)

    whole = call if parts == 1 and inner == 1 else in_parts
    if dtype.name == "bfloat16":
        return lambda x, out: whole(x.view(np.int16), out)
    return whole
