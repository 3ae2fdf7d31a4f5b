"""PyTorch tensors in main memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import threads
from ..peers import need
from . import HOST, Backend

torch = need("torch")
torch.set_num_threads(threads.count())


class _Torch(Backend):
    name = "torch"
    device = "cpu"

    def put(self, array: np.ndarray) -> Any:
        return torch.from_numpy(HOST.put(array))

    def get(self, array: Any) -> np.ndarray:
        result: np.ndarray = array.numpy()
        return result

    def fill(self, array: Any, values: np.ndarray) -> Any:
        return array.copy_(torch.from_numpy(values))

    def synchronize(self) -> None:
        return None


BACKEND = _Torch()
