"""Argmax benchmarks: the parameters; `bench.suite.base` has the logic."""

from __future__ import annotations

from typing import ClassVar

from .inputs import grid
from .inputs.recipe import Input
from .suite import base, ceiling, chunked, scaling, startup

_NAMES = grid.implementations("argmax")
_DTYPES = grid.dtypes("argmax")


class Sweep(base.Sweep):
    """The kernel against n."""

    operation = "argmax"
    params: ClassVar = [_NAMES, _DTYPES, grid.sizes()]


class Workloads(base.Workloads):
    """The kernel on real shapes, in the first dtype of the grid, float32."""

    operation = "argmax"
    params: ClassVar = [_NAMES, _DTYPES[:1], grid.workloads()]


class Shapes(scaling.Shapes):
    """The kernel on small arrays."""

    operation = "argmax"
    params: ClassVar = [_NAMES, _DTYPES[:1], grid.rows(), grid.columns()]


class Api(base.Api):
    """The public function with allocation."""

    operation = "argmax"
    params: ClassVar = [_NAMES, _DTYPES[:1], [1024]]


class Start(startup.Start):
    """Loading, and the first call: compiling, and with the compiled code on disk."""

    operation = "argmax"
    params: ClassVar = [_NAMES, _DTYPES[:1]]

    def setup_cache(self) -> startup.Found:
        """Every start of this operation's implementations, measured once."""
        return self.start_all()

    setup_cache.timeout = 3600  # type: ignore[attr-defined]


class Memory(base.Memory):
    """Peak memory of the process."""

    operation = "argmax"
    params: ClassVar = [[base.Memory.BASELINE, *_NAMES], _DTYPES[:1]]


class Orders(base.Timed):
    """The kernel against the order of its input: branchy code is slow on some."""

    operation = "argmax"
    param_names: ClassVar = ["implementation", "dtype", "order"]
    params: ClassVar = [_NAMES, _DTYPES[:1], grid.orders()]

    def input(self, dtype: str, order: str) -> Input:
        """1024 x 1024 scores in this order."""
        return Input("scores", dtype, (1024, 1024, 1), order)


class Ceiling(ceiling.Ceiling):
    """Reading as many bytes: no implementation can be faster."""

    operation = "argmax"


if grid.chunked("argmax"):

    class Chunked(chunked.Chunked):
        """An array in a file, in chunks."""

        operation = "argmax"
        params: ClassVar = [grid.chunked("argmax"), _DTYPES[:1]]


if grid.name() == "full":

    class Threads(scaling.Threads):
        """The kernel with fewer threads."""

        operation = "argmax"
        params: ClassVar = [_NAMES, _DTYPES[:1], [1024], list(scaling.THREADS)]


if grid.own():

    class Own(base.Own):
        """The kernel on the user's own array."""

        operation = "argmax"
        params: ClassVar = [_NAMES]
