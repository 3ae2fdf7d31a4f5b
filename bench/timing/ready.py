"""From an implementation and an input to something that can be timed, checked before, in between and after."""

from __future__ import annotations

import functools
import itertools
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from maxbench.impls import backends

from ..inputs.recipe import Input
from ..processes.link import Lost
from ..processes.verdict import TIMED, Verdict
from .memory import guarded, intact, poison
from .sampling import Clock, Sampler, _wall

# A backend of a plug-in may not leave more than this share of a call's time to `get`, nor more than these seconds.
LATE_SHARE, LATE_SECONDS, LATE_CALLS = 0.25, 50e-6, 5

FAR_BYTES = 1 << 26  # of arrays on a device, from which on copying them back takes longer than timing them

LONG_ROW = 1 << 22  # elements of a row from which on what is right for it takes longer to compute than to time it

_random = random.SystemRandom().randrange
_PACKAGE = backends.__name__.rpartition(".")[0]


class Checks(Protocol):
    """Whoever judges a result: a `bench.processes.hub.Link`."""

    def check(
        self, operation: str, given: Input, result: Any, *, case: str, x: np.ndarray | None = None, problem: str = ""
    ) -> Verdict:
        """The verdict on a result."""

    def check_parts(
        self, operation: str, given: Input, shape: tuple[int, ...], dtype: str,
        part: Callable[[int, int, int, int], np.ndarray], *, case: str, x: np.ndarray | None = None, problem: str = "",
    ) -> Verdict:  # fmt: skip
        """The verdict on a result of which parts alone are fetched."""


class Transfers:
    """How arrays of a backend are filled, and how the judge sees results: as a whole, through the host."""

    def refilled(self, backend: Any, x: Any, given: Input) -> Any:
        """The values of an input in the same memory."""
        if isinstance(x, np.ndarray):
            given.into(x)
            return x
        return _filled(backend, x, given.array())

    def poisoned(self, backend: Any, out: Any) -> Any:
        """An output with values in it that no correct result holds."""
        if isinstance(out, np.ndarray):
            poison(out)
            return out
        host = np.array(backend.get(out))
        poison(host)
        return _filled(backend, out, host)

    def judged(
        self, checks: Checks, backend: Any, operation: str, given: Input, x: Any, result: Any, problem: str
    ) -> Verdict | Failed:
        """The verdict on a result, or what getting it from the backend raised.

        Args:
            x: the input as it is after the call.
            problem: what else is wrong.
        """
        try:
            host = _fetched(backend, result)
            seen = None if is_far(backend, x) else _fetched(backend, x)
        except Exception as error:
            return Failed(described(error))
        return checks.check(operation, given, host, case=TIMED, x=seen, problem=problem)


@dataclass(frozen=True)
class Refused:
    """It does not support this input; the reason says why."""

    reason: str


@dataclass(frozen=True)
class Wrong:
    """Its result is not what it must be."""

    reason: str


@dataclass(frozen=True)
class Failed:
    """It raised something."""

    reason: str


