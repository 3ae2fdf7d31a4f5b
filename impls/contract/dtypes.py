"""The dtypes that the contract knows, by name: NumPy's, and bfloat16 where the package ``ml_dtypes`` is installed."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import numpy as np

FLOATS = ("float16", "float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES = (*FLOATS, "bool", *INTEGERS)

OPTIONAL: tuple[str, ...] = ("bfloat16",) if importlib.util.find_spec("ml_dtypes") else ()
"""Known where the package that brings them is installed: looked for here, imported only where one is used."""

WIDER = {"bfloat16": "float32"}
"""Formats for storage and the dtypes they are computed in, of which all their values are values."""


def named(name: str) -> np.dtype:
    """The dtype of a name in `DTYPES` or `OPTIONAL`."""
    if name in OPTIONAL:
        bfloat16: np.dtype = np.dtype(_package().bfloat16)
        return bfloat16
    return np.dtype(name)


def name_of(kind: np.dtype) -> str | None:
    """The name of a dtype in `DTYPES` or `OPTIONAL`, in native byte order; None for all others."""
    name = kind.name
    return name if name in (*DTYPES, *OPTIONAL) and kind == named(name) else None


def is_float(kind: np.dtype) -> bool:
    """Whether it has NaN and infinities; to NumPy bfloat16 is of no kind that it knows."""
    return kind.kind == "f" or kind.name in OPTIONAL


def finfo(kind: np.dtype) -> np.finfo:
    """The limits of a float dtype, as `numpy.finfo`, which refuses bfloat16."""
    if kind.name in OPTIONAL:
        limits: np.finfo = _package().finfo(kind)
        return limits
    return np.finfo(kind)


def _package() -> Any:
    return importlib.import_module("ml_dtypes")
