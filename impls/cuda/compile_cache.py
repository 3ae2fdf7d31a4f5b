"""Compiled kernels on disk, found again by the next process.

numba-cuda's ``cache=True`` never finds these kernels again: its key holds the pickled closure, and with it the
intrinsics, each of which gets a random identity in every process. Here the key is what a kernel is made from: the
sources of this package, and the values that its closure holds. The files are numba's own, in its own places
(``NUMBA_CACHE_DIR``, ``__pycache__``, or the user's cache folder).
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

_PLAIN = (type(None), bool, int, float, str, np.generic, np.dtype, type)


@functools.cache
def sources() -> str:
    """A digest of the package's code: what a kernel's device functions and intrinsics are made from."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def description(value: Any) -> str:
    """What a value of a closure is, the same in every process: functions by their name and what they close over.

    Raises:
        TypeError: it cannot be described.
    """
    if isinstance(value, _PLAIN) or is_dataclass(value):
        return repr(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(description, value))})"
    # A dispatcher and an intrinsic of numba are described by the function that they were made of.
    function = getattr(value, "py_func", None) or getattr(value, "_defn", None) or value
    if not hasattr(function, "__code__") and type(value).__module__.startswith(("llvmlite.", "numba.")):
        return str(value)  # a type: i32, float32
    if not hasattr(function, "__code__"):
        raise TypeError(f"a {type(value).__name__} in the closure of a kernel")
    cells = [description(cell.cell_contents) for cell in function.__closure__ or ()]
    return f"{function.__module__}.{function.__qualname__}[{', '.join(cells)}]"


def enable(dispatcher: Any) -> Any:
    """Let a `numba.cuda.jit` kernel of this package look on disk before it compiles; returns it.

    It compiles every time where this version of numba-cuda keeps its cache in another way.
    """
    try:
        from numba.cuda.core.caching import IndexDataCacheFile
        from numba.cuda.dispatcher import CUDACache
        from numba_cuda import __version__
    except ImportError:
        return dispatcher

    class Keyed(CUDACache):
        """numba-cuda's cache with the key described above."""

        def _index_key(self, sig: Any, codegen: Any) -> Any:
            key: tuple[Any, ...] = (sig, *map(tuple, codegen.magic_tuple()), __version__, sources(), made_from)
            launch = getattr(self, "_launch_config_key", None)
            if launch is not None:
                key = (*key, ("launch_config", launch))
            # Files of its own for each key: in those of one function, which numba numbers, two processes that
            # compile at once would give the code of two kernels the same name.
            name = f"{self._impl.filename_base}-{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}"
            self._cache_file = IndexDataCacheFile(self._cache_path, name, self._impl.locator.get_source_stamp())
            return key

    try:
        made_from = description(dispatcher)
        dispatcher._cache = Keyed(dispatcher.py_func)
    except (TypeError, RuntimeError, OSError):  # nowhere to write is no reason not to run
        return dispatcher
    return dispatcher
