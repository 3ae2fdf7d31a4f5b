"""The contract: what each operation means and what counts as a correct result, stated once."""

from __future__ import annotations

from .argmax import ARGMAX
from .cases import KERNEL_CASES, Case
from .operation import FLOATS, INTEGERS, Mismatch, Operation
from .softmax import SOFTMAX

DTYPES = (*FLOATS, "bool", *INTEGERS)
OPERATIONS = {operation.name: operation for operation in (SOFTMAX, ARGMAX)}

__all__ = [
    "ARGMAX",
    "DTYPES",
    "FLOATS",
    "INTEGERS",
    "KERNEL_CASES",
    "OPERATIONS",
    "SOFTMAX",
    "Case",
    "Mismatch",
    "Operation",
]
