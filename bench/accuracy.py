"""How far results are from the exact ones: errors in units in the last place (ulp), against n."""

from __future__ import annotations

import abc
import itertools
from typing import Any, ClassVar

import numpy as np

import impls
from impls import contract
from impls.contract.softmax import ulp_error

from . import grid, journal, workloads

ELEMENTS = 1 << 16  # in all, in as many rows as they fill; one row where n is more

Found = dict[tuple[str, str, int], dict[str, Any]]


class Accuracy(abc.ABC):
    """Errors of softmax on N(0, 3) scores: a sum that loses digits over long rows, an exp that is short of some."""

    version = "1"
    timeout = 900
    unit = "ulp"
    param_names: ClassVar = ["implementation", "dtype", "n"]
    params: ClassVar[list[list[Any]]]

    @property
    @abc.abstractmethod
    def operation(self) -> str:
        """softmax; abstract, so that asv takes this class for no benchmark."""

    def setup_cache(self) -> Found:
        """Measure everything in one process: it is quick, and starting a process for each would not be.

        Returns:
            By (implementation, dtype, n): the ``largest`` and ``typical`` error, or a ``status`` and its ``detail``.
        """
        return {key: _errors(*key) for key in itertools.product(*self.params)}

    setup_cache.timeout = 3600  # type: ignore[attr-defined]

    def setup(self, found: Found, *params: Any) -> None:
        """Say in the journal what came of it."""
        name, dtype, n = params
        status, detail = found[name, dtype, n].get("status", "ok"), found[name, dtype, n].get("detail", "")
        journal.note(self, params, status, detail, shape=_shape(n), dtype=dtype)
        if status == "skipped":
            raise NotImplementedError(detail)
        if status != "ok":
            raise RuntimeError(detail)

    def track_largest_error(self, found: Found, *params: Any) -> float:
        """The largest error of any element, in ulp."""
        return float(found[params]["largest"])

    def track_typical_error(self, found: Found, *params: Any) -> float:
        """The median error over all elements, in ulp."""
        return float(found[params]["typical"])


def _shape(n: int) -> tuple[int, int, int]:
    return (max(1, ELEMENTS // n), n, 1)


def _errors(name: str, dtype: str, n: int) -> dict[str, Any]:
    if journal.stopped():
        return {"status": "interrupted", "detail": str(journal.Interrupted())}
    try:
        kernel = impls.load("softmax", name).kernel
    except (impls.Unavailable, impls.UnknownImplementation) as error:
        return {"status": "skipped", "detail": str(error)}
    x = workloads.scores(_shape(n), dtype)
    if refusal := kernel.refusal(dtype, x.size):
        return {"status": "skipped", "detail": refusal}
    try:
        result = kernel.run(kernel.backend.put(x), kernel.backend.put(contract.SOFTMAX.allocate(x)))
        kernel.backend.synchronize()
        ulps = errors(x, kernel.backend.get(result))
    except Exception as problem:  # a kernel may raise anything
        return {"status": "failed", "detail": f"{type(problem).__name__}: {problem}"}
    return {"largest": float(ulps.max()), "typical": float(np.median(ulps))}


def errors(x: np.ndarray, result: np.ndarray) -> np.ndarray:
    """Errors in ulp of x's dtype, against softmax over axis 1 in the longest float of the machine.

    Where that is no longer than float64, errors of float64 results include those of the reference.
    """
    exact = np.exp(x.astype(np.longdouble) - x.max(axis=1, keepdims=True))
    exact /= exact.sum(axis=1, keepdims=True)
    return ulp_error(result.astype(np.longdouble), exact, x.dtype)


def sizes() -> list[int]:
    """Row lengths: every fourth power of two of the full grid, three in the quick one."""
    return [2, 1024, 1 << 20] if grid.name() == "quick" else [4**k for k in range(1, 11)]
