"""A stricter scheduler for Numba's CUDA simulator: threads are greenlets, warps and waiting blocks exist.

The simulator that ships with numba-cuda gives every CUDA thread a thread of the operating system and runs block
after block. Here threads take turns deterministically, which is several times faster, and besides

- lanes of a warp exchange values (shuffles, votes, redux), and a lane that stays away is an error;
- several blocks are resident at once, so a block may wait for another; which ones run first is shuffled by a seed;
- shared and local memory begin as NaN, or all ones, and two shared arrays on one line stay two;
- threads that wait for ever are reported as a `Deadlock`.

``with installed(...)`` puts it in place of the stock scheduler.
"""

from __future__ import annotations

import contextlib
import functools
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import greenlet
import numpy as np
from numba import cuda
from numba.cuda import types
from numba.cuda.np import numpy_support
from numba.cuda.simulator import kernel as stock_kernel
from numba.cuda.simulator import kernelapi as stock_api

from maxbench.impls.cuda import simulated

WARP = 32
PATIENCE = 50  # rounds in which threads only wait


class Deadlock(RuntimeError):
    """No thread can go on; says for what each waits."""


class Divergence(RuntimeError):
    """Threads that must act together do not."""


@dataclass
class _Machine:
    """The settings of `installed`, and of the launch its gathered blocks and the globals that `_swapped` changed."""

    resident: int
    seed: int | None
    pending: list[tuple[Any, Any, Any]] = field(default_factory=list)
    swapped: dict[int, tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=dict)


_machine: _Machine | None = None


class _Thread(greenlet.greenlet):
    """One CUDA thread. Between turns `wish` is what it waits for: a kind, a name and the value it shows."""

    def prepare(self, manager: _Block, block: Any, place: Any, number: int) -> None:
        self._manager, self.blockIdx, self.threadIdx, self.thread_id = manager, block, place, number
        self.wish: tuple[str, str, Any] | None = None
        self.answer: Any = None

    def ask(self, kind: str, name: str, value: Any = None) -> Any:
        self.wish = (kind, name, value)
        return self.parent.switch()

    def syncthreads(self) -> None:
        self.ask("block", "syncthreads")

    def syncthreads_count(self, value: Any) -> int:
        return sum(map(bool, self.ask("block", "syncthreads_count", value)))

    def syncthreads_and(self, value: Any) -> int:
        return int(all(self.ask("block", "syncthreads_and", value)))

    def syncthreads_or(self, value: Any) -> int:
        return int(any(self.ask("block", "syncthreads_or", value)))


class _Block:
    """In place of the stock BlockManager, which is made and run once for each block of a grid."""

    def __init__(self, function: Any, grid: Any, block: Any, debug: Any) -> None:
        self.function, self.grid, self.size = function, grid, block
        self.shared: dict[Any, np.ndarray] = {}
        self.threads: list[_Thread] = []

    def run(self, place: Any, *arguments: Any) -> None:
        assert _machine is not None
        _machine.pending.append((self, place, arguments))
        if len(_machine.pending) == int(np.prod(self.grid)):
            blocks, _machine.pending = _machine.pending, []
            _run_grid(blocks, _machine)

    def start(self, place: Any, arguments: Any) -> None:
        block, hub = stock_api.Dim3(*place), greenlet.getcurrent()
        # x is the fastest index of a thread's number.
        for number, (z, y, x) in enumerate(np.ndindex(*self.size[::-1])):
            thread = _Thread(lambda: self.function(*arguments), hub)
            thread.prepare(self, block, stock_api.Dim3(x, y, z), number)
            self.threads.append(thread)

    def step(self) -> bool:
        """Let every thread that can go on do so, then settle what they wait for; False if nothing came of it.

        A thread that only pauses again has achieved nothing.
        """
        achieved = False
        for thread in self.threads:
            if not thread.dead and thread.wish is None:
                thread.switch(thread.answer) if thread else thread.switch()
                achieved |= thread.dead or thread.wish[0] != "pause"
        return self._settle() or achieved

    def _settle(self) -> bool:
        settled = False
        for first in range(0, len(self.threads), WARP):
            settled |= self._settle_warp(self.threads[first : first + WARP])
        alive = [thread for thread in self.threads if not thread.dead]
        if alive and all(thread.wish and thread.wish[0] == "block" for thread in alive):
            names = {thread.wish[1] for thread in alive if thread.wish}
            if len(names) > 1:
                raise Divergence(f"threads of a block meet at {', '.join(sorted(names))}")
            shown = [thread.wish[2] for thread in alive if thread.wish]
            for thread in alive:
                thread.wish, thread.answer = None, shown
            settled = True
        for thread in alive:
            if thread.wish and thread.wish[0] == "pause":
                thread.wish = thread.answer = None
        return settled

    def _settle_warp(self, warp: list[_Thread]) -> bool:
        asking = [thread for thread in warp if not thread.dead and thread.wish and thread.wish[0] == "warp"]
        if not asking:
            return False
        if gone := [thread.thread_id for thread in warp if thread.dead]:
            raise Divergence(f"{asking[0].wish[1]} of a warp whose lanes {gone} have ended")
        if len(asking) < len(warp):
            return False
        names = {thread.wish[1] for thread in asking if thread.wish}
        if len(names) > 1:
            raise Divergence(f"lanes of a warp meet at {', '.join(sorted(names))}")
        board = {thread.thread_id: thread.wish[2] for thread in asking if thread.wish}
        for thread in asking:
            thread.wish, thread.answer = None, board
        return True

    @property
    def done(self) -> bool:
        return all(thread.dead for thread in self.threads)


