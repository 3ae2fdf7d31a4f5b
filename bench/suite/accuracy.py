"""How far results are from the exact ones: errors in units in the last place (ulp), against n."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from maxbench.impls import contract

from ..inputs import grid
from ..inputs.recipe import Input
from ..processes.messages import Given, Message, NoResult, Outcome, ResultsJob, Unavailable
from . import base

if TYPE_CHECKING:
    from ..processes.crew import Crew

ELEMENTS = 1 << 16  # in all, in as many rows as they fill; one row where n is more

Found = dict[tuple[str, str, int], Outcome]


class Accuracy(base.Cell):
    """Errors of softmax on N(0, 3) scores: a sum that loses digits over long rows, an exp that is short of some."""

    unit = "ulp"
    rounds = 1
    param_names: ClassVar = ["implementation", "dtype", "n"]

    def setup_cache(self) -> Found:
        """Compute everything in one process for each implementation, and its errors in this one, which loads none.

        Returns:
            By (implementation, dtype, n): the errors, by the names of the methods that return them.
        """
        names, *rest = self.params
        found: Found = {}
        from ..processes.crew import Crew  # here: it needs psutil, which an environment of asv may lack

        with Crew() as crew:
            for name in names:
                keys = [(name, *key) for key in itertools.product(*rest)]
                found |= dict(zip(keys, _errors_of(crew, name, keys), strict=True))
        return found

    setup_cache.timeout = 3600  # type: ignore[attr-defined]

    def setup(self, *params: Any) -> None:
        """Report the errors of a cell; see `base.Cell.setup`."""
        self._found: Found = params[0]
        super().setup(*params[1:])

    def measure(self, name: str, *rest: Any) -> str:
        dtype, n = rest
        found = self._found[name, dtype, n]
        self.outcome.shape, self.outcome.dtype, self.outcome.values = _shape(n), dtype, found.values
        return base.told(found)

    def track_largest_error(self, found: Found, *params: Any) -> float:
        """The largest error of any element, in ulp."""
        return base.value(found[params], "track_largest_error")

    def track_typical_error(self, found: Found, *params: Any) -> float:
        """The median error over all elements, in ulp."""
        return base.value(found[params], "track_typical_error")


def _shape(n: int) -> tuple[int, int, int]:
    return (max(1, ELEMENTS // n), n, 1)


def _errors_of(crew: Crew, name: str, keys: Sequence[tuple[str, str, int]]) -> list[Outcome]:
    inputs = [Input("scores", dtype, _shape(n)) for _, dtype, n in keys]
    found: dict[int, Outcome] = {}

    def heard(message: Message) -> None:
        match message:
            case Given() if message.about.index < len(keys):
                found[message.about.index] = _errors(inputs[message.about.index], message.values)
            case NoResult():
                found[message.index] = Outcome(message.status, message.detail)

    work = crew.run(ResultsJob("softmax", name, inputs), heard=heard)
    absent = Outcome("failed", work.failure or "its process said nothing of it")
    if unavailable := work.those(Unavailable):
        absent = Outcome("skipped", unavailable[0].reason)
    return [found.get(index, absent) for index in range(len(keys))]


def _errors(given: Input, result: np.ndarray) -> Outcome:
    x = given.array()
    if wrong := contract.SOFTMAX.form(x, result.shape, result.dtype):
        return Outcome("wrong", str(wrong))
    ulps = errors(x, result)
    return Outcome(values={
        "track_largest_error": float(ulps.max()), "track_typical_error": float(np.median(ulps)),
    })  # fmt: skip


def errors(x: np.ndarray, result: np.ndarray) -> np.ndarray:
    """Errors in ulp of x's dtype, against softmax over axis 1 in the longest float of the machine.

    Where that is no longer than float64, errors of float64 results include those of the reference.
    """
    exact = np.exp(x.astype(np.longdouble) - x.max(axis=1, keepdims=True))
    exact /= exact.sum(axis=1, keepdims=True)
    from maxbench.impls.contract.softmax import ulp_error

    return ulp_error(result.astype(np.longdouble), exact, x.dtype)


def sizes() -> list[int]:
    """Row lengths: every fourth power of two of the full grid, three in the quick one."""
    return [2, 1024, 1 << 20] if grid.name() == "quick" else [4**k for k in range(1, 11)]
