"""Softmax benchmarks: the parameters; `bench.suite.base` has the logic."""

from __future__ import annotations

from typing import ClassVar

from .inputs import grid
from .suite import accuracy, base, ceiling, chunked, scaling, startup

_NAMES = grid.implementations("softmax")
_DTYPES = grid.dtypes("softmax")


class Sweep(base.Sweep):
    """The kernel against n."""

    operation = "softmax"
    params: ClassVar = [_NAMES, _DTYPES, grid.sizes()]


class Workloads(base.Workloads):
    """The kernel on real shapes, in the first dtype of the grid, float32."""

    operation = "softmax"
    params: ClassVar = [_NAMES, _DTYPES[:1], grid.workloads()]


class Shapes(scaling.Shapes):
    """The kernel on small arrays."""

    operation = "softmax"
    params: ClassVar = [_NAMES, _DTYPES[:1], grid.rows(), grid.columns()]


class Api(base.Api):
    """The public function with allocation."""

    operation = "softmax"
    params: ClassVar = [_NAMES, _DTYPES[:1], [1024]]


class Start(startup.Start):
    """Loading, and the first call: compiling, and with the compiled code on disk."""

    operation = "softmax"
    params: ClassVar = [_NAMES, _DTYPES[:1]]

    def setup_cache(self) -> startup.Found:
        """Every start of this operation's implementations, measured once."""
        return self.start_all()

    setup_cache.timeout = 3600  # type: ignore[attr-defined]


class Memory(base.Memory):
    """Peak memory of the process."""

    operation = "softmax"
    params: ClassVar = [[base.Memory.BASELINE, *_NAMES], _DTYPES[:1]]


class Accuracy(accuracy.Accuracy):
    """Errors in ulp against n."""

    operation = "softmax"
    params: ClassVar = [_NAMES, _DTYPES, accuracy.sizes()]


class Ceiling(ceiling.Ceiling):
    """Copying as many bytes: no implementation can be faster."""

    operation = "softmax"


if grid.chunked("softmax"):

    class Chunked(chunked.Chunked):
        """An array in a file, in chunks."""

        operation = "softmax"
        params: ClassVar = [grid.chunked("softmax"), _DTYPES[:1]]


if grid.name() == "full":

    class Threads(scaling.Threads):
        """The kernel with fewer threads."""

        operation = "softmax"
        params: ClassVar = [_NAMES, _DTYPES[:1], [1024], list(scaling.THREADS)]


if grid.own():

    class Own(base.Own):
        """The kernel on the user's own array."""

        operation = "softmax"
        params: ClassVar = [_NAMES]
