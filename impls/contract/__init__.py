"""The contract: what each operation means and what counts as a correct result, stated once."""

from __future__ import annotations

from .argmax import ARGMAX
from .cases import KERNEL_CASES, Case
from .dtypes import DTYPES, FLOATS, INTEGERS, OPTIONAL, WIDER
from .operation import Mismatch, Operation, size_declared
from .softmax import SOFTMAX

OPERATIONS = {operation.name: operation for operation in (SOFTMAX, ARGMAX)}

__all__ = [
    "ARGMAX",
    "DTYPES",
    "FLOATS",
    "INTEGERS",
    "KERNEL_CASES",
    "OPERATIONS",
    "OPTIONAL",
    "SOFTMAX",
    "WIDER",
    "Case",
    "Mismatch",
    "Operation",
    "size_declared",
]
