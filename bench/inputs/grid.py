"""What is measured: the static parameter lists, and the few environment variables that choose among them.

The variables are set once for a whole run (by ``maxbench run``, or by hand before asv's own commands), so
that every commit of the run sees the same lists.
"""

from __future__ import annotations

import os
from typing import Any

from maxbench.impls import contract

# MAXBENCH_GRID: "quick" ends in minutes, "full" is the whole grid.
GRID = "MAXBENCH_GRID"
# MAXBENCH_IMPLEMENTATIONS: replaces the list below; comma-separated <operation>.<name>. Plug-ins are measured
# when they are named here; a name that a commit does not know is skipped there.
IMPLEMENTATIONS = "MAXBENCH_IMPLEMENTATIONS"
# MAXBENCH_DTYPES: replaces the dtypes of the grid; comma-separated.
DTYPES = "MAXBENCH_DTYPES"
# MAXBENCH_SECONDS: about how long one process times one cell.
SECONDS = "MAXBENCH_SECONDS"
# MAXBENCH_PRELOAD: set, asv's fork server loads Numba once for all processes; see `bench.numba_preload`.
PRELOAD = "MAXBENCH_PRELOAD"
# MAXBENCH_ARRAY, _KEY, _AXIS: the user's own array, measured in place of the workloads. MAXBENCH_ARRAY_SHAPE, as
# 64x1000, in place of the file: seeded scores, of the last of MAXBENCH_DTYPES.
ARRAY = "MAXBENCH_ARRAY"
ARRAY_KEY = "MAXBENCH_ARRAY_KEY"
ARRAY_AXIS = "MAXBENCH_ARRAY_AXIS"
ARRAY_SHAPE = "MAXBENCH_ARRAY_SHAPE"

SLOW_ELEMENTS = 1 << 17  # that a quick run gives an implementation that declares a largest array

IN_TREE = ("naive", "numpy_vectorized", "numba_simple", "numba_parallel", "numba_cuda")
# What users would otherwise call, measured in the full grid; the extra ``peers`` installs the libraries.
PEERS = {
    "softmax": ("scipy_special", "torch_cpu", "jax_xla", "onnx_runtime"),
    "argmax": ("torch_cpu", "jax_xla", "onnx_runtime"),
}
# Those that take arrays in chunks; the extra ``dask`` installs what they need.
CHUNKED = {"softmax": ("dask_chunks", "dask_formula", "dask_scipy"), "argmax": ("dask_chunks", "dask_argmax")}

_SIZES = {
    "quick": (2, 32, 1024, 32768, 1048576),
    "full": (*(2**k for k in range(1, 9)), *(2**k for k in range(10, 21, 2))),
}
_WORKLOADS = {
    "quick": (
        "two-class filter",
        "CIFAR-10",
        "ImageNet",
        "attention, 2 heads",
        "GPT-2, 20 rows",
        "Llama-3, 8 rows",
        "segmented image",
        "one vector of 2^20",
    ),
    "full": (
        "two-class filter",
        "CIFAR-10",
        "ImageNet",
        "attention rows",
        "GPT-2 vocabulary",
        "Llama-3 vocabulary",
        "segmentation",
        "one long vector",
    ),
}
# Rows, and columns, of the small arrays, down to where what a call costs by itself counts.
_ROWS = {"quick": (1, 64), "full": (1, 32, 1024)}
_COLUMNS = {"quick": (10, 1000), "full": (4, 64, 1024, 16384)}
_DTYPES = {
    ("quick", "softmax"): ("float32",),
    ("quick", "argmax"): ("float32",),
    ("full", "softmax"): ("float32", "float64", "float16"),
    ("full", "argmax"): ("float32", "float64", "float16", "int32", "int8", "bool"),
}

# Input orders of argmax: branchy code is several times slower on some of them.
_ORDERS = {
    "quick": ("random", "ascending"),
    "full": ("random", "ascending", "descending", "maximum first", "maximum last", "all equal"),
}


def name() -> str:
    """The grid in use: quick or full.

    Raises:
        ValueError: the variable holds anything else.
    """
    value = os.environ.get(GRID, "quick")
    if value not in _SIZES:
        raise ValueError(f"{GRID}={value!r}: accepted are {', '.join(_SIZES)}")
    return value


def implementations(operation: str) -> list[str]:
    """Names of the implementations of an operation."""
    chosen = os.environ.get(IMPLEMENTATIONS)
    if chosen is None:
        return [*IN_TREE, *(PEERS[operation] if name() == "full" else ())]
    pairs = (item.strip().split(".", 1) for item in chosen.split(",") if "." in item)
    return [name for of, name in pairs if of == operation]


def chunked(operation: str) -> list[str]:
    """Names of the implementations that are measured on arrays in chunks: those chosen, else all in the full grid."""
    if IMPLEMENTATIONS in os.environ:
        return [name for name in implementations(operation) if name in CHUNKED[operation]]
    return list(CHUNKED[operation]) if name() == "full" else []


def dtypes(operation: str, of: str | None = None) -> list[str]:
    """Names of the dtypes measured for an operation, of those that it takes and that need no package.

    Args:
        of: the grid, None for the one in use.
    """
    chosen = os.environ.get(DTYPES)
    if chosen is None:
        return list(_DTYPES[of or name(), operation])
    taken = set(contract.OPERATIONS[operation].dtypes) & set(contract.DTYPES)
    return [item for item in map(str.strip, chosen.split(",")) if item in taken]


def sizes() -> list[int]:
    """Columns n of the sweep; the number of rows follows from a constant total."""
    return list(_SIZES[name()])


def workloads() -> list[str]:
    """Names of the real workloads; `bench.inputs.workloads` has their shapes."""
    return list(_WORKLOADS[name()])


def orders() -> list[str]:
    """Input orders of argmax."""
    return list(_ORDERS[name()])


def rows() -> list[int]:
    """Rows of the small arrays."""
    return list(_ROWS[name()])


def columns() -> list[int]:
    """Columns n of the small arrays."""
    return list(_COLUMNS[name()])


def seconds() -> float:
    """How long one process times one cell, about."""
    return float(os.environ.get(SECONDS, "0.04" if name() == "quick" else "0.5"))


def refusal(kernel: Any, size: int) -> str | None:
    """Why an implementation is not timed on so many elements, or None if it is."""
    declared = getattr(kernel, "largest", None)  # which kernels of early commits do not have
    if name() != "quick" or declared is None or size <= SLOW_ELEMENTS:
        return None
    return (
        f"more than the {SLOW_ELEMENTS} elements on which a quick run times what takes {declared} at most "
        f"({kernel.largest_reason}); --full times more"
    )


def own() -> bool:
    """Whether an array of the user's own is measured."""
    return ARRAY in os.environ or ARRAY_SHAPE in os.environ


def rounds() -> int:
    """Processes per cell: the unit of replication."""
    return 2 if name() == "quick" else 5
