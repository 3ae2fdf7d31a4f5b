"""The benchmark that every other of a run is divided by: what moves it is the machine, not the code."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from . import timing
from .inputs import grid, workloads
from .suite import anchor, base


class Anchor(base.Replayed):
    """`anchor.one_thread`, which no commit changes."""

    operation = "control"
    params: ClassVar[list[list[str]]] = [["one_thread"]]
    param_names: ClassVar[list[str]] = ["kernel"]

    def measure(self, name: str, *rest: Any) -> str:
        x = workloads.scores(anchor.SHAPE, "float32")
        out, run = np.empty_like(x), getattr(anchor, name)
        sampler = timing.Sampler(lambda: run(x, out), lambda: None, "wall")
        sampler.seconds = base.SAMPLE_SECONDS
        self.replay(timing.unchecked(sampler, grid.seconds()), sampler)
        return ""

    def time_anchor(self, kernel: str) -> None:
        """Seconds of one call."""
        self.advance()
