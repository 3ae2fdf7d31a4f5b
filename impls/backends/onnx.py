"""ONNX Runtime tensors in main memory, and models of one node that fill them through an io-binding."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .. import threads
from ..peers import need
from . import HOST, Backend

onnx, onnxruntime = need("onnx"), need("onnxruntime")


class Tensor:
    """An OrtValue on a NumPy array's memory; as an output it remembers its last binding.

    ONNX Runtime is fastest over the last axis, so an array of shape (outer, n, 1) is bound as (outer, n).
    """

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        shape = array.shape[:2] if array.ndim == 3 and array.shape[2] == 1 else array.shape
        self.shape = tuple(shape)
        self.value = onnxruntime.OrtValue.ortvalue_from_numpy(array.reshape(shape))
        self.bound: tuple[Tensor, Any, Any] | None = None


class _Onnx(Backend):
    name = "onnx"
    device = "cpu"

    def put(self, array: np.ndarray) -> Tensor:
        return Tensor(HOST.put(array))

    def get(self, array: Tensor) -> np.ndarray:
        return array.array

    def fill(self, array: Tensor, values: np.ndarray) -> Tensor:
        array.array[...] = values
        return array

    def synchronize(self) -> None:
        return None


BACKEND = _Onnx()


def run(operator: str, x: Tensor, out: Tensor) -> Tensor:
    """Run a model of one node, `Softmax` or `ArgMax` over axis 1, from x into out."""
    if out.bound is None or out.bound[0] is not x:
        session = _session(operator, x.array.dtype, x.shape, out.shape)
        binding = session.io_binding()
        binding.bind_ortvalue_input("x", x.value)
        binding.bind_ortvalue_output("out", out.value)
        out.bound = x, session, binding
    _, session, binding = out.bound
    session.run_with_iobinding(binding)
    return out


@functools.lru_cache(maxsize=256)
def _session(operator: str, dtype: np.dtype, shape: tuple[int, ...], result: tuple[int, ...]) -> Any:
    helper = onnx.helper
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    attributes = {"axis": 1} if operator == "Softmax" else {"axis": 1, "keepdims": int(len(result) == len(shape))}
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["out"], **attributes)],
        operator,
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("out", kind if operator == "Softmax" else onnx.TensorProto.INT64, result)],
    )
    # The oldest versions with today's meaning of both operators, for the sake of older runtimes.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads.count()
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
