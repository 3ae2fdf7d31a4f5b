"""The gate's worker for instruction counts: calls of two versions in windows that callgrind counts.

``python -m bench.counted JOB`` reads what `bench.paired` reads. Run without valgrind it fills Numba's cache and writes
which benchmarks are sound on which side; under valgrind (started with counting off) it dumps for each of these the
counts of FEW and of MANY calls, whose difference is free of what surrounds a call, several times over. One thread
only.
"""

from __future__ import annotations

import gc
import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

from . import paired, sides
from .valgrind import Callgrind

FEW, MANY = 2, 6
WARM = 16  # calls after which the interpreter has specialised its bytecode
REPEATS = 3
LONG = 0.05  # seconds of a call under valgrind, from which on what surrounds it does not matter
ELEMENTS = 1 << 15  # valgrind is about 50 times slower than the processor


def main(path: str) -> None:
    """Do the job in a file."""
    job = json.loads(Path(path).read_text("utf-8"))
    callgrind = Callgrind()
    benchmarks = [{**b, "shape": smaller(b["shape"])} for b in job["benchmarks"]]
    judge = sides.Side("judge", Path(job["judge"])).module(".contract")
    inputs = {b["id"]: paired.Input(b, judge) for b in benchmarks}
    gc.disable()
    with open(job["out"], "a", encoding="utf-8", buffering=1) as lines:

        def note(event: str, **what: Any) -> None:
            lines.write(json.dumps({"event": event, **what}) + "\n")

        for name, folder in job["sides"].items():
            note("side", side=name)
            side = sides.Side(name, Path(folder))
            with side.entered():
                for index, b in enumerate(benchmarks):
                    note("prepare", id=b["id"], side=name)
                    status, detail, arm = paired.prepare(side, b, inputs[b["id"]])
                    clock = None if arm is None else arm.clock
                    note("prepared", id=b["id"], side=name, status=status, detail=detail, clock=clock)
                    if arm is not None and arm.timer is None and callgrind.running:
                        count(callgrind, arm, f"{index} {name}")
        note("end")


def smaller(shape: list[int]) -> list[int]:
    """The shape with as many rows as make few elements, at least one."""
    outer, n, inner = shape
    return [max(1, min(outer, ELEMENTS // (n * inner))), n, inner]


def count(callgrind: Callgrind, arm: paired.Arm, label: str) -> None:
    """Dump the counts of FEW and of MANY calls, labelled ``<label> <calls> <repeat>``."""
    run, x, out = arm.run, arm.x, arm.out
    begin = time.perf_counter()
    run(x, out)
    long = time.perf_counter() - begin > LONG
    for _ in range(2 if long else WARM):
        run(x, out)
    gc.collect()
    # The first window is thrown away: it also counts what its own code costs the interpreter at first.
    for repeat, calls in itertools.product(range(-1, 1 if long else REPEATS), (FEW, MANY)):
        callgrind.start()
        for _ in itertools.repeat(None, calls):
            run(x, out)
        callgrind.stop()
        if repeat < 0:
            callgrind.zero()
        else:
            callgrind.dump(f"{label} {calls} {repeat}")


if __name__ == "__main__":
    main(sys.argv[1])
