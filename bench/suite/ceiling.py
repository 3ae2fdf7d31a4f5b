"""The ceiling: what copying (softmax) or reading (argmax) as many bytes takes, by the best way found."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .. import timing
from ..inputs import grid
from . import base

_ELEMENTS = {"quick": [1 << 20], "full": [1 << k for k in range(18, 27)]}


def elements() -> list[int]:
    """float32 elements of the arrays: a point within a factor of 2 of every input in bytes."""
    return list(_ELEMENTS[grid.name()])


def fastest(operation: str, nbytes: int) -> tuple[str, Callable[[], Any]]:
    """The fastest way to move the bytes that an operation must move for an input of nbytes, as (name, call).

    The arrays live as long as the call does.

    Raises:
        NotImplementedError: this commit's `impls` cannot measure it.
    """
    try:
        from . import bandwidth  # compiled with the SIMD vectors of the commit that is measured
    except ImportError as error:
        raise NotImplementedError(str(error)) from None
    from maxbench.impls.backends import aligned_empty

    lines = -(-nbytes // 64) * 8
    x = aligned_empty((lines,), np.dtype(np.int64))
    x[...] = 1
    if operation == "softmax":
        out = aligned_empty((lines,), np.dtype(np.int64))
        out[...] = 0
        ways = bandwidth.copies(x, out)
    else:
        ways = bandwidth.reads(x)
    best = {name: shortest(call) for name, call in ways.items()}
    name = min(best, key=lambda way: best[way])
    return name, ways[name]


def shortest(call: Callable[[], Any], seconds: float = 0.05) -> float:
    """The shortest of at least three calls, in seconds; the first is not among them."""
    call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


class Ceiling(base.Replayed):
    """A copy or a read, in place of an implementation."""

    param_names: ClassVar = ["implementation", "dtype", "n"]
    params: ClassVar = [["ceiling"], ["float32"], elements()]

    def measure(self, name: str, *rest: Any) -> str:
        dtype, n = rest
        self.outcome.shape, self.outcome.dtype = (1, n, 1), dtype
        _, call = fastest(self.operation, n * np.dtype(dtype).itemsize)
        sampler = timing.Sampler(call, lambda: None, "wall")
        sampler.seconds = base.SAMPLE_SECONDS
        self.replay(timing.unchecked(sampler, grid.seconds()), sampler)
        return ""

    def time_call(self, *params: Any) -> None:
        """Seconds of one copy or read."""
        self.advance()
