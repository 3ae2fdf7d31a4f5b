"""The gate's worker for starts: what one version of an implementation costs before its second call.

``python -m bench.first_call JOB`` reads a JSON file with ``name`` and ``side`` (a folder), ``operation``,
``implementation`` and ``dtype``, and appends one line of JSON to its ``out``: CPU seconds to load the implementation
with what it imports, and CPU seconds of the first call. Whether that one compiles depends on Numba's cache, which the
environment names.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from . import sides, workloads

SHAPE = (64, 1000, 1)


def main(path: str) -> None:
    """Do the job in a file."""
    job = json.loads(Path(path).read_text("utf-8"))
    x = workloads.scores(SHAPE, job["dtype"])
    side = sides.Side(job["name"], Path(job["side"]))
    out = side.module(".contract").OPERATIONS[job["operation"]].allocate(x)
    with side.entered():
        start = time.process_time()
        kernel = side.load(job["operation"], job["implementation"])
        x, out = kernel.backend.put(x), kernel.backend.put(out)
        loaded = time.process_time()
        kernel.run(x, out)
        kernel.backend.synchronize()
        end = time.process_time()
    with open(job["out"], "a", encoding="utf-8") as lines:
        lines.write(json.dumps({"load": loaded - start, "first_call": end - loaded}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
