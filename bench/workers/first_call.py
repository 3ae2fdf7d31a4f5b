"""What an implementation costs before its second call in a new process: loading it, and the first call.

Whether that call compiles depends on Numba's cache, which the environment names.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from maxbench import impls

from ..inputs.recipe import Input
from ..processes import sides
from ..processes.link import Link
from ..processes.messages import FirstCallJob, Loaded, NoResult, Started
from ..suite.startup import START_SHAPE
from ..timing.ready import allocate

_wall, _cpu = time.perf_counter, time.process_time


def main(link: Link, job: FirstCallJob) -> None:
    """Load and call the implementation."""
    given = Input("scores", job.dtype, START_SHAPE)
    x = given.array()
    operation, name = job.operation, job.name
    side = None if job.root is None else sides.Side(job.role, Path(job.root))
    with side.entered() if side else contextlib.nullcontext():
        package: Any = impls if side is None else side.package
        begin = _wall(), _cpu()
        try:
            kernel = package.load(operation, name).kernel
        except (package.Unavailable, LookupError) as error:
            link.say(NoResult("skipped", str(error)))
            return
        if refusal := kernel.refusal(x.dtype.name, x.size):
            link.say(NoResult("skipped", str(refusal)))
            return
        loaded = _wall(), _cpu()
        link.say(Loaded(dict(getattr(kernel, "differs", {}))))
        arrays = allocate(kernel.backend, operation, x, [])
        kernel.backend.synchronize()
        ready = _wall(), _cpu()
        result = kernel.run(*arrays)
        kernel.backend.synchronize()
        ended = _wall(), _cpu()
        link.check(operation, given, kernel.backend.get(result), case="timed", x=kernel.backend.get(arrays[0]))
    wall, cpu = ([loaded[k] - begin[k], ended[k] - ready[k]] for k in (0, 1))
    link.say(Started(*wall, *cpu))
