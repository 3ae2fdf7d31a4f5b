"""Argmax of ONNX Runtime on the CPU."""

from __future__ import annotations

from ...peers import onnx_backend
from ...registry import implements


# The other dtypes have no ArgMax in its CPU provider.
@implements(
    dtypes=("float16", "float32", "float64", "int8", "int32", "int64", "uint8"),
    backend=onnx_backend.BACKEND,
    threads="many",
    differs={"*NaN*/float*": "ArgMax finds a NaN in the first position only and passes over all others"},
)
def run(x: onnx_backend.Tensor, out: onnx_backend.Tensor) -> onnx_backend.Tensor:
    """Argmax over axis 1 of x (outer, n, inner) into out."""
    return onnx_backend.run("ArgMax", x, out)
