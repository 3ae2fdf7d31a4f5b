"""Calls of two versions in windows that callgrind counts: the gate's worker for instruction counts.

Run without valgrind it fills Numba's cache and says which benchmarks are
sound in which version; under valgrind (started with counting off) it dumps for each of these the counts of FEW and of
MANY calls, whose difference is free of what surrounds a call, several times over. One thread only.
"""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import structs

from ..processes import sides
from ..processes.link import Link
from ..processes.messages import Begins, CountedJob, Prepared, Shape
from ..processes.valgrind import Callgrind
from . import quads

FEW, MANY = 2, 6
WARM = 16  # calls after which the interpreter has specialised its bytecode
REPEATS = 3
LONG = 0.05  # seconds of a call under valgrind, from which on what surrounds it does not matter
ELEMENTS = 1 << 15  # valgrind is about 50 times slower than the processor


def main(link: Link, job: CountedJob) -> None:
    """Prepare every benchmark of every version, and under valgrind count its calls."""
    callgrind = Callgrind()
    benchmarks = [structs.replace(b, shape=smaller(b.shape)) for b in job.benchmarks]
    inputs = {b.id: quads.Shared(b) for b in benchmarks}
    gc.disable()
    for name, folder in job.versions.items():
        link.say(Begins(role=name))
        side = sides.Side(name, Path(folder))
        with side.entered():
            for index, b in enumerate(benchmarks):
                link.say(Begins(b.id, name))
                status, detail, arm = quads.prepare(link, side, b, inputs[b.id])
                clock = None if arm is None else arm.sampler.clock
                link.say(Prepared(b.id, name, status, detail, clock))
                if arm is not None and clock != "device" and callgrind.running:
                    count(callgrind, arm.sampler.call, f"{index} {name}")


def smaller(shape: Shape) -> Shape:
    """The shape with as many rows as make few elements, at least one."""
    outer, n, inner = shape
    return max(1, min(outer, ELEMENTS // (n * inner))), n, inner


def count(callgrind: Callgrind, call: Callable[[], Any], label: str) -> None:
    """Dump the counts of FEW and of MANY calls, labelled ``<label> <calls> <repeat>``."""
    begin = time.perf_counter()
    call()
    long = time.perf_counter() - begin > LONG
    for _ in range(2 if long else WARM):
        call()
    gc.collect()
    # The first window is thrown away: it also counts what its own code costs the interpreter at first.
    for repeat, calls in itertools.product(range(-1, 1 if long else REPEATS), (FEW, MANY)):
        callgrind.start()
        for _ in itertools.repeat(None, calls):
            call()
        callgrind.stop()
        if repeat < 0:
            callgrind.zero()
        else:
            callgrind.dump(f"{label} {calls} {repeat}")
