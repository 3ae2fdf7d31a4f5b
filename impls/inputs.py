"""What users pass, as NumPy arrays: lists, buffers, and the arrays and tables of other libraries in main memory."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from . import contract
from .contract.dtypes import name_of, named

# What a conversion that cannot be done raises: __array__ and __dlpack__ are foreign code.
_FAILURES = (TypeError, ValueError, RuntimeError, BufferError, AttributeError)


STREAM = "stream is for arrays in GPU memory, and this one is not"
_NUMBERS = {float, int, bool}  # lists of these alone need no look at each


def as_array(x: Any, operation: contract.Operation) -> np.ndarray:
    """x as a `numpy.ndarray` and no subclass of it, of any dtype.

    Raises:
        TypeError: x is masked or holds what is masked, or cannot be made an array.
        ValueError: x is a ragged sequence. Every message lists what is accepted.
    """
    if _holds_masked(x):
        raise _masked(operation)
    try:
        torch = sys.modules.get("torch")
        bfloat16 = torch is not None and isinstance(x, torch.Tensor) and x.dtype is torch.bfloat16
        a = _from_torch(x, torch.int16) if torch is not None and bfloat16 else np.asanyarray(x)
        if a.dtype.kind == "O" and a.ndim == 0 and hasattr(type(x), "__dlpack__"):
            a = np.from_dlpack(x)
    except _FAILURES as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        what = f"{operation.name} cannot make an array of this {_type(x)}: {error}"
        raise kind(f"{what}; {_accepted(operation)}") from error
    if isinstance(a, np.ma.MaskedArray):  # as some __array__ return one
        raise _masked(operation)
    return np.asarray(a)


def is_dask(x: Any) -> bool:
    """Whether x is a Dask array, which only a process has that has imported Dask."""
    module = sys.modules.get("dask.array")
    return module is not None and isinstance(x, getattr(module, "Array", ()))  # none yet while Dask is being imported


def refused(x: Any, dtype: np.dtype, operation: contract.Operation) -> TypeError:
    """The error for x, of which `as_array` makes an array of a dtype that is not accepted."""
    what, hint = str(dtype), ""
    if dtype.kind == "O" and not isinstance(x, np.ndarray):
        what = f"{_type(x)}, of which NumPy makes objects"
    if hasattr(x, "toarray"):
        hint = "; pass the toarray() of a sparse array"
    if columns := _columns(x):
        bad = {name: kind for name, kind in columns.items() if name_of(np.asarray(x[name]).dtype) is None}
        listed = ", ".join(f"{name!r} ({kind})" for name, kind in (bad or columns).items())
        what = f"{_type(x)} with the columns {listed}{'' if bad else ', which have no common dtype'}"
        hint = "; convert the columns to one of these dtypes, or leave them out"
    return TypeError(f"{operation.name} does not take {what}: {_accepted(operation)}{hint}")


def _accepted(operation: contract.Operation) -> str:
    """What an operation takes, in words."""
    computed = " (integers and bool are computed as float64)" if operation is contract.SOFTMAX else ""
    return (
        f"accepted are {', '.join(contract.ARGMAX.dtypes)}{computed}, as an array, a nested list, or an object with "
        "__array__, __dlpack__ or the buffer protocol"
    )


def _columns(x: Any) -> dict[Any, Any]:
    """The dtypes of a table's columns by name, as pandas, Polars and PyArrow state them; empty for all else."""
    names = getattr(x, "column_names", getattr(x, "columns", None))
    if names is None or isinstance(x, np.ndarray):
        return {}
    return {name: getattr(x[name], "dtype", getattr(x[name], "type", "")) for name in names}


def _from_torch(x: Any, bits: Any) -> np.ndarray:
    """A bfloat16 tensor, a dtype that neither PyTorch's `numpy()` nor NumPy's DLPack converts, over its memory."""
    if x.requires_grad:
        raise TypeError("it requires grad; pass x.detach()")  # as NumPy refuses tensors of other dtypes
    if not contract.OPTIONAL:
        raise TypeError("bfloat16 needs the package ml_dtypes; or pass x.float()")
    return np.asarray(x.view(bits)).view(named("bfloat16"))


def _masked(operation: contract.Operation) -> TypeError:
    return TypeError(
        f"{operation.name} does not take masked arrays: pass x.filled(...) with the value that masked elements are to "
        "have, as -inf, or x.data to ignore the mask"
    )


def _holds_masked(x: Any) -> bool:
    """Whether x is a masked array or a list of some, at any depth: NumPy drops the mask of those."""
    if isinstance(x, (list, tuple)):
        return not set(map(type, x)) <= _NUMBERS and any(map(_holds_masked, x))
    return isinstance(x, np.ma.MaskedArray)


def _type(x: Any) -> str:
    return type(x).__qualname__
