"""Timing one input on a GPU: every implementation on its own resident copies, sample by sample in turn."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from impls import Kernel, contract

from . import device_cells
from .device_cells import Cell

SAMPLE_SECONDS = 0.004  # a sample is as many calls as take the device so long, at least one
WARM_UP_SECONDS = 0.02
LEAST_SAMPLES, MOST_SAMPLES = 5, 40


@dataclass
class Contestant:
    """One implementation, ready to be timed: its buffers, and what its samples were so far, in seconds of a call."""

    name: str
    start: Callable[[], Any]  # one call on the next buffer, without waiting
    timer: Callable[[Callable[[], Any]], float]
    copies: int
    number: int = 1
    samples: list[float] = field(default_factory=list)

    def calls(self, number: int) -> Callable[[], None]:
        """`number` calls one after the other."""

        def several() -> None:
            for _ in range(number):
                self.start()

        return several

    def sample(self) -> None:
        """Take one more sample."""
        self.samples.append(self.timer(self.calls(self.number)) / self.number)


def prepare(cell: Cell, name: str, kernel: Kernel, x: np.ndarray, cache_bytes: int, free_bytes: int) -> Contestant:
    """Copies of x on the device, a first call that is compared with the oracle, and a warm device.

    Raises:
        NotImplementedError: not supported, or no room.
        RuntimeError: the result is wrong.
    """
    if refusal := kernel.refusal(cell.dtype, x.size):
        raise NotImplementedError(refusal)
    copies = device_cells.buffers(cell.pair_bytes, cache_bytes, free_bytes)
    if copies < 1:
        raise NotImplementedError(f"x and its result take {cell.pair_bytes} bytes, and {free_bytes} are free")
    operation, backend = contract.OPERATIONS[cell.operation], kernel.backend
    empty = operation.allocate(x)
    pairs = [(backend.put(x), backend.put(empty)) for _ in range(copies)]
    result = kernel.run(*pairs[0])
    backend.synchronize()
    if wrong := mismatch(cell, x, backend.get(result)):
        raise RuntimeError(f"wrong result: {wrong}")
    del result
    turns: Iterator[tuple[Any, Any]] = itertools.cycle(pairs)

    def start() -> Any:
        return kernel.run(*next(turns))

    contestant = Contestant(name, start, timer_of(backend), copies)
    warm_up(contestant)
    return contestant


def mismatch(cell: Cell, x: np.ndarray, result: np.ndarray) -> str | None:
    """What is wrong with the parts of a result that are looked at, or None."""
    operation = contract.OPERATIONS[cell.operation]
    expected = operation.allocate(x[:0]).shape[1:]
    if result.shape != (x.shape[0], *expected):
        return f"expected shape {(x.shape[0], *expected)}, got {result.shape}"
    for rows, columns in device_cells.sampled(cell):
        part = np.ascontiguousarray(x[rows, :, columns])
        got = result[rows, :, columns] if cell.operation == "softmax" else result[rows, columns]
        if found := operation.verify(part, np.ascontiguousarray(got)):
            return f"{found}, counted from row {rows.start} and column {columns.start}"
    return None


def timer_of(backend: Any) -> Callable[[Callable[[], Any]], float]:
    """The backend's own timer, by device events where it has them, else the host's clock around finished work."""

    def by_host(call: Callable[[], Any]) -> float:
        backend.synchronize()
        begin = time.perf_counter()
        call()
        backend.synchronize()
        return time.perf_counter() - begin

    return getattr(backend, "timer", None) or by_host


def warm_up(contestant: Contestant) -> None:
    """Run until the device is warm, and settle how many calls make a sample."""
    spent = one = contestant.timer(contestant.calls(1))
    number = 1
    while spent < WARM_UP_SECONDS and number < 1 << 14:
        number = max(number + 1, min(2 * number, round(WARM_UP_SECONDS / max(one, 1e-7))))
        some = contestant.timer(contestant.calls(number))
        one = max(some / number, 1e-9)
        spent += some
    contestant.number = max(1, round(SAMPLE_SECONDS / max(one, 1e-9)))


def interleave(
    contestants: Sequence[Contestant], seconds: float, *,
    clock: Callable[[], float] = time.monotonic, before: Callable[[str], None] = lambda name: None,
) -> None:  # fmt: skip
    """Samples of all, one of each in turn, for about so long: what disturbs the device disturbs all of them.

    Args:
        before: told whose sample comes next.
    """
    end = clock() + seconds
    for turn in range(MOST_SAMPLES):
        if turn >= LEAST_SAMPLES and clock() >= end:
            break
        # In the other direction every second time, so that nobody always follows the same one.
        for contestant in contestants if turn % 2 == 0 else reversed(contestants):
            before(contestant.name)
            contestant.sample()


def launch_seconds(start: Callable[[], Any], synchronize: Callable[[], None]) -> list[float]:
    """Seconds that Python takes to start one call, without waiting for the device: of each of 20 batches of 20 calls.

    A batch is short enough for the queue of the device, so that starting never waits.
    """
    batch = 20
    found = []
    for _ in range(batch):
        start()
    for _ in range(20):
        synchronize()
        begin = time.perf_counter()
        for _ in range(batch):
            start()
        found.append((time.perf_counter() - begin) / batch)
    synchronize()
    return found
