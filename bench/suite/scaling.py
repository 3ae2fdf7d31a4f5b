"""Small arrays and few threads: benchmarks that `bench.softmax` and `bench.argmax` fill in."""

from __future__ import annotations

import os
import sys
from typing import Any, ClassVar

from maxbench.impls import threads as cpu

from ..inputs import workloads
from ..inputs.recipe import Input
from . import base

NUMBA_THREADS = "NUMBA_NUM_THREADS"
# Counts beyond those that a machine has are skipped.
THREADS = (1, 2, 4, 8, 16, 32, 64)


class Shapes(base.Timed):
    """The kernel on rows x n elements, from four to 2^24."""

    param_names: ClassVar = ["implementation", "dtype", "rows", "n"]

    def input(self, dtype: str, rows: int, n: int) -> Input:
        """Rows of n scores."""
        return Input("scores", dtype, (rows, n, 1))


class Threads(base.Timed):
    """The kernel on rows of n, 2^20 elements in all, with so many CPU threads; for those that use many."""

    param_names: ClassVar = ["implementation", "dtype", "n", "threads"]

    def load(self, name: str) -> Any:
        """See `base.Cell.load`; Numba is told the number of threads, others read the environment when loaded."""
        if (given := cpu.count()) < self._threads:
            raise NotImplementedError(f"the run gives {given} CPU threads, not {self._threads}")
        numba = sys.modules.get("numba")
        was = os.environ.get(NUMBA_THREADS)
        others = [key for key in os.environ if key.endswith("_NUM_THREADS")]
        os.environ.update(dict.fromkeys([*others, NUMBA_THREADS], str(self._threads)))
        kernel = super().load(name)
        if kernel.threads != "many" or kernel.backend.device != "cpu":
            raise NotImplementedError("it does not use as many CPU threads as it is given")
        if numba is not None:
            # It was imported with the run's number, and must find that one again whenever it compiles.
            if was is None:
                del os.environ[NUMBA_THREADS]
            else:
                os.environ[NUMBA_THREADS] = was
            cpu.numbas()  # starts Numba's threads as the implementations do, on the same layer
            numba.set_num_threads(self._threads)
        return kernel

    def setup(self, *params: Any) -> None:
        """See `base.Cell.setup`."""
        self._threads = int(params[-1])
        super().setup(*params)

    def input(self, dtype: str, n: int, threads: int) -> Input:
        """Rows of n scores, 2^20 in all."""
        return Input("scores", dtype, workloads.sweep_shape(n))
