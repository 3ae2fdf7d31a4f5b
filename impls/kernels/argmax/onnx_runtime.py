"""Argmax of ONNX Runtime on the CPU."""

from __future__ import annotations

from ...backends import onnx
from ...registry import implements


# The other dtypes have no ArgMax in its CPU provider.
@implements(
    dtypes=("float16", "float32", "float64", "int8", "int32", "int64", "uint8"),
    backend=onnx.BACKEND,
    threads="many",
    differs={"*NaN*/float*": "ArgMax finds a NaN in the first position only and passes over all others"},
)
def run(x: onnx.Tensor, out: onnx.Tensor) -> onnx.Tensor:
    """Argmax over axis 1 of x (outer, n, inner) into out."""
    return onnx.run("ArgMax", x, out)
