"""Softmax and argmax for Python arrays, in interchangeable implementations.

>>> import maxbench
>>> maxbench.softmax([[1.0, 2.0, 3.0]], axis=1).round(3)
array([[0.09 , 0.245, 0.665]])
>>> int(maxbench.argmax([1.0, 3.0, 2.0]))
1
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .impls import (
        Entry,
        Implementation,
        Kernel,
        Unavailable,
        UnknownImplementation,
        __version__,
        argmax,
        catalogue,
        implements,
        load,
        softmax,
    )

__all__ = [
    "Entry",
    "Implementation",
    "Kernel",
    "Unavailable",
    "UnknownImplementation",
    "__version__",
    "argmax",
    "catalogue",
    "implements",
    "load",
    "softmax",
]


def __getattr__(name: str) -> Any:
    """What is public, from `maxbench.impls`, at its first use, so that this package imports nothing by itself.

    The command then starts, and says what is wrong, where `impls` cannot be imported. From then on it is a member,
    which `bench.processes.sides` removes: this way takes as long as a small call.
    """
    if name in __all__:
        found = globals()[name] = getattr(import_module(".impls", __name__), name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
