"""Calls that do not depend on each other, made in forked copies of this process where that is safe."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from maxbench.impls.threads import cpus

T = TypeVar("T")

# Libraries with threads of their own, which a copy lacks while it has the locks that they may have held.
_THREADED = ("jax", "numba", "onnxruntime", "torch")

# What the copies call: they inherit it, so it may be a closure over anything. Only its results are pickled.
_task: Callable[[int], Any] | None = None


def each(task: Callable[[int], T], count: int) -> list[T]:
    """task(0) to task(count - 1), in as many processes as there are CPUs; what one raises is raised here.

    On one CPU, and where forking is missing or unsafe (macOS, a process that has loaded implementations), they are
    made one after another.
    """
    global _task
    workers = min(count, cpus())
    safe = sys.platform.startswith("linux") and not any(name in sys.modules for name in _THREADED)
    if workers < 2 or not safe or threading.active_count() > 1 or _task is not None:
        return [task(index) for index in range(count)]
    _task = task
    try:
        with warnings.catch_warnings():
            # Python warns of NumPy's threads, which NumPy itself ends before a fork and starts again after it.
            warnings.simplefilter("ignore", DeprecationWarning)
            context = multiprocessing.get_context("fork")
            with ProcessPoolExecutor(workers, context, _end_with, (os.getpid(),)) as pool:
                return list(pool.map(_call, range(count)))
    except BrokenProcessPool:  # one was killed, for its memory perhaps: one at a time needs less
        return [task(index) for index in range(count)]
    finally:
        _task = None


def _end_with(parent: int) -> None:
    """Let this copy end when its parent is killed: while it waits for work, it has both ends of the pipe itself."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _call(index: int) -> Any:
    if _task is None:
        raise RuntimeError("a forked process has lost its task")
    return _task(index)
