"""One implementation that is sampled when the parent says so, in turn with others in processes of their own.

Every message is answered by what to do next: ``prepare`` an input, ``calibrate``, ``sample``, ``finish``, or ``end``.
The name ``ceiling`` stands for a copy or a read of as many bytes.
"""

from __future__ import annotations

import gc
import statistics
import time
from typing import Any

import numpy as np

from maxbench import impls

from .. import timing
from ..inputs.recipe import from_dict
from ..processes.link import Link, Message
from ..suite import ceiling
from ..timing.sampling import Sampler, collector_held

CEILING = "ceiling"
BATCH_SECONDS, BATCHES = 0.004, 5
SETTLE_SECONDS, WARM_SECONDS = 0.05, 0.03
SHOWN = 1 << 21  # elements of a result that the parent computes errors of

_wall = time.perf_counter


def main(link: Link, job: dict[str, Any]) -> None:
    """Load ``name`` of ``operation``, and do what is asked, by the CPU clock where ``one_thread`` says so."""
    turns = _Turns(link, job)
    command = turns.load()
    while command.get("do") != "end":
        command = getattr(turns, str(command["do"]))(command)


class _Turns:
    def __init__(self, link: Link, job: dict[str, Any]) -> None:
        self._link, self._operation, self._name = link, job["operation"], job["name"]
        self._one_thread = bool(job["one_thread"])
        self._kernel: Any = None
        self._ready: timing.Ready | None = None
        self._sampler: Sampler | None = None

    def load(self) -> Message:
        """Load the implementation."""
        if self._name == CEILING:
            return self._link.say("ready", status="ok", detail="")
        try:
            self._kernel = impls.load(self._operation, self._name).kernel
        except (impls.Unavailable, impls.UnknownImplementation) as error:
            return self._link.say("ready", status="skipped", detail=str(error))
        self._link.say("loaded", differs=dict(self._kernel.differs))
        return self._link.say("ready", status="ok", detail="")

    def prepare(self, command: Message) -> Message:
        """Make it ready on an input; drops what it had for another."""
        self._ready = self._sampler = None
        gc.collect()
        given = from_dict(command["input"])
        if self._name == CEILING:
            name, call = ceiling.fastest(self._operation, int(command["bytes"]))
            self._sampler = Sampler(call, lambda: None, "wall")
            return self._begin(name)
        outcome = timing.prepare(self._link, self._operation, self._kernel, given)
        if not isinstance(outcome, timing.Ready):
            statuses = {timing.Refused: "skipped", timing.Wrong: "wrong", timing.Failed: "failed"}
            return self._link.say("prepared", status=statuses[type(outcome)], detail=outcome.reason)
        self._ready, self._sampler = outcome, outcome.sampler
        if command.get("show"):
            result = outcome.result()
            rows = max(1, min(len(result), SHOWN // max(1, int(np.prod(result.shape[1:])))))
            self._link.give("result", result[:rows])
        return self._begin(outcome.declared)

    def _begin(self, detail: str) -> Message:
        assert self._sampler is not None
        self._sampler.seconds = BATCH_SECONDS
        if self._one_thread and self._sampler.clock == "wall":
            self._sampler.clock = "cpu"
        return self._link.say("prepared", status="ok", detail=detail)

    def calibrate(self, command: Message) -> Message:
        """Settle how many calls make a batch."""
        assert self._sampler is not None
        time.sleep(self._settle)
        self._sampler.calibrate(WARM_SECONDS)
        return self._link.say("calibrated", number=self._sampler.number)

    def sample(self, command: Message) -> Message:
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
        return self._link.say("sample", seconds=statistics.median(batches))

    def finish(self, command: Message) -> Message:
        """Check again."""
        wrong = None if self._ready is None else self._ready.finish()
        status = "ok" if wrong is None else "wrong" if isinstance(wrong, timing.Wrong) else "failed"
        return self._link.say("finished", status=status, detail="" if wrong is None else wrong.reason)

    @property
    def _settle(self) -> float:
        return 0.0 if self._one_thread else SETTLE_SECONDS
