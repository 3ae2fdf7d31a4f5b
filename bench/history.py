"""The benchmark that every other of a run is divided by: what moves it is the machine, not the code."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from . import anchor, grid, workloads


class Anchor:
    """`anchor.one_thread`, which no commit changes."""

    version = "1"
    rounds = grid.rounds()
    params: ClassVar[list[list[str]]] = [["one_thread"]]
    param_names: ClassVar[list[str]] = ["kernel"]

    def setup(self, kernel: str) -> None:
        """The array, and a warm call."""
        if not hasattr(self, "_x"):
            self._x = workloads.scores(anchor.SHAPE, "float32")
            self._out = np.empty_like(self._x)
            self._run = getattr(anchor, kernel)
            self._run(self._x, self._out)

    def time_anchor(self, kernel: str) -> None:
        """Seconds of one call."""
        self._run(self._x, self._out)
