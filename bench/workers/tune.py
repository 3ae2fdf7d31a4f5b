"""Times every kernel that can take rows of a length beside the one that the built-in table chooses, in turn."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from maxbench.impls import contract, threads
from maxbench.impls.backends import ALIGNMENT, aligned_empty
from maxbench.impls.cpu import regimes
from maxbench.impls.cpu.machine import Machine, this_machine
from maxbench.impls.cpu.plan import Problem, misfits, plan
from maxbench.impls.cpu.plan import measures as measured
from maxbench.impls.cpu.regimes import Operation, Regime
from maxbench.impls.kernels.argmax import numba_parallel as argmax
from maxbench.impls.kernels.softmax import numba_parallel as softmax
from maxbench.impls.views import plain

from ..inputs import workloads
from ..processes.link import Link
from ..processes.messages import Timed, TuneJob

SMALL, LARGE = 1 << 16, 1 << 21  # bytes of x within the last-level cache: for one thread, and for several
LARGEST = 1 << 28  # bytes of x beyond it, unless that is less than it takes to exceed it
_ROUNDS, _SAMPLE_SECONDS = 7, 0.002
_CHECKED = 1 << 16  # elements that are checked at a time
_KERNELS: dict[Operation, Any] = {"softmax": softmax, "argmax": argmax}


class Setting(NamedTuple):
    """What the same call may meet.

    Attributes:
        bytes: of x, about.
        threads: that may be used.
        aligned: whether `out` begins with a vector.
    """

    bytes: int
    threads: int
    aligned: bool


def main(link: Link, job: TuneJob) -> None:
    """Time all lengths that the time suffices for."""
    machine, end = this_machine(), time.monotonic() + job.seconds
    cases = [(dtype, beyond, n) for dtype in job.dtypes for beyond in (False, True) for n in job.lengths]
    for dtype, beyond, n in cases:
        if time.monotonic() > end:
            return
        for found in search(machine, job.operation, dtype, n, beyond, job.gain):
            link.say(found)


def settings(machine: Machine, beyond: bool) -> list[Setting]:
    """The settings that a kernel has to win in, the most usual first."""
    most, exceeding = threads.numbas(), machine.llc * 3 // 4
    sizes = (
        [exceeding, max(exceeding, min(machine.llc * 3, LARGEST))] if beyond else [min(LARGE, machine.llc // 8), SMALL]
    )
    found = [Setting(size, most, aligned) for size in sizes for aligned in (False, True)]
    return [*found, *(Setting(size, 1, False) for size in sizes if most > 1 and size != SMALL)]


def search(machine: Machine, operation: Operation, dtype: str, n: int, beyond: bool, least: float) -> Iterator[Timed]:
    """Time each kernel beside the built-in choice: how many times as fast it is, in its worst setting.

    Where it is faster by less than the fraction `least` in the first setting, the others are not tried.
    """
    first, *others = settings(machine, beyond)
    arrays = Arrays(operation, dtype, n)
    for number, variant in enumerate(regimes.LIMITS[operation]):
        if variant.needs_alignment or _is_chosen(variant, arrays, machine, first):
            continue  # not every output is aligned
        problem = arrays.problem(first)
        if next(misfits(variant, machine, problem, measured(machine, problem)), None) is not None:
            continue
        gain, seconds, wrong = arrays.compare(variant, machine, first)
        for setting in others:
            if wrong or gain <= 1 + least:
                break
            gain = min(gain, arrays.compare(variant, machine, setting)[0])
        if gain > 1 + least:  # once more: of many that are as fast, some seem to win
            gain = min(gain, arrays.compare(variant, machine, first)[0])
        yield Timed(operation, dtype, n, beyond, n % Problem(operation, dtype, (1, n, 1)).lanes == 0,
                    number, seconds, gain, wrong)  # fmt: skip


def _is_chosen(variant: Regime, arrays: Arrays, machine: Machine, setting: Setting) -> bool:
    chosen = plan(machine, arrays.problem(setting)).regime
    same = ("kernel", "streaming", "interleave", "prefetch")
    return all(getattr(chosen, name) == getattr(variant, name) for name in same)


class Arrays:
    """The inputs and outputs of rows of one length, which its settings share."""

    def __init__(self, operation: Operation, dtype: str, n: int) -> None:
        self.operation, self.dtype, self.n = operation, dtype, n
        self._x = np.empty((0, n, 1), dtype)

    def problem(self, setting: Setting) -> Problem:
        """That of a setting."""
        rows = max(1, setting.bytes // (self.n * np.dtype(self.dtype).itemsize))
        return Problem(self.operation, self.dtype, (rows, self.n, 1), setting.threads, setting.aligned)

    def compare(self, variant: Regime, machine: Machine, setting: Setting) -> tuple[float, float, str]:
        """How many times as fast a variant is as the built-in choice, seconds of that, and a wrong result.

        Both are called in turn, and the median is taken of the ratios of neighbours.
        """
        problem = self.problem(setting)
        calls = []
        for table in (None, (variant,)):
            x, out = self._arrays(problem)
            out.view(np.uint8)[...] = 0xA5
            calls.append(functools.partial(self._call(machine, problem, table), plain(x), plain(out)))
            calls[-1]()
            if wrong := self._wrong(x, out):
                return 0, 0, wrong
        number = max(1, int(_SAMPLE_SECONDS / _seconds(calls[0], 1)))
        times = []
        for turn in range(_ROUNDS):
            pair = {arm: _seconds(calls[arm], number) for arm in ((0, 1) if turn % 2 else (1, 0))}
            times.append((pair[0], pair[1]))
        return statistics.median(a / b for a, b in times), statistics.median(a for a, _ in times), ""

    def _wrong(self, x: np.ndarray, out: np.ndarray) -> str:
        """What is wrong with the rows at both ends and in the middle, where the chunks of threads begin and end."""
        rows = max(1, min(len(x), _CHECKED // self.n))
        for first in (0, (len(x) - rows) // 2, len(x) - rows):
            part = slice(first, first + rows)
            if difference := contract.OPERATIONS[self.operation].verify(x[part], out[part]):
                return str(difference)
        return ""

    def _call(self, machine: Machine, problem: Problem, table: tuple[Regime, ...] | None) -> Callable[..., Any]:
        chosen = plan(machine, problem, table)
        made: Callable[..., Any] = _KERNELS[self.operation].bound(chosen, problem.shape, np.dtype(self.dtype))
        return made

    def _arrays(self, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
        """x and an output, aligned as the setting has it."""
        if self._x.shape != problem.shape:
            self._x = aligned_empty(problem.shape, np.dtype(self.dtype))
            self._x[...] = workloads.scores(problem.shape, self.dtype)
        softmax_of = self.operation == "softmax"
        shape = problem.shape if softmax_of else (problem.shape[0], 1)
        kind = np.dtype(self.dtype if softmax_of else np.int64)
        size = int(np.prod(shape))
        frame = aligned_empty((size + ALIGNMENT // kind.itemsize,), kind)
        begin = 0 if problem.aligned else 16 // kind.itemsize  # where NumPy's own large arrays begin
        return self._x, frame[begin : begin + size].reshape(shape)


def _seconds(call: Callable[[], Any], number: int) -> float:
    begin = time.perf_counter()
    for _ in range(number):
        call()
    return (time.perf_counter() - begin) / number