class Ready:
    """An implementation on arrays of its own, whose first result was checked.

    Attributes:
        sampler: times it.
        declared: how its results differ from the contract, as its author has declared; empty where they agree.
    """

    def __init__(
        self, operation: str, kernel: Any, given: Input, checks: Checks, arrays: Sequence[tuple[Any, Any]],
        guards: Sequence[np.ndarray], transfers: Transfers | None = None,
    ) -> None:  # fmt: skip
        self._transfers = transfers or Transfers()
        self._operation, self._kernel, self._input, self._checks = operation, kernel, given, checks
        self._arrays, self._guards = list(arrays), guards
        self._run, self._wait = kernel.run, kernel.backend.synchronize
        self.declared = ""
        self.sampler = self._sampler()

    def _sampler(self) -> Sampler:
        backend = self._kernel.backend
        run, wait = self._run, self._wait
        if len(self._arrays) == 1:
            x, out = self._arrays[0]

            def call() -> None:
                run(x, out)
        else:
            turns = itertools.cycle(self._arrays)

            def call() -> None:
                run(*next(turns))

        timer = optional(backend, "timer") if backend.device != "cpu" else None
        return Sampler(call, wait, "device" if timer else "wall", timer=timer)

    def result(self) -> np.ndarray:
        """The result of one more call, on the host."""
        result = self._run(*self._arrays[0])
        self._wait()
        host: np.ndarray = np.asarray(result if on_host(self._kernel.backend) else self._kernel.backend.get(result))
        return host

    def first_rows(self, rows: int) -> Sampler:
        """A sampler of calls on the first rows alone."""
        x, out = self._arrays[0]
        few, part, run = x[:rows], out[:rows], self._run
        return Sampler(lambda: run(few, part), self._wait, self.sampler.clock)

    def check(self, given: Input | None = None, *, clean: bool = True) -> Refused | Wrong | Failed | None:
        """Call it once and have the result judged; what is wrong, or None.

        Args:
            given: other values that the same memory is filled with first; None for those that it holds.
            clean: poison the output first. Where it holds the result for other values, a call that does nothing shows.
        """
        x, out = self._arrays[0]
        try:
            if given is not None:
                x = self._transfers.refilled(self._kernel.backend, x, given)
                self._input = given
            if clean:
                out = self._transfers.poisoned(self._kernel.backend, out)
            self._arrays[0] = x, out
            result = self._run(x, out)
            self._wait()
        except Exception as error:
            return Failed(described(error))
        return self._judge(x, result)

    def spot_check(self) -> tuple[float, Refused | Wrong | Failed | None]:
        """One sample whose last result is judged as it is: (seconds a call, what is wrong or None)."""
        x, out = self._arrays[0]
        seen = self._fills and len(self._arrays) == 1 and _in_place(self._kernel.backend, out)
        try:
            if seen:
                self._transfers.poisoned(self._kernel.backend, out)
            taken = self.sampler.sample()
            result = out if seen else self._run(x, out)
            self._wait()
        except Exception as error:
            return 1e-9, Failed(described(error))
        return taken, self._judge(x, result)

    def _judge(self, x: Any, result: Any) -> Refused | Wrong | Failed | None:
        """Hand a result over, with the input as it is now; keeps what its author has declared of it."""
        backend = self._kernel.backend
        self._fills = result is self._arrays[0][1]
        beside = not intact(self._guards)
        verdict = self._transfers.judged(
            self._checks, backend, self._operation, self._input, x, result, "it wrote beside out" if beside else ""
        )
        if isinstance(verdict, Failed):
            return verdict
        if verdict.status == "wrong":
            return Wrong(verdict.detail)
        self.declared = f"differs: {verdict.declared} ({verdict.detail})" if verdict.status == "differs" else ""
        return None

    def finish(self, given: Input | None = None, *, again: bool = True) -> Refused | Wrong | Failed | None:
        """What is to be done after the last sample: what is wrong with the results that it gives now, or None.

        Args:
            given: what x is to hold at first, where another has written into it.
            again: whether to check the values that were timed again; not needed where the last sample was checked, and
                not done where calls are long.
        """
        x, _ = self._arrays[0]
        if is_far(self._kernel.backend, x):
            return self.check(self._input.other())
        other = self._input.other()
        if self.sampler.long:  # whoever remembers results, or does less from some call on, is not so slow
            return self.check(other) or self._late()
        wrong = (self.check(given) if again else None) or self.check(other, clean=False)
        if wrong is None and other.shape[1] <= LONG_ROW:
            # An implementation that looks at a few elements to see whether x is still the same does not see this one.
            wrong = self.check(self._input.changed(_random(math.prod(other.shape))), clean=False)
        return wrong or self._late()

    def _late(self) -> Wrong | None:
        """What is wrong with a backend that is not ours where it leaves work to `get` that the timer does not see."""
        backend = self._kernel.backend
        if on_host(backend) or type(backend).__module__.startswith(_PACKAGE) or backend.device != "cpu":
            return None
        x, out = self._arrays[0]
        lags, calls = [], []
        for _ in range(LATE_CALLS):
            begin = _wall()
            result = self._run(x, out)
            self._wait()
            times = [_wall()]
            for _ in range(2):
                backend.get(result)
                times.append(_wall())
            calls.append(times[0] - begin)
            lags.append((times[1] - times[0]) - (times[2] - times[1]))
        if min(lags) <= max(LATE_SHARE * min(calls), LATE_SECONDS):
            return None
        return Wrong(
            f"it was not done when its backend's synchronize returned: get took {min(lags):.3g} s longer than once more"
        )


