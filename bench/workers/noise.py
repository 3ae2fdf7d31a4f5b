"""The noise of this machine: two identical arms timed in quads, in each of the processes of a precheck."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from maxbench.impls import threads

from .. import timing
from ..inputs import workloads
from ..processes.link import Link
from ..processes.messages import Noise, NoiseJob, Ready
from ..suite import anchor
from ..timing.sampling import Sampler, collector_held

KERNELS = ("one_thread", "many_threads")
QUADS = 12
SAMPLE_SECONDS = 0.003

Arm = Callable[[], Any]


def main(link: Link, job: NoiseJob) -> None:
    """Prepare, say so, wait for the answer, so that no two processes measure at a time, and measure."""
    arms = {kernel: prepare(kernel) for kernel in KERNELS}
    start = time.process_time()
    link.say(Ready())
    began = time.perf_counter()
    quads = {kernel: measure(pair) for kernel, pair in arms.items()}
    each = (time.perf_counter() - began) / (QUADS * len(KERNELS))
    link.say(Noise(threads.layer(), start, each, quads))


def prepare(kernel: str) -> tuple[Arm, Arm]:
    """The two arms, compiled and called once: a kernel of `bench.suite.anchor`, and that of a second copy of it.

    Code at another address is what two versions of an implementation have too.
    """
    spec = importlib.util.spec_from_file_location("anchor_again", anchor.__file__)
    assert spec is not None
    assert spec.loader is not None
    again = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(again)
    x = workloads.scores(anchor.SHAPE, "float32")
    out = np.empty_like(x)
    arms = []
    for module in (anchor, again):
        run = getattr(module, kernel)
        run(x, out)
        arms.append(lambda run=run: run(x, out))
    return arms[0], arms[1]


def measure(arms: tuple[Arm, Arm], count: int = QUADS, seconds: float = SAMPLE_SECONDS) -> list[list[float]]:
    """Seconds of one call, as [A, A, B, B] each."""
    first, second = (Sampler(arm, lambda: None, "wall") for arm in arms)
    with collector_held():
        for sampler in (first, second):
            sampler.seconds = seconds
            sampler.calibrate(0.0)
        return timing.quads(first, second, count)
