"""Softmax of ONNX Runtime on the CPU."""

from __future__ import annotations

from ...backends import onnx
from ...contract import FLOATS
from ...peers import DRIFTS, GROWS, LONGEST, timed
from ...registry import implements


@implements(
    dtypes=FLOATS,
    backend=onnx.BACKEND,
    threads="many",
    differs={
        "n = 4097/float64": GROWS,
        **DRIFTS,
        **timed(GROWS, LONGEST, float16=110, float32=81_000),
        **timed(GROWS, float64=19_000),
    },
)
def run(x: onnx.Tensor, out: onnx.Tensor) -> onnx.Tensor:
    """Softmax over axis 1 of x (outer, n, inner) into out."""
    return onnx.run("Softmax", x, out)
