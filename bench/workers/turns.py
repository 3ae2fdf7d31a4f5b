"""One implementation that is sampled when the parent says so, in turn with others in processes of their own.

What comes of each command, `messages.Turn`, is answered by the next one. The name ``ceiling`` stands for a copy or a
read of as many bytes.
"""

from __future__ import annotations

import gc
import statistics
import time
from typing import Any

import numpy as np

from maxbench import impls

from .. import timing
from ..processes.link import Link
from ..processes.messages import Calibrate, Command, Finish, Loaded, Prepare, Quit, Sample, Status, Turn, TurnsJob
from ..suite import ceiling
from ..timing.sampling import Sampler, collector_held

CEILING = "ceiling"
BATCH_SECONDS, BATCHES = 0.004, 5
SETTLE_SECONDS, WARM_SECONDS = 0.05, 0.03
SHOWN = 1 << 21  # elements of a result that the parent computes errors of

_wall = time.perf_counter


def main(link: Link, job: TurnsJob) -> None:
    """Load the implementation, and do what is asked."""
    turns = _Turns(link, job)
    turn = turns.load()
    while not isinstance(command := link.say(turn), Quit):
        turn = turns.obey(command)


class _Turns:
    def __init__(self, link: Link, job: TurnsJob) -> None:
        self._link, self._operation, self._name, self._one_thread = link, job.operation, job.name, job.one_thread
        self._kernel: Any = None
        self._ready: timing.Ready | None = None
        self._sampler: Sampler | None = None

    def load(self) -> Turn:
        """Load the implementation."""
        if self._name == CEILING:
            return Turn()
        try:
            self._kernel = impls.load(self._operation, self._name).kernel
        except (impls.Unavailable, impls.UnknownImplementation) as error:
            return Turn("skipped", str(error))
        self._link.say(Loaded(dict(self._kernel.differs)))
        return Turn()

    def obey(self, command: Command) -> Turn:
        """Do what is asked."""
        match command:
            case Prepare():
                return self._prepare(command)
            case Calibrate():
                return self._calibrate()
            case Sample():
                return self._sample()
            case Finish():
                return self._finish()
        raise TypeError(f"no turn is a {type(command).__name__}")

    def _prepare(self, command: Prepare) -> Turn:
        """Make it ready on an input; drops what it had for another."""
        self._ready = self._sampler = None
        gc.collect()
        if self._name == CEILING:
            name, call = ceiling.fastest(self._operation, command.bytes)
            self._sampler = Sampler(call, lambda: None, "wall")
            return self._begin(name)
        outcome = timing.prepare(self._link, self._operation, self._kernel, command.input)
        if not isinstance(outcome, timing.Ready):
            statuses: dict[type, Status] = {
                timing.Refused: "skipped", timing.Wrong: "wrong", timing.Failed: "failed",
            }  # fmt: skip
            return Turn(statuses[type(outcome)], outcome.reason)
        self._ready, self._sampler = outcome, outcome.sampler
        if command.show:
            result = outcome.result()
            rows = max(1, min(len(result), SHOWN // max(1, int(np.prod(result.shape[1:])))))
            self._link.give("result", result[:rows])
        return self._begin(outcome.declared)

    def _begin(self, detail: str) -> Turn:
        assert self._sampler is not None
        self._sampler.seconds = BATCH_SECONDS
        if self._one_thread and self._sampler.clock == "wall":
            self._sampler.clock = "cpu"
        return Turn(detail=detail)

    def _calibrate(self) -> Turn:
        """Settle how many calls make a batch."""
        assert self._sampler is not None
        time.sleep(self._settle)
        self._sampler.calibrate(WARM_SECONDS)
        return Turn(number=self._sampler.number)

    def _sample(self) -> Turn:
        """Seconds a call: the median of BATCHES, or of as many as have begun in their time.

        Where two workers meet on one core a call may last until the scheduler's slice is over, many times as long as
        others: a mean would be made of that.
        """
        sampler = self._sampler
        assert sampler is not None
        # The workers of a library spin for a while after its last call, on the cores that the next one needs; and its
        # own have to be awake, and spread over the cores, with what the one before it has left in the caches gone.
        sampler.settle, sampler.warm = self._settle, WARM_SECONDS
        with collector_held():
            batches = [sampler.sample()]
            sampler.settle = sampler.warm = 0.0
            end = _wall() + (BATCHES - 1) * BATCH_SECONDS
            while len(batches) < BATCHES and _wall() < end:
                batches.append(sampler.sample())
        return Turn(seconds=statistics.median(batches))

    def _finish(self) -> Turn:
        """Check again."""
        wrong = None if self._ready is None else self._ready.finish()
        if wrong is None:
            return Turn()
        return Turn("wrong" if isinstance(wrong, timing.Wrong) else "failed", wrong.reason)

    @property
    def _settle(self) -> float:
        return 0.0 if self._one_thread else SETTLE_SECONDS
