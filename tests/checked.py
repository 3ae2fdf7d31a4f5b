"""What is wrong with what a kernel or a public function gives: a mismatch, or in words; None where it is right."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from impls import agreement, contract
from impls.contract.layouts import OutLayout
from impls.registry import Implementation


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
