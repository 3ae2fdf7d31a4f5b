"""Softmax and argmax for Python arrays, in interchangeable implementations.

>>> import maxbench
>>> maxbench.softmax([[1.0, 2.0, 3.0]], axis=1).round(3)
array([[0.09 , 0.245, 0.665]])
>>> int(maxbench.argmax([1.0, 3.0, 2.0]))
1
"""

from __future__ import annotations

from .api import argmax, softmax
from .registry import Entry, Implementation, Kernel, Unavailable, UnknownImplementation, catalogue, implements, load
from .version import __version__

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
