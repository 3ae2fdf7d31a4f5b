"""What the gate measures: a small static list of inputs for each implementation, and how to choose from it.

The inputs fit the last-level cache and take milliseconds: a comparison needs many short samples, and one that waits
for memory says less about code. Implementations come from here and from the files of both sides, never from one side's
registry, so that one that is missing on a side is seen to be missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from maxbench.bench.inputs import device_cells, grid
from maxbench.bench.processes.messages import Pair, Shape
from maxbench.bench.suite import anchor

from ..measure.selection import matches

_INPUTS: dict[str, tuple[tuple[str, Shape], ...]] = {
    "softmax": (
        ("float32", (256, 1000, 1)),
        ("float32", (25600, 10, 1)),
        ("float32", (5, 50257, 1)),
        ("float32", (2, 21, 6400)),
        ("float64", (256, 1000, 1)),
    ),
    "argmax": (
        ("float32", (1024, 1000, 1)),
        ("float32", (102400, 10, 1)),
        ("float32", (4, 21, 12800)),
        ("int32", (1024, 1000, 1)),
    ),
}
# Pure Python: one input, small enough for a call of a few milliseconds.
_SMALL: dict[str, tuple[tuple[str, Shape], ...]] = {
    "softmax": (("float32", (32, 1000, 1)),),
    "argmax": (("float32", (64, 1000, 1)),),
}


@dataclass(frozen=True)
class Benchmark:
    """One implementation on one input, or a control.

    Attributes:
        operation, implementation, dtype, shape: what is called, on x of this shape (outer, n, inner).
        pair: the two sides that are compared, the first being the base of the ratio.
        extra: rows that the second side computes on top, in percent: an injected slowdown.
    """

    operation: str
    implementation: str
    dtype: str
    shape: Shape
    pair: tuple[str, str] = ("base", "head")
    extra: float = 0

    @property
    def name(self) -> str:
        """How results call it: ``softmax.numba_simple[float32,256x1000]``."""
        outer, n, inner = self.shape
        size = f"{outer}x{n}" if inner == 1 else f"{outer}x{n}x{inner}"
        return f"{self.operation}.{self.implementation}[{self.dtype},{size}]"

    @property
    def id(self) -> str:
        """Unique within a job, also where one input is measured as benchmark and as control."""
        suffix = "" if self.pair == ("base", "head") else f" {self.pair[0]}/{self.pair[1]}"
        return f"{self.name}{suffix}{f' +{self.extra:g}%' if self.extra else ''}"

    @property
    def is_anchor(self) -> bool:
        """Whether it is the control that no version touches."""
        return self.operation == "control"

    def as_pair(self) -> Pair:
        """For a worker."""
        return Pair(self.id, self.operation, self.implementation, self.dtype, self.shape, self.pair, self.extra)


def every(brought: Iterable[tuple[str, str]] = (), *, in_tree: bool = True) -> tuple[Benchmark, ...]:
    """All benchmarks.

    Args:
        brought: (operation, name) of the implementations that base or head bring.
        in_tree: whether they are maxbench itself: then those of the static list come first, and the libraries that
            are there to be compared with are left out.
    """
    pairs = [(operation, name) for operation, name in brought if operation in _INPUTS]
    if in_tree:
        listed = [(operation, name) for operation in _INPUTS for name in grid.IN_TREE]
        added = [(operation, name) for operation, name in pairs if name not in _libraries(operation)]
        pairs = list(dict.fromkeys([*listed, *added]))
    return tuple(
        Benchmark(operation, name, dtype, shape)
        for operation, name in pairs
        for dtype, shape in (_SMALL if name == "naive" else _INPUTS)[operation]
    )


def _libraries(operation: str) -> set[str]:
    return {*grid.PEERS[operation], *device_cells.IMPLEMENTATIONS}


def choose(benchmarks: Sequence[Benchmark], only: Sequence[str]) -> tuple[Benchmark, ...]:
    """Those whose name one of the patterns matches, as `selection.matches` says; all where there are none.

    Raises:
        ValueError: a word chooses nothing.
    """
    for word in only:
        if not any(matches(word, b.name) for b in benchmarks):
            names = sorted({f"{b.operation}.{b.implementation}" for b in benchmarks})
            raise ValueError(f"--only {word!r} chooses none of the {len(benchmarks)} benchmarks of {', '.join(names)}")
    return tuple(b for b in benchmarks if not only or any(matches(word, b.name) for word in only))


def anchors(clocks: Iterable[str]) -> tuple[Benchmark, ...]:
    """The controls that no version touches, for the clocks in use."""
    kernels = {"cpu": "one_thread", "wall": "many_threads"}
    return tuple(
        Benchmark("control", kernels[clock], "float32", anchor.SHAPE)
        for clock in sorted(set(clocks))
        if clock in kernels
    )
