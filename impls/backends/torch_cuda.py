"""PyTorch tensors in the memory of a CUDA device."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..peers import need
from . import Backend

torch = need("torch")
if not torch.cuda.is_available():
    raise ImportError(f"PyTorch {torch.__version__} finds no CUDA device")


class _TorchCuda(Backend):
    name = "torch_cuda"
    device = "cuda"

    def put(self, array: np.ndarray) -> Any:
        return torch.from_numpy(array).to("cuda", copy=True)

    def clone(self, array: Any) -> Any:
        return torch.as_tensor(array, device="cuda").clone()

    def get(self, array: Any) -> np.ndarray:
        result: np.ndarray = array.cpu().numpy()
        return result

    def fill(self, array: Any, values: Any) -> Any:
        there = not isinstance(values, np.ndarray)
        return array.copy_(torch.as_tensor(values, device="cuda") if there else torch.from_numpy(values))

    def synchronize(self) -> None:
        torch.cuda.synchronize()

    def timer(self, call: Callable[[], Any]) -> float:
        """Seconds that the device spends in the work that call() starts, between two events of its stream."""
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) * 1e-3  # milliseconds


BACKEND = _TorchCuda()


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """``torch.compile`` of a function (x, out), for the very shapes of every call.

    Beyond the number of shapes that PyTorch recompiles for it would quietly run uncompiled: here that is an error.
    """
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 1024)
    torch._dynamo.config.accumulated_recompile_limit = max(torch._dynamo.config.accumulated_recompile_limit, 8192)
    return functools.wraps(function)(torch.compile(function, fullgraph=True, dynamic=False))
