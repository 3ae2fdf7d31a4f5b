"""Calls that do not depend on each other, made in forked copies of this process where that is safe."""

from __future__ import annotations

import multiprocessing
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from .environment import usable_cpus

T = TypeVar("T")

# What the copies call: they inherit it, so it may be a closure over anything. Only its results are pickled.
_task: Callable[[int], Any] | None = None


def each(task: Callable[[int], T], count: int) -> list[T]:
    """task(0) to task(count - 1), in as many processes as there are CPUs; what one raises is raised here.

    On one CPU, and where forking is missing or unsafe (macOS), they are made one after another.
    """
    global _task
    workers = min(count, usable_cpus())
    if workers < 2 or not sys.platform.startswith("linux") or _task is not None:
        return [task(index) for index in range(count)]
    _task = task
    try:
        with warnings.catch_warnings():
            # Python warns of threads that the copies lack; they draw, and need none of the libraries' threads.
            warnings.simplefilter("ignore", DeprecationWarning)
            with ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as pool:
                return list(pool.map(_call, range(count)))
    except BrokenProcessPool:  # one was killed, for its memory perhaps: one at a time needs less
        return [task(index) for index in range(count)]
    finally:
        _task = None


def _call(index: int) -> Any:
    if _task is None:
        raise RuntimeError("a forked process has lost its task")
    return _task(index)
