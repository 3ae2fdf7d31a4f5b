"""The arrays of an input on a CUDA device: made there from a few values, copied there, and fetched in parts.

An input of 512 MiB takes longer to make on the host and to copy than all calls on it that are timed.
"""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np

from ..inputs.recipe import Input
from ..processes.verdict import TIMED, Verdict
from ..timing.memory import poison
from ..timing.ready import LONG_ROW, Checks, Failed, Transfers, described, is_far, optional

_POISON_BLOCK = 1 << 16  # elements of poison that are copied from the host

_random = random.SystemRandom().randrange


def repeated(block: np.ndarray, shape: tuple[int, ...]) -> Any:
    """A Numba device array of a shape that repeats the values of a flat host array."""
    from numba import cuda

    total = math.prod(shape)
    flat = cuda.device_array(total, block.dtype)
    done = min(total, len(block))
    flat[:done].copy_to_device(np.array(block[:done]))
    while done < total:
        some = min(done, total - done)
        flat[done : done + some].copy_to_device(flat[:some])
        done += some
    return flat.reshape(shape)


class DeviceArrays(Transfers):
    """The values of an input, and a poisoned output, once on the device: backends copy them there.

    For backends that have a ``clone``; results are fetched in the parts that the judge wants.

    Args:
        shape, dtype: of the output.
    """

    def __init__(self, given: Input, shape: tuple[int, ...], dtype: np.dtype) -> None:
        block = np.empty(_POISON_BLOCK, dtype)
        poison(block)
        self._poison = repeated(block, shape)
        self._values = (given, self._made(given))

    def pair(self, backend: Any) -> tuple[Any, Any]:
        """New arrays for x and out in a backend's own type, the latter poisoned."""
        return backend.clone(self._values[1]), backend.clone(self._poison)

    def refilled(self, backend: Any, x: Any, given: Input) -> Any:
        return self._filled(backend, x, self._of(given))

    def poisoned(self, backend: Any, out: Any) -> Any:
        return self._filled(backend, out, self._poison)

    def judged(
        self, checks: Checks, backend: Any, operation: str, given: Input, x: Any, result: Any, problem: str
    ) -> Verdict | Failed:
        try:
            seen = None
            if not is_far(backend, x):
                seen = backend.get(x)
            elif not problem and not self._intact(backend, x, given):
                problem = "the input was overwritten"
            shape, dtype = tuple(result.shape), str(result.dtype).removeprefix("torch.")
        except Exception as error:
            return Failed(described(error))
        return checks.check_parts(
            operation, given, shape, dtype, lambda a, b, c, d: backend.get(result[a:b])[..., c:d], case=TIMED, x=seen,
            problem=problem,
        )  # fmt: skip

    def _made(self, given: Input) -> Any:
        from numba import cuda

        block = given.repeated()
        made = cuda.to_device(given.array()) if block is None else repeated(block, given.shape)
        cuda.synchronize()  # libraries with streams of their own copy it next
        return made

    def _of(self, given: Input) -> Any:
        """The values of an input on the device; those of the last one are kept."""
        if self._values[0] != given:
            self._values = (given, None)  # its memory is free before that of others is taken
            self._values = (given, self._made(given))
        return self._values[1]

    def _filled(self, backend: Any, array: Any, values: Any) -> Any:
        fill = optional(backend, "fill")
        return backend.clone(values) if fill is None else fill(array, values)

    def _intact(self, backend: Any, x: Any, given: Input) -> bool:
        """Whether the rows at both ends of x and one at random are as before the call, unless rows are very long."""
        if math.prod(given.shape[1:]) > LONG_ROW:
            return True
        rows = {0, _random(given.shape[0]), given.shape[0] - 1}
        return all(np.array_equal(backend.get(x[row : row + 1]), given.rows(row, row + 1)) for row in rows)
