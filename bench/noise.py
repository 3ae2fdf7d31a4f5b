"""The noise of this machine: two identical arms timed in turn, in each of the processes of `reports.precheck`."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from . import anchor, workloads

QUADS = 12
SAMPLE_SECONDS = 0.003

Arm = Callable[[], Any]


def prepare(kernel: str) -> tuple[Arm, Arm]:
    """The two arms, compiled and called once: a kernel of `bench.anchor`, and that of a second copy of the module.

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


def measure(arms: tuple[Arm, Arm], quads: int = QUADS, seconds: float = SAMPLE_SECONDS) -> list[list[float]]:
    """Seconds of one call in the orders ABBA and BAAB, as [A, A, B, B] each."""
    number, one = 1, 0.0
    while one < seconds / 2:  # the calls that a sample takes
        number *= 2
        one = _sample(arms[0], number) * number
    number = max(1, round(number * seconds / one))
    found = []
    for quad in range(quads):
        order = (0, 1, 1, 0) if quad % 2 == 0 else (1, 0, 0, 1)
        times: tuple[list[float], list[float]] = ([], [])
        for arm in order:
            times[arm].append(_sample(arms[arm], number))
        found.append([*times[0], *times[1]])
    return found


def _sample(call: Arm, number: int) -> float:
    call()
    start = time.perf_counter()
    for _ in range(number):
        call()
    return (time.perf_counter() - start) / number


def main() -> None:
    """Prepare, say so, wait for a line on standard input, so that no two processes measure at a time, and measure."""
    kernels = {kernel: prepare(kernel) for kernel in ("one_thread", "many_threads")}
    from impls import threads

    start = time.process_time()
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    quads = {kernel: measure(arms) for kernel, arms in kernels.items()}
    each = (time.perf_counter() - began) / (QUADS * len(kernels))
    found = {"layer": threads.layer(), "start": start, "quad_seconds": each, "quads": quads}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