class Differs(Ready):
    """Ready as well: its results differ as its author has declared; `declared` says how.

    Args:
        ready: what it was before its first result was judged.
    """

    def __init__(self, ready: Ready) -> None:
        vars(self).update(vars(ready))


def prepare(
    checks: Checks, operation: str, kernel: Any, given: Input, *, x: np.ndarray | None = None, copies: int = 1,
    arrays: Sequence[tuple[Any, Any]] | None = None, guards: Sequence[np.ndarray] = (),
    transfers: Transfers | None = None,
) -> Ready | Refused | Wrong | Failed:  # fmt: skip
    """Put an input where the kernel works, call it, and have the result judged.

    Args:
        checks: who judges.
        given: the input; `x` is its array where that is at hand.
        copies: of x and out, which calls go through in turn.
        arrays, guards: x and out that are there already, and what lies around out, in place of copies.
        transfers: how the arrays are filled and results are fetched, where that is not through the host.
    """
    settle_allocator()
    try:
        x = given.array() if x is None else x
        if refusal := kernel.refusal(x.dtype.name, x.size):
            return Refused(str(refusal))
        around = list(guards)
        if arrays is None:
            arrays = [allocate(kernel.backend, operation, x, around) for _ in range(copies)]
        del x
        ready = Ready(operation, kernel, given, checks, arrays, around, transfers)
        wrong = ready.check()
    except Exception as error:  # a plug-in's own objects may raise anything
        if isinstance(error, Lost):
            raise
        return Failed(described(error))
    if wrong is not None:
        return wrong
    return Differs(ready) if ready.declared else ready


@functools.cache
def settle_allocator() -> None:
    """Free an array of 24 MiB, once in a process.

    glibc takes blocks up to the size of the largest that was freed (32 MiB at most) from the heap, and maps others anew
    in each call, page by page. Programs with large arrays have freed one; in a process that has not, an implementation
    with temporary arrays is up to a fifth slower.
    """
    np.ones(24 << 20, np.uint8)


def allocate(backend: Any, operation: str, x: np.ndarray, guards: list[np.ndarray]) -> tuple[Any, Any]:
    """x and a poisoned out in a backend's memory; on the host out lies between guards, which are added to a list."""
    given = backend.put(x)
    out, around = guarded(operation, x)
    if not on_host(backend):
        return given, backend.put(out)
    guards += around
    return given, out


def _fetched(backend: Any, array: Any) -> Any:
    """An array as a host array. A backend's `get` has no say where it is one: it could compute what is missing."""
    return array if isinstance(array, np.ndarray) or on_host(backend) else backend.get(array)


def is_far(backend: Any, x: Any) -> bool:
    """Whether copying x to the host takes longer than timing calls on it."""
    return bool(backend.device != "cpu" and x.nbytes > FAR_BYTES)


def on_host(backend: Any) -> bool:
    """Whether a backend's arrays are NumPy's: of this package, or of another version of it."""
    return bool(backend.name == backends.HOST.name)


def optional(backend: Any, member: str) -> Any:
    """A member of `impls.backends.Backend`; None where its version of `impls` does not declare it."""
    return getattr(backend, member, None)


def clock_of(kernel: Any) -> Clock:
    """The clock that compares a kernel with itself best, on a machine that others use too.

    The CPU clock does not see that other programs took the processor; but it cannot see lost parallelism.
    """
    if kernel.backend.device != "cpu":
        return "device" if optional(kernel.backend, "timer") else "wall"
    return "wall" if getattr(kernel, "threads", "one") == "many" else "cpu"


def _in_place(backend: Any, array: Any) -> bool:
    return isinstance(array, np.ndarray) or optional(backend, "fill") is not None


def _filled(backend: Any, array: Any, values: np.ndarray) -> Any:
    """Other values in the same memory; in an array of its own where the backend cannot write into one."""
    fill: Callable[[Any, np.ndarray], Any] | None = optional(backend, "fill")
    return backend.put(values) if fill is None else fill(array, values)


def described(error: BaseException) -> str:
    """An error in words, whatever its own methods do."""
    try:
        text = str(error)
    except BaseException as other:
        text = f"(its text cannot be had: {type(other).__name__})"
    name = type(error).__name__
    return f"{name}: {text}" if text else name
