"""Softmax and argmax for Python arrays, in interchangeable implementations.

>>> import maxbench
>>> maxbench.softmax([[1.0, 2.0, 3.0]], axis=1).round(3)
array([[0.09 , 0.245, 0.665]])
>>> int(maxbench.argmax([1.0, 3.0, 2.0]))
1
"""

from __future__ import annotations

import sys
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
    """What is public, from `maxbench.impls`; looked up at each use, so that this package imports nothing by itself.

    The command then starts, and says what is wrong, where `impls` cannot be imported; and while the gate measures a
    version, plug-ins find that version's.
    """
    if name in __all__:
        try:  # import_module alone takes a third of a small call
            return getattr(sys.modules[f"{__name__}.impls"], name)
        except (KeyError, AttributeError):  # not imported yet, or being imported by another thread
            return getattr(import_module(".impls", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
