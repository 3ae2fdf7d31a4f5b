"""Checks in this process: what is wrong (a mismatch, or in words; None where it is right), and pairs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from maxbench.impls import agreement, contract
from maxbench.impls.contract.layouts import OutLayout
from maxbench.impls.registry import Implementation


def wrong(operation: contract.Operation, kernel: Any, x: np.ndarray) -> contract.Mismatch | str | None:
    """Of one call of a kernel."""
    before = x.copy()
    return agreement.outcome(operation, agreement.case_results(operation, kernel, x), lambda axis: before)


def wrong_out(
    implementation: Implementation, layout: OutLayout, x: np.ndarray, axes: Iterable[int | None] | None = None
) -> contract.Mismatch | str | None:
    """Of the public function with every out of a layout; axes: as of `agreement.out_results`."""
    results = agreement.out_results(implementation, layout, x, axes)
    operation = contract.OPERATIONS[implementation.operation]
    return agreement.outcome(operation, results, lambda axis: agreement.as_rows(x, axis))


def check_pairs(
    softmaxes: Mapping[str, Implementation], argmaxes: Mapping[str, Implementation], dtypes: Iterable[str] | None = None
) -> Iterator[agreement.Finding]:
    """Every pair of implementations, by name."""
    wanted = None if dtypes is None else list(dtypes)
    return agreement.check_pairs(*(
        {
            name: {(dtype, what): array for dtype, what, array in agreement.pair_results(one, wanted)}
            for name, one in several.items()
        }
        for several in (softmaxes, argmaxes)
    ))  # fmt: skip
