"""Numba for asv's fork server, where MAXBENCH_PRELOAD asks for it: every process it forks starts with it loaded.

Importing Numba, the rest of itself that it imports at the first compilation, and this package's kernels takes several
times as long as measuring one cell, and looking for implementations a tenth. None of them starts threads, which a fork
would lose. What is there then is left out of garbage collection, which each cell runs before it is timed.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys

from maxbench.impls import contract, registry

from .inputs import grid

# asv imports this in the process that lists the benchmarks too, once a round, which calls none.
if os.environ.get(grid.PRELOAD) and sys.argv[1:2] != ["discover"]:
    import numba

    numba.njit(lambda: None)()
    registry.catalogue()
    for operation in contract.OPERATIONS:
        for name in ("numba_parallel", "numba_simple"):
            if name in grid.implementations(operation):
                importlib.import_module(f"maxbench.impls.kernels.{operation}.{name}")
    gc.freeze()