def _run_grid(waiting: list[tuple[_Block, Any, Any]], machine: _Machine) -> None:
    if machine.seed is not None:
        random.Random(machine.seed).shuffle(waiting)
    running: list[_Block] = []
    quiet = 0
    while waiting or running:
        while waiting and len(running) < machine.resident:
            block, place, arguments = waiting.pop(0)
            block.start(place, arguments)
            running.append(block)
        achieved = [block.step() for block in running]
        waits = [] if any(achieved) else [_waiting_for(block) for block in running]
        quiet = 0 if any(achieved) else quiet + 1
        running = [block for block in running if not block.done]
        if running and quiet > PATIENCE:
            raise Deadlock("; ".join(waits))


def _waiting_for(block: _Block) -> str:
    wishes = [(thread.wish[1] if thread.wish else "another block") for thread in block.threads if not thread.dead]
    where = block.threads[0].blockIdx
    return f"block {where}: " + ", ".join(f"{wishes.count(name)} threads at {name}" for name in sorted(set(wishes)))


_NOTHING = contextlib.nullcontext()


def _swapped(function: Any, module: Any) -> contextlib.AbstractContextManager[Any]:
    """In place of the stock function, which searches the globals of every device function at every call."""
    assert _machine is not None
    names = function.__globals__
    if id(names) in _machine.swapped:
        return _NOTHING
    launch = not _machine.swapped
    before = {name: value for name, value in names.items() if value is cuda}
    _machine.swapped[id(names)] = names, before
    names.update(dict.fromkeys(before, module))
    return _restored(_machine) if launch else _NOTHING


@contextlib.contextmanager
def _restored(machine: _Machine) -> Iterator[None]:
    try:
        yield
    finally:
        for names, before in machine.swapped.values():
            names.update(before)
        machine.swapped.clear()


class _CurrentThread:
    """In place of the module `threading` where the stock simulator asks which thread it is in."""

    @staticmethod
    def current_thread() -> Any:
        return greenlet.getcurrent()


def _exchange(value: Any, kind: str) -> tuple[dict[int, Any], int]:
    """`impls.cuda.simulated.exchange`, for the lanes of a warp."""
    thread: Any = greenlet.getcurrent()
    return thread.ask("warp", kind, value), thread.thread_id


def _pause() -> None:
    thread: Any = greenlet.getcurrent()
    thread.ask("pause", "pause")


def poisoned(shape: Any, dtype: Any) -> np.ndarray:
    """An array of NaN, or of integers with all bits set."""
    return _poison(shape, dtype).copy()


@functools.cache
def _poison(shape: Any, dtype: Any) -> np.ndarray:
    """What `poisoned` copies."""
    kind = numpy_support.as_dtype(dtype) if isinstance(dtype, types.Type) else np.dtype(dtype)
    array = np.empty(shape, kind)
    array.view(np.uint8)[...] = 0xFF
    return array


class _Shared(stock_api.FakeCUDAShared):
    def array(self, shape: Any, dtype: Any, alignment: Any = None) -> np.ndarray:
        caller = sys._getframe(1)
        arrays = greenlet.getcurrent()._manager.shared  # type: ignore[attr-defined]
        place = (caller.f_code, caller.f_lasti)  # the bytecode's place, so two on one line are two
        if place not in arrays:
            if shape == 0:  # the launch's dynamic shared memory
                shape = self._dynshared_size // poisoned(1, dtype).itemsize
            arrays[place] = poisoned(shape, dtype)
        result: np.ndarray = arrays[place]
        return result


class _Local(stock_api.FakeCUDALocal):
    def array(self, shape: Any, dtype: Any, alignment: Any = None) -> np.ndarray:
        return poisoned(shape, dtype)


@contextlib.contextmanager
def installed(resident: int = 8, seed: int | None = None) -> Iterator[None]:
    """Run kernels on this scheduler: at most `resident` blocks at once, started in an order shuffled by `seed`."""
    global _machine
    places = [
        (stock_kernel, "BlockManager", _Block),
        (stock_kernel, "swapped_cuda_module", _swapped),
        (stock_api, "threading", _CurrentThread),
        (stock_api, "FakeCUDAShared", _Shared),
        (stock_api, "FakeCUDALocal", _Local),
        (simulated, "exchange", _exchange),
        (simulated, "let_others_run", _pause),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in places]
    _machine = _Machine(resident, seed)
    try:
        for module, name, value in places:
            setattr(module, name, value)
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
        _machine = None
