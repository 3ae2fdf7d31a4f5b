"""The sampler: how long a call takes, over as many calls as make one sample.

The clocks are bound when this module is imported, before any foreign code, which may replace them in their modules.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

Clock = Literal["wall", "cpu", "device"]

SAMPLE_SECONDS = 0.005  # a sample is as many calls as take this long, at least one
MOST_CALLS = 1 << 20
LEAST_WARM = 3  # calls, of which the shortest says how many make a sample
# Two calls that take this long are samples already, and none is made untimed before another: caches are filled again in
# a few milliseconds.
LONG_CALL_SECONDS = 0.1

_CLOCKS: dict[str, Callable[[], int]] = {"wall": time.perf_counter_ns, "cpu": time.process_time_ns}
_wall, _sleep = time.perf_counter, time.sleep
_collect, _disable, _enable, _is_enabled = gc.collect, gc.disable, gc.enable, gc.isenabled


class BadClock(RuntimeError):
    """A backend's own timer returned what no time can be."""


@contextlib.contextmanager
def collector_held() -> Iterator[None]:
    """No garbage collection meanwhile."""
    was = _is_enabled()
    _collect()
    _disable()
    try:
        yield
    finally:
        if was:
            _enable()


class Sampler:
    """Times calls.

    Args:
        call: starts one call.
        wait: returns when all calls that were started have finished.
        clock: ``cpu`` does not count what other programs take, and does not see lost parallelism: for one thread.
        timer: of the clock ``device``: seconds that the device spends in what a function starts.

    Attributes:
        seconds: that a sample takes, about.
        number: calls of a sample; see `calibrate`.
        settle: seconds to sleep before a sample: threads that another library has left spinning go to sleep.
        warm: seconds of calls that are made before a sample and not timed: one at least, unless they are long.
        spent: seconds of all samples so far, by the clock.
        long: seconds of the calls that calibrated it, where they are long; else empty.
    """

    def __init__(
        self, call: Callable[[], Any], wait: Callable[[], Any], clock: Clock, *,
        timer: Callable[[Callable[[], Any]], float] | None = None,
    ) -> None:  # fmt: skip
        self.call, self._wait, self._timer = call, wait, timer
        self.seconds = SAMPLE_SECONDS
        self.clock = clock
        self.number = 1
        self.settle = self.warm = 0.0
        self.spent = 0.0
        self.long: list[float] = []

    def calibrate(self, warm: float) -> float:
        """Warm up for so many seconds, and settle how many calls make a sample; seconds of the shortest call.

        At least `LEAST_WARM` calls, or two long ones: one may have been held up.
        """
        times: list[float] = []
        shortest, end = math.inf, _wall() + warm
        for turn in itertools.count():
            times.append(self._time(1))
            shortest = min(shortest, times[-1])
            enough = turn + 1 >= LEAST_WARM or (turn >= 1 and shortest >= LONG_CALL_SECONDS)
            if (enough and _wall() >= end) or turn == 1000:
                break
        self.long = times if shortest >= LONG_CALL_SECONDS else []
        self.spent += sum(self.long)
        some = 1
        while shortest <= 0 and some < MOST_CALLS:  # the clock is coarser than a call
            some *= 2
            shortest = self._time(some) / some
        shortest = max(shortest, 1e-9)
        if some == 1 and (self.clock == "device" or self.seconds / shortest > 1000):
            # Starting a timer, or reading a clock, takes as long as very short calls do.
            some = max(1, min(64, round(self.seconds / shortest / 4)))
            shortest = max(self._time(some) / some, 1e-9)
        self.number = max(1, min(MOST_CALLS, round(self.seconds / shortest)))
        return shortest

    def sample(self) -> float:
        """Seconds a call, of one sample."""
        if self.settle:
            _sleep(self.settle)
        end = _wall() + self.warm
        while not (self.long and _wall() >= end):
            self.call()
            self._wait()
            if _wall() >= end:
                break
        taken = self._time(self.number)
        self.spent += taken
        return taken / self.number

    def _time(self, number: int) -> float:
        call = self.call
        calls = itertools.repeat(None, number)
        if self.clock == "device" and self._timer is not None:

            def several() -> None:
                for _ in calls:
                    call()

            taken = float(self._timer(several))
            if not (math.isfinite(taken) and taken >= 0):
                raise BadClock(f"its backend's timer returned {taken}")
            return taken
        now = _CLOCKS[self.clock]
        begin = now()
        for _ in calls:
            call()
        self._wait()
        return (now() - begin) * 1e-9
